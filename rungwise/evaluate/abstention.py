"""What abstaining buys: quality against coverage when the least certain answers are withheld, and the area under that curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rungwise.core.dataset import Example
from rungwise.core.errors import CannotScore
from rungwise.core.evaluation import Estimate
from rungwise.evaluate.answers import Answers, FloatArray, unit_codes
from rungwise.evaluate.display import LEVEL, estimate
from rungwise.evaluate.metric import RowMetric, row_scores
from rungwise.evaluate.selective import answered, selective_value

RESAMPLES = 2_000


@dataclass(frozen=True, kw_only=True)
class CoveragePoint:
    """The metric among the answers at least as sure as `threshold`; `coverage` is the share of counted rows that they are."""

    threshold: float
    coverage: float
    quality: Estimate

    @property
    def risk(self) -> float:
        """1 - quality."""
        return 1.0 - self.quality.mean


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What withholding the least certain share of answers does: the metric before, after, and after - before with its interval."""

    withheld: float
    before: float
    after: float
    gain: Estimate


def coverage_curve(
    metric: RowMetric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    points: int = 20,
    out_of_scope: str | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[CoveragePoint, ...]:
    """At most `points` thresholds, evenly over the counted rows, from the surest few to all with a confidence.

    Each interval is two-sided and holds for its own point, not for all at once; a threshold that is to be used must be
    chosen on other rows. Raises CannotScore without confidences.
    """
    _, sure = _certain(metric, examples, answers, out_of_scope)
    given = np.sort(sure[np.isfinite(sure)])[::-1]
    if not len(given):
        return ()
    places = np.unique(np.linspace(0, len(given), points + 1)[1:].astype(np.int64)) - 1
    curve = []
    for threshold in sorted({float(given[place]) for place in places if place >= 0}, reverse=True):
        rows = answered(answers, threshold)
        coverage, _ = selective_value(metric, examples, answers, threshold=threshold, out_of_scope=out_of_scope)
        kept = [examples[row] for row in rows]
        quality = estimate(metric, kept, answers.take(rows), out_of_scope=out_of_scope, level=level, seed=seed)
        curve.append(CoveragePoint(threshold=threshold, coverage=coverage, quality=quality))
    return tuple(curve)


def area_under_risk(metric: RowMetric, examples: Sequence[Example], answers: Answers, *, out_of_scope: str | None = None) -> float:
    """The area under risk against coverage, 0 to 1, lower is better; NaN when no row counts. Risk is 1 - the mean score.

    The mean, over k = 1..n, of the risk of the k surest rows; rows of equal confidence share their mean score, so that
    their order does not matter, and rows without one come last. Source: Geifman et al. 2019, arXiv 1805.08206.
    """
    scores, sure = _certain(metric, examples, answers, out_of_scope)
    return _area(scores, sure)


def abstention_gain(
    metric: RowMetric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    share: float = 0.2,
    out_of_scope: str | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Gain:
    """The metric among the surest 1 - `share` of the rows less that among all, with a two-sided interval.

    The interval is a percentile bootstrap of 2,000 draws of whole groups, the cut made anew in each. Of rows of equal
    confidence at the cut, each counts in part. Raises ValueError when `share` is not inside (0, 1).
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share to withhold must lie between 0 and 1, not {share:g}")
    scores, sure = _certain(metric, examples, answers, out_of_scope)
    if not len(scores):
        nothing = Estimate(mean=math.nan, low=math.nan, high=math.nan, n=0, level=level, method="no counted rows")
        return Gain(withheld=share, before=math.nan, after=math.nan, gain=nothing)
    before, after = float(scores.mean()), _surest(scores, sure, 1.0 - share)
    counted = [
        example for example, one in zip(examples, _scores(metric, examples, answers, out_of_scope), strict=True) if one == one
    ]
    units = _rows_of_units(counted)
    rng = np.random.default_rng(seed)
    draws = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        rows = np.concatenate([units[unit] for unit in rng.integers(0, len(units), len(units))])
        draws[draw] = _surest(scores[rows], sure[rows], 1.0 - share) - scores[rows].mean()
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    gain = Estimate(
        mean=after - before, low=float(low), high=float(high), n=len(scores), level=level, method="percentile bootstrap"
    )
    return Gain(withheld=share, before=before, after=after, gain=gain)


def _scores(metric: RowMetric, examples: Sequence[Example], answers: Answers, scope: str | None) -> FloatArray:
    return row_scores(metric, examples, answers, out_of_scope=scope)


def _certain(
    metric: RowMetric, examples: Sequence[Example], answers: Answers, out_of_scope: str | None
) -> tuple[FloatArray, FloatArray]:
    """The scores of the counted rows and their confidences, -inf where there is none; both (counted,)."""
    if not answers.confidences:
        raise CannotScore("a coverage curve needs confidences, which this candidate does not give. Choose a candidate that does")
    scores = _scores(metric, examples, answers, out_of_scope)
    sure = np.asarray([-math.inf if one is None else one for one in answers.confidences])
    counted = ~np.isnan(scores)
    return scores[counted], sure[counted]


def _levelled(scores: FloatArray, sure: FloatArray) -> FloatArray:
    """The scores, surest first, each the mean of those of equal confidence."""
    _, codes = np.unique(-sure, return_inverse=True)
    sizes = np.bincount(codes)
    return np.repeat(np.bincount(codes, weights=scores) / sizes, sizes)


def _area(scores: FloatArray, sure: FloatArray) -> float:
    if not len(scores):
        return math.nan
    levelled = _levelled(scores, sure)
    return float(1.0 - (np.cumsum(levelled) / np.arange(1, len(levelled) + 1)).mean())


def _surest(scores: FloatArray, sure: FloatArray, share: float) -> float:
    """The mean score of the surest `share` of the rows, a part of a row counting in part."""
    levelled = _levelled(scores, sure)
    size = share * len(levelled)
    whole = int(size)
    part = (size - whole) * levelled[whole] if whole < len(levelled) else 0.0
    return float((levelled[:whole].sum() + part) / size)


def _rows_of_units(examples: Sequence[Example]) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    codes, _ = unit_codes(examples)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
