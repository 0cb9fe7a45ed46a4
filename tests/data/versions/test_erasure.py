from __future__ import annotations

import asyncio
import csv
import json
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Shot
from rungwise.core.dataset import Dataset, Example
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.usecase import Columns
from rungwise.data import artefacts
from rungwise.data.blobs import Blobs
from rungwise.data.datasets import keep_dataset, load_dataset
from rungwise.data.ledger import Ledger
from rungwise.data.nouns import Nouns
from rungwise.data.sources.door import open_source
from rungwise.data.store import Store
from rungwise.data.versions.curation import curate
from rungwise.data.versions.erasure import ERASED, erase
from rungwise.data.versions.intake import take_in
from rungwise.data.versions.restoring import restore
from rungwise.data.versions.splitting import SplitPlan, split
from rungwise.data.versions.version import Version, Versions
from rungwise.engines.executors import InlineExecutor
from tests.clocks import StillClock
from tests.data.versions.steps import SetAside
from tests.data.versions.versioned_rows import cells, imported, row

SECRET = "Ann-Sophie Quindlemore wrote this"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "tickets.csv"


def rows_with_secrets() -> list[dict[str, Any]]:
    """Sixty rows; person-3 has six of them, and each of these says something that nobody else says."""
    return [
        row(i, text=f"{SECRET} in ticket {i}" if i % 10 == 3 else f"bad words {i}" if i % 7 == 2 else f"message {i}")
        for i in range(60)
    ]


def curated(store: Store, version: Version, word: str = "bad") -> Version:
    return asyncio.run(curate(store, version, [SetAside(word)], executor=InlineExecutor())).version


def keys(store: Store, version: Version) -> list[str]:
    return [one["id"] for one in cells(store, version)]


def holders(directory: Path, text: str) -> list[str]:
    """The files below a folder that hold a text: as it is, in Parquet, or compressed."""
    found = []
    for path in sorted(directory.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        read = [data]
        if data.startswith(b"PAR1"):
            read.append(str(parquet.read_table(path).to_pylist()).encode())
        elif data.startswith(b"\x78"):
            read.append(zlib.decompress(data))
        if any(text.encode() in one for one in read):
            found.append(str(path.relative_to(directory)))
    return found


def fresh(store: Store) -> Store:
    """The same store as another process opens it."""
    store.close()
    return Store.open(store.directory, clock=store.clock)


def climbed(store: Store, version: Version) -> tuple[str, Candidate]:
    """What a climb leaves behind: a dataset, a fitted part, a candidate that shows a row, an answered call."""
    versions = Versions(store)
    found = cells(store, version)
    examples = tuple(Example(text=one["text"], references=(one["label"],), group=one["person"]) for one in found)
    records = [id.tobytes().hex() for id in versions.ids(versions.selection(version))]
    dataset = Dataset(rows=examples, splits=tuple(["train"] * len(examples)))
    id = keep_dataset(store, dataset, version=version.id, records=records)
    part = Fitted(technique="shots", inputs=(id,))
    shown = next(one for one in examples if SECRET in one.text)
    candidate = Candidate(task="classify", model="small", shots=(Shot(shown.text, shown.label),), index=part)
    nouns = Nouns(store)
    nouns.put(part, made_from=[(id, "dataset")])
    nouns.put(candidate, made_from=[(part.id, "part")])
    artefacts.save(store, part.id, {"index": shown.text.encode()})
    with store.write() as connection:
        from rungwise.data.schema import calls

        answer = json.dumps({"text": f"You wrote: {shown.text}"})
        connection.execute(calls.insert().values(key="call", model="m", response=answer, usage="{}", at=0.0))
        connection.execute(calls.insert().values(key="other", model="m", response="{}", usage="{}", at=0.0))
    return id, candidate


def test_a_person_is_gone_from_every_file_of_the_state(store: Store, table: Path) -> None:
    head = imported(store, table, rows_with_secrets(), group="person")
    climbed(store, curated(store, split(store, head, SplitPlan()).version))
    assert holders(store.directory, SECRET)
    done = erase(store, person="person-3")
    store = fresh(store)
    assert done.done
    assert done.rows == 6
    assert holders(store.directory, SECRET) == []
    assert store.setting("data.erasing") is None
    store.close()


def test_every_version_keeps_its_id_and_all_other_rows(store: Store, table: Path) -> None:
    first = imported(store, table, rows_with_secrets(), group="person")
    drawn = split(store, first, SplitPlan()).version
    second = curated(store, drawn)
    third = restore(store, second, [Versions(store).quarantine(second)[1].id]).version
    every = (first, drawn, second, third)
    expected = {version.id: [one for one in cells(store, version) if one["person"] != "person-3"] for version in every}
    entries = {version.id: len(Versions(store).quarantine(version)) for version in every}
    done = erase(store, person="person-3")
    for before in every:
        after = Versions(store).get(before.id)
        assert after.id == before.id
        assert cells(store, after) == expected[before.id]
        assert after.rows == before.rows - 6 == before.rows - done.versions[before.id]
        assert after.erased == 6
        assert sum(source.rows for source in after.sources) == 54
        assert len(Versions(store).quarantine(after)) == entries[before.id]
    assert Versions(store).log()[0].verb == "erase"


def test_what_comes_after_an_erasure_goes_on_as_before(store: Store, table: Path) -> None:
    rows = rows_with_secrets()
    head = curated(store, split(store, imported(store, table, rows, group="person"), SplitPlan()).version)
    splits = {one["id"]: one["split"] for one in cells(store, head)}
    erase(store, person="person-3")
    back = restore(store, Versions(store).get(), everything=True).version
    left = [one["id"] for one in rows if one["person"] != "person-3"]
    assert keys(store, back) == left
    again = curated(store, back, "message")
    assert all(one["split"] == splits.get(one["id"], one["split"]) for one in cells(store, again))
    assert again.erased == 0
    assert Versions(store).get(again.id).id == again.id


def test_the_row_is_not_taken_in_again(store: Store, table: Path) -> None:
    rows = rows_with_secrets()
    head = imported(store, table, rows)
    erase(store, ["t3"])
    assert imported(store, table, rows).id == head.id, "nothing changed at the source"
    later = imported(store, table, [*rows, row(99)])
    assert keys(store, later) == [one["id"] for one in rows if one["id"] != "t3"] + ["t99"]
    moved = imported(store, table.with_name("copy.csv"), rows)
    assert moved.quarantined["import:erased"] == 2, "once in each of the two sources"
    assert "t3" not in keys(store, moved)


def test_it_says_what_the_row_entered_and_deletes_what_may_hold_it(store: Store, table: Path) -> None:
    head = imported(store, table, rows_with_secrets(), group="person")
    dataset, candidate = climbed(store, head)
    shown = erase(store, ["t3"], dry_run=True)
    assert not shown.done
    done = erase(store, ["t3"])
    assert (shown.datasets, shown.reached, shown.artefacts, shown.calls) == (
        done.datasets,
        done.reached,
        done.artefacts,
        done.calls,
    )
    assert done.datasets == (dataset,)
    assert candidate.id in done.reached["Candidate"]
    assert done.artefacts == (candidate.parts[0].id,)
    assert done.calls == 1
    assert done.places == ("tickets.csv:5",)
    assert done.rebuild == (f"rungwise climb {store.directory.parent}",)
    assert not artefacts.has(store, candidate.parts[0].id)
    assert [one.text for one in load_dataset(store, dataset).rows].count(ERASED) == 1
    assert Nouns(store).get(Candidate, candidate.id).shots[0].text == ERASED


def test_a_row_that_reached_nothing_leaves_artefacts_alone(store: Store, table: Path) -> None:
    rows = rows_with_secrets()
    head = imported(store, table, rows, group="person")
    part = Fitted(technique="shots")
    artefacts.save(store, part.id, {"index": b"bytes"})
    climbed(store, head)
    imported(store, table, [*rows, row(70, text="a row that came after the climb")])
    done = erase(store, ["t70"])
    assert (done.datasets, done.artefacts, done.calls, done.rebuild) == ((), (), 0, ())
    assert artefacts.has(store, part.id)


def test_a_dry_run_changes_nothing(store: Store, table: Path) -> None:
    head = imported(store, table, rows_with_secrets(), group="person")

    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted((store.directory / "blobs").rglob("*")) if path.is_file()}

    before = files()
    done = erase(store, person="person-3", dry_run=True)
    assert (done.done, done.rows, done.versions) == (False, 6, {head.id: 6})
    assert erase(store, person="person-3", agree=lambda _: False).done is False
    assert files() == before
    assert Versions(store).get().id == head.id


def test_a_row_is_found_by_its_own_id_and_by_the_beginning_of_its_digest(store: Store, table: Path) -> None:
    head = imported(store, table, rows_with_secrets())
    versions = Versions(store)
    digest = versions.ids(versions.selection(head))[13].tobytes().hex()
    assert erase(store, [digest[:9]]).ids == (digest,)
    assert "t13" not in keys(store, Versions(store).get())
    assert erase(store, [digest]).rows == 0, "it is gone already"
    with pytest.raises(UnknownName, match="Did you mean 't59'"):
        erase(store, ["t599"])
    with pytest.raises(UsageError, match="no row has 'person-99'"):
        erase(store, person="person-99", column="person")
    with pytest.raises(UnknownName, match="Did you mean 'person'"):
        erase(store, person="person-3", column="persona")
    with pytest.raises(UsageError, match="--person"):
        erase(store)


def test_earlier_contents_of_an_edited_row_go_with_it(store: Store, table: Path) -> None:
    rows = rows_with_secrets()
    first = imported(store, table, rows)
    imported(store, table, [{**one, "text": "reworded"} if one["id"] == "t3" else one for one in rows])
    assert erase(store, ["t3"]).rows == 2
    assert "t3" not in keys(store, Versions(store).get(first.id))


def test_a_row_that_could_not_be_read_is_erased_from_the_quarantine(store: Store, table: Path) -> None:
    rows = [*rows_with_secrets()[:30], row(70, text="", person="Quentin Quindlemore"), row(71, text="")]
    head = imported(store, table, rows, group="person")
    assert head.quarantined == {"import:no_text": 2}
    assert holders(store.directory, "Quentin")
    done = erase(store, person="Quentin Quindlemore")
    assert done.rows == 1
    store = fresh(store)
    assert holders(store.directory, "Quentin") == []
    assert Versions(store).get(head.id).quarantined == {"import:no_text": 1}
    store.close()


@pytest.mark.parametrize(
    "broken", ["{id},{text},label,person-9", '{{"id": "{id}", "text": "{text}"', '{{"id": "{id}", "text": "{escaped}", "label"}}']
)
def test_a_row_that_could_not_be_read_at_first_goes_from_that_version_too(store: Store, tmp_path: Path, broken: str) -> None:
    path = tmp_path / ("rows.csv" if broken.startswith("{id}") else "rows.jsonl")
    text = "the café said, Quentin, never come back"
    lines = [broken.format(id="t70", text=text, escaped=json.dumps(text)[1:-1])]
    first = taken_from(store, path, rows_with_secrets()[:9], lines)
    assert sum(first.quarantined.values()) == 1
    second = taken_from(store, path, [*rows_with_secrets()[:9], row(70, text=text)], [])
    assert (second.rows, dict(second.quarantined)) == (10, {})
    assert erase(store, ["t70"]).rows == 2
    store = fresh(store)
    assert holders(store.directory, "Quentin") == holders(store.directory, "never come") == []
    assert not Versions(store).get(first.id).quarantined
    again = taken_from(store, path, rows_with_secrets()[:12], lines)
    assert dict(again.quarantined) == {"import:erased": 1}
    assert holders(store.directory, "Quentin") == []
    store.close()


def taken_from(store: Store, path: Path, rows: Sequence[Mapping[str, Any]], more: Sequence[str]) -> Version:
    """Import a file of these rows, and of lines as they are."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
        file.writelines(line + "\n" for line in more)
    return take_in(store, open_source(path), columns=Columns(key="id", text="text", label="label")).version


def test_an_interrupted_import_and_half_written_files_are_searched_too(store: Store, table: Path) -> None:
    from rungwise.data.versions.memory import note_pack
    from rungwise.data.versions.packs import NO_DIGEST, NO_PARENT, Packed, Packs
    from rungwise.data.versions.records import key_hash, record_bytes, record_id

    imported(store, table, rows_with_secrets(), group="person")
    body = record_bytes(row(103, text=f"{SECRET} elsewhere"))
    pack = Packs(store.blobs).write([Packed(record_id(body), NO_DIGEST, key_hash("t103"), "new.csv", 2, NO_PARENT, body)])
    note_pack(store, "new.csv", pack)
    partial = store.blobs.path("ab" * 32).with_name(".abab.1.tmp")
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(SECRET)
    assert erase(store, person="person-3").rows == 7
    store = fresh(store)
    assert holders(store.directory, SECRET) == []
    store.close()


def test_rows_that_a_climb_read_straight_from_a_file_are_found_by_id_and_by_person(store: Store) -> None:
    def example(number: int, **more: Any) -> Example:
        return Example(text=f"{SECRET} {number}", references=("a",), key=f"t{number}", group=f"person-{number % 3}", **more)

    rows = tuple(example(i, fields={"city": "Ulm" if i == 5 else "Bonn"}) for i in range(9))
    dataset = keep_dataset(store, Dataset(rows=rows, splits=("train",) * 9))
    page = store.directory.parent / "report.html"
    page.write_text(f"<p>{rows[0].text}</p>")
    assert erase(store, ["t1"]).pages == ()
    assert erase(store, person="person-0").pages == (str(page),)
    done = erase(store, person="Ulm", column="city")
    assert (done.rows, done.datasets) == (1, (dataset,))
    left = [one.text for one in load_dataset(store, dataset).rows if one.text != ERASED]
    assert left == [rows[i].text for i in (2, 4, 7, 8)]
    store = fresh(store)
    assert len(holders(store.directory, f"{SECRET} 5")) == 0
    assert not page.exists()
    store.close()


class Killed(BaseException):
    """Stands for kill -9: nothing in the package catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Stop before the n-th write of any kind: a blob, a transaction, a deletion, or a statement of the last clean-up."""
    left = [number]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*args, **more)

        return call

    from rungwise.data.versions import erasure

    monkeypatch.setattr(Blobs, "put", counted(Blobs.put))
    monkeypatch.setattr(Blobs, "delete", counted(Blobs.delete))
    monkeypatch.setattr(Store, "write", counted(Store.write))
    monkeypatch.setattr(erasure, "_sweep", counted(erasure._sweep))
    monkeypatch.setattr(erasure, "_compact", counted(erasure._compact))
    monkeypatch.setattr(erasure, "_checkpoint", counted(erasure._checkpoint))


def test_killed_anywhere_the_same_command_ends_it(tmp_path: Path, clock: StillClock) -> None:
    store = Store.open(tmp_path / "state", clock=clock)
    head = imported(store, tmp_path / "tickets.csv", rows_with_secrets(), group="person")
    versions = (head, curated(store, split(store, head, SplitPlan()).version))
    climbed(store, versions[1])
    store.close()

    def copied(name: str) -> Store:
        return Store.open(shutil.copytree(tmp_path / "state", tmp_path / name / "state"), clock=clock)

    def left(store: Store) -> Any:
        return [cells(store, Versions(store).get(version.id)) for version in versions]

    whole = copied("whole")
    report = erase(whole, person="person-3")
    expected = left(whole)
    whole.close()
    number, finished = 0, False
    while not finished:
        store = copied(f"killed-{number}")
        with pytest.MonkeyPatch.context() as monkeypatch:
            kill_at(monkeypatch, number)
            try:
                erase(store, person="person-3")
                finished = True
            except Killed:
                pass
        store = fresh(store)
        if not finished:
            again = erase(store, person="person-3")
            assert (again.ids, again.versions, again.calls) == (report.ids, report.versions, report.calls), number
        assert left(store) == expected, number
        store = fresh(store)
        assert holders(store.directory, SECRET) == [], number
        assert store.setting("data.erasing") is None
        store.close()
        number += 1
    assert number > 10


def test_another_command_ends_what_was_begun_before_it_does_its_own(store: Store, table: Path) -> None:
    imported(store, table, rows_with_secrets(), group="person")
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill_at(monkeypatch, 3)
        with pytest.raises(Killed):
            erase(store, person="person-3")
    with pytest.raises(UsageError, match="not finished"):
        erase(store, ["t4"], dry_run=True)
    assert erase(store, ["t4"]).rows == 1
    assert set(keys(store, Versions(store).get())) == {f"t{i}" for i in range(60) if i % 10 != 3 and i != 4}


def test_the_ledger_of_openings_outlives_the_row(store: Store, table: Path) -> None:
    head = imported(store, table, rows_with_secrets())
    input_ids = [Example(text=one["text"]).input_id for one in cells(store, head)]
    Ledger(store).nominate("climb", "rung", candidate="c", test="t", input_ids=input_ids, alpha=0.05, note={})
    erase(store, ["t3"])
    assert Ledger(store).count(input_ids) == 1
