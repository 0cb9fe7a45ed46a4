"""Bounds of the mean of variables in [0, 1] by betting against every mean that they might have."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import numpy as np

from rungwise.evaluate.answers import BoolArray, FloatArray

MOST_OF_THE_PURSE = 0.95  # a bet never risks more than this share of the wealth; any value below 1 is valid
GRID = 65
BLOCK = 512  # rows of the table of wealth at a time, so that it stays in cache
LARGE = 50_000  # above this many values the closed form is as good as the bets and much faster

Rejects: TypeAlias = Callable[[FloatArray], BoolArray]


def bets(values: FloatArray, level: float) -> FloatArray:
    """(n,) predictable stakes: the i-th depends on the values before it alone. Columns of (n, m) are samples of their own.

    sqrt(2 ln(1 / level) / (n variance so far)), the best stake for a sample of n.
    Source: the predictable plug-in of Waudby-Smith and Ramdas 2024, JRSS-B 86, arXiv 2010.09686.
    """
    n = len(values)
    return np.asarray(np.sqrt(2 * math.log(1 / level) / (n * variances_before(values))), dtype=np.float64)


def variances_before(values: FloatArray) -> FloatArray:
    """(n,) running variance of the values before each, started at 1/4 with the weight of one value; likewise (n, m)."""
    count = np.arange(1, len(values) + 1, dtype=np.float64).reshape((-1,) + (1,) * (values.ndim - 1))
    means = (0.5 + np.cumsum(values, axis=0)) / (count + 1)
    after = (0.25 + np.cumsum((values - means) ** 2, axis=0)) / (count + 1)
    return np.concatenate((np.full_like(after[:1], 0.25), after[:-1]))


def risked(stakes: FloatArray, means: FloatArray) -> FloatArray:
    """The share of the wealth, below 1, that a stake risks on the mean being above each of `means`; broadcast together.

    With u = stake x mean at risk, ln(1 + stake (x - mean)) >= stake (x - mean)
    - (-ln(1 - u) - u) (x - mean)^2 / mean^2 (the inequality of Fan, Grama and
    Liu 2015, Electronic Journal of Probability 20). The best u by this bound solves
    u^2 / (1 - u) + ln(1 - u) + u = (stake x mean)^2 / 2; a small stake stays as it
    is, a large one shrinks. At n = 1,000, rate 0.98 and level 0.002 the plain stake,
    cut at 0.9 of the wealth, loses 0.43 of the exact test's distance, this one 0.16.
    """
    shares, plain = _shares()
    return np.asarray(np.interp(stakes * means, plain, shares), dtype=np.float64)


@cache
def _shares() -> tuple[FloatArray, FloatArray]:
    share = np.linspace(0.0, MOST_OF_THE_PURSE, 1024)
    return share, np.sqrt(2 * np.maximum(share**2 / (1 - share) + np.log1p(-share) + share, 0.0))


def rejects_at_most(values: FloatArray, stakes: FloatArray, means: FloatArray, level: float) -> BoolArray:
    """Which of the `means` (m,) are too small for the values (n,): the wealth of betting on more reached 1 / level.

    A fair game's wealth does so with a chance of at most `level` (Ville 1939),
    whenever one looks. With values and stakes (n, m), column j is tested against means[j].
    """
    values, stakes = values.reshape(len(values), -1), stakes.reshape(len(values), -1)
    wealth, best = np.zeros(len(means)), np.zeros(len(means))
    for start in range(0, len(values), BLOCK):
        path = wealth + np.cumsum(winnings(values[start : start + BLOCK], stakes[start : start + BLOCK], means), axis=0)
        best = np.maximum(best, path.max(axis=0))
        wealth = path[-1]
    return np.asarray(best >= math.log(1 / level), dtype=np.bool_)


def winnings(values: FloatArray, stakes: FloatArray, means: FloatArray) -> FloatArray:
    """(n, m) the log of what each bet multiplies the wealth by; values and stakes (n, 1) or (n, m)."""
    means = np.maximum(means, 1e-9)
    return np.asarray(np.log1p(risked(stakes, means) * (values / means - 1)), dtype=np.float64)


def first_kept(rejects: Rejects, low: float, high: float, *, rounds: int = 3) -> float:
    """The smallest value in [low, high] that is not rejected, rounded down by at most (high - low) / GRID^rounds."""
    for _ in range(rounds):
        grid = np.linspace(low, high, GRID)
        kept = np.flatnonzero(~rejects(grid))
        if not len(kept):
            return high
        first = int(kept[0])
        if first == 0:
            return low
        low, high = float(grid[first - 1]), float(grid[first])
    return low


def betting_low(values: FloatArray, level: float) -> float:
    """Lower one-sided bound of the mean of exchangeable values (n,) in [0, 1]; 0 when there are none.

    The chance that it lies above the truth is at most `level`. The values must
    stand in an order that does not depend on them (see `shuffled`).
    """
    if not len(values):
        return 0.0
    if len(values) > LARGE:
        return empirical_bernstein_low(values, level)
    stakes = bets(values, level)
    return first_kept(lambda means: rejects_at_most(values, stakes, means, level), 0.0, 1.0)


def betting_high(values: FloatArray, level: float) -> float:
    """Upper one-sided bound of the mean; 1 when there are no values."""
    return 1.0 - betting_low(1.0 - values, level)


def empirical_bernstein_low(values: FloatArray, level: float) -> float:
    """Lower one-sided bound of the mean of values (n,) in [0, 1] in closed form.

    mean - sqrt(2 V ln(2 / level) / n) - 7 ln(2 / level) / (3 (n - 1)), V the sample
    variance. Source: Maurer and Pontil 2009, arXiv 0907.3740, theorem 4.
    """
    n = len(values)
    if n < 2:
        return 0.0
    price = math.log(2 / level)
    radius = math.sqrt(2 * float(values.var(ddof=1)) * price / n) + 7 * price / (3 * (n - 1))
    return max(0.0, float(values.mean()) - radius)


def shuffled(n: int, seed: int) -> np.ndarray:
    """(n,) positions in an order that depends on `seed` and `n` alone, so that a sorted table cannot steer the bets."""
    return np.random.default_rng([seed, n]).permutation(n)
