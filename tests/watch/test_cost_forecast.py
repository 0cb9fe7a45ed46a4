"""The forecast of a month's cost: its arithmetic, its coverage, its odd days."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rungwise.watch.money.budget import CANNOT_TELL, OVER, WARNING, WITHIN, month_of_days
from rungwise.watch.money.days import DayCost, month_of, written
from rungwise.watch.money.forecast import DAYS_BACK, foresee

MONTHS = 600


def history(rng: np.random.Generator, days: int, *, season: float = 0.0, alike: float = 0.0, growth: float = 0.0) -> np.ndarray:
    """Daily costs around 100: quieter weekends, neighbours alike, growth a day."""
    errors = np.zeros(days)
    shocks = rng.normal(0, 10, days) * np.sqrt(1 - alike**2)
    errors[0] = rng.normal(0, 10)
    for day in range(1, days):
        errors[day] = alike * errors[day - 1] + shocks[day]
    weekend = np.isin(np.arange(days) % 7, (2, 3))
    return np.asarray(100.0 - season * weekend + growth * np.arange(days) + errors)


@pytest.mark.parametrize(
    ("days", "shape"),
    [
        (42, {}),
        (42, {"season": 50.0}),
        (42, {"season": 50.0, "alike": 0.3}),
        (42, {"growth": 2.0}),
        (21, {"season": 50.0}),
        (10, {}),
        (4, {}),
    ],
    ids=str,
)
def test_the_interval_holds_the_rest_of_the_month_as_often_as_it_says(days: int, shape: dict[str, float]) -> None:
    rng, held, ahead = np.random.default_rng(3), 0, 12
    for _ in range(MONTHS):
        values = history(rng, days + ahead, **shape)
        found = foresee(list(values[:days]), 0, [1.0] * ahead)
        assert found is not None
        held += found.low <= values[days:].sum() <= found.high
    assert 0.87 <= held / MONTHS <= 0.96  # 90 %, four standard errors of 0.012 below; wide is the lesser evil


def test_without_seasons_it_is_the_textbook_prediction_of_a_mean() -> None:
    values, ahead = [3.0, 5.0, 4.0, 6.0], 3
    found = foresee(values, 0, [1.0] * ahead, level=0.9)
    assert found is not None
    assert found.mean == pytest.approx(ahead * 4.5)
    wide = stats.t.ppf(0.95, 3) * np.std(values, ddof=1) * np.sqrt(ahead + ahead**2 / 4)
    assert found.high - found.mean == pytest.approx(wide, rel=1e-6)  # these neighbours are unlike, so likeness counts as none


def test_a_weekday_is_expected_to_be_like_its_like() -> None:
    values = [0.0 if day % 7 >= 5 else 10.0 for day in range(28)]
    found = foresee(values, 0, [1.0] * 7)
    assert found is not None
    assert found.weekdays
    assert (found.low, found.mean, found.high) == pytest.approx((50.0, 50.0, 50.0))


def test_one_day_tells_no_variance_and_nothing_is_foreseen() -> None:
    assert foresee([5.0], 0, [1.0]) is None
    assert foresee([], 0, [1.0]) is None


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60), st.integers(1, 31), st.integers(0, 20_000))
def test_bounds_are_in_order_and_never_below_nothing(values: list[float], ahead: int, first: int) -> None:
    found = foresee(values, first, [1.0] * ahead)
    assert found is not None
    assert found.n == min(len(values), DAYS_BACK)
    assert 0.0 <= found.low <= found.mean <= found.high
    assert np.isfinite(found.high)


def costs(values: list[float], *, last: int) -> list[DayCost]:
    return [DayCost(day=last - len(values) + 1 + place, requests=1, usd=value) for place, value in enumerate(values)]


NOVEMBER = month_of(20_774)  # 17 November 2026


def test_a_budget_warns_when_the_mean_passes_it_and_alarms_when_the_lower_bound_does() -> None:
    first, last = NOVEMBER
    assert (written(first), written(last)) == ("2026-11-01", "2026-11-30")
    noisy = [8.0, 12.0, 10.0, 9.0, 11.0] * 3
    states = {
        budget: month_of_days(costs(noisy, last=first + 14), first=first, last=last, left=0.0, budget_usd=budget).state
        for budget in (400.0, 299.0, 250.0, 100.0)
    }
    assert states == {400.0: WITHIN, 299.0: WARNING, 250.0: OVER, 100.0: OVER}  # about 150 spent, about 300 in the end


def test_too_few_days_cannot_tell_but_a_budget_that_is_spent_is() -> None:
    first, last = NOVEMBER
    days = costs([5.0], last=first)
    assert month_of_days(days, first=first, last=last, left=0.0, budget_usd=100.0).state == CANNOT_TELL
    assert month_of_days(days, first=first, last=last, left=0.0, budget_usd=4.0).state == OVER
    assert month_of_days([], first=first, last=last, left=0.0, budget_usd=4.0).state == CANNOT_TELL


def test_on_its_last_day_a_month_is_what_it_was() -> None:
    first, last = NOVEMBER
    found = month_of_days(costs([2.0] * 30, last=last), first=first, last=last, left=0.0, budget_usd=None)
    assert found.whole is not None
    assert found.spent_usd == pytest.approx(60.0)
    assert (found.whole.low, found.whole.mean, found.whole.high) == pytest.approx((60.0, 60.0, 60.0))


def test_days_of_the_month_before_are_no_part_of_what_was_spent() -> None:
    first, last = NOVEMBER
    found = month_of_days(costs([7.0] * 10, last=first + 1), first=first, last=last, left=0.0, budget_usd=None)
    assert found.spent_usd == pytest.approx(14.0)
    assert len(found.path) == 2
    assert found.whole is not None
    assert found.whole.mean == pytest.approx(7.0 * 30)
    assert len(found.path) + len(found.fan) == 30
