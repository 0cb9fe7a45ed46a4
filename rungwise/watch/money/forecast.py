"""What the rest of a month will cost, by the days before it: with weekdays, and with an interval that keeps its coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Doubles: TypeAlias = NDArray[np.float64]

DAYS_BACK = 42
"""So many days are looked back: six of each weekday."""
WEEKDAYS_FROM, TREND_FROM = 21, 14
"""Days from which weekdays have a level of their own, and from which a trend is looked for."""
_TREND_T = 3.0  # a trend counts from so many standard errors on
_MOST_LIKE = 0.8
LEVEL = 0.9


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """A sum that is still to come: `mean`, and the bounds of a prediction interval at `level`, made of `n` days."""

    mean: float
    low: float
    high: float
    n: int
    level: float = LEVEL
    weekdays: bool = False
    trend: bool = False


def foresee(
    values: Sequence[float], first: int, shares: Sequence[float], *, level: float = LEVEL, least: float = 0.0
) -> Foreseen | None:
    """The sum over the days that follow `values` (n,), the first of which is the day `first` since 1970.

    `shares` (h,) says of how much of each coming day: 1 for a whole one. The sum cannot be less than `least`. None for less than
    2 days, which tell no variance.

    A regression on weekdays (from three weeks on), with a trend where it is beyond chance; errors of neighbouring days may be
    alike (AR(1), estimated without the bias that fitting brings in). The interval is that of a prediction by least squares
    with such errors, Student's t with the degrees of freedom that the likeness leaves; Hamilton 1994, Time Series Analysis,
    ch. 8. Coverage by simulation: tests/watch/test_cost_forecast.py.
    """
    own = np.asarray(values[-DAYS_BACK:], np.float64)
    n, weights = len(own), np.asarray(shares, np.float64)
    if n < 2:
        return None
    start = first + len(values) - n
    days = np.arange(n + len(weights))
    weekdays = n >= WEEKDAYS_FROM
    design = _design(start, days, weekdays=weekdays, trend=False)
    trended = _design(start, days, weekdays=weekdays, trend=True)
    trend = n >= TREND_FROM and _has_trend(trended[:n], own)
    design = trended if trend else design
    total, deviation, freedom = _predicted(design, own, weights)
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * deviation
    mean, low, high = (max(least, one) for one in (total, total - half, total + half))
    return Foreseen(mean=mean, low=low, high=high, n=n, level=level, weekdays=weekdays, trend=trend)


def _design(start: int, days: NDArray[np.int64], *, weekdays: bool, trend: bool) -> Doubles:
    """(n + h, parameters) what the level of each day is made of."""
    columns = np.eye(7)[(start + days) % 7] if weekdays else np.ones((len(days), 1))
    return np.column_stack([columns, days - days.mean()]) if trend else columns


def _has_trend(design: Doubles, values: Doubles) -> bool:
    """Whether the last column is beyond chance, likeness of neighbouring days allowed for."""
    weights = np.linalg.pinv(design)
    deviation = _scale(design, values)
    slope = float(weights[-1] @ values)
    alike, spread, _ = deviation
    error = np.sqrt(spread * weights[-1] @ _likeness(len(values), alike) @ weights[-1])
    return bool(error > 0 and abs(slope) > _TREND_T * error)


def _predicted(design: Doubles, values: Doubles, weights: Doubles) -> tuple[float, float, float]:
    """(the sum, its standard deviation, degrees of freedom)."""
    n = len(values)
    past, future = design[:n], design[n:]
    solve = np.linalg.pinv(past)
    total = float(weights @ future @ solve @ values)
    alike, spread, freedom = _scale(past, values)
    # What part of a day is still to come varies with its length, not with the square of it.
    signs = np.concatenate([-(weights @ future @ solve), np.sqrt(weights)])
    variance = spread * signs @ _likeness(len(signs), alike) @ signs
    return total, float(np.sqrt(max(0.0, variance))), freedom


def _scale(design: Doubles, values: Doubles) -> tuple[float, float, float]:
    """(likeness of neighbouring days, variance of a day, degrees of freedom that the likeness leaves)."""
    n = len(values)
    rest = np.eye(n) - design @ np.linalg.pinv(design)  # residuals = rest @ errors
    residuals = rest @ values
    freedom = float(np.trace(rest))
    if freedom < 0.5:
        return 0.0, 0.0, 1.0
    squares = float(residuals @ residuals)
    bias = float(np.trace(rest, offset=1)) / freedom
    alike = float(residuals[1:] @ residuals[:-1]) / squares - bias if squares > 0 else 0.0
    alike = min(max(alike, 0.0), _MOST_LIKE)
    kept = max(float(np.trace(rest @ _likeness(n, alike) @ rest)), 0.5)
    return alike, squares / kept, max(1.0, freedom * (1 - alike) / (1 + alike))


def _likeness(size: int, alike: float) -> Doubles:
    places = np.arange(size)
    return np.asarray(alike ** np.abs(places[:, None] - places[None, :]), np.float64)
