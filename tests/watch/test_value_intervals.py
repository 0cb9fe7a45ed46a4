"""Intervals of what users bring: against references, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.watch.value import intervals

RUNS = 400


def revenue(rng: np.random.Generator, users: int) -> np.ndarray:
    """One user in five brings something, with a long tail (log-normal, sigma 1)."""
    return np.where(rng.random(users) < 0.2, rng.lognormal(1.0, 1.0, users), 0.0)


TRUTH = 0.2 * float(np.exp(1.5))


@pytest.mark.parametrize("users", [100, 400])
def test_the_mean_of_heavy_tailed_revenue_is_held_about_as_often_as_it_says(users: int) -> None:
    rng, held, normal = np.random.default_rng(5), 0, 0
    for run in range(RUNS):
        values = revenue(rng, users)
        low, high = bounds(intervals.mean(values, seed=run))
        held += low <= TRUTH <= high
        half = 1.96 * values.std(ddof=1) / np.sqrt(users)
        normal += abs(values.mean() - TRUTH) <= half
    assert held / RUNS >= 0.91  # 95 % is promised; a tail that was not drawn cannot be seen
    assert held >= normal  # the usual interval does worse


def test_the_difference_of_two_variants_is_held_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(6), 0
    for run in range(RUNS):
        low, high = bounds(intervals.difference(revenue(rng, 300), revenue(rng, 200), seed=run))
        held += low <= 0.0 <= high
    assert 0.925 <= held / RUNS <= 0.99


def test_a_ratio_over_users_is_held_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(7), 0
    for _ in range(1_000):
        asked = rng.poisson(4, 150) + 1.0
        usd = asked * rng.lognormal(-0.125, 0.5, 150)  # each user has a price of their own, 1 on average
        low, high = bounds(intervals.ratio(usd, asked))
        held += low <= 1.0 <= high
    assert 0.92 <= held / 1_000 <= 0.97


def bounds(found: intervals.Figure | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_redrawing_counts_zeros_as_if_each_were_drawn() -> None:
    values = np.concatenate([np.zeros(900), np.full(100, 5.0), [50.0]])
    drawn = [intervals._resampled(values, seed) for seed in range(4)]
    means, errors = np.concatenate([one for one, _ in drawn]), np.concatenate([one for _, one in drawn])
    rng = np.random.default_rng(2)
    plain = np.array([rng.choice(values, len(values)).mean() for _ in range(2_000)])
    assert means.mean() == pytest.approx(values.mean(), rel=0.01)
    assert means.std() == pytest.approx(plain.std(), rel=0.08)
    assert errors.mean() == pytest.approx(plain.std(), rel=0.08)


def test_many_values_use_the_normal_interval() -> None:
    values = np.random.default_rng(3).gamma(2.0, 1.0, intervals.LARGE + 1)
    _, high = bounds(intervals.mean(values))
    assert high - values.mean() == pytest.approx(1.9604 * values.std(ddof=1) / np.sqrt(len(values)), rel=1e-3)


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0, 0.0], [2.5] * 40], ids=["one user", "nothing", "all equal"])
def test_a_figure_without_spread_has_no_bounds(values: list[float]) -> None:
    found = intervals.mean(np.array(values))
    assert found is not None
    assert (found.low, found.high) == (None, None)
    assert found.value == values[0]


def test_nobody_has_no_figure() -> None:
    nobody = np.zeros(0)
    assert intervals.mean(nobody) is intervals.difference(nobody, nobody) is intervals.ratio(nobody, nobody) is None
    assert intervals.share(0, 0) is intervals.share_difference((0, 0), (1, 2)) is None


def test_newcombes_interval_is_that_of_his_paper() -> None:
    found = intervals.share_difference((56, 70), (48, 80))  # Newcombe 1998, table II, example (a), method 10
    assert bounds(found) == pytest.approx((0.0524, 0.3339), abs=1e-4)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(0, 5))
def test_bounds_hold_the_figure_and_the_same_seed_gives_the_same_bytes(values: list[float], seed: int) -> None:
    found, again = (intervals.mean(np.array(values), seed=seed) for _ in range(2))
    assert found == again
    assert found is not None
    assert found.low is None or found.high is None or found.low <= found.value <= found.high
