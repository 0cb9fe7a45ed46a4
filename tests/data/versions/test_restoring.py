from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rungwise.core.errors import UnknownName, UsageError
from rungwise.data.store import Store
from rungwise.data.versions.curation import curate
from rungwise.data.versions.restoring import restore
from rungwise.data.versions.splitting import SplitPlan, split
from rungwise.data.versions.version import Version, Versions
from rungwise.engines.executors import InlineExecutor
from tests.data.versions.steps import SetAside
from tests.data.versions.versioned_rows import cells, imported, row


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "tickets.csv"


def curated(store: Store, version: Version, word: str = "bad") -> Version:
    return asyncio.run(curate(store, version, [SetAside(word)], executor=InlineExecutor())).version


def keys(store: Store, version: Version) -> list[str]:
    return [one["id"] for one in cells(store, version)]


ROWS = [row(i, text=f"bad words {i}" if i % 7 == 3 else f"message {i}") for i in range(60)]


def test_a_row_comes_back_to_where_it_stood(store: Store, table: Path) -> None:
    head = curated(store, imported(store, table, ROWS))
    aside = Versions(store).quarantine(head)
    done = restore(store, head, [aside[1].id[:10]])
    assert done.restored == 1
    expected = [one["id"] for one in ROWS if one["id"] == "t10" or "bad" not in one["text"]]
    assert keys(store, done.version) == expected
    assert done.version.kind == "restored"
    assert done.version.quarantined == {"quality:word": len(aside) - 1}


def test_what_was_brought_back_is_not_set_aside_again(store: Store, table: Path) -> None:
    head = curated(store, imported(store, table, ROWS))
    back = restore(store, head, reason="quality:word").version
    assert keys(store, back) == [one["id"] for one in ROWS]
    assert keys(store, curated(store, back)) == [one["id"] for one in ROWS]


def test_rows_come_back_one_after_the_other(store: Store, table: Path) -> None:
    head = curated(store, imported(store, table, ROWS))
    for entry in reversed(Versions(store).quarantine(head)):
        head = restore(store, head, [entry.id]).version
    assert keys(store, head) == [one["id"] for one in ROWS]
    assert head.quarantined == {}


def test_a_row_comes_back_with_the_split_it_had(store: Store, table: Path) -> None:
    drawn = split(store, imported(store, table, ROWS), SplitPlan(seed=3)).version
    before = {one["id"]: one["split"] for one in cells(store, drawn)}
    back = restore(store, curated(store, drawn), everything=True).version
    assert {one["id"]: one["split"] for one in cells(store, back)} == before


@pytest.mark.parametrize("first", [True, False])
def test_a_twin_that_the_import_set_aside_comes_back_and_stays(store: Store, table: Path, first: bool) -> None:
    rows = [*ROWS[:20], row(5, text="message 5, told otherwise"), *ROWS[20:]]
    head = imported(store, table, rows)
    assert head.quarantined == {"import:duplicate_id": 1}
    if not first:
        head = curated(store, head)
    back = restore(store, head, reason="import", everything=True).version
    expected = [one["id"] for one in rows if first or "bad" not in one["text"]]
    assert keys(store, back) == expected
    again = curated(store, back)
    assert keys(store, again) == [one["id"] for one in rows if "bad" not in one["text"]]
    whole = restore(store, again, everything=True).version
    assert keys(store, whole) == [one["id"] for one in rows]
    later = imported(store, table, [*rows, row(99)])
    assert keys(store, later) == [*(one["id"] for one in rows), "t99"]
    assert later.quarantined == {}


def test_the_same_source_again_changes_nothing_after_a_restoration(store: Store, table: Path) -> None:
    rows = [*ROWS[:20], row(5, text="message 5, told otherwise"), *ROWS[20:]]
    back = restore(store, curated(store, imported(store, table, rows)), everything=True).version
    imported(store, table, rows)
    assert Versions(store).get().id == back.id


def test_an_unknown_id_names_the_nearest(store: Store, table: Path) -> None:
    head = curated(store, imported(store, table, ROWS))
    known = Versions(store).quarantine(head)[0].id[:12]
    near = known[:-1] + ("0" if known[-1] != "0" else "1")
    with pytest.raises(UnknownName, match=f"Did you mean '{known}'"):
        restore(store, head, [near])
    with pytest.raises(UnknownName, match="Did you mean 'quality:word'"):
        restore(store, head, reason="quality:words")


def test_nothing_named_says_what_to_type(store: Store, table: Path) -> None:
    with pytest.raises(UsageError, match="rungwise data quarantine"):
        restore(store, curated(store, imported(store, table, ROWS)))


def test_a_row_that_was_never_read_has_to_be_mended_at_its_source(store: Store, table: Path) -> None:
    head = imported(store, table, [*ROWS, row(70, text="")])
    (entry,) = Versions(store).quarantine(head)
    with pytest.raises(UsageError, match=r"tickets\.csv:62 could not be read .*Mend it at the source"):
        restore(store, head, [entry.id])
    with pytest.raises(UsageError, match="Mend it at the source"):
        restore(store, head, everything=True)
