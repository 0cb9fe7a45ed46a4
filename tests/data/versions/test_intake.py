"""Importing: every row is kept or set aside with its place, and a second import reads only what changed."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from clocks import StillClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.dataset import SPLITS
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.usecase import Columns, UseCase
from rungwise.data.sources.door import open_source
from rungwise.data.store import Store
from rungwise.data.versions.curation import split_of
from rungwise.data.versions.dataset import read_version
from rungwise.data.versions.intake import Taken, take_in
from rungwise.data.versions.packs import Packs
from rungwise.data.versions.version import Versions

Rows = Sequence[Sequence[str]]
SENTENCE = "please tell me where parcel number {} is now"


def table(count: int, start: int = 0) -> list[list[str]]:
    return [[f"k{i}", SENTENCE.format(i), "ab"[i % 2]] for i in range(start, start + count)]


def write_csv(path: Path, rows: Rows, header: Sequence[str] = ("id", "text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path


def imported(store: Store, path: Path, **more: Any) -> Taken:
    return take_in(store, open_source(path), **more)


def cells_of(store: Store, name: str = "HEAD") -> list[dict[str, Any]]:
    versions = Versions(store)
    return [cells for _, cells in versions.rows(versions.get(name))]


def test_every_row_is_kept_with_its_place_and_the_roles_are_told(store: Store, tmp_path: Path) -> None:
    taken = imported(store, write_csv(tmp_path / "tickets.csv", table(30)))
    version = taken.version
    assert (version.rows, taken.read, taken.changed, dict(version.quarantined)) == (30, 30, True, {})
    assert (version.columns.text, version.columns.label, version.columns.key) == ("text", "label", "id")
    place, cells = list(Versions(store).rows(version))[4]
    assert (place, cells) == ("tickets.csv:6", {"id": "k4", "text": SENTENCE.format(4), "label": "a"})


def test_an_unchanged_file_makes_no_new_version_and_reads_no_row(store: Store, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "tickets.csv", table(30))
    first = imported(store, path)
    again = imported(store, path)
    assert (again.version.id, again.read, again.changed) == (first.version.id, 0, False)
    assert len(Versions(store).log()) == 1


def test_a_second_import_reads_only_what_changed(store: Store, tmp_path: Path) -> None:
    rows = table(1000)
    path = write_csv(tmp_path / "tickets.csv", rows)
    first = imported(store, path)
    rows[10][1] += " please"
    rows[990][1] += " at once"
    write_csv(path, rows)
    second = imported(store, path)
    assert second.read == 2
    assert [row["text"] for row in cells_of(store)] == [row[1] for row in rows]
    assert cells_of(store, first.version.id[:12])[10]["text"] == SENTENCE.format(10)  # the earlier version stands


def test_a_row_that_vanished_is_marked_and_one_that_came_back_is_not(store: Store, tmp_path: Path) -> None:
    rows = table(40)
    path = write_csv(tmp_path / "tickets.csv", rows)
    imported(store, path)
    write_csv(path, rows[:10] + rows[13:])
    assert imported(store, path).version.sources[0].vanished == 3
    write_csv(path, rows[:10] + rows[11:])
    back = imported(store, path).version
    assert (back.sources[0].vanished, back.rows) == (1, 39)


def test_a_changed_row_with_an_id_has_not_vanished(store: Store, tmp_path: Path) -> None:
    rows = table(40)
    path = write_csv(tmp_path / "tickets.csv", rows)
    imported(store, path)
    rows[5][1] = "something else altogether, my friend"
    write_csv(path, rows)
    assert imported(store, path).version.sources[0].vanished == 0


def test_ids_that_stand_twice_are_set_aside_with_the_first_place(store: Store, tmp_path: Path) -> None:
    rows = [*table(30), ["k3", "another text with the same id", "a"], table(30)[4]]
    taken = imported(store, write_csv(tmp_path / "tickets.csv", rows))
    assert taken.version.rows == 30
    found = {(entry.reason, entry.place, entry.evidence) for entry in Versions(store).quarantine(taken.version)}
    assert found == {
        ("import:duplicate_id", "tickets.csv:32", "the same id, other content, as tickets.csv:5"),
        ("import:duplicate_row", "tickets.csv:33", "the same id and content as tickets.csv:6"),
    }


def test_rows_that_cannot_be_used_are_set_aside_with_place_and_reason(store: Store, tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"k{i}", "text": SENTENCE.format(i), "label": "ab"[i % 2]}) for i in range(1000)]
    lines[500] = "{broken"
    lines[600] = json.dumps({"id": "k600", "text": "   ", "label": "a"})
    lines[700] = json.dumps({"id": "k700", "text": "a number without end is no problem to json", "label": 10**30})
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    version = imported(store, path).version
    found = {entry.place: entry.reason for entry in Versions(store).quarantine(version)}
    assert found["rows.jsonl:501"] == "malformed:json"
    assert found["rows.jsonl:601"] == "import:no_text"
    assert version.rows + len(found) == 1000


def test_what_was_set_aside_stays_so_when_the_rest_changes(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    lines = ["id,text,label", *(",".join(row) for row in table(200)), "ragged,row", *(",".join(row) for row in table(50, 300))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    first = imported(store, path).version
    lines[20] = "k19,changed this one line of all,a"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    second = imported(store, path)
    assert second.read < 10
    assert [entry.place for entry in Versions(store).quarantine(second.version)] == ["tickets.csv:202"]
    assert dict(first.quarantined) == dict(second.version.quarantined) == {"malformed:ragged": 1}


@pytest.mark.parametrize("told", ["a sentence in one line", "a sentence in\ntwo lines"])
def test_what_comes_to_be_set_aside_later_is_named_as_by_a_first_import(
    store: Store, tmp_path: Path, clock: StillClock, told: str
) -> None:
    path = tmp_path / "tickets.csv"
    wanted = Columns(key="id", text="text", label="label")
    imported(store, write_csv(path, table(40)), columns=wanted)
    more = [["n1", "", "a"], ["ragged", "row"], ["n2", "", "a"], ["n3", told, "a"]]
    write_csv(path, [*table(2), *more, *table(38, 2)])
    again = imported(store, path)
    assert again.read < 5
    with contextlib.closing(Store.open(tmp_path / "fresh", clock=clock)) as other:
        fresh = imported(other, path, columns=wanted).version
        entries = Versions(other).quarantine(fresh)
    assert [entry.place for entry in entries] == ["tickets.csv:4", "tickets.csv:6", "tickets.csv:5"]
    assert Versions(store).quarantine(again.version) == entries
    assert again.version.id == fresh.id


def test_two_sources_stand_side_by_side_and_change_by_themselves(store: Store, tmp_path: Path) -> None:
    one = write_csv(tmp_path / "one.csv", table(30))
    two = write_csv(
        tmp_path / "two.csv",
        [[f"x{i}", f"a second source speaks of invoice {i}", "c"] for i in range(20)],
        ("nr", "message", "topic"),
    )
    imported(store, one)
    both = imported(store, two, columns=Columns(key="nr")).version
    assert [source.rows for source in both.sources] == [30, 20]
    assert cells_of(store)[30] == {"id": "x0", "text": "a second source speaks of invoice 0", "label": "c"}  # named as in the first
    assert [row["text"] for row in cells_of(store)][29:31] == [SENTENCE.format(29), "a second source speaks of invoice 0"]
    write_csv(one, table(31))
    again = imported(store, one)
    assert (again.read, again.version.rows) == (1, 51)


def test_a_packed_table_and_a_plain_one_are_the_same_version(store: Store, tmp_path: Path, clock: StillClock) -> None:
    path = write_csv(tmp_path / "tickets.csv", table(30))
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    other = Store.open(tmp_path / "other", clock=clock)
    assert imported(store, path).version.id == imported(other, packed).version.id
    other.close()


def test_a_folder_of_documents_is_read_file_by_file(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "guides"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.md").write_text(f"# Guide {name}\n\nHow to do {name}, step by step.\n", encoding="utf-8")
    first = imported(store, folder)
    assert (first.version.rows, first.version.columns.text, first.version.columns.key) == (3, "text", "id")
    (folder / "b.md").write_text("# Guide b\n\nNow it is done in another way.\n", encoding="utf-8")
    (folder / "c.md").unlink()
    second = imported(store, folder)
    assert (second.read, second.version.rows, second.version.sources[0].vanished) == (1, 2, 1)


def test_a_role_that_is_given_anew_is_used(store: Store, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "t.csv",
        [[f"k{i}", SENTENCE.format(i), "ab"[i % 2], "xy"[i % 2]] for i in range(30)],
        ("id", "text", "label", "queue"),
    )
    imported(store, path)
    taken = imported(store, path, columns=Columns(label="queue"))
    assert taken.changed
    assert taken.version.columns.label == "queue"
    with pytest.raises(UnknownName, match="no column 'quue'"):
        imported(store, path, columns=Columns(label="quue"))


def test_a_file_without_a_usable_row_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "tickets.csv", [["k1", " ", "a"], ["k2", "", "b"]])
    with pytest.raises(UsageError):
        imported(store, path, columns=Columns(text="text"))
    assert Versions(store).head() is None


WORDS = st.text(st.sampled_from(["a", "b", '"', ",", "\n", "é", "😀", " "]), min_size=1, max_size=8)
TABLES = st.lists(st.tuples(st.integers(0, 25), WORDS), min_size=1, max_size=25)


@given(TABLES, TABLES, st.sampled_from([".csv", ".jsonl"]))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_second_import_gives_what_a_first_would(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[int, str]], after: list[tuple[int, str]], ending: str
) -> None:
    folder = tmp_path_factory.mktemp("intake")
    path = folder / f"rows{ending}"
    stores = [Store.open(folder / name, clock=StillClock()) for name in ("changing", "fresh")]
    wanted = Columns(text="text", key="id")
    _write(path, before)
    _quietly(lambda: imported(stores[0], path, columns=wanted))
    _write(path, after)
    changing = _quietly(lambda: imported(stores[0], path, columns=wanted).version)
    fresh = _quietly(lambda: imported(stores[1], path, columns=wanted).version)
    if fresh is not None and changing is not None:
        assert changing.content == fresh.content
        reasons = [
            [entry.reason for entry in Versions(store).quarantine(one)]
            for store, one in zip(stores, (changing, fresh), strict=True)
        ]
        assert sorted(reasons[0]) == sorted(reasons[1])
    assert (fresh is None) == (changing is None)
    for store in stores:
        store.close()


def _write(path: Path, rows: list[tuple[int, str]]) -> None:
    if path.suffix == ".csv":
        write_csv(path, [[str(key), text] for key, text in rows], ("id", "text"))
    else:
        lines = [json.dumps({"id": key, "text": text}, ensure_ascii=False) for key, text in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _quietly(work: Callable[[], Any]) -> Any:
    """What it gives; None where there is no usable row."""
    try:
        return work()
    except UsageError:
        return None


@pytest.fixture
def killed_after_a_pack(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Packs of 100 rows, and an import that dies after its seventh."""
    written: list[str] = []
    write = Packs.write

    def dying(self: Packs, entries: Any) -> str:
        if len(written) == 7:
            raise KeyboardInterrupt
        written.append(write(self, entries))
        return written[-1]

    monkeypatch.setattr("rungwise.data.versions.writing.PACK_ROWS", 100)
    monkeypatch.setattr("rungwise.data.versions.writing._AT_ONCE", 50)
    monkeypatch.setattr(Packs, "write", dying)
    yield written
    monkeypatch.setattr(Packs, "write", write)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_killed_import_goes_on_from_its_last_pack(
    store: Store, tmp_path: Path, clock: StillClock, killed_after_a_pack: list[str], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    path = tmp_path / f"rows{ending}"
    rows = [(i, SENTENCE.format(i)) for i in range(1000)]
    _write(path, rows)
    with pytest.raises(KeyboardInterrupt):
        imported(store, path)
    assert Versions(store).head() is None
    monkeypatch.undo()
    taken = imported(store, path)
    assert taken.read == 300
    assert [row["text"] for row in cells_of(store)] == [text for _, text in rows]
    other = Store.open(tmp_path / "other", clock=clock)
    assert imported(other, path).version.content == taken.version.content
    other.close()


def test_rows_of_a_source_with_splits_keep_them_beside_rows_that_are_drawn(store: Store, tmp_path: Path) -> None:
    imported(store, write_csv(tmp_path / "tickets.csv", table(200)))
    labelled = [[f"n{i}", f"a newly labelled question about voucher {i}", "ab"[i % 2], "train"] for i in range(50)]
    version = imported(store, write_csv(tmp_path / "labelled.csv", labelled, ("id", "text", "label", "split"))).version
    found = read_version(store, UseCase(name="t", task="classify", data="version:HEAD"))
    assert found.dataset.splits[200:] == ("train",) * 50
    assert {split: found.dataset.splits[:200].count(split) > 10 for split in SPLITS} == dict.fromkeys(SPLITS, True)
    versions = Versions(store)
    assert split_of(store, versions, version, versions.selection(version)) == found.dataset.splits


def test_a_column_that_has_the_name_of_another_role_makes_way(store: Store, tmp_path: Path) -> None:
    imported(store, write_csv(tmp_path / "one.csv", table(30)))
    rows = [[f"x{i}", f"short note {i}", f"a second source speaks at length of invoice {i}"] for i in range(20)]
    two = write_csv(tmp_path / "two.csv", rows, ("id", "text", "message"))
    imported(store, two, columns=Columns(text="message"))
    wanted = {"id": "x0", "text": "a second source speaks at length of invoice 0", "text of two.csv": "short note 0"}
    assert cells_of(store)[30] == wanted
    assert imported(store, two).read == 0


def test_a_licence_that_is_given_later_makes_a_new_version(store: Store, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "one.csv", table(30))
    first = imported(store, path)
    second = imported(store, path, licence="CC-BY-4.0")
    assert (second.changed, second.read, second.version.sources[0].licence) == (True, 0, "CC-BY-4.0")
    assert second.version.id != first.version.id
