"""Two samples of one column of numbers, reference and current: how far apart they are, and how surprising that is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

BINS = 10
SMOOTHING = 0.5
"""Rows that are added to each bin for the PSI, which a bin without rows would make infinite (Jeffreys' prior)."""

EXACT_ROWS = 10_000
"""Up to so many rows on the larger side the p of Kolmogorov and Smirnov is exact, as with scipy's method 'auto'."""

BLOCK = 2**15
"""Values that are taken at a time where the whole would need a fresh array: they stay in the processor's cache."""

GRID = 2**12
"""Values of each sample at which the distribution functions are compared first."""

LIMIT_ROWS = 20_000
"""From so many rows on (half of them on either side) the tail of the KS distribution is taken from its expansion."""

LARGEST = 1e150
"""Values beyond it are counted as infinite: their squares are."""

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One side of a column of numbers. `n` counts the finite values; `missing` and `infinite` are shares of all rows.

    `quantiles` are those of QUANTILES, interpolated linearly. `sd` has n - 1 below it, and is 0 for one row.
    """

    rows: int
    n: int
    missing: float
    infinite: float
    mean: float | None = None
    sd: float | None = None
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NumbersCompared:
    """How two samples of numbers differ. The figures but those of missing values are of the finite values alone.

    `ks` in [0, 1] is the largest distance between the two distribution functions and `p` its p-value. `wasserstein` is the mean
    distance by which values moved, in the column's unit, and `normed` the same in standard deviations of the reference (of both
    sides together where the reference has none; None where nothing varies). `psi` and `js` (bits, in [0, 1]) are taken on the
    bins of `bin_edges`. `missing_p` tests the share of missing values.
    """

    reference: Summary
    current: Summary
    ks: float | None = None
    p: float | None = None
    wasserstein: float | None = None
    normed: float | None = None
    psi: float | None = None
    js: float | None = None
    missing_p: float | None = None


def compare_numbers(
    reference: Floats, current: Floats, *, units: tuple[NDArray[Any], NDArray[Any]] | None = None
) -> NumbersCompared:
    """Compare two samples (n,) and (m,) of numbers; NaN is a missing value, and infinite ones are counted apart.

    `units` (n,) and (m,) are what rows belong to, such as users: rows of one unit depend on one another, so the p-values count
    fewer rows (`effective`). Sides may be empty: then there is nothing but what is missing.
    """
    return judged(prepared(reference, current), units=units, raw=(reference, current))


@dataclass(frozen=True, eq=False)
class Prepared:
    """The part that is heavy and knows no p-values, so that several columns can be done at once in threads."""

    reference: Summary
    current: Summary
    distances: tuple[float, float] | None = None
    shares: tuple[Ints, Ints] | None = None
    sides: tuple[Floats, Floats] | None = None


def prepared(reference: Floats, current: Floats) -> Prepared:
    """Sort each side once; the statistics that need the order are read off there."""
    (first, before), (second, after) = _sorted_side(reference), _sorted_side(current)
    if not len(first) or not len(second):
        return Prepared(before, after)
    edges = bin_edges(first)
    counts = _bin_counts(first, edges), _bin_counts(second, edges)
    return Prepared(before, after, (ks_statistic(first, second), wasserstein(first, second)), counts, (first, second))


def judged(
    one: Prepared, *, units: tuple[NDArray[Any], NDArray[Any]] | None = None, raw: tuple[Floats, Floats] | None = None
) -> NumbersCompared:
    """The comparison with its p-values."""
    before, after = one.reference, one.current
    missing_p = missing_test(before, after, deff=_missing_design(raw, units))
    if one.distances is None or one.shares is None or one.sides is None:
        return NumbersCompared(reference=before, current=after, missing_p=missing_p)
    ks, moved = one.distances
    scale = before.sd or _pooled_sd(before, after)
    return NumbersCompared(
        reference=before,
        current=after,
        ks=ks,
        p=ks_p(ks, *one.sides) if units is None or raw is None else _ks_p_of_units(ks, one.sides, raw, units),
        wasserstein=moved,
        normed=moved / scale if scale else None,
        psi=psi(*one.shares),
        js=jensen_shannon(*one.shares),
        missing_p=missing_p,
    )


def _sorted_side(values: Floats) -> tuple[Floats, Summary]:
    """The finite values in order, and what they are like."""
    order = np.sort(values)  # NaN go to the end, infinities to both ends
    missing = len(order) - int(np.searchsorted(order, np.nan, side="left")) if len(order) and np.isnan(order[-1]) else 0
    known = order[: len(order) - missing]
    low, high = np.searchsorted(known, -LARGEST, side="left"), np.searchsorted(known, LARGEST, side="right")
    finite = known[low:high]
    rows, n = len(values), len(finite)
    shares = {
        "rows": rows,
        "n": n,
        "missing": missing / rows if rows else 0.0,
        "infinite": (len(known) - n) / rows if rows else 0.0,
    }
    if not n:
        return finite, Summary(**shares)  # type: ignore[arg-type]
    mean, sd = _moments(finite)
    return finite, Summary(**shares, mean=mean, sd=sd, quantiles=tuple(_quantiles(finite)))  # type: ignore[arg-type]


def _moments(order: Floats) -> tuple[float, float]:
    """The mean and the standard deviation of sorted values."""
    if order[0] == order[-1]:
        return float(order[0]), 0.0
    mean = float(order.mean())
    squares = sum(float(np.square(order[start : start + BLOCK] - mean).sum()) for start in range(0, len(order), BLOCK))
    return mean, float(np.sqrt(squares / (len(order) - 1)))


def _quantiles(order: Floats) -> list[float]:
    """QUANTILES of sorted values, as numpy's default method gives them."""
    at = np.array(QUANTILES) * (len(order) - 1)
    below = np.floor(at).astype(np.int64)
    above = np.minimum(below + 1, len(order) - 1)
    return [float(one) for one in order[below] * (1 - (at - below)) + order[above] * (at - below)]


def _pooled_sd(before: Summary, after: Summary) -> float:
    """The standard deviation of both sides as one sample."""
    if before.mean is None or after.mean is None:
        return 0.0
    n, m = before.n, after.n
    between = n * m / (n + m) * (before.mean - after.mean) ** 2
    return float(np.sqrt(((after.sd or 0.0) ** 2 * (m - 1) + between) / (n + m - 1)))


def ks_statistic(first: Floats, second: Floats) -> float:
    """Kolmogorov and Smirnov's statistic of two sorted samples, equal to scipy.stats.ks_2samp's.

    F - G is known at some values of both samples; between two of them it cannot leave [F_left - G_right, F_right - G_left]. Only
    stretches that could hold a distance larger than the largest known one are looked at value by value.
    """
    n, m = len(first), len(second)
    grid = np.unique(np.concatenate([first[:: max(1, n // GRID)], second[:: max(1, m // GRID)], first[-1:], second[-1:]]))
    i, j = np.searchsorted(first, grid, side="right"), np.searchsorted(second, grid, side="right")
    best = float(np.abs(i / n - j / m).max())
    i_left, j_left = np.concatenate([[0], i[:-1]]), np.concatenate([[0], j[:-1]])
    open_ = np.flatnonzero(np.maximum(i / n - j_left / m, j / m - i_left / n) > best)
    ahead = first[_ranges(i_left[open_], i[open_])]
    behind = second[_ranges(j_left[open_], j[open_])]
    for values in (ahead, behind):
        if len(values):
            apart = np.searchsorted(first, values, side="right") / n - np.searchsorted(second, values, side="right") / m
            best = max(best, float(np.abs(apart).max()))
    return best


def _ranges(starts: Ints, ends: Ints) -> Ints:
    """The positions of several ranges, one behind another."""
    sizes = ends - starts
    return np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))


def wasserstein(first: Floats, second: Floats) -> float:
    """The Wasserstein-1 distance of two sorted samples, equal to scipy.stats.wasserstein_distance.

    The integral of the distance between the quantile functions (S. S. Vallender, Theory Probab. Appl. 18, 1974), exactly: both are
    constant between neighbouring levels i / n and j / m, which are counted in whole steps of 1 / (n m).
    """
    n, m, total = len(first), len(second), 0.0
    for start in range(0, n, BLOCK):
        end = min(n, start + BLOCK)
        if n == m:
            total += float(np.abs(first[start:end] - second[start:end]).sum())
            continue
        low, high = start * m, end * m
        own = np.arange(start + 1, end + 1, dtype=np.int64) * m
        other = np.arange(low // n + 1, -(-high // n), dtype=np.int64) * n
        levels = np.sort(np.concatenate([[low], own, other]))
        left = levels[:-1]
        total += float(np.dot(np.abs(first[left // m] - second[left // n]), np.diff(levels) / m))
    return total / n


def ks_p(ks: float, first: Floats, second: Floats) -> float:
    """The two-sided p-value: exact where both sides are small, else by the limit, as scipy.stats.ks_2samp decides it."""
    if max(len(first), len(second)) > EXACT_ROWS:
        return ks_p_of_sizes(ks, len(first), len(second))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where counting paths overflows scipy takes the limit itself
        return float(stats.ks_2samp(first, second).pvalue)


def ks_p_of_sizes(ks: float, n: float, m: float) -> float:
    """The p-value by the limiting distribution with n m / (n + m) rows, at least one.

    From LIMIT_ROWS on and in the tail, where scipy sums a term a row, the expansion of U. R. Maag and G. Dicaire (Biometrika 58,
    1971) is taken: equal to scipy's in six digits where p is above 1e-8.
    """
    rows = max(1, round(n * m / (n + m)))
    if rows < LIMIT_ROWS or rows * ks * ks < 2.2:
        return float(np.clip(stats.kstwo.sf(ks, rows), 0.0, 1.0))
    t = (6 * rows * ks + 1) ** 2 / (18 * rows)
    return 2 * math.exp(-t - (2 * t * t - 4 * t - 1) / (18 * rows))


def effective(centred: Floats, units: NDArray[Any]) -> float:
    """How many independent rows the rows of units are worth, at most as many as there are.

    `centred` (n,) or (n, k) are values less their mean; n is divided by the variance of the units' sums over that of as many
    independent rows (the design effect, L. Kish, Survey Sampling, 1965, with the cluster variance of Liang and Zeger, 1986).
    """
    columns = centred.reshape(len(centred), -1)
    _, codes = np.unique(codes_of(units), return_inverse=True)
    counted = int(codes.max()) + 1
    if counted == len(columns):
        return float(len(columns))
    sums = sum(float((np.bincount(codes, weights=column) ** 2).sum()) for column in columns.T)
    spread = float((columns**2).sum())
    if spread == 0:
        return float(counted)
    design = sums / spread * counted / max(1, counted - 1)
    return float(len(columns) / max(1.0, design))


def codes_of(units: NDArray[Any]) -> Ints:
    """(n,) a number for each unit, in the order in which they come; a row whose unit is None or NaN is a unit of its own."""
    known: dict[Any, int] = {}
    codes = np.empty(len(units), np.int64)
    for place, unit in enumerate(units.tolist()):
        key = ("row", place) if unit is None or unit != unit else unit
        codes[place] = known.setdefault(key, len(known))
    return codes


def _ks_p_of_units(
    ks: float, sides: tuple[Floats, Floats], raw: tuple[Floats, Floats], units: tuple[NDArray[Any], NDArray[Any]]
) -> float:
    """The p-value with as many rows as those of the units are worth, judged by the ranks of the values in both samples."""
    together = np.sort(np.concatenate(sides))
    worth = []
    for values, of in zip(raw, units, strict=True):
        finite = np.abs(values) <= LARGEST
        ranks = np.searchsorted(together, values[finite], side="right") + np.searchsorted(together, values[finite], side="left")
        worth.append(effective(ranks - ranks.mean(), of[finite]))
    if worth == [len(side) for side in sides]:
        return ks_p(ks, *sides)
    return ks_p_of_sizes(ks, *worth)


def bin_edges(order: Floats) -> Floats:
    """The inner edges of the bins, from the sorted reference: its nine deciles, each once.

    A value lies in the first bin whose edge is not below it; the first and the last bin are open. A value on which two deciles
    or more fall, such as a zero that a third of the rows have, gets a bin of its own.
    """
    at = np.ceil(np.arange(1, BINS) / BINS * len(order)).astype(np.int64) - 1
    deciles, times = np.unique(order[np.maximum(at, 0)], return_counts=True)
    heavy = deciles[times > 1]
    return np.unique(np.concatenate([deciles, np.nextafter(heavy, -np.inf)]))


def _bin_counts(order: Floats, edges: Floats) -> Ints:
    below = np.searchsorted(order, edges, side="right")
    return np.diff(np.concatenate([[0], below, [len(order)]])).astype(np.int64)


def psi(first: Ints, second: Ints) -> float:
    """The population stability index of two vectors of counts, SMOOTHING rows added to each: sum (q - p) ln(q / p).

    It is the symmetric divergence of Jeffreys (1946); 0.1 and 0.25 are the usual marks (N. Siddiqi, Credit Risk Scorecards, 2006).
    """
    before = (first + SMOOTHING) / (first.sum() + SMOOTHING * len(first))
    after = (second + SMOOTHING) / (second.sum() + SMOOTHING * len(second))
    return float(((after - before) * np.log(after / before)).sum())


def jensen_shannon(first: Ints, second: Ints) -> float:
    """The Jensen-Shannon divergence of two vectors of counts in bits, in [0, 1], without smoothing (J. Lin, 1991).

    Equal to scipy.spatial.distance.jensenshannon(first, second, base=2) ** 2, which returns the root of it.
    """
    before, after = first / first.sum(), second / second.sum()
    middle = (before + after) / 2
    return float(max(0.0, (_bits(before, middle) + _bits(after, middle)) / 2))


def _bits(shares: Floats, of: Floats) -> float:
    held = shares > 0
    return float((shares[held] * np.log2(shares[held] / of[held])).sum())


def missing_test(before: Summary, after: Summary, *, deff: tuple[float, float] = (1.0, 1.0)) -> float | None:
    """The p-value that the share of missing values is the same; None where a side has no rows."""
    return share_test(round(before.missing * before.rows), before.rows, round(after.missing * after.rows), after.rows, deff=deff)


def share_test(first: int, n: int, second: int, m: int, *, deff: tuple[float, float] = (1.0, 1.0)) -> float | None:
    """The p-value that two shares are the same: Fisher's exact test where rows are few (W. G. Cochran, 1954), else chi-squared."""
    if not n or not m:
        return None
    if first + second in (0, n + m):
        return 1.0
    table = np.array([[first / deff[0], second / deff[1]], [(n - first) / deff[0], (m - second) / deff[1]]])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    if expected.min() < 5:
        return float(stats.fisher_exact(np.maximum(np.rint(table), 0).astype(np.int64)).pvalue)
    return float(stats.chi2.sf(((table - expected) ** 2 / expected).sum(), 1))


def _missing_design(raw: tuple[Floats, Floats] | None, units: tuple[NDArray[Any], NDArray[Any]] | None) -> tuple[float, float]:
    """By how much more the missing share of each side varies than that of independent rows."""
    if raw is None or units is None or not len(raw[0]) or not len(raw[1]):
        return 1.0, 1.0
    found = []
    for values, of in zip(raw, units, strict=True):
        gone = np.isnan(values).astype(np.float64)
        found.append(len(gone) / effective(gone - gone.mean(), of) if gone.any() else 1.0)
    return found[0], found[1]


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for how many there are, in their order (S. Holm, Scand. J. Statist. 6, 1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


SIZES = ("tiny", "small", "medium", "large")
MARKS: Mapping[str, tuple[float, float, float]] = {
    "sd": (0.1, 0.5, 0.8),
    "share": (0.05, 0.15, 0.25),
    "auc": (0.528, 0.638, 0.714),
}
"""From where on a change is small, medium and large. A pure shift by d standard deviations has the normed Wasserstein distance d:
0.5 and 0.8 are medium and large after J. Cohen (1988), and below 0.1 is what other tools call no drift. Shares are those whose w
is 0.1, 0.3 and 0.5 with two even categories (Cohen), and the AUC is that of a normal shift of 0.1, 0.5 and 0.8: Phi(d / sqrt 2)."""


def size(effect: float, unit: str) -> str:
    """How large a change is, in one word of SIZES, by the marks of its unit."""
    return SIZES[sum(effect >= mark for mark in MARKS[unit])]
