"""Estimates with two-sided intervals for people to look at; nothing is ever decided by them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rungwise.core.dataset import Example
from rungwise.core.evaluation import Estimate
from rungwise.evaluate.answers import Answers, FloatArray
from rungwise.evaluate.binomial import clopper_pearson_high, clopper_pearson_low, wilson
from rungwise.evaluate.metric import CorpusMetric, Metric, ReportMetric, RowMetric, Statistic, statistic
from rungwise.evaluate.pooling import Units, pool, pool_scores
from rungwise.evaluate.resampling import effective_size, replicates

LEVEL = 0.95
RESAMPLES = 2_000
LARGE = 20_000  # above this many units the bootstrap shows nothing that the normal interval does not
FEW = 5.0
_CELLS = 4_000_000


def estimate(
    metric: Metric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    out_of_scope: str | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """The metric with a two-sided interval: Wilson for 0-1 rows, BCa for other rows and groups, bootstrap for the corpus.

    With groups each group counts once, as in the bounds that decide. NaN when no row counts.
    """
    if isinstance(metric, CorpusMetric | ReportMetric):
        found, kept = statistic(metric, examples, answers, out_of_scope=out_of_scope)
        return _estimate_corpus(metric, found, kept, level=level, seed=seed)
    return estimate_units(pool(metric, examples, answers, out_of_scope=out_of_scope), level=level, seed=seed)


def estimate_scores(
    metric: RowMetric, examples: Sequence[Example], scores: FloatArray, *, level: float = LEVEL, seed: int = 0
) -> Estimate:
    """`estimate` from stored row scores (rows,), NaN for a row that does not count."""
    return estimate_units(pool_scores(metric, examples, scores), level=level, seed=seed)


def estimate_units(units: Units, *, level: float = LEVEL, seed: int = 0) -> Estimate:
    """The mean or ratio of independent units with its interval."""
    if math.isnan(units.value):
        return Estimate(mean=units.value, low=units.low, high=units.high, n=0, level=level, method="no counted rows")
    if units.form in ("hits", "share"):
        counted = units.denominator > 0
        low, high = wilson(float(units.numerator[counted].sum()), float(counted.sum()), level=level)
        method = "Wilson"
    else:
        (low, high), method = bca(units.numerator, units.denominator, level=level, seed=seed)
    width = units.high - units.low
    method += " on the mean of each group" if units.grouped else ""
    return Estimate(
        mean=units.value, low=units.low + width * low, high=units.low + width * high, n=units.rows, level=level, method=method
    )


def bca(numerator: FloatArray, denominator: FloatArray, *, level: float, seed: int) -> tuple[tuple[float, float], str]:
    """Bias-corrected and accelerated bootstrap interval of sum / sum over units (n,), kept within 0..1.

    Source: Efron 1987, JASA 82. Where n v (1 - v) < 5 too few values differ for the
    bootstrap to see how much they vary (it covered 38 % at n = 20, v = 0.98,
    `benchmarks/bounds.py`); then it is Wilson's interval of n trials, which vary at
    least as much. Above 20,000 units the normal interval stands in.
    """
    from scipy.special import ndtr, ndtri

    total, n = float(denominator.sum()), len(numerator)
    value = float(numerator.sum()) / total if total else 0.0
    residual = numerator - value * denominator
    if n * value * (1 - value) < FEW or not np.any(np.abs(residual) > 1e-12):
        return wilson(value * n, n, level=level), "Wilson"
    if n > LARGE:
        half = float(ndtri(0.5 + level / 2)) * math.sqrt(float((residual**2).sum())) / total
        return (max(0.0, value - half), min(1.0, value + half)), "normal"
    drawn = _ratios_redrawn(numerator, denominator, seed)
    bias = ndtri(np.clip((drawn < value).mean() + (drawn == value).mean() / 2, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    left_out = total - denominator
    alone = np.divide(numerator.sum() - numerator, left_out, out=np.full(n, value), where=left_out > 0)
    away = alone.mean() - alone
    squares = float((away**2).sum())
    pull = float((away**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    z = bias + ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(drawn, ndtr(bias + z / (1 - pull * z)))
    return (max(0.0, float(low)), min(1.0, float(high))), "BCa"


def _ratios_redrawn(numerator: FloatArray, denominator: FloatArray, seed: int) -> FloatArray:
    """(resamples,) the ratio of as many units drawn with replacement."""
    n = len(numerator)
    rng = np.random.default_rng([seed, n])
    block = max(1, _CELLS // n)
    found = []
    for start in range(0, RESAMPLES, block):
        drawn = rng.integers(0, n, size=(min(block, RESAMPLES - start), n))
        top, bottom = numerator[drawn].sum(axis=1), denominator[drawn].sum(axis=1)
        found.append(np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0))
    return np.concatenate(found)


def _estimate_corpus(
    metric: CorpusMetric | ReportMetric, found: Statistic, kept: Sequence[Example], *, level: float, seed: int
) -> Estimate:
    """A target metric gets the bounds that decide about it, at half the level each; a reported one bootstrap percentiles."""
    tail = (1 - level) / 2
    if math.isnan(found.value):
        return Estimate(mean=found.value, low=0.0, high=1.0, n=len(kept), level=level, method="no counted rows")
    if isinstance(metric, ReportMetric):
        low, high = np.quantile(replicates(found, kept, seed=seed), [tail, 1 - tail])
        return Estimate(mean=found.value, low=float(low), high=float(high), n=len(kept), level=level, method="bootstrap")
    size = effective_size(found, kept, seed=seed)
    hits = min(1.0, max(0.0, found.value)) * size
    low, high = clopper_pearson_low(hits, size, tail), clopper_pearson_high(hits, size, tail)
    method = "DeLong" if found.influence is not None else "bootstrap"
    return Estimate(mean=found.value, low=float(low), high=float(high), n=len(kept), level=level, method=method)
