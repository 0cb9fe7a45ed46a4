"""What a day of the week is usually like, how much days differ, and whether the last days are unlike it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rungwise.watch.drift.tails import Floats, ratio_tail, spectrum

WEEK = 7
_LEAST_OF_A_WEEKDAY = 2
_STEPS = 12
_SUREST = 0.2  # a mean may be surer than its requests by themselves: the same people come every day. At most five times
_SLOW = 0.01  # share of a day's variance that is taken to move slowly, for months: no mean is known better than that


@dataclass(frozen=True, kw_only=True, eq=False)
class Days:
    """k days of a feature: `means` (k, p), `sizes` (k,), how many independent requests each stands for, and `days` (k,)."""

    days: NDArray[np.int64]
    means: Floats
    sizes: Floats

    def __len__(self) -> int:
        return len(self.days)

    def only(self, which: NDArray[np.bool_]) -> Days:
        """Some of the days."""
        return Days(days=self.days[which], means=self.means[which], sizes=self.sizes[which])


def weekdays(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k,) 0 for Monday. 1970 began on a Thursday."""
    return np.asarray((days + 3) % WEEK, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Usual:
    """The reference days by what they have in common.

    `level` (q, m, c) would be too much to say of it: `design` (n, q) tells which season each day is in (one season where there
    are fewer than two days of a weekday), `variances` (n, c) of each day's mean, up to a factor, for c = p columns each by
    itself, or c = 1 for all together. `noise` (c,) is the variance between days, `within` (c,) that of one request.
    """

    known: Days
    seasons: NDArray[np.int64]
    levels: Floats
    level_variances: Floats
    noise: Floats
    within: Floats
    factor: Floats
    freedom: float
    carry: float
    values: Floats
    counts: Floats

    def expected(self, days: NDArray[np.int64]) -> Floats:
        """(k, p) the usual means of these days."""
        return self.levels[self._season(days)]

    def _season(self, days: NDArray[np.int64]) -> NDArray[np.int64]:
        return weekdays(days) if len(self.levels) > 1 else np.zeros(len(days), np.int64)

    def moved(self, now: Days) -> tuple[Floats, Floats]:
        """(p,) by how much the mean of these days is off, seasons left out, and (c,) the variance of that.

        Each day counts by what is known of it. The variance is of the days' own noise and of the levels that they are held
        against; it is larger where one day resembles the next (`carry`).
        """
        variances = self.noise + self.within / now.sizes[:, None]  # (k, c)
        shares = 1.0 / variances
        shares = shares / shares.sum(axis=0)
        off = (shares * (now.means - self.expected(now.days))).sum(axis=0)
        seasons = self._season(now.days)
        own = (shares**2 * variances).sum(axis=0)
        known = np.zeros_like(own)
        for season in np.unique(seasons):
            known += shares[seasons == season].sum(axis=0) ** 2 * self.level_variances[season]
        carried = 1.0 if len(now) == 1 else (1.0 + self.carry) / (1.0 - self.carry)
        slow = _SLOW * variances.mean(axis=0)
        return off, (own + known) * carried * self.factor + slow * self.factor

    def together(self, now: Days) -> float:
        """p of the whole vector being where it usually is. Only for c = 1."""
        off, variance = self.moved(now)
        return ratio_tail(float((off**2).sum() / variance[0]), self.values, self.counts, self.freedom)

    def each(self, now: Days) -> Floats:
        """(p,) p of each column being where it usually is, by itself: the t-test of a prediction. Only for c = p."""
        off, variance = self.moved(now)
        return np.asarray(2.0 * stats.t.sf(np.abs(off) / np.sqrt(variance), self.freedom), dtype=np.float64)


def usual(known: Days, within: Floats, *, by_weekday: bool = True) -> Usual:
    """Learn what is usual. `within` (c,) is the variance of one request, c = p for each column by itself, 1 for all together.

    The variance of a day's mean is `noise + within / size`; `noise` is the value at which the weighted squared residuals have the
    size that they should have (Paule and Mandel 1982, J. Res. NBS 87), not below 0, so that a day is never taken to be surer
    than its number of requests allows. Raises ValueError with fewer than 3 days.
    """
    if len(known) < 3:
        raise ValueError("cannot learn what is usual from fewer than 3 days")
    seasons = weekdays(known.days)
    if not by_weekday or np.bincount(seasons, minlength=WEEK).min() < _LEAST_OF_A_WEEKDAY:
        seasons = np.zeros(len(known), np.int64)
    count = int(seasons.max()) + 1
    freedom = float(len(known) - count)
    sampled = within / known.sizes[:, None]  # (n, c)
    noise = np.zeros(within.shape)
    for _ in range(_STEPS):  # Newton from 0, where the sum is convex and falls, never steps too far
        residuals, variances, _ = _residuals(known.means, seasons, count, noise + sampled)
        squares = _per_column(residuals**2, len(within))
        excess = (squares / variances).sum(axis=0) - freedom
        slope = (squares / variances**2).sum(axis=0)
        noise = np.maximum(0.0, noise + np.where(excess > 0, excess / np.maximum(slope, 1e-300), 0.0))
    residuals, variances, levels = _residuals(known.means, seasons, count, noise + sampled)
    squares = _per_column(residuals**2, len(within))
    factor = np.maximum(_SUREST, (squares / variances).sum(axis=0) / freedom)
    level_variances = np.stack([1.0 / (1.0 / variances[seasons == one]).sum(axis=0) for one in range(count)])
    scaled = residuals / np.sqrt(variances)
    values, counts = spectrum(scaled @ scaled.T, freedom, known.means.shape[1])
    return Usual(
        known=known,
        seasons=seasons,
        levels=levels,
        level_variances=level_variances,
        noise=noise,
        within=within,
        factor=factor,
        freedom=freedom,
        carry=_carry(known.days, scaled, freedom),
        values=values,
        counts=counts,
    )


def _residuals(means: Floats, seasons: NDArray[np.int64], count: int, variances: Floats) -> tuple[Floats, Floats, Floats]:
    """(n, p) residuals, (n, c) the variances, and (count, p) the levels by which they are residuals."""
    variances = np.maximum(variances, 1e-12)
    weights = 1.0 / variances
    levels = np.stack(
        [
            (weights[seasons == one] * means[seasons == one]).sum(axis=0) / weights[seasons == one].sum(axis=0)
            for one in range(count)
        ]
    )
    return means - levels[seasons], variances, levels


def _per_column(squares: Floats, columns: int) -> Floats:
    return squares if columns == squares.shape[1] else squares.sum(axis=1, keepdims=True)


def _carry(days: NDArray[np.int64], scaled: Floats, freedom: float) -> float:
    """How much of a day's noise the next day shares, from 0 to 0.8: the first autocorrelation of the residuals, freed of the bias
    that fitted levels bring (-1/n for each, Kendall 1954, Biometrika 41)."""
    following = np.flatnonzero(np.diff(days) == 1)
    if len(following) < WEEK or float((scaled**2).sum()) <= 0:
        return 0.0
    products = (scaled[following] * scaled[following + 1]).sum() / len(following)
    found = products / ((scaled**2).sum() / len(days)) + 1.0 / len(days)
    return float(min(max(found, 0.0), 0.8))
