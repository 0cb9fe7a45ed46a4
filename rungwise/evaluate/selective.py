"""Targets with a coverage: answer only when sure enough, often enough, and be right when answering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rungwise.core.dataset import Example
from rungwise.core.errors import CannotScore, UsageError
from rungwise.evaluate.answers import Answers, FloatArray, IntArray
from rungwise.evaluate.bounds import Bounds, bound, bound_scores
from rungwise.evaluate.chance import chance_of_met, chance_of_units
from rungwise.evaluate.metric import Metric, RatioMetric, RowMetric, TargetMetric, counted_rows, value
from rungwise.evaluate.pooling import pool_scores

COVERAGE = RowMetric(name="coverage", score=lambda example, response: 1.0, binary=True)
THRESHOLDS = 200


@dataclass(frozen=True, kw_only=True)
class SelectiveBounds:
    """Bounds of the share of rows answered, and of the quality among them, each at half of the level."""

    coverage: Bounds
    quality: Bounds

    def shows(self, quality: float, coverage: float) -> bool:
        """Whether both lower bounds reach their targets."""
        return self.quality.low >= quality and self.coverage.low >= coverage

    def excludes(self, quality: float, coverage: float) -> bool:
        """Whether an upper bound lies below its target."""
        return self.quality.high < quality or self.coverage.high < coverage


def answered(answers: Answers, threshold: float) -> IntArray:
    """The positions of the rows whose confidence reaches the threshold; a row without confidence is not answered.

    Raises UsageError when no answer has a confidence.
    """
    if not answers.confidences:
        raise CannotScore("a target with a coverage needs confidences, which this candidate does not give. Leave out @coverage")
    return np.asarray([row for row, one in enumerate(answers.confidences) if one is not None and one >= threshold], dtype=np.int64)


def _covered(metric: Metric, examples: Sequence[Example], answers: Answers, threshold: float, scope: str | None) -> FloatArray:
    """(rows,) 1 where answered, 0 where not, NaN outside the metric's scope."""
    covered = np.full(len(examples), np.nan)
    covered[counted_rows(metric, examples, scope)] = 0.0
    rows = answered(answers, threshold)
    covered[rows] = np.where(np.isnan(covered[rows]), np.nan, 1.0)
    return covered


def selective_value(
    metric: Metric, examples: Sequence[Example], answers: Answers, *, threshold: float, out_of_scope: str | None = None
) -> tuple[float, float]:
    """The share of rows answered, and the metric among them; NaN when there are none."""
    rows = answered(answers, threshold)
    quality = value(metric, [examples[row] for row in rows], answers.take(rows), out_of_scope=out_of_scope)
    covered = _covered(metric, examples, answers, threshold, out_of_scope)
    counted = covered[~np.isnan(covered)]
    return (float(counted.mean()) if len(counted) else float("nan")), quality


def selective_bound(
    metric: TargetMetric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    threshold: float,
    level_low: float,
    level_high: float,
    out_of_scope: str | None = None,
    seed: int = 0,
) -> SelectiveBounds:
    """Bounds of coverage and of quality among the answered, each at half of each level, for a threshold fixed beforehand."""
    rows = answered(answers, threshold)
    halves = {"level_low": level_low / 2, "level_high": level_high / 2}
    covered = _covered(metric, examples, answers, threshold, out_of_scope)
    return SelectiveBounds(
        coverage=bound_scores(COVERAGE, examples, covered, **halves, seed=seed),
        quality=bound(metric, [examples[row] for row in rows], answers.take(rows), **halves, out_of_scope=out_of_scope, seed=seed),
    )


def selective_chance(
    metric: TargetMetric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    threshold: float,
    target: float,
    coverage: float,
    n_sealed: int,
    level: float,
    gain: float = 0.0,
    out_of_scope: str | None = None,
    seed: int = 0,
) -> float:
    """The chance that `selective_bound` on the sealed rows shows both targets, taken as independent."""
    rows = answered(answers, threshold)
    if not len(rows):
        return 0.0
    growth = n_sealed / len(examples)
    units = pool_scores(COVERAGE, examples, _covered(metric, examples, answers, threshold, out_of_scope))
    enough = chance_of_units(units, target=coverage, growth=growth, level=level / 2, seed=seed)
    if enough == 0.0:
        return 0.0
    right = chance_of_met(
        metric,
        [examples[row] for row in rows],
        answers.take(rows),
        target=target,
        n_sealed=max(1, round(growth * len(rows))),
        level=level / 2,
        gain=gain,
        out_of_scope=out_of_scope,
        seed=seed,
    )
    return enough * right


def choose_threshold(
    metric: TargetMetric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    target: float,
    coverage: float,
    n_sealed: int,
    level: float,
    out_of_scope: str | None = None,
) -> float:
    """The confidence, on dev, at which both targets are likeliest to be shown; of equals the one that answers most.

    At most 200 thresholds are tried, evenly over the rows from a coverage a little
    under the target upward. Raises UsageError when no answer has a confidence.
    """
    if not isinstance(metric, RowMetric | RatioMetric):
        raise UsageError(f"a coverage needs a metric of rows, and {metric.name} is one of the whole set. Choose accuracy instead")
    sure = sorted((one for one in answers.confidences if one is not None), reverse=True)
    if not sure:
        raise CannotScore("a target with a coverage needs confidences, which this candidate does not give. Leave out @coverage")
    fewest = max(1, min(len(sure), math.floor(0.95 * coverage * len(examples))))
    places = np.unique(np.linspace(fewest - 1, len(sure) - 1, THRESHOLDS).astype(np.int64))
    best, chosen = -1.0, sure[-1]
    for threshold in sorted({sure[place] for place in places}):
        chance = selective_chance(
            metric,
            examples,
            answers,
            threshold=threshold,
            target=target,
            coverage=coverage,
            n_sealed=n_sealed,
            level=level,
            out_of_scope=out_of_scope,
        )
        if chance > best + 1e-12:
            best, chosen = chance, threshold
    return chosen
