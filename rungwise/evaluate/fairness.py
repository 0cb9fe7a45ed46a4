"""How groups of people fare against the rest: shares and means with intervals, and gaps that are shown, not merely seen.

Requests of one unit (a user, a conversation) depend on one another, so that units and not requests are what is counted: the
variance of a ratio of sums over units (Cochran 1977, Sampling Techniques, 3rd edition, section 6.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rungwise.evaluate.answers import FloatArray

Names: TypeAlias = NDArray[np.object_]

FEWEST_UNITS = 10
"""With fewer units a group, or the rest, is too small to tell. Below it the simulated chance of a false gap passes its level."""
_HALVINGS = 60


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One group against all others. `value` lies in [`low`, `high`] at 95 %; `rest` is the figure of the others.

    `difference` is the group less the rest (of ratios: the group over the rest) and lies in [`difference_low`,
    `difference_high`] with a chance of 1 - `level`; `p` is two-sided. `shown`: the interval leaves out no difference. A group
    that is too small to tell has `units` and `n`, and None elsewhere.
    """

    group: str
    n: int
    units: int
    level: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rest: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None

    @property
    def shown(self) -> bool:
        """Whether the gap is more than chance explains."""
        return self.p is not None and self.p <= self.level

    @property
    def too_small(self) -> bool:
        """Whether the group, or the rest, has too few units to tell."""
        return self.value is None


@dataclass(frozen=True)
class _Part:
    """The mean of a part of the requests with its standard error, from `units` units that count as `free` + 1 equal ones."""

    mean: float
    error: float
    n: int
    units: int
    free: float

    @property
    def enough(self) -> bool:
        return self.units >= FEWEST_UNITS


def share_gaps(happened: FloatArray, groups: Names, units: Names, *, level: float, weights: FloatArray | None = None) -> list[Gap]:
    """Gaps between shares: `happened` (n,) is 0 or 1 for each request, `weights` (n,) say how many each stands for.

    The intervals are Newcombe's of two Wilson intervals (Newcombe 1998, Statistics in Medicine 17, method 10) at the effective
    numbers of requests that the clusters leave (Korn and Graubard 1998, Survey Methodology 24), with t for z.
    `level` is that of each group; requests without a group belong to the rest of all.
    """
    return [_share_gap(one, _parts(happened, groups, units, weights, one), level) for one in _names(groups)]


def mean_gaps(values: FloatArray, groups: Names, units: Names, *, level: float) -> list[Gap]:
    """Gaps between means of any figure (n,), by Welch's t over units; NaN is left out."""
    known = ~np.isnan(values)
    values, groups, units = values[known], groups[known], units[known]
    return [_mean_gap(one, _parts(values, groups, units, None, one), level) for one in _names(groups)]


def ratio_gaps(values: FloatArray, groups: Names, units: Names, *, level: float) -> list[Gap]:
    """Gaps between geometric means of positive figures (n,), such as seconds: Welch's t on logarithms; others are left out."""
    known = np.nan_to_num(values, nan=0.0) > 0
    gaps = mean_gaps(np.log(values[known]), groups[known], units[known], level=level)
    return [_exponential(gap) for gap in gaps]


def _names(groups: Names) -> list[str]:
    return sorted({str(one) for one in groups if one is not None})


def _parts(values: FloatArray, groups: Names, units: Names, weights: FloatArray | None, group: str) -> tuple[_Part, _Part]:
    weights = np.ones(len(values)) if weights is None else weights
    own = np.array([one == group for one in groups], np.bool_)
    return _part(values[own], units[own], weights[own]), _part(values[~own], units[~own], weights[~own])


def _part(values: FloatArray, units: Names, weights: FloatArray) -> _Part:
    names, places = np.unique(units.astype(str), return_inverse=True)
    sums = np.bincount(places, weights * values, minlength=len(names))
    sizes = np.bincount(places, weights, minlength=len(names))
    total = float(sizes.sum())
    if len(names) < 2 or total <= 0:
        return _Part(math.nan, math.nan, len(values), len(names), 0.0)
    mean = float(sums.sum()) / total
    left = sums - mean * sizes
    error = math.sqrt(len(names) / (len(names) - 1) * float(left @ left)) / total
    # Units of unequal size are worth fewer equal ones (Kish 1965, Survey Sampling, section 8.2).
    return _Part(mean, error, len(values), len(names), total**2 / float(sizes @ sizes) - 1.0)


def _share_gap(group: str, parts: tuple[_Part, _Part], level: float) -> Gap:
    own, rest = parts
    if not (own.enough and rest.enough):
        return Gap(group=group, n=own.n, units=own.units, level=level)
    low, high = _wilson(own, 0.05)
    least, most = _newcombe(own, rest, level)
    return Gap(
        group=group,
        n=own.n,
        units=own.units,
        level=level,
        value=own.mean,
        low=low,
        high=high,
        rest=rest.mean,
        difference=own.mean - rest.mean,
        difference_low=least,
        difference_high=most,
        p=_p_value(own, rest),
    )


def _wilson(part: _Part, level: float) -> tuple[float, float]:
    """Wilson's interval at the effective number of requests, two-sided at `level`."""
    spread = part.mean * (1 - part.mean)
    n = min(float(part.n), spread / part.error**2) if part.error > 0 else part.free + 1
    t = float(stats.t.isf(level / 2, max(part.free, 1.0)))
    shrink = 1 + t * t / n
    centre = (part.mean + t * t / (2 * n)) / shrink
    half = t * math.sqrt(spread / n + t * t / (4 * n * n)) / shrink
    return max(0.0, centre - half), min(1.0, centre + half)


def _newcombe(own: _Part, rest: _Part, level: float) -> tuple[float, float]:
    (low, high), (rest_low, rest_high) = _wilson(own, level), _wilson(rest, level)
    difference = own.mean - rest.mean
    least = difference - math.hypot(own.mean - low, rest_high - rest.mean)
    most = difference + math.hypot(high - own.mean, rest.mean - rest_low)
    return max(-1.0, least), min(1.0, most)


def _p_value(own: _Part, rest: _Part) -> float:
    """The level at which the interval just reaches no difference, by halving on a logarithmic scale; at least 1e-12."""
    low, high = math.log(1e-12), 0.0

    def leaves_out_zero(level: float) -> bool:
        least, most = _newcombe(own, rest, level)
        return least > 0 or most < 0

    if leaves_out_zero(math.exp(low)):
        return 1e-12
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if leaves_out_zero(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _mean_gap(group: str, parts: tuple[_Part, _Part], level: float) -> Gap:
    own, rest = parts
    if not (own.enough and rest.enough):
        return Gap(group=group, n=own.n, units=own.units, level=level)
    difference, error = own.mean - rest.mean, math.hypot(own.error, rest.error)
    free = _welch(own, rest)
    reach = float(stats.t.isf(level / 2, free)) * error
    half = float(stats.t.isf(0.025, max(own.free, 1.0))) * own.error
    p = float(2 * stats.t.sf(abs(difference) / error, free)) if error > 0 else float(difference == 0)
    return Gap(
        group=group,
        n=own.n,
        units=own.units,
        level=level,
        value=own.mean,
        low=own.mean - half,
        high=own.mean + half,
        rest=rest.mean,
        difference=difference,
        difference_low=difference - reach,
        difference_high=difference + reach,
        p=p,
    )


def _welch(own: _Part, rest: _Part) -> float:
    """Degrees of freedom by Welch and Satterthwaite."""
    first, second = own.error**2, rest.error**2
    below = first**2 / max(own.free, 1.0) + second**2 / max(rest.free, 1.0)
    return max(1.0, (first + second) ** 2 / below) if below > 0 else 1.0


def _exponential(gap: Gap) -> Gap:
    """Figures on a logarithmic scale back on their own; differences become ratios."""

    def back(value: float | None) -> float | None:
        return None if value is None else math.exp(value)

    return replace(
        gap,
        value=back(gap.value),
        low=back(gap.low),
        high=back(gap.high),
        rest=back(gap.rest),
        difference=back(gap.difference),
        difference_low=back(gap.difference_low),
        difference_high=back(gap.difference_high),
    )
