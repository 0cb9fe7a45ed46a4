"""Variants on live traffic are compared at any time, and a false winner stays as rare as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.evaluate.binomial import binomial_at_least
from rungwise.evaluate.contests import (
    CANNOT_TELL,
    LOSER,
    WINNER,
    Steps,
    arm_steps,
    compare_arms,
    compare_pairs,
    fixed_size,
    pair_steps,
    path,
    turned,
)


def traffic(rng: np.random.Generator, shape: tuple[int, ...], share: float, first: float, second: float) -> tuple[np.ndarray, ...]:
    arms = rng.random(shape) < share
    values = (rng.random(shape) < np.where(arms, second, first)).astype(float)
    return arms, np.full(shape, share), values


def false_winners(steps: Steps, level: float = 0.05) -> int:
    """Samples in which either side was shown at any of the looks."""
    reached = [path(one, level / 2).max(axis=0) >= math.log(2 / level) for one in (steps, turned(steps))]
    return int((reached[0] | reached[1]).sum())


@pytest.mark.parametrize(("share", "rate"), [(0.5, 0.5), (0.5, 0.95), (0.1, 0.7), (0.02, 0.3)])
def test_looking_after_every_unit_finds_no_more_false_winners_than_promised(share: float, rate: float) -> None:
    arms, shares, values = traffic(np.random.default_rng(1), (1500, 400), share, rate, rate)
    assert float(binomial_at_least(false_winners(arm_steps(arms, shares, values)), 400, 0.05)) > 0.001


def test_a_test_made_for_one_look_would_find_many_when_looked_at_after_every_unit() -> None:
    arms, _, values = traffic(np.random.default_rng(1), (1500, 400), 0.5, 0.5, 0.5)
    n = np.cumsum(arms, axis=0), np.cumsum(~arms, axis=0)
    means = [np.cumsum(values * side, axis=0) / np.maximum(count, 1) for side, count in zip((arms, ~arms), n, strict=True)]
    z = np.abs(means[0] - means[1]) / np.sqrt(0.25 / np.maximum(n[0], 1) + 0.25 / np.maximum(n[1], 1))
    assert (z[20:] > 1.96).any(axis=0).mean() > 0.3  # this is what the sequence is for


def test_weights_that_follow_what_was_seen_make_no_winner() -> None:
    """The share of the second is raised whenever it looks better so far, while the quality of both drifts."""
    rng = np.random.default_rng(2)
    n, samples = 1200, 300
    arms, shares, values = np.zeros((n, samples), bool), np.zeros((n, samples)), np.zeros((n, samples))
    for i in range(n):
        good = values[:i].sum(axis=0, where=arms[:i]) / np.maximum(arms[:i].sum(axis=0), 1)
        bad = values[:i].sum(axis=0, where=~arms[:i]) / np.maximum((~arms[:i]).sum(axis=0), 1)
        shares[i] = np.where(good > bad, 0.8, 0.2)
        arms[i] = rng.random(samples) < shares[i]
        values[i] = rng.random(samples) < (0.3 if i < n / 2 else 0.8)
    assert float(binomial_at_least(false_winners(arm_steps(arms, shares, values)), samples, 0.05)) > 0.001


def test_a_gain_has_the_difference_as_its_mean_whatever_the_shares() -> None:
    rng = np.random.default_rng(3)
    for share in (0.5, 0.1):
        arms, shares, values = traffic(rng, (4000, 50), share, 0.4, 0.55)
        gains = arm_steps(arms, shares, values).gains
        assert gains.mean() == pytest.approx(0.15, abs=4 * gains.std() / math.sqrt(gains.size))


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_gains_stay_within_what_is_said_before_they_are_known(n: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = np.clip(share + rng.normal(0, 0.1, n), 0.01, 0.99)
    steps = arm_steps(rng.random(n) < shares, shares, rng.choice([0.0, 1.0, rng.random()], n))
    assert (steps.gains >= -steps.below - 1e-9).all()
    assert (steps.gains <= steps.above + 1e-9).all()
    assert (steps.below >= 1 - 1e-9).all()  # so that a difference of -1 can be betted against
    assert np.isfinite(path(steps, 0.025, -1.0)).all()
    assert np.isfinite(path(steps, 0.025, 1.0)).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_the_wealth_falls_as_the_difference_that_is_betted_against_grows(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    arms, shares, values = traffic(rng, (80,), share, 0.3, 0.7)
    steps = arm_steps(arms, shares, values)
    wealths = [path(steps, 0.025, difference).max() for difference in np.linspace(-1, 1, 41)]
    assert (np.diff(wealths) <= 1e-9).all()  # else the bound could not be searched by halves


def test_the_bounds_hold_the_truth_and_come_closer() -> None:
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(60):
        arms, shares, values = traffic(rng, (800,), 0.3, 0.5, 0.6)
        found = compare_arms(arms, shares, values)
        wrong += not found.low <= 0.1 <= found.high
    assert wrong <= 8  # 3 are expected at most; 8 has a chance under 1 %
    narrow = compare_arms(*traffic(rng, (20_000,), 0.3, 0.5, 0.6))
    assert narrow.high - narrow.low < 0.07


def test_a_better_variant_wins_and_a_worse_one_loses() -> None:
    rng = np.random.default_rng(5)
    better = compare_arms(*traffic(rng, (3000,), 0.2, 0.5, 0.65))
    worse = compare_arms(*traffic(rng, (3000,), 0.2, 0.65, 0.5))
    same = compare_arms(*traffic(rng, (3000,), 0.2, 0.6, 0.6))
    assert (better.verdict, worse.verdict, same.verdict) == (WINNER, LOSER, CANNOT_TELL)
    assert better.low > 0
    assert worse.high < 0
    assert same.low < 0 < same.high
    assert better.p_value < 0.05 < same.p_value
    assert better.first == pytest.approx(0.5, abs=0.03)
    assert better.n_first + better.n_second == 3000


def test_a_shadow_is_told_with_far_fewer_units_than_two_groups() -> None:
    rng = np.random.default_rng(6)
    live = (rng.random(600) < 0.7).astype(float)
    shadow = np.where(rng.random(600) < 0.15, 1.0, live)
    assert compare_pairs(live, shadow).verdict == WINNER
    assert compare_pairs(shadow, live).verdict == LOSER
    halves = np.arange(600) % 2 == 0
    assert compare_arms(halves, np.full(600, 0.5), np.where(halves, shadow, live)).verdict == CANNOT_TELL


def test_units_of_one_variant_that_are_judged_more_often_are_told() -> None:
    rng = np.random.default_rng(7)
    arms = rng.random(3000) < 0.5
    judged = rng.random(3000) < np.where(arms, 0.9, 0.5)
    values = (rng.random(3000) < 0.5).astype(float)
    assert compare_arms(arms[judged], np.full(judged.sum(), 0.5), values[judged]).skewed
    assert not compare_arms(arms, np.full(3000, 0.5), values).skewed


def test_nothing_judged_tells_nothing() -> None:
    none = compare_arms(np.zeros(0, bool), np.zeros(0), np.zeros(0))
    assert (none.verdict, none.low, none.high, none.first, none.fixed_n) == (CANNOT_TELL, -1.0, 1.0, None, None)
    assert compare_pairs(np.zeros(0), np.zeros(0)) == none
    one = compare_arms(np.ones(1, bool), np.full(1, 0.5), np.ones(1))
    assert one.verdict == CANNOT_TELL
    assert one.first is None


def test_pairs_that_never_differ_are_never_told_apart() -> None:
    same = compare_pairs(np.ones(500), np.ones(500))
    assert (same.verdict, same.fixed_n) == (CANNOT_TELL, None)
    assert -0.05 < same.low <= 0 <= same.high < 0.05
    assert pair_steps(np.zeros(3)).variances.tolist() == pytest.approx([0.25, 0.125, 0.25 / 3])


def test_the_size_of_a_test_that_looks_once_is_the_textbook_one() -> None:
    # 0.5 against 0.6 in equal halves: per group (1.96 + 0.8416)^2 (0.25 + 0.24) / 0.01 = 384.6, twice that in all
    variance = 2 * (0.25 + 0.24)
    assert fixed_size(0.1, variance, 0.05) == math.ceil(2 * 384.6)
    assert fixed_size(0.0, variance, 0.05) is None
