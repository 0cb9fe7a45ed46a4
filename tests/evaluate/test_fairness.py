"""Gaps between groups: units are counted, chance is kept apart, small groups are named as such."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from rungwise.evaluate.binomial import wilson
from rungwise.evaluate.fairness import FEWEST_UNITS, mean_gaps, ratio_gaps, share_gaps


def names(*parts: tuple[str | None, int]) -> NDArray[np.object_]:
    return np.array([name for name, times in parts for _ in range(times)], dtype=object)


def alone(n: int) -> NDArray[np.object_]:
    """Units of one request each."""
    return np.array([f"u{place}" for place in range(n)], dtype=object)


def test_without_clusters_the_interval_is_wilsons_but_for_t() -> None:
    hits = np.r_[np.repeat([1.0, 0.0], [400, 100]), np.repeat([1.0, 0.0], [450, 50])]
    (gap, _) = share_gaps(hits, names(("a", 500), ("b", 500)), alone(1000), level=0.05)
    low, high = wilson(400, 500)
    assert (gap.value, gap.rest, gap.difference) == (0.8, 0.9, pytest.approx(-0.1))
    assert (gap.low, gap.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_a_gap_is_shown_when_its_interval_leaves_out_none() -> None:
    hits = np.r_[np.repeat([1.0, 0.0], [400, 100]), np.repeat([1.0, 0.0], [450, 50])]
    for level in (0.05, 0.001, 1e-6):
        (gap, _) = share_gaps(hits, names(("a", 500), ("b", 500)), alone(1000), level=level)
        assert gap.difference_low is not None
        assert gap.difference_high is not None
        assert gap.shown == (gap.difference_high < 0 or gap.difference_low > 0)


def test_one_user_who_asks_a_hundred_times_is_not_a_hundred_users() -> None:
    # Half of the users of each group never get an answer; which half differs by chance only.
    rng = np.random.default_rng(0)
    happened = np.repeat(rng.permuted(np.repeat([0.0, 1.0], 20)), 100)
    groups = np.repeat(np.array(["a", "b"], dtype=object), 2000)
    units = np.repeat(alone(40), 100)
    gap = share_gaps(happened, groups, units, level=0.05)[0]
    naive = share_gaps(happened, groups, alone(4000), level=0.05)[0]
    assert gap.units == 20
    assert gap.low is not None
    assert gap.high is not None
    assert gap.high - gap.low > 0.3
    assert naive.high is not None
    assert naive.low is not None
    assert naive.high - naive.low < 0.1


def test_a_group_of_one_is_too_small_to_tell() -> None:
    groups = names(("a", 1), ("b", 200), (None, 50))
    gaps = {gap.group: gap for gap in share_gaps(np.ones(251), groups, alone(251), level=0.05)}
    assert gaps["a"].too_small
    assert not gaps["a"].shown
    assert (gaps["a"].n, gaps["a"].units) == (1, 1)
    assert not gaps["b"].too_small  # those without a group are the rest of b


def test_all_equal_values_show_nothing() -> None:
    groups, units = names(("a", 30), ("b", 30)), alone(60)
    for gap in (*share_gaps(np.zeros(60), groups, units, level=0.05), *mean_gaps(np.zeros(60), groups, units, level=0.05)):
        assert not gap.shown
        assert gap.difference == 0
    assert FEWEST_UNITS <= 30


def test_means_of_single_requests_are_compared_as_by_welch() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 1, 80), rng.normal(0.5, 2, 60)
    gap = mean_gaps(np.r_[first, second], names(("a", 80), ("b", 60)), alone(140), level=0.05)[0]
    reference = stats.ttest_ind(first, second, equal_var=False)
    assert gap.p == pytest.approx(reference.pvalue, rel=0.02)  # the variance over units has n in place of n - 1 twice
    assert gap.difference == pytest.approx(first.mean() - second.mean())


def test_a_ratio_of_seconds_is_a_difference_of_logarithms() -> None:
    rng = np.random.default_rng(2)
    seconds = np.exp(rng.normal(0, 0.5, 400)) * np.repeat([2.0, 1.0], 200)
    gap = ratio_gaps(np.r_[seconds, [0.0, np.nan]], names(("a", 200), ("b", 202)), alone(402), level=1e-4)[0]
    assert gap.shown
    assert gap.difference == pytest.approx(2.0, rel=0.15)
    assert gap.difference_low is not None
    assert gap.difference_low > 1.5


def test_a_request_that_stands_for_many_weighs_as_many() -> None:
    groups, units = names(("a", 40), ("b", 40)), alone(80)
    happened = np.tile([1.0, 0.0], 40)
    weights = np.tile([3.0, 1.0], 40)
    gap = share_gaps(happened, groups, units, level=0.05, weights=weights)[0]
    assert gap.value == pytest.approx(0.75)


@pytest.mark.parametrize(("level", "runs"), [(0.05, 150), pytest.param(0.01, 4000, marks=pytest.mark.slow)])
def test_gaps_that_chance_makes_are_shown_as_rarely_as_promised(level: float, runs: int) -> None:
    rng = np.random.default_rng(3)
    shown = np.zeros(2)
    for _ in range(runs):
        of_unit = rng.geometric(0.3, 100)
        groups = np.repeat(np.where(rng.random(100) < 0.4, "a", "b").astype(object), of_unit)
        units = np.repeat(alone(100), of_unit)
        happened = (rng.random(len(units)) < np.repeat(rng.beta(9, 1, 100), of_unit)).astype(float)
        seconds = np.exp(np.repeat(rng.normal(0, 0.4, 100), of_unit) + rng.normal(0, 0.7, len(units)))
        shown += [
            share_gaps(happened, groups, units, level=level)[0].shown,
            ratio_gaps(seconds, groups, units, level=level)[0].shown,
        ]
    assert (shown / runs <= level + 3 * np.sqrt(level / runs)).all()
