"""Selections: what is kept as runs comes back as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import Corrupt
from rungwise.data.versions.selection import Selection, absent_from, from_bytes, joined, to_bytes

PLACES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**31 - 2)), max_size=40)


def selection(places: list[tuple[int, int]], names: tuple[str, ...] = ("a", "b", "c")) -> Selection:
    pack, row = (np.array([place[side] for place in places], np.int32) for side in (0, 1))
    return Selection(names, pack, row)


def plain(one: Selection) -> list[tuple[str, int]]:
    return [(one.packs[pack], int(row)) for pack, row in zip(one.pack, one.row, strict=True)]


@given(PLACES)
def test_what_is_kept_as_runs_comes_back_as_it_was(places: list[tuple[int, int]]) -> None:
    assert plain(from_bytes(to_bytes(selection(places)))) == plain(selection(places))


@given(PLACES, PLACES)
def test_joined_selections_follow_one_another_whatever_their_packs_are_called(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    first, second = selection(left), selection(right, ("c", "x", "a"))
    assert plain(joined([first, second])) == plain(first) + plain(second)


@given(PLACES, PLACES)
def test_absent_records_are_those_of_the_set_difference(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    small = [(pack, row % 50) for pack, row in left], [(pack, row % 50) for pack, row in right]
    first, second = selection(small[0]), selection(small[1], ("b", "c", "d"))
    held = set(plain(second))
    assert absent_from(first, second).tolist() == [place not in held for place in plain(first)]


@given(PLACES)
def test_slices_name_every_position_once(places: list[tuple[int, int]]) -> None:
    whole = selection(places)
    found = [(pack, int(position)) for pack, positions in whole.slices() for position in positions]
    assert sorted(position for _, position in found) == list(range(len(places)))
    assert all(plain(whole)[position][0] == pack for pack, position in found)


def test_a_version_that_differs_in_one_row_of_a_hundred_takes_little_room() -> None:
    whole = selection([(0, row) for row in range(100_000)])
    scattered = whole.row.copy()
    scattered[::100] = np.arange(1000) + 200_000
    assert len(to_bytes(whole)) < 400
    assert len(to_bytes(Selection(whole.packs, whole.pack, scattered))) < 20_000  # 20 bytes for each changed row


def test_damaged_bytes_are_refused() -> None:
    good = to_bytes(selection([(0, 1), (1, 2)]))
    for bad in (b"", good[:-3], b"x" + good):
        with pytest.raises(Corrupt):
            from_bytes(bad)
