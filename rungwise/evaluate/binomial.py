"""Exact binomial bounds, tails and power."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from rungwise.evaluate.answers import FloatArray


def clopper_pearson_low(hits: ArrayLike, n: ArrayLike, level: ArrayLike) -> FloatArray:
    """Lower one-sided bound of a proportion: `level` is the chance that it lies above the truth, at most.

    0 when nothing was hit. `hits` and `n` may be fractions (effective sizes).
    Source: Clopper and Pearson 1934, Biometrika 26; the quantile of Beta(x, n - x + 1).
    """
    from scipy.special import betaincinv

    hits, n, level = np.asarray(hits, float), np.asarray(n, float), np.asarray(level, float)
    inside = hits > 0
    found = betaincinv(np.where(inside, hits, 1.0), np.where(inside, np.maximum(n - hits, 0.0), 1.0) + 1.0, level)
    return np.asarray(np.where(inside, found, 0.0), dtype=np.float64)


def clopper_pearson_high(hits: ArrayLike, n: ArrayLike, level: ArrayLike) -> FloatArray:
    """Upper one-sided bound of a proportion; 1 when nothing was missed."""
    return np.asarray(1.0 - clopper_pearson_low(np.asarray(n, float) - np.asarray(hits, float), n, level), dtype=np.float64)


def binomial_at_least(hits: ArrayLike, n: ArrayLike, truth: ArrayLike) -> FloatArray:
    """P(X >= hits) for X binomial (n, truth); 1 when hits <= 0, 0 when hits > n."""
    from scipy.special import betainc

    hits, n, truth = np.asarray(hits, float), np.asarray(n, float), np.asarray(truth, float)
    inside = (hits > 0) & (hits <= n)
    tail = betainc(np.where(inside, hits, 1.0), np.where(inside, n - hits + 1.0, 1.0), truth)
    return np.asarray(np.where(hits <= 0, 1.0, np.where(inside, tail, 0.0)), dtype=np.float64)


def beta_binomial(n: int, a: float, b: float) -> FloatArray:
    """(n + 1,): the chance of each count 0..n when the proportion is drawn from Beta(a, b)."""
    from scipy.special import betaln, gammaln

    count = np.arange(n + 1, dtype=np.float64)
    choose = gammaln(n + 1) - gammaln(count + 1) - gammaln(n - count + 1)
    return np.asarray(np.exp(choose + betaln(count + a, n - count + b) - betaln(a, b)), dtype=np.float64)


def critical_hits(target: float, n: int, level: float) -> int:
    """The fewest hits of `n` whose lower bound at `level` reaches `target`; n + 1 when not even n do."""
    low, high = 0, n + 1  # clopper_pearson_low(hits) >= target exactly when P(X >= hits | target) <= level, falling in hits
    while low < high:
        middle = (low + high) // 2
        if float(binomial_at_least(middle, n, target)) <= level:
            high = middle
        else:
            low = middle + 1
    return low


def wilson(hits: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval of a proportion, for display. Source: E. B. Wilson 1927, JASA 22. (0, 1) when n is 0."""
    from scipy.special import ndtri

    if n <= 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + level / 2))
    mean, shrink = hits / n, 1 + z * z / n
    centre = (mean + z * z / (2 * n)) / shrink
    half = z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n)) / shrink
    return (0.0 if hits <= 0 else max(0.0, centre - half)), (1.0 if hits >= n else min(1.0, centre + half))
