"""Latency by order statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rungwise.evaluate.latency import latency, quantile_bound_rank


def test_a_hundred_measurements_bound_the_p95_by_the_second_largest() -> None:
    found = latency([float(place) for place in range(1, 101)])
    assert (found.p50_s, found.p95_s, found.n) == (50.0, 95.0, 100)
    assert found.p95_high_s == 99.0  # P(at least 99 of 100 below the p95) = 0.037 <= 0.05, of 98 it is 0.118


def test_fewer_than_59_measurements_cannot_bound_a_p95() -> None:
    assert latency([0.1] * 58).p95_high_s == math.inf  # 0.95^58 = 0.051
    assert latency([0.1] * 59).p95_high_s == 0.1


@pytest.mark.parametrize("n", [59, 100, 500, 2000])
def test_the_bound_holds_at_its_level_and_one_rank_less_would_not(n: int) -> None:
    rank = quantile_bound_rank(n, 0.95, 0.05)
    assert stats.binom.sf(rank - 1, n, 0.95) <= 0.05 < stats.binom.sf(rank - 2, n, 0.95)


def test_the_true_p95_lies_above_the_bound_at_most_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    truth = float(stats.expon.ppf(0.95))
    below = sum(latency(rng.exponential(size=100).tolist()).p95_high_s < truth for _ in range(2000))
    assert 40 < below <= 110  # exactly 3.7 %


def test_no_measurement_is_an_error() -> None:
    with pytest.raises(ValueError, match="zero measurements"):
        latency([])
