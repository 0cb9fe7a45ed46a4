"""Metrics of labels: one label or several a row, counted per row and per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from rungwise.core.content import Response
from rungwise.core.dataset import Example
from rungwise.core.errors import UsageError
from rungwise.evaluate.answers import Answers, FloatArray, IntArray
from rungwise.evaluate.metric import Statistic

Part: TypeAlias = Literal["f1", "precision", "recall"]


def accuracy(example: Example, response: Response) -> float:
    """1 when the answer is the label; with several labels, when all of them and no other are given."""
    if len(example.references) == 1:
        return float(response.text == example.references[0])
    return float(set(response.labels) == set(example.references))


def jaccard(example: Example, response: Response) -> float:
    """Labels shared over labels in either, 1 when there are none at all (scikit-learn counts that row as 0 and warns)."""
    given, wanted = set(response.labels), set(example.references)
    return len(given & wanted) / len(given | wanted) if given | wanted else 1.0


def label_sets(examples: Sequence[Example], answers: Answers) -> tuple[list[frozenset[str]], list[frozenset[str]]]:
    """The labels wanted and the labels given, a set for each row; an empty answer gives no label."""
    wanted = [frozenset(example.references) for example in examples]
    given = [frozenset(line for line in text.split("\n") if line) for text in answers.texts]
    return wanted, given


def micro(part: Part) -> Callable[[Sequence[Example], Answers, str | None], tuple[FloatArray, FloatArray]]:
    """Row counts of the micro average over all labels: for F1, 2TP over 2TP + FP + FN."""

    def counts(examples: Sequence[Example], answers: Answers, positive: str | None) -> tuple[FloatArray, FloatArray]:
        wanted, given = label_sets(examples, answers)
        hits = np.asarray([len(want & give) for want, give in zip(wanted, given, strict=True)], dtype=np.float64)
        asked = np.asarray([len(want) for want in wanted], dtype=np.float64)
        told = np.asarray([len(give) for give in given], dtype=np.float64)
        return _of_part(part, hits, told, asked)

    return counts


def binary(part: Part) -> Callable[[Sequence[Example], Answers, str | None], tuple[FloatArray, FloatArray]]:
    """Row counts of one positive label against all others."""

    def counts(examples: Sequence[Example], answers: Answers, positive: str | None) -> tuple[FloatArray, FloatArray]:
        label = positive or positive_label(examples, answers)
        wanted, given = label_sets(examples, answers)
        asked = np.asarray([label in want for want in wanted], dtype=np.float64)
        told = np.asarray([label in give for give in given], dtype=np.float64)
        return _of_part(part, asked * told, told, asked)

    return counts


def _of_part(part: Part, hits: FloatArray, told: FloatArray, asked: FloatArray) -> tuple[FloatArray, FloatArray]:
    if part == "f1":
        return 2 * hits, told + asked
    return hits, told if part == "precision" else asked


def positive_label(examples: Sequence[Example], answers: Answers) -> str:
    """The last of the two labels in sorted order, as scikit-learn's `classes_[1]`. Raises UsageError unless there are two."""
    labels = sorted(set(answers.labels) or {label for example in examples for label in example.references})
    if len(labels) != 2:
        example = labels[-1] if labels else "LABEL"
        raise UsageError(
            f"a binary metric needs two labels, and here are {len(labels)}. "
            f"Choose macro_f1, or name the positive label: binary_f1@{example}"
        )
    return labels[1]


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Hits, answers and references of each class under weights of the rows, each (B, classes), and the rows (B, 1)."""

    hits: FloatArray
    told: FloatArray
    asked: FloatArray
    rows: FloatArray


def of_classes(
    formula: Callable[[ClassCounts], FloatArray], *, every_text: bool = False
) -> Callable[[Sequence[Example], Answers, str | None], Statistic]:
    """A corpus metric from the counts of each class.

    Classes are those of the references and those that are answered, as in
    scikit-learn, but of the answers only labels that the use case knows
    (`answers.labels`, when given) and never the empty answer: else every slip of a
    language model would be a class of its own with F1 = 0. Such answers are errors
    all the same. `every_text` counts every different answer as a class.
    """

    def prepare(examples: Sequence[Example], answers: Answers, ignore: str | None) -> Statistic:
        if every_text:
            wanted = [frozenset((example.label,)) for example in examples]
            given = [frozenset((text,)) for text in answers.texts]
        else:
            wanted, given = label_sets(examples, answers)
        known = None if every_text else set(answers.labels)
        classes = _classes(wanted, given, known) - {ignore}
        asked, told = _indicator(wanted, sorted(classes)), _indicator(given, sorted(classes))
        hits = asked.multiply(told).tocsr()

        def at(weights: FloatArray) -> FloatArray:
            counts = ClassCounts(
                (hits.T @ weights.T).T, (told.T @ weights.T).T, (asked.T @ weights.T).T, weights.sum(1, keepdims=True)
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                return formula(counts)

        strata = np.unique(["\n".join(sorted(want)) for want in wanted], return_inverse=True)[1].astype(np.int64)
        size = np.asarray(asked.sum(axis=0)).ravel()
        value = float(at(np.ones((1, len(examples))))[0]) if examples else float("nan")
        return Statistic(value, strata, _spread(size[size > 0]), at)

    return prepare


def _classes(wanted: Sequence[frozenset[str]], given: Sequence[frozenset[str]], known: set[str] | None) -> set[str | None]:
    asked: set[str] = set().union(*wanted)
    told: set[str] = set().union(*given)
    return {*asked, *(told & (known | asked) if known else told)}


def _indicator(rows: Sequence[frozenset[str]], classes: Sequence[Any]) -> Any:
    """(rows, classes) sparse 0-1 matrix."""
    from scipy.sparse import csr_array

    column = {label: place for place, label in enumerate(classes)}
    places = [(row, column[label]) for row, labels in enumerate(rows) for label in labels if label in column]
    at_row, at_column = (list(one) for one in zip(*places, strict=True)) if places else ([], [])
    return csr_array((np.ones(len(places)), (at_row, at_column)), shape=(len(rows), len(classes)))


def _spread(size: FloatArray) -> float:
    """Trials that tell as much about the mean of the class recalls, if all classes are equally hard: K squared / sum of 1/n."""
    return float(len(size) ** 2 / (1 / size).sum()) if len(size) else 0.0


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """0 where the denominator is 0, as scikit-learn's zero_division=0."""
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return np.asarray(ratio, dtype=np.float64)


def _mean_of_classes(each: FloatArray) -> FloatArray:
    """(B, classes) -> (B,); 0 where there are no classes."""
    return np.asarray(each.sum(axis=1) / max(1, each.shape[1]), dtype=np.float64)


def macro_f1(counts: ClassCounts) -> FloatArray:
    """The mean over classes of 2TP / (2TP + FP + FN)."""
    return _mean_of_classes(_ratio(2 * counts.hits, counts.told + counts.asked))


def macro_precision(counts: ClassCounts) -> FloatArray:
    """The mean over classes of TP / (TP + FP)."""
    return _mean_of_classes(_ratio(counts.hits, counts.told))


def macro_recall(counts: ClassCounts) -> FloatArray:
    """The mean over classes of TP / (TP + FN); a class that only occurs among the answers counts as 0."""
    return _mean_of_classes(_ratio(counts.hits, counts.asked))


def balanced_accuracy(counts: ClassCounts) -> FloatArray:
    """The mean recall of the classes that occur among the references."""
    return _ratio(_ratio(counts.hits, counts.asked).sum(axis=1), (counts.asked > 0).sum(axis=1))


def weighted_f1(counts: ClassCounts) -> FloatArray:
    """The mean of the class F1, each weighted by how often the class occurs among the references."""
    each = _ratio(2 * counts.hits, counts.told + counts.asked)
    return _ratio((each * counts.asked).sum(axis=1), counts.asked.sum(axis=1))


def mcc(counts: ClassCounts) -> FloatArray:
    """Matthews correlation for any number of classes, -1 to 1; 0 when one side never varies. Source: Gorodkin 2004, R_K."""
    rows = counts.rows[:, 0]
    together = counts.hits.sum(axis=1) * rows - (counts.told * counts.asked).sum(axis=1)
    told = rows**2 - (counts.told**2).sum(axis=1)
    asked = rows**2 - (counts.asked**2).sum(axis=1)
    return _ratio(together, np.sqrt(np.maximum(told * asked, 0.0)))


def confusion_matrix(examples: Sequence[Example], answers: Answers) -> tuple[tuple[str, ...], IntArray]:
    """The classes, sorted, and how often the class of each row (references) was answered as each column. One label a row."""
    wanted, given = [example.label for example in examples], list(answers.texts)
    classes = sorted({*wanted, *given})
    place = {label: position for position, label in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, ([place[label] for label in wanted], [place[label] for label in given]), 1)
    return tuple(classes), matrix
