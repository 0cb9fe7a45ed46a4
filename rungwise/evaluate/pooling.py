"""Row and ratio metrics as independent units: what each unit adds to the numerator and to the denominator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers, FloatArray, unit_codes, unit_means
from rungwise.evaluate.metric import RatioMetric, RowMetric, in_scope, row_scores

Form: TypeAlias = Literal["mean", "hits", "share", "f1", "ratio"]


@dataclass(frozen=True, eq=False)
class Units:
    """Independent units: `numerator` and `denominator` (units,), the metric being the ratio of their sums.

    `form` says which test fits: "hits" and "share" count 0-1 units (all of them,
    or those whose denominator is 1), "f1" counts hits (2, 2) and misses (0, 1 or
    2), "mean" has bounded values and denominator 1, "ratio" anything else with the
    numerator below the denominator. Values of a mean are scaled from
    `low`..`high` to 0..1. With groups each group counts once: `grouped`.
    `rows` is how many rows count; `most` bounds the denominator of a unit from above.
    `miss` is the greatest denominator of a miss in the form "f1".
    """

    numerator: FloatArray
    denominator: FloatArray
    form: Form
    grouped: bool
    rows: int
    low: float = 0.0
    high: float = 1.0
    most: float = 1.0
    miss: float = 1.0

    @property
    def n(self) -> int:
        """How many units there are."""
        return len(self.numerator)

    @property
    def value(self) -> float:
        """The metric over the units, on its own scale; NaN without any."""
        total = float(self.denominator.sum())
        if not self.n or (total == 0 and self.form != "ratio" and self.form != "f1"):
            return float("nan")
        share = float(self.numerator.sum()) / total if total > 0 else 0.0
        return self.low + (self.high - self.low) * share


def pool(
    metric: RowMetric | RatioMetric, examples: Sequence[Example], answers: Answers, *, out_of_scope: str | None = None
) -> Units:
    """The counted rows as independent units; rows that share a group are one, and count as their mean."""
    if isinstance(metric, RowMetric):
        return pool_scores(metric, examples, row_scores(metric, examples, answers, out_of_scope=out_of_scope))
    kept, given = in_scope(metric, examples, answers, out_of_scope)
    numerator, denominator = metric.counts(kept, given, metric.positive)
    codes, grouped = unit_codes(kept)
    rows = int((denominator > 0).sum())
    most = max(1.0, float(denominator.max(initial=0.0)), 2.0 * _label_count(kept, given))
    if grouped:
        return Units(unit_means(numerator, codes), unit_means(denominator, codes), "ratio", True, rows, most=most)
    form = _ratio_form(metric, numerator, denominator)
    return Units(numerator, denominator, form, False, rows, most=most, miss=metric.miss)


def pool_scores(metric: RowMetric, examples: Sequence[Example], scores: FloatArray) -> Units:
    """The same from the stored row scores (rows,), NaN for rows that do not count."""
    counted = ~np.isnan(scores)
    codes, grouped = unit_codes([example for example, own in zip(examples, counted, strict=True) if own])
    values = (scores[counted] - metric.low) / (metric.high - metric.low)
    if grouped:
        values = unit_means(values, codes)
    form: Form = "hits" if metric.binary and not grouped else "mean"
    return Units(values, np.ones(len(values)), form, grouped, int(counted.sum()), metric.low, metric.high)


def _ratio_form(metric: RatioMetric, numerator: FloatArray, denominator: FloatArray) -> Form:
    """Labels that come one a row make a ratio of counts a matter of single trials, for which there are exact bounds.

    Precision and recall count rows whose denominator is 1: given that number, the
    hits are binomial. F1 = 2q / (1 + q) with q = hits over rows that count, when a
    miss is one false alarm or one omission; a wrong label of several is both (2).
    """
    top, bottom = numerator[denominator > 0], denominator[denominator > 0]
    if metric.trials == "share" and np.all(bottom == 1):
        return "share"
    if metric.trials == "f1" and np.all(((top == 2) & (bottom == 2)) | ((top == 0) & (bottom <= metric.miss))):
        return "f1"
    return "ratio"


def _label_count(examples: Sequence[Example], answers: Answers) -> int:
    return len(set(answers.labels) or {label for example in examples for label in example.references})
