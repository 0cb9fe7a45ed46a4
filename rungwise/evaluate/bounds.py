"""The one-sided bounds that decide: how low, or how high, the true quality may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from rungwise.core.dataset import Example
from rungwise.evaluate import betting
from rungwise.evaluate.answers import Answers, BoolArray, FloatArray
from rungwise.evaluate.binomial import clopper_pearson_high, clopper_pearson_low
from rungwise.evaluate.metric import CorpusMetric, RowMetric, TargetMetric, statistic
from rungwise.evaluate.pooling import Units, pool, pool_scores
from rungwise.evaluate.resampling import effective_size

Control: TypeAlias = Literal["exact", "approximate"]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """`low` lies above the truth with a chance of at most its level, `high` below it with at most its own.

    `n` rows count; they form `units` independent units. `control` says whether
    that is a theorem ("exact") or was only simulated ("approximate").
    """

    low: float
    high: float
    n: int
    units: int
    control: Control
    method: str


def bound(
    metric: TargetMetric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    level_low: float,
    level_high: float,
    out_of_scope: str | None = None,
    seed: int = 0,
) -> Bounds:
    """One-sided bounds of the metric from answers to sampled rows, `low` at `level_low` and `high` at `level_high`.

    Rows that share `Example.group` are one unit and each group counts once. Without
    any counted row nothing is known: the metric's whole range. Raises UsageError
    when the answers lack what the metric needs.
    """
    _check(level_low, level_high)
    if isinstance(metric, CorpusMetric):
        return _bound_corpus(metric, examples, answers, level_low, level_high, out_of_scope=out_of_scope, seed=seed)
    units = pool(metric, examples, answers, out_of_scope=out_of_scope)
    return bound_units(units, level_low=level_low, level_high=level_high, seed=seed)


def bound_scores(
    metric: RowMetric, examples: Sequence[Example], scores: FloatArray, *, level_low: float, level_high: float, seed: int = 0
) -> Bounds:
    """`bound` from stored row scores (rows,), NaN for a row that does not count."""
    _check(level_low, level_high)
    return bound_units(pool_scores(metric, examples, scores), level_low=level_low, level_high=level_high, seed=seed)


def bound_units(units: Units, *, level_low: float, level_high: float, seed: int = 0) -> Bounds:
    """One-sided bounds of a mean or a ratio over independent units; always exact control."""
    if units.form == "hits" or units.form == "share" or units.form == "f1":
        low, high = _bound_trials(units, level_low, level_high)
        method = "Clopper-Pearson"
    else:
        order = betting.shuffled(units.n, seed)
        top, bottom = units.numerator[order], units.denominator[order]
        if units.form == "mean":
            low, high = betting.betting_low(top, level_low), betting.betting_high(top, level_high)
        else:
            low, high = _ratio_low(top, bottom, units.most, level_low), _ratio_high(top, bottom, units.most, level_high)
        method = "betting" if units.n <= betting.LARGE else "empirical Bernstein"
    width = units.high - units.low
    return Bounds(
        low=units.low + width * low,
        high=units.low + width * high,
        n=units.rows,
        units=units.n,
        control="exact",
        method=method + (" on the mean of each group" if units.grouped else ""),
    )


def _bound_trials(units: Units, level_low: float, level_high: float) -> tuple[float, float]:
    """Clopper-Pearson on the rows that count.

    F1 is 2h / (1 + d), h the share of hits and d the share of rows whose denominator
    is 2. Where every miss has 1, d = h and one bound does. Else d <= 1 gives the
    lower bound, and the upper one splits its level between h and d.
    """
    counted = units.denominator > 0
    n, hits = float(counted.sum()), float((units.numerator[counted] > 0).sum())
    low, high = float(clopper_pearson_low(hits, n, level_low)), float(clopper_pearson_high(hits, n, level_high))
    if units.form != "f1":
        return low, high
    if units.miss == 1:
        return 2 * low / (1 + low), 2 * high / (1 + high)
    double = float((units.denominator == 2).sum())
    hit, twice = clopper_pearson_high(hits, n, level_high / 2), clopper_pearson_low(double, n, level_high / 2)
    return low, min(1.0, 2 * float(hit) / (1 + float(twice)))


def _ratio_low(numerator: FloatArray, denominator: FloatArray, most: float, level: float) -> float:
    """The smallest ratio t that a test of E[numerator - t denominator] <= 0 does not reject.

    The difference lies between -t most and (1 - t) most, so that scaled to 0..1 it
    has the mean t exactly when the ratio is t. Source: Fieller's argument with the
    bets of `betting.py` for the test.
    """
    return betting.first_kept(lambda ratios: _reject_ratios(numerator, denominator, most, ratios, level), 0.0, 1.0)


def _ratio_high(numerator: FloatArray, denominator: FloatArray, most: float, level: float) -> float:
    return 1.0 - _ratio_low(denominator - numerator, denominator, most, level)


def _reject_ratios(numerator: FloatArray, denominator: FloatArray, most: float, ratios: FloatArray, level: float) -> BoolArray:
    if not len(numerator):
        return np.zeros(len(ratios), dtype=np.bool_)
    scaled = (numerator[:, None] - ratios * denominator[:, None]) / most + ratios  # (units, ratios)
    return betting.rejects_at_most(scaled, betting.bets(scaled, level), ratios, level)


def _bound_corpus(
    metric: CorpusMetric,
    examples: Sequence[Example],
    answers: Answers,
    level_low: float,
    level_high: float,
    *,
    out_of_scope: str | None,
    seed: int,
) -> Bounds:
    """Clopper-Pearson on the effective size of the sample; simulated, not proved."""
    found, kept = statistic(metric, examples, answers, out_of_scope=out_of_scope)
    size = effective_size(found, kept, seed=seed) if kept else 0.0
    if not size > 0 or np.isnan(found.value):
        return Bounds(low=0.0, high=1.0, n=len(kept), units=0, control="approximate", method="no counted rows")
    hits = min(1.0, max(0.0, found.value)) * size
    return Bounds(
        low=float(clopper_pearson_low(hits, size, level_low)),
        high=float(clopper_pearson_high(hits, size, level_high)),
        n=len(kept),
        units=len({example.group or f"\n{row}" for row, example in enumerate(kept)}),
        control="approximate",
        method="DeLong" if found.influence is not None else "bootstrap",
    )


def _check(*levels: float) -> None:
    for level in levels:
        if not 0 < level < 1:
            raise ValueError(f"a level must lie between 0 and 1, not {level:g}")
