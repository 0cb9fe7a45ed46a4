"""When something has paid for itself: dates by hand, never, already, and how sure."""

from __future__ import annotations

import numpy as np
import pytest

from rungwise.core.decision import RungResult
from rungwise.core.evaluation import Estimate, Evaluation
from rungwise.core.usecase import UseCase
from rungwise.watch.money.days import written
from rungwise.watch.value.payback import (
    ALREADY,
    CANNOT_TELL,
    DATED,
    NEVER,
    Life,
    against_nothing,
    against_rung,
    neighbours,
    quality_gain,
)
from rungwise.watch.value.success import Success, Worth

FIRST = 20_700
CASE = UseCase(name="p", task="classify", forecast_volume=1_000, machine_usd_per_hour=0.0)
SURE = Success(value=0.9, low=0.9, high=0.9, source="by a count")
CENT = Worth(usd=0.01, why="")


def life(days: int = 20, *, requests: float = 100.0, cost: float = 0.4, revenue: float = 0.0) -> Life:
    return Life(first=FIRST, requests=np.full(days, requests), costs=np.full(days, cost), revenue=np.full(days, revenue))


def test_a_steady_product_pays_on_the_day_that_division_says() -> None:
    found = against_nothing(life(), 20.0, SURE, CENT)  # each day 100 * 0.9 * 0.01 - 0.4 = 0.50 USD: 40 days
    assert (found.state, found.once_usd) == (DATED, 20.0)
    assert found.each_usd == pytest.approx(0.5)
    assert found.day == found.low == found.high == FIRST + 39
    assert written(FIRST + 39) in found.why


def test_what_has_paid_says_since_when() -> None:
    found = against_nothing(life(), 5.0, SURE, CENT)
    assert (found.state, found.day) == (ALREADY, FIRST + 9)  # the tenth day ends at 0


def test_what_costs_more_than_it_brings_never_pays() -> None:
    found = against_nothing(life(cost=1.0), 5.0, SURE, CENT)
    assert (found.state, found.day, found.low, found.high) == (NEVER, None, None, None)
    assert "never pays" in found.why


def test_an_unsure_quality_gives_an_interval_that_may_be_endless() -> None:
    unsure = Success(value=0.9, low=0.3, high=1.0, source="by ten labels")
    found = against_nothing(life(cost=0.7), 20.0, unsure, CENT)  # 0.20 USD a day: 100 days
    assert (found.state, found.day) == (DATED, FIRST + 99)
    assert found.low is not None
    assert found.low < FIRST + 99
    assert found.high is None  # where 70 % are right, a day costs as much as it brings


def test_noise_of_the_days_makes_the_date_unsure() -> None:
    rng = np.random.default_rng(1)
    noisy = Life(first=FIRST, requests=rng.poisson(100, 40).astype(float), costs=rng.normal(0.4, 0.3, 40), revenue=np.zeros(40))
    found = against_nothing(noisy, 60.0, SURE, CENT)
    assert found.state == DATED
    assert found.low is not None
    assert found.high is not None
    assert found.day is not None
    assert found.low < found.day < found.high


def test_a_steady_product_is_within_the_interval_nine_times_in_ten() -> None:
    rng, held, runs = np.random.default_rng(2), 0, 200
    for seed in range(runs):
        costs = rng.normal(0.4, 0.5, 200)
        net = 0.9 - costs
        even = int(np.argmax(np.cumsum(net) >= 40.0))
        known = Life(first=FIRST, requests=np.full(40, 100.0), costs=costs[:40], revenue=np.zeros(40))
        found = against_nothing(known, 40.0, SURE, CENT, seed=seed)
        assert found.low is not None
        held += found.low <= FIRST + even <= (found.high if found.high is not None else FIRST + 10_000)
    assert held / runs >= 0.85  # 90 %, two and a half standard errors below


def test_revenue_that_is_given_back_counts_against_it() -> None:
    refunds = life(revenue=-0.2)
    found = against_nothing(refunds, 20.0, SURE, CENT)  # 0.30 USD a day: 67 days
    assert found.day == FIRST + 66


def test_without_a_worth_or_a_quality_it_cannot_tell_and_says_what_to_set() -> None:
    nothing = against_nothing(life(), 5.0, SURE, Worth(usd=0.0, why=""))
    assert nothing.state == CANNOT_TELL
    assert "value_per_success_usd" in nothing.why
    assert against_nothing(life(), 5.0, None, CENT).state == CANNOT_TELL


def rung(name: str, *, mean: float, usd_per_1k: float, development: float) -> RungResult:
    total = development + usd_per_1k * CASE.forecast_volume / 1000
    dev = Estimate(mean=mean, low=mean, high=mean, n=600)
    return RungResult(rung=name, state="measured", why="", candidate=name, dev=dev, usd_per_1k=usd_per_1k, total_usd=total)


LOW = rung("classical", mean=0.80, usd_per_1k=0.5, development=1.0)
HIGH = rung("head", mean=0.90, usd_per_1k=1.0, development=6.0)


def test_climbing_from_the_cheaper_rung_paid_when_better_answers_covered_the_development() -> None:
    gain = quality_gain(None, None, "accuracy", (HIGH, LOW))
    assert gain == (pytest.approx(0.1), 0.0)
    # Each request: 0.1 * 0.01 - 0.0005 = 0.0005 USD more; 5 USD are 10,000 requests, which is 100 days of 100.
    found = against_rung(life(days=20), HIGH, LOW, CASE, CENT, up=HIGH, gain=gain)
    assert found.state == DATED
    assert found.day is not None
    assert abs(found.day - (FIRST + 99)) <= 1
    assert found.once_usd == pytest.approx(5.0)
    already = against_rung(life(days=120), HIGH, LOW, CASE, CENT, up=HIGH, gain=gain)
    assert already.state == ALREADY
    assert already.day is not None
    assert abs(already.day - (FIRST + 99)) <= 1


def test_moving_up_is_counted_from_today_and_never_pays_for_too_little() -> None:
    gain = quality_gain(None, None, "accuracy", (HIGH, LOW))
    found = against_rung(life(days=20), LOW, HIGH, CASE, CENT, up=HIGH, gain=gain)
    assert found.day is not None
    assert abs(found.day - (FIRST + 19 + 100)) <= 1
    assert "moving up from classical to head" in found.why
    poor = against_rung(life(days=20), LOW, HIGH, CASE, Worth(usd=0.004, why=""), up=HIGH, gain=gain)
    assert (poor.state, poor.day) == (NEVER, None)
    assert "would never pay" in poor.why


def test_a_gain_is_paired_by_rows_where_scores_are_kept() -> None:
    shared = {"dataset": "d", "split": "dev", "rows": ("a", "b", "c", "d"), "answers": ("x",) * 4}
    up = Evaluation(candidate="u", scores={"accuracy": (1.0, 1.0, 1.0, None)}, **shared)  # type: ignore[arg-type]
    down = Evaluation(candidate="d", scores={"accuracy": (1.0, 0.0, 1.0, 1.0)}, **shared)  # type: ignore[arg-type]
    mean, error = quality_gain(up, down, "accuracy", (HIGH, LOW))
    assert mean == pytest.approx(1 / 3)
    assert error == pytest.approx(np.std([0, 1, 0], ddof=1) / np.sqrt(3))


def test_neighbours_are_those_that_were_measured() -> None:
    class Some:
        rungs = (LOW, RungResult(rung="few-shot", state="not_run", why=""), HIGH)

    assert neighbours(Some(), HIGH) == (LOW, None)  # type: ignore[arg-type]
    assert neighbours(Some(), LOW) == (None, HIGH)  # type: ignore[arg-type]
