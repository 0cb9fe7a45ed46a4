"""Splits as given and as drawn."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.dataset import DEV, SEALED, TRAIN, Example
from rungwise.core.errors import BadData
from rungwise.data.splits import DRAWN, FROM_TRACE, RANDOM, draw_splits, fill_splits, split_named, unit_of

ROWS = st.lists(
    st.builds(Example, text=st.text(max_size=8), passage=st.none() | st.text(max_size=4), group=st.none() | st.sampled_from("abc")),
    max_size=30,
)


@given(rows=ROWS, more=ROWS, salt=st.text(max_size=8))
def test_rows_that_come_later_never_move_earlier_ones(rows: list[Example], more: list[Example], salt: str) -> None:
    assert draw_splits([*rows, *more], salt)[: len(rows)] == draw_splits(rows, salt)


@given(rows=ROWS, salt=st.text(max_size=8))
def test_a_group_and_copies_of_a_row_are_never_split(rows: list[Example], salt: str) -> None:
    where: dict[str, set[str]] = {}
    for row, split in zip(rows, draw_splits(rows, salt), strict=True):
        where.setdefault(unit_of(row), set()).add(split)
    assert all(len(splits) == 1 for splits in where.values())


@given(salt=st.text(max_size=12))
def test_proportions_are_60_15_25(salt: str) -> None:
    drawn = Counter(draw_splits([Example(text=f"row {i}") for i in range(4000)], salt))
    # Five standard errors of a share at n = 4,000 are 0.039, 0.028 and 0.034.
    assert drawn[TRAIN] / 4000 == pytest.approx(0.60, abs=0.04)
    assert drawn[DEV] / 4000 == pytest.approx(0.15, abs=0.03)
    assert drawn[SEALED] / 4000 == pytest.approx(0.25, abs=0.035)


def test_another_salt_draws_other_splits() -> None:
    rows = [Example(text=f"row {i}") for i in range(200)]
    assert draw_splits(rows, "one") == draw_splits(rows, "one") != draw_splits(rows, "two")


def test_copies_that_differ_in_case_and_signs_share_a_unit_but_passages_and_groups_tell_rows_apart() -> None:
    assert unit_of(Example(text="Where is it?")) == unit_of(Example(text="where is IT"))
    assert unit_of(Example(text="a", passage="b")) != unit_of(Example(text="a", passage="c"))
    assert unit_of(Example(text="a", group="b")) != unit_of(Example(text="a"))
    assert unit_of(Example(text="x", group="b")) == unit_of(Example(text="y", group="b"))


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("train", "Training"), TRAIN),
        (("dev", "valid", "validation", " VAL "), DEV),
        (("test", "sealed", "holdout", "held_out"), SEALED),
    ],
)
def test_splits_go_by_the_names_that_people_use(names: tuple[str, ...], split: str) -> None:
    assert [split_named(name) for name in names] == [split] * len(names)


@pytest.mark.parametrize("name", ["tset", "", None])
def test_an_unknown_split_is_refused_with_its_place(name: str | None) -> None:
    with pytest.raises(BadData, match=r"a\.csv:7: .*split"):
        split_named(name, place="a.csv:7")


def test_a_missing_part_is_drawn_from_training_and_the_given_ones_stay() -> None:
    rows = [Example(text=f"row {i}") for i in range(1000)]
    given_splits = [SEALED if i % 4 == 0 else TRAIN for i in range(1000)]
    completed = fill_splits(rows, given_splits, "salt")
    assert [split for i, split in enumerate(completed) if i % 4 == 0] == [SEALED] * 250
    assert Counter(completed)[SEALED] == 250
    assert Counter(completed)[DEV] == pytest.approx(150, abs=45)  # 0.15 / 0.75 of 750, four standard errors
    only_train = Counter(fill_splits(rows, [TRAIN] * 1000, "salt"))
    assert min(only_train[DEV], only_train[SEALED]) > 0
    complete = [TRAIN, DEV, SEALED]
    assert fill_splits(rows[:3], complete, "salt") == tuple(complete)


def test_rows_from_traffic_that_name_a_part_leave_the_drawing_of_the_others_as_it_was() -> None:
    rows = [Example(text=f"row {i}") for i in range(300)]
    before = fill_splits(rows, [TRAIN] * 300, "salt")
    fresh = [Example(text=f"fresh {i}", fields={FROM_TRACE: str(i), DRAWN: RANDOM}) for i in range(3)]
    after = fill_splits([*rows, *fresh], [TRAIN] * 300 + [TRAIN, DEV, SEALED], "salt", later={300, 301, 302})
    assert after[:300] == before
    assert after[300:] == (TRAIN, DEV, SEALED)


def test_a_table_without_training_rows_is_refused() -> None:
    with pytest.raises(BadData, match="no row for training"):
        fill_splits([Example(text="a")], [SEALED], "salt")
