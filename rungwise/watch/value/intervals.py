"""Intervals of figures per user: means that may have a long tail, shares, ratios, and differences between two groups of users."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rungwise.evaluate.binomial import wilson

Doubles: TypeAlias = NDArray[np.float64]

LEVEL = 0.95
REDRAWS = 999
LARGE = 5_000
"""From so many values that are not 0, the mean is as good as normal, skewness corrected for, and nothing is redrawn."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with its interval at `level`, made of `n` units. The bounds are None where so few or so equal units tell none."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    level: float = LEVEL


def mean(values: Doubles, *, seed: int = 0, level: float = LEVEL) -> Figure | None:
    """The mean of independent units, which may be skewed: bootstrap-t (Efron and Tibshirani 1993, ch. 12), for many values the
    normal interval. None without a unit. Coverage by simulation: tests/watch/test_value_intervals.py."""
    n = len(values)
    if n == 0:
        return None
    centre, error = _centre(values)
    if not error > 0:
        return Figure(value=centre, n=n, level=level)
    low_t, high_t = _quantiles(_redrawn(values, seed) if _few(values) else None, level, n - 1)
    return Figure(value=centre, low=centre - high_t * error, high=centre - low_t * error, n=n, level=level)


def difference(second: Doubles, first: Doubles, *, seed: int = 0, level: float = LEVEL) -> Figure | None:
    """By how much the mean of `second` is above that of `first`; both are drawn anew on their own. None without a unit in each."""
    if not len(second) or not len(first):
        return None
    (one, one_error), (other, other_error) = _centre(second), _centre(first)
    error, n = math.hypot(one_error, other_error), len(second) + len(first)
    if not error > 0:
        return Figure(value=one - other, n=n, level=level)
    drawn = None
    if _few(second) or _few(first):
        (means_2, errors_2), (means_1, errors_1) = _resampled(second, seed), _resampled(first, seed + 1)
        drawn = _studentised(means_2 - means_1, np.hypot(errors_2, errors_1), one - other)
    freedom = max(1, min(len(second), len(first)) - 1)
    low_t, high_t = _quantiles(drawn, level, freedom)
    return Figure(value=one - other, low=one - other - high_t * error, high=one - other - low_t * error, n=n, level=level)


def share(hits: int, n: int, *, level: float = LEVEL) -> Figure | None:
    """A share of units: Wilson's interval. None without a unit."""
    if n == 0:
        return None
    low, high = wilson(hits, n, level=level)
    return Figure(value=hits / n, low=low, high=high, n=n, level=level)


def share_difference(second: tuple[int, int], first: tuple[int, int], *, level: float = LEVEL) -> Figure | None:
    """By how much one share (hits, n) is above another: Newcombe 1998, Statistics in Medicine 17, 873-890, method 10."""
    one, other = share(*second, level=level), share(*first, level=level)
    if one is None or other is None or one.low is None or one.high is None or other.low is None or other.high is None:
        return None
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Figure(value=value, low=value - below, high=value + above, n=second[1] + first[1], level=level)


def ratio(numerator: Doubles, denominator: Doubles, *, level: float = LEVEL) -> Figure | None:
    """The sum of one by the sum of the other over independent units, such as USD for each request with users as units: the delta
    method with Student's t (Cochran 1977, Sampling Techniques, sec. 6.4). None where the denominator is 0."""
    below, n = float(denominator.sum()), len(numerator)
    if not below > 0:
        return None
    value = float(numerator.sum()) / below
    residuals = numerator - value * denominator
    error = math.sqrt(float(residuals @ residuals) * n / max(1, n - 1)) / below
    if n < 2 or not error > 0:
        return Figure(value=value, n=n, level=level)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    return Figure(value=value, low=value - half, high=value + half, n=n, level=level)


def _centre(values: Doubles) -> tuple[float, float]:
    """(mean, its standard error), 0 for the error where it cannot be told."""
    n = len(values)
    centre = float(values.mean())
    return centre, float(values.std(ddof=1)) / math.sqrt(n) if n > 1 and values.max() > values.min() else 0.0


def _few(values: Doubles) -> bool:
    return int(np.count_nonzero(values)) < LARGE


def _resampled(values: Doubles, seed: int) -> tuple[Doubles, Doubles]:
    """(redraws,) means and their standard errors. Units of value 0 are only counted: most users bring nothing."""
    rng, n = np.random.default_rng([seed, len(values)]), len(values)
    some = values[values != 0]
    counts = rng.binomial(n, len(some) / n, size=REDRAWS)
    drawn = some[rng.integers(0, max(1, len(some)), size=int(counts.sum()))] if len(some) else some
    owner = np.repeat(np.arange(REDRAWS), counts)
    totals = np.bincount(owner, weights=drawn, minlength=REDRAWS)
    squares = np.bincount(owner, weights=drawn**2, minlength=REDRAWS)
    means = totals / n
    spread = np.maximum(0.0, squares - n * means**2) / max(1, n - 1)
    return means, np.sqrt(spread / n)


def _redrawn(values: Doubles, seed: int) -> Doubles:
    means, errors = _resampled(values, seed)
    return _studentised(means, errors, float(values.mean()))


def _studentised(means: Doubles, errors: Doubles, centre: float) -> Doubles:
    """How many of its own standard errors each redraw is off. One without spread is as far off as can be on its side."""
    off = means - centre
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(errors > 0, off / errors, np.sign(off) * np.inf)
    return np.asarray(found, np.float64)


def _quantiles(drawn: Doubles | None, level: float, freedom: int) -> tuple[float, float]:
    """The two quantiles of t, from redraws where there are any; never nearer than those of Student's t: the
    redraws of a long tail that was only half seen are too alike (91 % for 95 in the difference of two such means). Nor endless."""
    tail, student = (1 - level) / 2, float(stats.t.ppf(0.5 + level / 2, max(1, freedom)))
    if drawn is None:
        return -student, student
    low, high = np.quantile(np.clip(drawn, -20 * student, 20 * student), [tail, 1 - tail], method="inverted_cdf")
    return min(float(low), -student), max(float(high), student)
