"""How much a corpus metric would vary over other samples: stratified bootstrap, or its influence function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rungwise.core.dataset import Example
from rungwise.evaluate.answers import FloatArray, IntArray, unit_codes
from rungwise.evaluate.metric import Statistic

RESAMPLES = 1_000
_CELLS = 4_000_000  # of a table of weights at a time: 32 MB


def resampled_weights(strata: IntArray, codes: IntArray, *, seed: int, resamples: int = RESAMPLES) -> FloatArray:
    """(resamples, rows) how often each row was drawn: rows within their stratum, or whole units where units repeat."""
    rng = np.random.default_rng([seed, len(strata)])
    units, grouped = int(codes.max(initial=-1)) + 1, len(np.unique(codes)) < len(codes)
    if grouped:
        drawn = rng.integers(0, units, size=(resamples, units))
        return _tally(drawn, units)[:, codes]
    order = np.argsort(strata, kind="stable")
    _, start, size = np.unique(strata[order], return_index=True, return_counts=True)
    starts, sizes = np.repeat(start, size), np.repeat(size, size)
    drawn = order[starts + (rng.random((resamples, len(strata))) * sizes).astype(np.int64)]
    return _tally(drawn, len(strata))


def _tally(drawn: IntArray, size: int) -> FloatArray:
    flat = drawn + size * np.arange(len(drawn))[:, None]
    return np.bincount(flat.ravel(), minlength=size * len(drawn)).reshape(len(drawn), size).astype(np.float64)


def replicates(statistic: Statistic, examples: Sequence[Example], *, seed: int, resamples: int = RESAMPLES) -> FloatArray:
    """(resamples,) values of the metric on resampled rows. Raises ValueError for a metric that has only its influence."""
    if statistic.at is None:
        raise ValueError("this metric cannot be resampled: it has an influence function instead")
    codes, _ = unit_codes(examples)
    block = max(1, _CELLS // max(1, len(examples)))
    parts = [
        statistic.at(resampled_weights(statistic.strata, codes, seed=seed + start, resamples=min(block, resamples - start)))
        for start in range(0, resamples, block)
    ]
    return np.concatenate(parts)


def variance(statistic: Statistic, examples: Sequence[Example], *, seed: int) -> float:
    """The variance of the metric over samples like this one, units of rows being the groups."""
    n = len(examples)
    if n < 2:
        return float("nan")
    if statistic.influence is None:
        return float(replicates(statistic, examples, seed=seed).var(ddof=1))
    codes, _ = unit_codes(examples)
    sums = np.bincount(codes, weights=statistic.influence)
    units = len(sums)
    return float((sums**2).sum()) / n**2 * units / max(1, units - 1)


def effective_size(statistic: Statistic, examples: Sequence[Example], *, seed: int) -> float:
    """The number of independent 0-1 trials whose mean would vary as this metric does.

    value (1 - value) / variance, at most `spread` (and, with groups, at most that
    share of it that the groups are of the rows): where errors are few, the sample
    cannot show how unevenly they fall. Source of the idea: Korn and Graubard 1998,
    Survey Methodology 24, for proportions in clustered samples.
    """
    codes, grouped = unit_codes(examples)
    ceiling = statistic.spread * ((int(codes.max()) + 1) / len(codes) if grouped and len(codes) else 1.0)
    value = min(1.0, max(0.0, statistic.value))
    own = variance(statistic, examples, seed=seed)
    if not own > 0 or value in (0.0, 1.0):
        return ceiling
    size = value * (1 - value) / own
    return size if statistic.graded else min(size, ceiling)
