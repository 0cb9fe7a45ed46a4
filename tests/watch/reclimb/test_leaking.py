"""Rows from production that give sealed rows away are found."""

from __future__ import annotations

from rungwise.core.dataset import DEV, SEALED, TRAIN, Dataset, Example
from rungwise.curate.leaks import find_leaks
from rungwise.data.splits import FROM_TRACE
from rungwise.watch.reclimb.leaking import leaking

LONG = "where is the parcel that I ordered on the third of May, it should have been here long ago"


def rows(*given: tuple[str, str, str | None]) -> Dataset:
    examples = tuple(
        Example(text=text, references=("a",), fields={} if trace is None else {FROM_TRACE: trace}) for text, _, trace in given
    )
    return Dataset(rows=examples, splits=tuple(split for _, split, _ in given), salt="s", source="t")


def test_a_row_from_a_trace_that_is_nearly_a_sealed_row_goes() -> None:
    dataset = rows(
        (LONG, SEALED, None), (LONG + "!", TRAIN, "t1"), (LONG.replace("May", "June"), DEV, "t2"), ("other", TRAIN, "t3")
    )
    assert leaking(dataset) >= {"t1"}
    assert "t3" not in leaking(dataset)


def test_a_sealed_row_from_a_trace_that_stands_in_the_training_rows_goes() -> None:
    assert leaking(rows((LONG, TRAIN, None), (LONG, SEALED, "t1"))) == {"t1"}


def test_of_two_rows_from_traces_the_open_one_goes() -> None:
    assert leaking(rows((LONG, TRAIN, "t1"), (LONG, SEALED, "t2"))) == {"t1"}


def test_rows_that_people_brought_themselves_stay() -> None:
    assert leaking(rows((LONG, TRAIN, None), (LONG, SEALED, None))) == frozenset()


def test_without_those_rows_a_climb_finds_no_leak_among_them() -> None:
    dataset = rows((LONG, SEALED, None), (LONG + " now", TRAIN, "t1"), ("what else", DEV, "t2"), ("nothing alike", SEALED, "t3"))
    gone = leaking(dataset)
    kept = [n for n, row in enumerate(dataset.rows) if row.fields.get(FROM_TRACE) not in gone]
    left = Dataset(rows=tuple(dataset.rows[n] for n in kept), splits=tuple(dataset.splits[n] for n in kept), salt="s", source="t")
    assert find_leaks(left).leaked == 0
