"""Metrics of how strongly each label is believed: AUC, log loss, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers, FloatArray, IntArray
from rungwise.evaluate.labels import accuracy
from rungwise.evaluate.metric import Statistic, weighted_mean

BINS = 15


def auc(examples: Sequence[Example], answers: Answers, ignore: str | None = None) -> Statistic:
    """Area under the ROC curve; with more than two labels the mean of one-vs-rest over the labels that occur.

    Its variance comes from the structural components of DeLong, DeLong and
    Clarke-Pearson 1988 (Biometrics 44), averaged over the labels for each row.
    A label that no row or every row has is left out (scikit-learn refuses).
    """
    believed = np.asarray(answers.probabilities, dtype=np.float64)  # (rows, labels)
    wanted = [set(example.references) for example in examples]
    labels = [label for label in answers.labels if label != ignore]
    if len(answers.labels) == 2:
        labels = labels[-1:]  # the other label gives the same area
    areas, shares, spreads = [], [], []
    for label in labels:
        positive = np.asarray([label in want for want in wanted], dtype=bool)
        if not positive.any() or positive.all():
            continue
        area, share = _one_vs_rest(believed[:, answers.labels.index(label)], positive)
        areas.append(area)
        shares.append(share)
        spreads.append(min(int(positive.sum()), int((~positive).sum())))
    strata = np.unique(["\n".join(sorted(want)) for want in wanted], return_inverse=True)[1].astype(np.int64)
    if not areas:
        return Statistic(float("nan"), strata, 0.0, influence=np.zeros(len(wanted)))
    spread = len(spreads) ** 2 / sum(1 / size for size in spreads)
    return Statistic(float(np.mean(areas)), strata, spread, influence=np.mean(shares, axis=0), graded=True)


def _one_vs_rest(believed: FloatArray, positive: np.ndarray) -> tuple[float, FloatArray]:
    """The area, and (rows,) what each row adds to it: its own component less the area, over the share of its class."""
    everyone = _midranks(believed)
    n, yes, no = len(believed), int(positive.sum()), int((~positive).sum())
    component = np.empty(n)
    component[positive] = (everyone[positive] - _midranks(believed[positive])) / no
    component[~positive] = 1 - (everyone[~positive] - _midranks(believed[~positive])) / yes
    area = float(component[positive].mean())
    return area, (component - area) * np.where(positive, n / yes, n / no)


def _midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, equal values sharing the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place], dtype=np.float64)


def log_losses(examples: Sequence[Example], answers: Answers) -> FloatArray:
    """(rows,) the -ln(probability of the label), in nats.

    Rows are made to add up to 1 and clipped at float32's epsilon, the precision in
    which they are stored; a label that the model does not know has that probability.
    """
    believed = np.asarray(answers.probabilities, dtype=np.float64)
    total = believed.sum(axis=1, keepdims=True)
    believed = np.divide(believed, total, out=np.full_like(believed, 1 / max(1, believed.shape[1])), where=total > 0)
    place = {label: column for column, label in enumerate(answers.labels)}
    own = [believed[row, place[example.label]] if example.label in place else 0.0 for row, example in enumerate(examples)]
    epsilon = float(np.finfo(np.float32).eps)
    return np.asarray(-np.log(np.clip(own, epsilon, 1 - epsilon)), dtype=np.float64)


def log_loss(examples: Sequence[Example], answers: Answers, ignore: str | None = None) -> Statistic:
    """The mean of `log_losses`."""
    return weighted_mean(log_losses(examples, answers))


def perplexity(examples: Sequence[Example], answers: Answers, ignore: str | None = None) -> Statistic:
    """The exponential of the log loss: how many labels the model is as unsure as choosing evenly between."""
    return weighted_mean(log_losses(examples, answers), np.exp)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence against accuracy in equal bins of (0, 1]: how many rows, their mean confidence and accuracy, each (bins,)."""

    error: float
    rows: IntArray
    confidence: FloatArray
    accuracy: FloatArray


def calibration(examples: Sequence[Example], answers: Answers, *, bins: int = BINS) -> Calibration:
    """Expected calibration error over the rows that have a confidence, with its bins.

    The mean over rows of |accuracy - confidence| of the row's bin. Source: Guo et
    al. 2017, arXiv 1706.04599, eq. 3. Biased upward in small samples, so the number
    of bins belongs to the figure.
    """
    place, confidence, right = _binned(examples, answers, bins)
    rows = place.sum(axis=0)
    divisor = np.maximum(rows, 1)
    means = confidence @ place / divisor, right @ place / divisor
    error = float((rows * np.abs(means[1] - means[0])).sum() / rows.sum()) if rows.sum() else float("nan")
    return Calibration(error, rows.astype(np.int64), *means)


def _binned(examples: Sequence[Example], answers: Answers, bins: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(rows, bins) 1 in the row's bin, none where it has no confidence; (rows,) confidence; (rows,) 1 where right."""
    sure = np.asarray([one is not None for one in answers.confidences], dtype=bool)
    confidence = np.asarray([one or 0.0 for one in answers.confidences], dtype=np.float64)
    right = np.asarray([accuracy(example, answers.response(row)) for row, example in enumerate(examples)], dtype=np.float64)
    place = np.zeros((len(examples), bins))
    place[np.arange(len(examples)), np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)] = sure
    return place, confidence, right


def calibration_error(examples: Sequence[Example], answers: Answers, ignore: str | None = None) -> Statistic:
    """The error of `calibration` with 15 bins."""
    place, confidence, right = _binned(examples, answers, BINS)
    gap = place * (right - confidence)[:, None]

    def at(weights: FloatArray) -> FloatArray:
        return np.asarray(np.abs(weights @ gap).sum(axis=1) / (weights @ place).sum(axis=1), dtype=np.float64)

    strata = np.zeros(len(examples), dtype=np.int64)
    return Statistic(float(at(np.ones((1, len(examples))))[0]), strata, float(len(examples)), at, graded=True)
