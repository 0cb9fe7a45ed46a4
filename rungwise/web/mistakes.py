"""Where a candidate goes wrong on dev: confused classes, the worst rows, and each group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation

MOST_CLASSES = 25


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One dev row with its answer. `score` is in [0, 1]; 1 is right."""

    example: Example
    answer: str
    confidence: float | None
    score: float


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts of true class (row) against answer (column); `other` is every answer outside `labels`, none included."""

    labels: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]
    other: tuple[int, ...]
    classes: int
    pairs: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, kw_only=True)
class GroupScore:
    """The dev score of the rows that share one value of a column."""

    group: str
    n: int
    mean: float


def answered(evaluation: Evaluation, examples: Mapping[str, Example], metric: str) -> tuple[Answered, ...]:
    """The measured rows in order, each with its score; rows that the metric does not count, or that are unknown, are left out.

    Corpus metrics (macro F1) have no score per row: there a row is right when its answer is a reference.
    """
    return tuple(_answered(evaluation, examples, metric))


def row_metric(evaluation: Evaluation, metric: str) -> str:
    """The metric that rows are scored by: the target's where it has a score per row, else accuracy."""
    return metric if evaluation.scores.get(metric) else "accuracy"


def _answered(evaluation: Evaluation, examples: Mapping[str, Example], metric: str) -> Iterator[Answered]:
    scores = evaluation.scores.get(row_metric(evaluation, metric))
    columns = zip_longest(evaluation.rows, evaluation.answers, evaluation.confidences, scores or ())
    for row, answer, confidence, stored in columns:
        example = examples.get(row)
        if example is None or (scores is not None and stored is None):
            continue
        score = stored if stored is not None else float(is_right(example, answer))
        yield Answered(example=example, answer=answer, confidence=confidence, score=score)


def is_right(example: Example, answer: str) -> bool:
    """Whether the answer is a reference, or for several labels exactly all of them."""
    if "\n" in answer or len(example.references) > 1:
        return set(answer.split("\n")) == set(example.references) or answer in example.references
    return answer == example.label


def worst(rows: Sequence[Answered], *, most: int = 12) -> tuple[Answered, ...]:
    """Wrong rows, the most confident first; among equals the lower score, then the id, so that the order is always the same."""
    wrong = [row for row in rows if row.score < 0.5]
    return tuple(sorted(wrong, key=lambda row: (-(row.confidence or 0.0), row.score, row.example.id))[:most])


def confusion(rows: Sequence[Answered], *, most: int = MOST_CLASSES) -> Confusion:
    """The confusion matrix of single-label answers; with more than `most` classes, those with the most errors."""
    counts = Counter((row.example.label, row.answer) for row in rows)
    classes = {true for true, _ in counts}
    errors: Counter[str] = Counter()
    for (true, given), times in counts.items():
        if true != given:
            errors[true] += times
            errors[given] += times * (given in classes)
    chosen = sorted(sorted(classes), key=lambda label: -errors[label])[:most]
    labels = tuple(sorted(chosen))
    cells = tuple(tuple(counts[true, given] for given in labels) for true in labels)
    totals = Counter[str]()
    for (true, _), times in counts.items():
        totals[true] += times
    other = tuple(totals[true] - sum(line) for true, line in zip(labels, cells, strict=True))
    pairs = sorted(((-times, true, given) for (true, given), times in counts.items() if true != given))[:10]
    return Confusion(
        labels=labels,
        cells=cells,
        other=other,
        classes=len(classes),
        pairs=tuple((true, given, -times) for times, true, given in pairs),
    )


def by_group(rows: Sequence[Answered], column: str) -> tuple[GroupScore, ...]:
    """The mean score for each value of a column, sorted by value; rows without the column are not counted."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        group = row.example.fields.get(column)
        if group is not None:
            scores.setdefault(group, []).append(row.score)
    return tuple(GroupScore(group=group, n=len(own), mean=sum(own) / len(own)) for group, own in sorted(scores.items()))
