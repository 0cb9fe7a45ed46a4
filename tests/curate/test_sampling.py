"""Sampling and splits: shares kept, groups whole, time in order, and the same rows for the same seed."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.curate.sampling import read_time, split_by_group, split_by_time, split_stratified, take_spread, take_stratified

SHARES = {"train": 0.6, "dev": 0.15, "sealed": 0.25}
labels = st.lists(st.sampled_from("abcdefg"), max_size=200)
shares = st.tuples(*[st.floats(0.01, 1.0)] * 3).map(lambda three: dict(zip(SHARES, three, strict=True)))


@given(labels, shares, st.integers(0, 5))
def test_each_part_has_its_share_of_each_label_to_within_one_row(strata: list[str], wanted: dict[str, float], seed: int) -> None:
    parts = split_stratified(strata, wanted, seed=seed)
    counts = Counter(zip(strata, parts, strict=True))
    for stratum, size in Counter(strata).items():
        for name, share in wanted.items():
            assert abs(counts[stratum, name] - size * share / sum(wanted.values())) < 1 + 1e-6


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=200))
def test_labels_with_one_row_each_still_fill_the_parts_by_their_shares(strata: list[int]) -> None:
    parts = Counter(split_stratified(strata, SHARES, seed=0))
    for name, share in SHARES.items():
        assert abs(parts[name] - share * len(strata)) <= 1 + 1e-6


@given(labels, st.integers(0, 250), st.integers(0, 3))
def test_a_sample_has_each_label_in_its_share_and_no_row_twice(strata: list[str], n: int, seed: int) -> None:
    rows = take_stratified(strata, n, seed=seed)
    assert rows == sorted(set(rows))
    assert abs(len(rows) - min(n, len(strata))) <= 1
    taken = Counter(strata[row] for row in rows)
    for stratum, size in Counter(strata).items():
        assert abs(taken[stratum] - size * min(1.0, n / len(strata))) < 1 + 1e-6


@given(labels, shares, st.integers(0, 5))
def test_no_group_stands_in_two_parts(groups: list[str], wanted: dict[str, float], seed: int) -> None:
    parts = split_by_group(groups, wanted, seed=seed)
    where = defaultdict(set)
    for group, part in zip(groups, parts, strict=True):
        where[group].add(part)
    assert all(len(own) == 1 for own in where.values())
    largest = max(Counter(groups).values(), default=0)
    for name, share in wanted.items():
        assert parts.count(name) <= share / sum(wanted.values()) * len(groups) + largest


@given(st.lists(st.integers(0, 40), max_size=120), shares)
def test_nothing_in_an_earlier_part_is_as_new_as_a_later_part(times: list[int], wanted: dict[str, float]) -> None:
    parts = split_by_time(times, wanted)
    order = list(wanted)
    for one, later in itertools.pairwise(order):
        before = [time for time, part in zip(times, parts, strict=True) if order.index(part) <= order.index(one)]
        after = [time for time, part in zip(times, parts, strict=True) if order.index(part) >= order.index(later)]
        assert max(before, default=-1) < min(after, default=math.inf)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abcdef")), max_size=80))
def test_what_is_newer_than_a_cut_is_never_before_it_when_units_stay_whole(rows: list[tuple[int, str]]) -> None:
    times, units = [time for time, _ in rows], [unit for _, unit in rows]
    parts = split_by_time(times, SHARES, units=units)
    assert all(len({part for part, own in zip(parts, units, strict=True) if own == unit}) == 1 for unit in units)
    newest = {unit: max(time for time, own in rows if own == unit) for unit in units}
    train = [newest[unit] for unit, part in zip(units, parts, strict=True) if part == "train"]
    held = [newest[unit] for unit, part in zip(units, parts, strict=True) if part != "train"]
    assert max(train, default=-1) < min(held, default=math.inf)


def test_distinct_times_are_parted_by_their_shares() -> None:
    parts = split_by_time(list(range(1_000)), SHARES)
    assert Counter(parts) == {"train": 600, "dev": 150, "sealed": 250}
    assert parts[0] == "train"
    assert parts[-1] == "sealed"


@pytest.mark.parametrize("time", [math.nan, math.inf])
def test_a_row_without_a_time_is_refused(time: float) -> None:
    with pytest.raises(ValueError, match="without a time"):
        split_by_time([1.0, time], SHARES)


@pytest.mark.parametrize("bad", [{}, {"train": 0.0}, {"train": -1.0, "dev": 2.0}, {"train": math.nan}])
def test_shares_that_are_no_shares_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        split_stratified(["a"], bad, seed=0)


def test_a_time_is_read_from_a_date_or_a_number() -> None:
    assert read_time("1970-01-02") == 86_400
    assert read_time("1970-01-01T02:00:00+02:00") == 0
    assert read_time(" 12.5 ") == 12.5
    assert read_time("1700000000000") == 1_700_000_000
    for bad in ("yesterday", "nan", ""):
        with pytest.raises(ValueError):
            read_time(bad)


def circle(n: int, rng: np.random.Generator) -> np.ndarray:
    angles = rng.uniform(0, 2 * np.pi, n)
    return np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 3))
def test_the_rows_chosen_cover_all_rows_twice_as_far_as_the_best_choice_at_most(rows: int, n: int, seed: int) -> None:
    vectors = circle(rows, np.random.default_rng(seed))
    chosen = take_spread(vectors, n, seed=seed)
    assert len(set(chosen)) == min(n, rows)

    def radius(centres: list[int]) -> float:
        apart = np.linalg.norm(vectors[:, None] - vectors[centres][None], axis=2)
        return float(apart.min(axis=1).max())

    # The next centre lies a radius away from all: n + 1 rows so far apart cannot be covered at half that distance.
    if len(chosen) < rows:
        apart = np.linalg.norm(vectors[chosen][:, None] - vectors[chosen][None], axis=2) + 9 * np.eye(len(chosen))
        assert radius(chosen) <= apart.min() + 1e-3


def test_copies_of_one_thing_are_not_chosen_before_other_things() -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate((np.tile([[1.0, 0.0]], (50, 1)), circle(5, rng))).astype(np.float32)
    assert sum(row < 50 for row in take_spread(vectors, 6, seed=1)) == 1


def test_weights_and_what_is_known_decide_what_comes_first() -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert take_spread(vectors, 2, seed=0, weights=[0.1, 0.9, 0.5, 0.2]) == [1, 2]
    assert 3 not in take_spread(vectors, 3, seed=0, known=vectors[3:])
    assert take_spread(vectors, 0, seed=0) == []


@given(labels, st.integers(0, 3))
def test_the_same_seed_parts_rows_in_the_same_way(strata: list[str], seed: int) -> None:
    assert split_stratified(strata, SHARES, seed=seed) == split_stratified(strata, SHARES, seed=seed)
    assert split_by_group(strata, SHARES, seed=seed) == split_by_group(strata, SHARES, seed=seed)
