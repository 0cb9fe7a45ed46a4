"""The share of right answers in traffic: intervals that hold the truth as often as they say, whatever was judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression

from benchmarks.live_quality import coverage
from rungwise.evaluate.binomial import binomial_at_least
from rungwise.evaluate.estimation import corrected_share, weighted_share
from rungwise.evaluate.foretelling import answered_share, confident_share
from rungwise.evaluate.lateness import arrived, late_share
from rungwise.evaluate.odds import fit_odds

MONTHS = 60
KINDS = (
    "random, a week of 10 a day",
    "10 random and 10 doubtful a day",
    "late labels",
    "biased feedback, corrected by reviews",
    "feedback, nobody reviews",
    "confidence alone",
)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.7, 0.9, 0.97])
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_the_truth_as_often_as_they_say(kind: str, rate: float) -> None:
    found = coverage(kind, rate, MONTHS)
    missed = round((1 - found["coverage"]) * MONTHS)
    assert float(binomial_at_least(missed, MONTHS, 0.05)) > 0.001
    assert abs(found["bias"]) < found["width"] / 4


@pytest.mark.slow
def test_the_naive_mean_of_feedback_never_holds_the_truth() -> None:
    assert coverage("biased feedback, corrected by reviews", 0.9, 20)["naive_coverage"] == 0.0


@pytest.mark.parametrize(("rate", "n"), [(0.5, 50), (0.9, 50), (0.99, 200), (0.97, 2000)])
def test_random_reviews_hold_the_truth(rate: float, n: int) -> None:
    rng, missed = np.random.default_rng([n, round(100 * rate)]), 0
    for _ in range(300):
        share = weighted_share((rng.random(n) < rate).astype(float), np.ones(n), np.arange(n))
        missed += not share.low <= rate <= share.high
    assert float(binomial_at_least(missed, 300, 0.05)) > 0.001


def test_users_who_differ_make_the_interval_wider_so_that_it_still_holds() -> None:
    rng, missed, ignoring = np.random.default_rng(1), 0, 0
    for _ in range(200):
        users = np.repeat(np.arange(40), 10)
        values = (rng.random(400) < rng.choice([0.6, 1.0], 40)[users]).astype(float)  # 0.8 on average
        share, alone = weighted_share(values, np.ones(400), users), weighted_share(values, np.ones(400), np.arange(400))
        missed += not share.low <= 0.8 <= share.high
        ignoring += not alone.low <= 0.8 <= alone.high
    assert float(binomial_at_least(missed, 200, 0.05)) > 0.001
    assert ignoring > 30


def test_with_even_weights_and_single_rows_it_is_close_to_clopper_and_pearson() -> None:
    values = np.repeat([1.0, 0.0], [180, 20])
    share = weighted_share(values, np.full(200, 7.0), np.arange(200))
    assert share.value == pytest.approx(0.9)
    assert share.low == pytest.approx(beta.ppf(0.025, 180, 21), abs=1e-3)
    assert share.high == pytest.approx(beta.ppf(0.975, 181, 20), abs=1e-3)


def test_all_equal_values_keep_an_interval() -> None:
    share = weighted_share(np.ones(50), np.linspace(1, 5, 50), np.arange(50))
    assert (share.value, share.high) == (1.0, 1.0)
    assert share.low < beta.ppf(0.025, 50, 1)  # uneven weights tell less than even ones
    middling = weighted_share(np.full(50, 0.7), np.ones(50), np.arange(50))
    assert middling.low < 0.7 < middling.high


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_interval_is_one_and_holds_the_estimate(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, 1.0, 0.4], n)
    share = weighted_share(values, rng.uniform(0.5, 50, n), rng.integers(0, 5, n))
    assert 0 <= share.low <= share.value <= share.high <= 1
    assert share.n == n


def test_what_was_not_drawn_by_chance_has_no_weight_and_is_refused() -> None:
    with pytest.raises(ValueError, match="weights above 0"):
        weighted_share(np.ones(2), np.array([1.0, 0.0]), np.arange(2))
    with pytest.raises(ValueError, match="needs rows"):
        weighted_share(np.array([]), np.array([]), np.array([], np.int64))
    with pytest.raises(ValueError, match="judged rows"):
        corrected_share(np.full(3, np.nan), np.ones(3), np.zeros((3, 1)), np.arange(3))


def test_a_good_model_makes_the_corrected_interval_narrower_and_a_useless_one_does_no_harm() -> None:
    rng = np.random.default_rng(2)
    right = (rng.random(4000) < 0.8).astype(float)
    values = np.where(rng.random(4000) < 0.1, right, np.nan)
    hint = (right + (rng.random(4000) < 0.05)) % 2
    units, weights = np.arange(4000), np.full(4000, 10.0)
    plain = weighted_share(values[~np.isnan(values)], np.ones(int((~np.isnan(values)).sum())), units[~np.isnan(values)])
    helped = corrected_share(values, weights, hint[:, None], units)
    useless = corrected_share(values, weights, rng.normal(size=(4000, 3)), units)
    assert helped.high - helped.low < 0.75 * (plain.high - plain.low)
    assert useless.high - useless.low < 1.05 * (plain.high - plain.low)


def test_the_model_of_chances_is_the_one_of_sklearn() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 3)) * [1, 5, 0.2] + 2
    y = (rng.random(400) < 1 / (1 + np.exp(-x[:, 0] + 0.2 * x[:, 1]))).astype(float)
    weights = rng.uniform(0.5, 2, 400)
    ours = fit_odds(x, y, weights)
    z = (x - ours.centre) / ours.spread
    total = weights.sum()
    target = (weights * y + weights / total) / (weights * (1 + 2 / total))
    twice = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(
        np.vstack((z, z)), np.repeat([1, 0], 400), sample_weight=np.concatenate((weights * target, weights * (1 - target)))
    )
    assert ours.slopes == pytest.approx([twice.intercept_[0], *twice.coef_[0]], abs=1e-4)


def test_a_column_that_never_changes_and_values_that_are_all_equal_break_nothing() -> None:
    found = fit_odds(np.ones((30, 2)), np.ones(30), np.ones(30)).of(np.ones((2, 2)))
    assert np.isfinite(found).all()
    assert (found > 0.9).all()


def test_without_young_requests_the_share_that_arrived_is_the_plain_one() -> None:
    delays = np.random.default_rng(4).exponential(3.0, 500)
    delays = delays[delays <= 14]
    old = np.full(len(delays), 30.0)
    at = np.array([0.5, 2.0, 7.0, 14.0])
    plain = [(delays <= one).mean() for one in at]
    assert arrived(delays, old, at, limit=14.0) == pytest.approx(plain)


def test_the_share_that_arrived_is_found_from_young_requests_too() -> None:
    rng = np.random.default_rng(5)
    ages, delays = rng.uniform(0, 28, 20_000), 14 * rng.beta(1, 3, 20_000)
    seen = delays <= ages
    at = np.array([1.0, 3.0, 7.0])
    truth = 1 - (1 - at / 14) ** 3
    assert arrived(delays[seen], ages[seen], at, limit=14.0) == pytest.approx(truth, abs=0.02)


def test_labels_of_what_was_wrong_that_come_sooner_do_not_bias_the_share() -> None:
    rng = np.random.default_rng(6)
    right = (rng.random(12_000) < 0.8).astype(float)
    ages = rng.uniform(0, 21, 12_000)
    delays = np.where(right == 1, 14 * rng.beta(2, 2, 12_000), 14 * rng.beta(1, 6, 12_000))
    came, counted = delays <= ages, ages <= 7
    share = late_share(right[came], delays[came], ages[came], counted[came], np.arange(12_000)[came], limit=14.0)
    naive = right[came & counted].mean()
    assert share.low <= 0.8 <= share.high
    assert naive < 0.65


def test_labels_that_are_all_too_young_tell_nothing() -> None:
    with pytest.raises(ValueError, match="old enough"):
        late_share(np.ones(3), np.full(3, 0.1), np.full(3, 0.2), np.zeros(3, np.bool_), np.arange(3), limit=14.0)


def test_few_who_answer_are_weighted_by_how_rarely_such_requests_are_answered() -> None:
    rng = np.random.default_rng(7)
    angry = rng.random(6000) < 0.2
    right = (rng.random(6000) < np.where(angry, 0.5, 0.95)).astype(float)  # 0.86 on average
    said = np.where(rng.random(6000) < np.where(angry, 0.5, 0.05), right, np.nan)
    share = answered_share(said, angry[:, None].astype(float), np.arange(6000))
    assert share.low <= 0.86 <= share.high
    assert np.nanmean(said) < 0.65


def test_confidences_are_read_by_what_they_meant_before() -> None:
    rng = np.random.default_rng(8)
    known = rng.uniform(0.8, 1.0, 3000)
    right = (rng.random(3000) < known - 0.2).astype(float)  # too sure of itself by 20 points
    share = confident_share(known, np.arange(3000), known, right)
    assert share.low <= 0.7 <= share.high
    with pytest.raises(ValueError, match="needs confidences"):
        confident_share(np.array([]), np.array([], np.int64), known, right)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["live_quality", "still_above"])
def test_the_benchmarks_keep_their_claims(name: str) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", f"benchmarks.{name}", "short"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["met"] is True
