"""Paired differences that may be looked at after every row: bounds that hold at all times at once."""

from __future__ import annotations

import math

import numpy as np

from rungwise.evaluate.answers import FloatArray
from rungwise.evaluate.betting import first_kept, rejects_at_most, variances_before, winnings

PATH_GRID = 401  # differences to 0.005


def paired_lead(differences: FloatArray, *, level: float = 0.05) -> tuple[float, float]:
    """Bounds of the mean of exchangeable paired differences (n,) in [-1, 1], in the order in which they were seen.

    Both hold with a chance of at least 1 - `level` whenever one stops looking. The
    stakes are those that keep their strength at any sample size: Waudby-Smith and
    Ramdas 2024, arXiv 2010.09686. (-1, 1) without differences.
    """
    if not len(differences):
        return -1.0, 1.0
    return _lead(differences, level / 2), -_lead(-differences, level / 2)


def _lead(differences: FloatArray, level: float) -> float:
    values = (1 + differences) / 2
    stakes = stakes_for_ever(values, level)
    return 2 * first_kept(lambda means: rejects_at_most(values, stakes, means, level), 0.0, 1.0) - 1


def stakes_for_ever(values: FloatArray, level: float) -> FloatArray:
    """(n,) predictable stakes sqrt(2 ln(1 / level) / (variance so far t ln(1 + t)))."""
    t = np.arange(1, len(values) + 1)
    return np.asarray(np.sqrt(2 * math.log(1 / level) / (variances_before(values) * t * np.log1p(t))), dtype=np.float64)


def paired_path(differences: FloatArray, *, level: float = 0.05) -> tuple[FloatArray, FloatArray]:
    """The bounds (n,) and (n,) as they stood after each difference, on a grid of 0.005 rounded outward."""
    return _path(differences, level / 2), -_path(-differences, level / 2)


def _path(differences: FloatArray, level: float) -> FloatArray:
    values = ((1 + differences) / 2)[:, None]
    stakes = stakes_for_ever(values[:, 0], level)[:, None]
    means = np.linspace(0.0, 1.0, PATH_GRID)
    best = np.maximum.accumulate(np.cumsum(winnings(values, stakes, means), axis=0), axis=0)
    kept = best < math.log(1 / level)
    first = np.where(kept.any(axis=1), kept.argmax(axis=1), PATH_GRID)
    return np.asarray(2 * means[np.maximum(first - 1, 0)] - 1, dtype=np.float64)
