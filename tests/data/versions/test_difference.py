from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.usecase import Columns
from rungwise.data.sources.door import open_source
from rungwise.data.store import Store
from rungwise.data.versions.curation import curate
from rungwise.data.versions.difference import MOST_WORDS, Difference, changed_words, compare, examples
from rungwise.data.versions.intake import take_in
from rungwise.data.versions.records import record_cells
from rungwise.data.versions.splitting import SplitPlan, split
from rungwise.data.versions.version import Version, Versions
from rungwise.engines.executors import InlineExecutor
from tests.clocks import StillClock
from tests.data.versions.steps import SetAside
from tests.data.versions.versioned_rows import cells, imported, row, write_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "tickets.csv"


def keyless(store: Store, path: Path, rows: list[dict[str, Any]]) -> Version:
    """The table imported without ids: rows are told by content and place alone."""
    write_table(path, rows)
    return take_in(store, open_source(str(path)), columns=Columns(text="text", label="label")).version


def counts(found: Difference) -> tuple[int, int, int, int]:
    return len(found.added), len(found.removed), len(found.changed[0]), len(found.kept[0])


def test_rows_are_told_by_the_users_id_wherever_they_stand(store: Store, table: Path) -> None:
    rows = [row(i) for i in range(40)]
    old = imported(store, table, rows)
    edited = [{**rows[30], "text": "reworded"}, *rows[:5], *rows[7:30], *rows[31:], row(50)]
    found = compare(Versions(store), old, imported(store, table, edited))
    assert counts(found) == (1, 2, 1, 37)
    assert (found.changed[0].tolist(), found.changed[1].tolist()) == ([30], [0])
    assert found.added.tolist() == [38]
    assert found.removed.tolist() == [5, 6]


def test_without_ids_a_row_changed_where_another_stands_in_its_place(store: Store, table: Path) -> None:
    rows = [row(i, id="") for i in range(40)]
    old = keyless(store, table, rows)
    found = compare(Versions(store), old, keyless(store, table, [*rows[:9], {**rows[9], "label": "other"}, *rows[10:]]))
    assert counts(found) == (0, 0, 1, 39)
    shifted = compare(Versions(store), old, keyless(store, table, [row(99, id=""), *rows]))
    assert counts(shifted) == (1, 0, 0, 40), "a row above moves the others and changes none"


def test_examples_show_what_changed_in_which_words(store: Store, table: Path) -> None:
    rows = [row(i) for i in range(10)]
    old = imported(store, table, rows)
    new = imported(store, table, [{**rows[0], "text": "message number zero about subject 0"}, *rows[2:], row(20)])
    found = compare(Versions(store), old, new)
    changed, added, removed = examples(Versions(store), found, 10)
    assert changed.words == {"text": (("=", "message number"), ("-", " 0"), ("+", " zero"), ("=", " about subject 0"))}
    assert (added.kind, added.place, added.after) == ("added", "tickets.csv:11", row(20))
    assert (removed.kind, removed.place, removed.before) == ("removed", "tickets.csv:3", rows[1])
    assert [one.kind for one in examples(Versions(store), found, 2)] == ["changed", "added"]


def test_what_a_curation_set_aside_is_counted_by_its_reason(store: Store, table: Path) -> None:
    old = imported(store, table, [row(i, text=f"bad {i}" if i % 4 == 0 else f"good {i}") for i in range(40)])
    new = asyncio.run(curate(store, old, [SetAside("bad")], executor=InlineExecutor())).version
    found = compare(Versions(store), old, new)
    assert counts(found) == (0, 10, 0, 30)
    assert found.quarantined == {"quality:word": 10}
    assert compare(Versions(store), new, old).quarantined == {"quality:word": -10}


def test_rows_that_changed_their_split_are_counted(store: Store, table: Path) -> None:
    one = split(store, imported(store, table, [row(i) for i in range(50)]), SplitPlan(seed=1)).version
    two = split(store, one, SplitPlan(seed=2), anew=True).version
    before, after = (Versions(store).splits(version) for version in (one, two))
    found = compare(Versions(store), one, two)
    assert counts(found) == (0, 0, 0, 50)
    assert found.resplit == sum(a != b for a, b in zip(before, after, strict=True)) > 0


IDS, TEXTS = st.sampled_from(["", "a", "b", "c", "d"]), st.sampled_from(["x y", "x z", "w"])
LINES = st.lists(st.tuples(IDS, TEXTS), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without data, to be copied: making one takes longer than all else."""
    folder = tmp_path_factory.mktemp("empty") / "state"
    Store.open(folder, clock=StillClock()).close()
    return folder


@settings(max_examples=25, deadline=None)
@given(LINES, LINES)
def test_it_agrees_with_counting_by_hand(empty: Path, before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    """Equal rows pair off as often as they stand on both sides, whatever is kept where."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(shutil.copytree(empty, Path(folder) / "state"), clock=StillClock())
        path = Path(folder) / "t.csv"
        versions = Versions(store)
        old, new = (imported(store, path, [row(0, id=id, text=text) for id, text in rows]) for rows in (before, after))
        found = compare(versions, old, new)
        a, b = ([(one["id"], one["text"]) for one in cells(store, version)] for version in (old, new))
        kept = (Counter(a) & Counter(b)).total()
        assert len(found.kept[0]) == kept
        assert all(a[i] == b[j] for i, j in zip(*found.kept, strict=True))
        lost, come = (
            Counter(id for id, _ in (Counter(a) - Counter(b)).elements()),
            Counter(id for id, _ in (Counter(b) - Counter(a)).elements()),
        )
        keyed = sum((Counter({id: n for id, n in lost.items() if id}) & Counter({id: n for id, n in come.items() if id})).values())
        assert sum(1 for i in found.changed[0] if a[i][0]) == keyed
        assert len(found.added) + len(found.changed[1]) + kept == len(b)
        assert len(found.removed) + len(found.changed[0]) + kept == len(a)
        assert len(np.unique(np.concatenate([found.added, found.changed[1], found.kept[1]]))) == len(b)
        store.close()


@given(st.text(" ab\n", max_size=40), st.text(" ab\n", max_size=40))
def test_the_words_hold_both_texts(before: str, after: str) -> None:
    words = changed_words(before, after)
    assert "".join(text for sign, text in words if sign != "+") == before
    assert "".join(text for sign, text in words if sign != "-") == after


def test_a_long_text_is_shown_as_replaced_between_what_stayed() -> None:
    middle = [" ".join(f"{letter}{i}" for i in range(MOST_WORDS + 1)) for letter in "ab"]
    words = changed_words(f"begin {middle[0]} end", f"begin {middle[1]} end")
    assert words == (("=", "begin"), ("-", f" {middle[0]}"), ("+", f" {middle[1]}"), ("=", " end"))


def test_a_version_differs_in_nothing_from_itself(store: Store, table: Path) -> None:
    version = imported(store, table, [row(i) for i in range(10)])
    found = compare(Versions(store), version, version)
    assert counts(found) == (0, 0, 0, 10)
    assert record_cells(Versions(store).bodies(Versions(store).selection(version))[0]) == row(0)
