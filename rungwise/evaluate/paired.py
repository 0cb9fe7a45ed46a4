"""Two candidates on the same rows: is one better, by how much, and on which rows do they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers, FloatArray, unit_codes, unit_means
from rungwise.evaluate.binomial import binomial_at_least, wilson
from rungwise.evaluate.labels import accuracy
from rungwise.evaluate.metric import (
    CorpusMetric,
    Metric,
    RatioMetric,
    ReportMetric,
    RowMetric,
    counted_rows,
    in_scope,
    row_scores,
    statistic,
)
from rungwise.evaluate.resampling import replicates, resampled_weights

RESAMPLES = 2_000


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The second candidate against the first, on the same rows.

    `difference` is second less first, with a two-sided interval at `level`.
    `p_value` tests that there is none. `wins` and `losses` are rows on which the
    second is better and worse; `differing` their positions (for a metric of the
    whole set: all rows whose answers differ, won where the second alone is right).
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    wins: int
    losses: int
    ties: int
    differing: tuple[int, ...]
    n: int
    level: float
    method: str


def compare(
    metric: Metric,
    examples: Sequence[Example],
    first: Answers,
    second: Answers,
    *,
    out_of_scope: str | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two candidates' answers to the same rows.

    0-1 scores of independent rows: exact McNemar test and Newcombe's paired
    interval. Everything else: a bootstrap that draws the same rows, or groups, for
    both. AUC: DeLong's test. Raises UsageError when either lacks what the metric needs.
    """
    if isinstance(metric, RowMetric):
        a, b = (row_scores(metric, examples, answers, out_of_scope=out_of_scope) for answers in (first, second))
        return compare_scores(metric, examples, a, b, level=level, seed=seed)
    if isinstance(metric, RatioMetric):
        return _compare_ratios(metric, examples, first, second, out_of_scope, level, seed=seed)
    return _compare_corpora(metric, examples, first, second, out_of_scope, level, seed=seed)


def compare_scores(
    metric: RowMetric, examples: Sequence[Example], first: FloatArray, second: FloatArray, *, level: float = 0.95, seed: int = 0
) -> Comparison:
    """`compare` from stored row scores (rows,) each; rows that count for both are compared."""
    counted = np.flatnonzero(~np.isnan(first) & ~np.isnan(second))
    a, b = first[counted], second[counted]
    codes, grouped = unit_codes([examples[int(row)] for row in counted])
    wins, losses = int((b > a).sum()), int((b < a).sum())
    differing = tuple(int(row) for row in counted[a != b])
    if not len(counted):
        return _summary(metric.name, math.nan, math.nan, (-1.0, 1.0, 1.0), "no counted rows", (0, 0, 0), (), level)
    if metric.binary and not grouped:
        both, neither = int(((a == 1) & (b == 1)).sum()), int(((a == 0) & (b == 0)).sum())
        low, high = newcombe_paired(both, wins, losses, neither, level=level)
        result, method = (low, high, mcnemar(wins, losses)), "McNemar, Newcombe"
    else:
        ones = np.ones(len(np.unique(codes)))
        result = _bootstrap_ratios(unit_means(a, codes), ones, unit_means(b, codes), ones, level, seed)
        a, b = unit_means(a, codes), unit_means(b, codes)
        method = "paired bootstrap" + (" over groups" if grouped else "")
    ties = len(counted) - wins - losses
    return _summary(metric.name, float(a.mean()), float(b.mean()), result, method, (wins, losses, ties), differing, level)


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided p-value that wins and losses are equally likely. Source: McNemar 1947, Psychometrika 12."""
    return min(1.0, 2 * float(binomial_at_least(max(wins, losses), wins + losses, 0.5)))


def newcombe_paired(both: int, gained: int, lost: int, neither: int, *, level: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of (gained - lost) / n from paired 0-1 scores.

    Source: Newcombe 1998, Statistics in Medicine 17, 2635-2650, method 10: Wilson's
    intervals of the two proportions, joined by their correlation, which is
    corrected for continuity.
    """
    n = both + gained + lost + neither
    if n == 0:
        return -1.0, 1.0
    second, first = (both + gained) / n, (both + lost) / n
    (low2, high2), (low1, high1) = wilson(both + gained, n, level=level), wilson(both + lost, n, level=level)
    product = float(both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    cross = float(both * neither - gained * lost)
    together = max(cross - n / 2, 0.0) if cross > 0 else cross
    phi = together / math.sqrt(product) if product > 0 else 0.0
    down, up = _joined(second - low2, high1 - first, phi), _joined(high2 - second, first - low1, phi)
    return second - first - down, second - first + up


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))


def _compare_ratios(
    metric: RatioMetric,
    examples: Sequence[Example],
    first: Answers,
    second: Answers,
    scope: str | None,
    level: float,
    *,
    seed: int,
) -> Comparison:
    rows = counted_rows(metric, examples, scope)
    kept, a = in_scope(metric, examples, first, scope)
    _, b = in_scope(metric, examples, second, scope)
    tally, differing = _rows_that_differ(kept, a, b, rows)
    if not kept:
        return _summary(metric.name, math.nan, math.nan, (-1.0, 1.0, 1.0), "no counted rows", tally, differing, level)
    codes, _ = unit_codes(kept)
    top1, bottom1 = (unit_means(one, codes) for one in metric.counts(kept, a, metric.positive))
    top2, bottom2 = (unit_means(one, codes) for one in metric.counts(kept, b, metric.positive))
    result = _bootstrap_ratios(top1, bottom1, top2, bottom2, level, seed)
    before, after = float(_ratio(top1.sum(), bottom1.sum())), float(_ratio(top2.sum(), bottom2.sum()))
    return _summary(metric.name, before, after, result, "paired bootstrap", tally, differing, level)


def _bootstrap_ratios(
    top1: FloatArray, bottom1: FloatArray, top2: FloatArray, bottom2: FloatArray, level: float, seed: int
) -> tuple[float, float, float]:
    """Percentile interval and p-value of sum(top2) / sum(bottom2) - sum(top1) / sum(bottom1) over units (n,)."""
    n = len(top1)
    seen = _ratio(top2.sum(), bottom2.sum()) - _ratio(top1.sum(), bottom1.sum())
    alone = np.zeros(n, dtype=np.int64)
    block = max(1, 4_000_000 // n)
    drawn = []
    for start in range(0, RESAMPLES, block):
        weights = resampled_weights(alone, np.arange(n), seed=seed + start, resamples=min(block, RESAMPLES - start))
        drawn.append(_ratio(weights @ top2, weights @ bottom2) - _ratio(weights @ top1, weights @ bottom1))
    return _interval(np.concatenate(drawn), float(seen), level)


def _ratio(top: ArrayLike, bottom: ArrayLike) -> FloatArray:
    top, bottom = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    return np.asarray(np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0), dtype=np.float64)


def _interval(drawn: FloatArray, seen: float, level: float) -> tuple[float, float, float]:
    """Percentiles, and how often a resample strays from what was seen by at least that much."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    strays = int((np.abs(drawn - seen) >= abs(seen) - 1e-12).sum())
    return float(low), float(high), (strays + 1) / (len(drawn) + 1)


def _compare_corpora(
    metric: CorpusMetric | ReportMetric,
    examples: Sequence[Example],
    first: Answers,
    second: Answers,
    scope: str | None,
    level: float,
    *,
    seed: int,
) -> Comparison:
    rows = counted_rows(metric, examples, scope)
    before, kept = statistic(metric, examples, first, out_of_scope=scope)
    after, _ = statistic(metric, examples, second, out_of_scope=scope)
    tally, differing = _rows_that_differ(kept, first.take(rows), second.take(rows), rows)
    if math.isnan(before.value) or math.isnan(after.value):
        return _summary(metric.name, before.value, after.value, (-1.0, 1.0, 1.0), "no counted rows", tally, differing, level)
    if before.influence is not None and after.influence is not None:
        result, method = _delong(after.value - before.value, (before.influence, after.influence), kept, level), "DeLong"
    else:
        drawn = replicates(after, kept, seed=seed) - replicates(before, kept, seed=seed)  # equal seeds draw equal rows
        result, method = _interval(drawn, after.value - before.value, level), "paired bootstrap"
    return _summary(metric.name, before.value, after.value, result, method, tally, differing, level)


def _delong(
    seen: float, influences: tuple[FloatArray, FloatArray], kept: Sequence[Example], level: float
) -> tuple[float, float, float]:
    """Normal interval and p-value of a difference of areas. Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44."""
    from scipy.special import ndtr, ndtri

    codes, _ = unit_codes(kept)
    sums = np.bincount(codes, weights=influences[1] - influences[0])
    error = math.sqrt(float((sums**2).sum()) * len(sums) / max(1, len(sums) - 1)) / len(kept)
    half = float(ndtri((1 + level) / 2)) * error
    p_value = 2 * float(ndtr(-abs(seen) / error)) if error > 0 else float(seen == 0)
    return seen - half, seen + half, p_value


def _rows_that_differ(
    kept: Sequence[Example], first: Answers, second: Answers, rows: np.ndarray
) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    differ = [row for row in range(len(kept)) if first.texts[row] != second.texts[row]]
    change = [accuracy(kept[row], second.response(row)) - accuracy(kept[row], first.response(row)) for row in differ]
    wins, losses = sum(one > 0 for one in change), sum(one < 0 for one in change)
    return (wins, losses, len(kept) - wins - losses), tuple(int(rows[row]) for row in differ)


def _summary(
    name: str,
    first: float,
    second: float,
    result: tuple[float, float, float],
    method: str,
    tally: tuple[int, int, int],
    differing: tuple[int, ...],
    level: float,
) -> Comparison:
    low, high, p_value = result
    wins, losses, ties = tally
    return Comparison(
        metric=name,
        first=float(first),
        second=float(second),
        difference=float(second) - float(first),
        low=low,
        high=high,
        p_value=p_value,
        wins=wins,
        losses=losses,
        ties=ties,
        differing=differing,
        n=wins + losses + ties,
        level=level,
        method=method,
    )
