"""Declared metrics: what each one is a function of, its range, and which test may decide on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, TypeAlias

import numpy as np

from rungwise.core.dataset import Example
from rungwise.core.errors import CannotScore, UnknownName, UsageError
from rungwise.core.types import Score
from rungwise.evaluate.answers import Answers, FloatArray, IntArray

DOOR = "rungwise.metrics"

Rows: TypeAlias = Literal["all", "in_scope", "out_of_scope"]
Needs: TypeAlias = Literal["texts", "confidences", "probabilities", "passages"]


@dataclass(frozen=True, kw_only=True)
class RowMetric:
    """The mean of a score of each row, `low` to `high`; `binary` scores are only ever 0 or 1. A NaN score is not counted."""

    name: str
    score: Score
    low: float = 0.0
    high: float = 1.0
    binary: bool = False
    rows: Rows = "all"
    needs: Needs = "texts"


@dataclass(frozen=True, kw_only=True)
class RatioMetric:
    """The sum of a numerator over the sum of a denominator, both counted row by row; 0 when nothing counts.

    `counts(examples, answers, positive)` gives two arrays (rows,) with
    0 <= numerator <= denominator. `positive` is the label that a binary metric is
    about; without it, the last of two labels in sorted order, as in scikit-learn.
    `trials` says what a row with one label is: part of a "share" (numerator 0 or 1,
    denominator 0 or 1) or of an "f1" (hit 2 over 2, miss 0 over 1 up to `miss`).
    """

    name: str
    counts: Callable[[Sequence[Example], Answers, str | None], tuple[FloatArray, FloatArray]]
    positive: str | None = None
    trials: Literal["share", "f1"] | None = None
    miss: float = 1.0
    rows: Rows = "all"
    needs: Needs = "texts"


@dataclass(frozen=True, eq=False)
class Statistic:
    """A corpus metric on certain rows, ready to be asked again with other weights of the rows.

    `at` maps weights (B, rows) to values (B,). `influence` (rows,), where a closed
    form exists, is what each row adds: the variance is that of its mean. `strata`
    (rows,) are the classes within which rows are resampled. `spread` is the number
    of independent 0-1 trials that would know as much if all rows were equally hard;
    `graded` values of a row (BLEU) may tell more than so many trials.
    """

    value: float
    strata: IntArray
    spread: float
    at: Callable[[FloatArray], FloatArray] | None = None
    influence: FloatArray | None = None
    graded: bool = False


@dataclass(frozen=True, kw_only=True)
class CorpusMetric:
    """A function of all pairs at once, at most 1 and 0 for a guess or worse; its control is approximate.

    `prepare(examples, answers, ignore)` does the work that does not depend on the
    weights of rows; the label `ignore` is not averaged over.
    """

    name: str
    prepare: Callable[[Sequence[Example], Answers, str | None], Statistic]
    rows: Rows = "all"
    needs: Needs = "texts"


@dataclass(frozen=True, kw_only=True)
class ReportMetric:
    """Reported, never a target: unbounded or biased in small samples, as `because` says. `instead` is the metric to aim for."""

    name: str
    prepare: Callable[[Sequence[Example], Answers, str | None], Statistic]
    instead: str
    because: str
    rows: Rows = "all"
    needs: Needs = "texts"


Metric: TypeAlias = RowMetric | RatioMetric | CorpusMetric | ReportMetric
TargetMetric: TypeAlias = RowMetric | RatioMetric | CorpusMetric


@cache
def _door() -> Mapping[str, EntryPoint]:
    """Read on first use only: listing what is installed takes longer than the rest of a start-up. Built-ins win."""
    found = sorted(entry_points(group=DOOR), key=lambda entry: entry.value.startswith("rungwise."))
    return {entry.name: entry for entry in found}


def metric_names() -> tuple[str, ...]:
    """The names of all metrics that are installed, sorted."""
    return tuple(sorted(_door()))


def metric(name: str) -> Metric:
    """The metric of that name; `binary_f1@spam` is binary_f1 with the positive label 'spam'.

    Raises UnknownName, which offers the nearest name, and UsageError for a
    positive label where the metric has none.
    """
    door = _door()
    if not door:
        raise UsageError(f"no metrics are registered under '{DOOR}'. Install Rungwise again: pip install -e .")
    plain, _, positive = name.partition("@")
    if plain not in door:
        raise UnknownName("metric", plain, door)
    found = door[plain].load()
    if not isinstance(found, RowMetric | RatioMetric | CorpusMetric | ReportMetric):
        raise UsageError(f"the entry point '{plain}' of {DOOR} is not a metric: {door[plain].value} is a {type(found).__name__}")
    if not positive:
        return found
    if not isinstance(found, RatioMetric) or not plain.startswith("binary_"):
        raise UsageError(f"{plain} has no positive label. Write {plain} alone, or binary_f1@{positive}")
    return dataclasses.replace(found, name=name, positive=positive)


def target_metric(name: str) -> TargetMetric:
    """The metric of that name if a target can be shown for it. Raises UsageError that says what to choose instead."""
    found = metric(name)
    if isinstance(found, ReportMetric):
        raise UsageError(f"{name} can be reported but not be a target: {found.because}. Aim for {found.instead} instead")
    return found


def is_computable(metric: Metric, answers: Answers, out_of_scope: str | None = None) -> bool:
    """Whether these answers hold what the metric needs."""
    if metric.rows != "all" and out_of_scope is None:
        return False
    if metric.needs == "probabilities":
        return answers.probabilities is not None
    if metric.needs == "passages":
        return bool(answers.passages)
    return metric.needs != "confidences" or bool(answers.confidences)


def counted_rows(metric: Metric, examples: Sequence[Example], out_of_scope: str | None) -> IntArray:
    """The positions of the rows that are in the metric's scope. Raises UsageError when the scope is not known."""
    if metric.rows == "all":
        return np.arange(len(examples))
    if out_of_scope is None:
        raise UsageError(f"{metric.name} needs to know the out-of-scope label: set out_of_scope in rungwise.yaml")
    wanted = metric.rows == "out_of_scope"
    return np.asarray([row for row, example in enumerate(examples) if (example.label == out_of_scope) == wanted], dtype=np.int64)


def in_scope(
    metric: Metric, examples: Sequence[Example], answers: Answers, out_of_scope: str | None = None
) -> tuple[Sequence[Example], Answers]:
    """The rows in the metric's scope with their answers.

    Raises UsageError when the answers lack what the metric needs, ValueError when
    there are not as many answers as rows.
    """
    if len(examples) != len(answers):
        raise ValueError(f"{len(examples)} rows but {len(answers)} answers")
    if not is_computable(metric, answers, out_of_scope or ""):
        instead = "a metric of the answers alone" if metric.needs == "passages" else "accuracy"
        raise CannotScore(f"{metric.name} needs {metric.needs}, which this candidate does not give. Choose {instead} instead")
    if metric.rows == "all":
        return examples, answers
    rows = counted_rows(metric, examples, out_of_scope)
    return [examples[row] for row in rows], answers.take(rows)


def row_scores(
    metric: RowMetric | RatioMetric, examples: Sequence[Example], answers: Answers, *, out_of_scope: str | None = None
) -> FloatArray:
    """The score of each row, (rows,); NaN for a row that is not counted. For a ratio, the row's own ratio."""
    scores = np.full(len(examples), np.nan)
    rows = counted_rows(metric, examples, out_of_scope)
    kept, given = in_scope(metric, examples, answers, out_of_scope)
    if isinstance(metric, RatioMetric):
        numerator, denominator = metric.counts(kept, given, metric.positive)
        with np.errstate(invalid="ignore", divide="ignore"):
            scores[rows] = np.where(denominator > 0, numerator / denominator, np.nan)
    else:
        scores[rows] = [metric.score(example, given.response(row)) for row, example in enumerate(kept)]
    return scores


def statistic(
    metric: CorpusMetric | ReportMetric, examples: Sequence[Example], answers: Answers, *, out_of_scope: str | None = None
) -> tuple[Statistic, Sequence[Example]]:
    """A corpus metric prepared on the rows in its scope, and those rows; its value is NaN when there are none."""
    kept, given = in_scope(metric, examples, answers, out_of_scope)
    if not kept:
        return Statistic(float("nan"), np.zeros(0, dtype=np.int64), 0.0), kept
    return metric.prepare(kept, given, out_of_scope if metric.rows == "in_scope" else None), kept


def weighted_mean(rows: FloatArray, finish: Callable[[FloatArray], FloatArray] = np.asarray) -> Statistic:
    """The statistic of the mean of row values (rows,), with `finish` applied to the mean."""
    plain = Statistic(float("nan"), np.zeros(len(rows), dtype=np.int64), float(len(rows)), graded=True)

    def at(weights: FloatArray) -> FloatArray:
        return finish(weights @ rows / weights.sum(axis=1))

    return dataclasses.replace(plain, value=float(at(np.ones((1, len(rows))))[0]), at=at)


def value(metric: Metric, examples: Sequence[Example], answers: Answers, *, out_of_scope: str | None = None) -> float:
    """The metric over all counted rows, each row counting once; NaN when no row counts."""
    if isinstance(metric, CorpusMetric | ReportMetric):
        return statistic(metric, examples, answers, out_of_scope=out_of_scope)[0].value
    if isinstance(metric, RatioMetric):
        kept, given = in_scope(metric, examples, answers, out_of_scope)
        numerator, denominator = metric.counts(kept, given, metric.positive)
        return float(numerator.sum() / denominator.sum()) if denominator.sum() > 0 else (0.0 if kept else float("nan"))
    scores = row_scores(metric, examples, answers, out_of_scope=out_of_scope)
    counted = scores[~np.isnan(scores)]
    return float(counted.mean()) if len(counted) else float("nan")
