"""Whether the quality is still at its target may be looked at every day, and wrong alarms stay as rare as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.evaluate.binomial import binomial_at_least
from rungwise.evaluate.staying import FALLS, log_wealth, still_above

LIMIT = math.log(1 / 0.05)


def alarms(target: float, quality: np.ndarray, *, runs: int, seed: int, per_month: int = 300) -> int:
    rng = np.random.default_rng(seed)
    values = (rng.random((len(quality), runs)) < quality[:, None]).astype(float)
    return int((log_wealth(values, np.arange(len(quality)) // per_month, target) >= LIMIT).any(axis=0).sum())


@pytest.mark.parametrize("target", [0.6, 0.9, 0.98])
def test_looking_after_every_review_of_half_a_year_alarms_no_more_often_than_promised(target: float) -> None:
    found = alarms(target, np.full(1800, target), runs=400, seed=1)
    assert float(binomial_at_least(found, 400, 0.05)) > 0.001


def test_a_z_test_at_every_review_would_alarm_far_more_often() -> None:
    values = (np.random.default_rng(1).random((1800, 200)) < 0.9).astype(float)
    n = np.arange(1, 1801)[:, None]
    z = (np.cumsum(values, axis=0) / n - 0.9) / np.sqrt(0.09 / n)
    assert (z[50:] < -1.645).any(axis=0).mean() > 0.3  # this is what the sequence is for


def test_quality_that_goes_up_and_down_but_never_below_the_target_makes_no_alarm() -> None:
    quality = np.where(np.arange(1800) % 600 < 300, 0.9, 0.97)
    assert float(binomial_at_least(alarms(0.9, quality, runs=300, seed=2), 300, 0.05)) > 0.001


def test_a_fall_is_found_and_good_months_before_it_do_not_hide_it() -> None:
    at_once = alarms(0.9, np.full(900, 0.8), runs=60, seed=3)
    late = alarms(0.9, np.concatenate((np.full(3000, 0.95), np.full(900, 0.8))), runs=60, seed=3)
    assert (at_once, late) == (60, 60)


def test_without_a_new_beginning_each_month_the_good_months_would_hide_it() -> None:
    values = np.concatenate((np.ones(20_000), np.zeros(60)))
    one_game = log_wealth(values, np.zeros(len(values), np.int64), 0.9)
    anew = log_wealth(values, np.arange(len(values)) // 600, 0.9)
    assert one_game[-1] < LIMIT < anew[-1]


def test_weighted_draws_of_what_is_doubtful_make_no_alarm_where_plain_counting_would() -> None:
    """A tenth of the answers is doubtful and wrong half the time; half of the draws are of it."""
    rng = np.random.default_rng(4)
    doubtful = rng.random((1500, 300)) < 0.5
    quality = np.where(doubtful, 0.5, 0.85 / 0.9)  # 0.9 of all answers are right
    values = (rng.random(quality.shape) < quality).astype(float)
    weights = np.where(doubtful, 0.1 / 0.5, 0.9 / 0.5)
    months = np.arange(1500) // 300
    weighted = int((log_wealth(values, months, 0.9, weights) >= LIMIT).any(axis=0).sum())
    assert float(binomial_at_least(weighted, 300, 0.05)) > 0.001
    assert (log_wealth(values, months, 0.9) >= LIMIT).any(axis=0).mean() > 0.9


def test_the_wealth_is_what_its_definition_says() -> None:
    values, months, target = np.array([1.0, 0.0, 0.0, 1.0, 0.0]), np.array([0, 0, 1, 1, 3]), 0.8
    share = 6 / (math.pi**2 * np.arange(1, 5.0) ** 2)
    begins = [0, 2, 4, 4]
    for t in range(1, 6):
        expected = 0.0
        for begin, part in zip(begins, share, strict=True):
            games = [np.prod([1 + fall / target * ((1 - y) / 0.2 - 1) for y in values[begin:t]]) for fall in FALLS]
            expected += part * (np.mean(games) if begin < t else 1.0)
        expected += 1 - share.sum()  # what later months will bet is kept
        assert math.exp(log_wealth(values, months, target)[t - 1]) == pytest.approx(expected)


def test_an_alarm_stands_until_as_much_speaks_against_it() -> None:
    fall, rise = np.zeros(40), np.ones(400)
    months = np.zeros(440, np.int64)
    shown = still_above(np.concatenate((fall, rise[:20])), months[:60], 0.9, level=0.05)
    assert shown.below
    assert shown.since is not None
    assert shown.since < 20
    again = still_above(np.concatenate((fall[:3], rise)), months[:403], 0.9, level=0.05)
    assert (again.below, again.since) == (False, None)
    assert again.p_value < 0.2  # what was seen once stays seen


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.floats(0.02, 0.98))
def test_a_prefix_says_the_same_as_it_said_then(values: list[bool], target: float) -> None:
    right = np.array(values, dtype=float)
    months = np.arange(len(right)) // 7
    whole = log_wealth(right, months, target)
    assert np.isfinite(whole).all()
    half = len(right) // 2 + 1
    assert np.allclose(log_wealth(right[:half], months[:half], target), whole[:half])


def test_no_reviews_and_one_review_say_nothing() -> None:
    nothing = still_above(np.array([]), np.array([], np.int64), 0.9, level=0.05)
    assert (nothing.below, nothing.p_value, nothing.wealth) == (False, 1.0, 1.0)
    assert not still_above(np.array([0.0]), np.array([0]), 0.9, level=0.05).below
