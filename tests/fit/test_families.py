from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rungwise.fit.families import families, folds_by_family


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), min_size=1, max_size=12))
def test_families_are_the_rows_that_keys_connect(keys: list[list[str]]) -> None:
    family = families(keys)
    expected = [{row} for row in range(len(keys))]
    for _ in keys:
        expected = [
            {other for one in own for other in range(len(keys)) if other == one or set(keys[one]) & set(keys[other])}
            for own in expected
        ]
    for row, own in enumerate(expected):
        assert own == set(np.flatnonzero(family == family[row]).tolist())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(2, 6), st.integers(0, 3))
def test_each_row_is_held_out_once_and_beside_its_family(family: list[int], count: int, seed: int) -> None:
    codes = np.array(family)
    found = list(folds_by_family(codes, count, seed=seed))
    if len(set(family)) == 1:
        assert found == []  # nothing would be left to learn from
        return
    assert sorted(row for _, held in found for row in held) == list(range(len(family)))
    for kept, held in found:
        assert len(kept)
        assert not set(codes[kept]) & set(codes[held])
