"""Margins of rows that a model has not seen, to the numbers that turn its margins into honest probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.linear import Calibration, Floats, sigmoid

_SMALL = 2_000
_FOLDS = 5
_SHARE = 10


def folds(references: Sequence[Sequence[str]], *, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(kept, held out) row numbers: five folds under 2,000 rows, so that every row is held out once; above, one fold of a tenth.

    The first row of each label (in the seeded order) is never held out, so that no fold lacks a label.
    """
    n = len(references)
    order = np.random.default_rng(seed).permutation(n)
    met: set[str] = set()
    free = []
    for row in order:
        fresh = set(references[row]) - met
        if fresh:
            met |= fresh
        else:
            free.append(row)
    count, used = (_FOLDS, _FOLDS) if n < _SMALL else (_SHARE, 1)
    for fold in range(used):
        held = np.sort(np.array(free[fold::count], dtype=np.int64))
        if len(held):
            yield np.setdiff1d(np.arange(n), held), held


def softmax_slope(margins: Floats, truth: NDArray[np.int64], *, doubt: float = 0.0) -> float:
    """The slope s that minimises the log loss of softmax(s x margins) on rows of known label.

    Source: temperature scaling (Guo et al. 2017, section 4.2), s = 1 / temperature.
    The share `doubt` of each row's target goes to the other labels; `few_rows_doubt`
    says how much. The loss is convex in s; golden section on log s between 1/50 and 50.
    """
    shifted = margins.astype(np.float64) - margins.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(truth)), truth]
    others = (shifted.sum(axis=1) - own) / max(1, shifted.shape[1] - 1)
    wanted = (1 - doubt) * own + doubt * others

    def loss(log_slope: float) -> float:
        slope = np.exp(log_slope)
        return float(np.mean(np.log(np.exp(slope * shifted).sum(axis=1)) - slope * wanted))

    return float(np.exp(_lowest(loss, np.log(1 / 50), np.log(50))))


def few_rows_doubt(n: int) -> float:
    """1 / (n + 2), as in Platt 1999: a handful of rows that are all right must not make a model certain."""
    return 1 / (n + 2)


def _lowest(loss: Callable[[float], float], low: float, high: float, *, steps: int = 24) -> float:
    """The minimum of a function with one valley, by golden section (Kiefer 1953)."""
    ratio = (np.sqrt(5.0) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float((low + high) / 2)


def platt(margins: Floats, truth: NDArray[np.bool_], *, steps: int = 30) -> tuple[float, float]:
    """Slope and offset of sigmoid(slope m + offset), one pair for all labels, by Newton's method.

    Source: Platt 1999, with the targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2) that keep both finite.
    `margins` and `truth` are (n, labels).
    """
    m = margins.ravel().astype(np.float64)
    yes = truth.ravel()
    positive, negative = float(yes.sum()), float((~yes).sum())
    target = np.where(yes, (positive + 1) / (positive + 2), 1 / (negative + 2))
    design = np.stack((m, np.ones_like(m)))
    both = np.array([1.0, np.log((positive + 1) / (negative + 1))])
    for _ in range(steps):
        p = sigmoid((both @ design).astype(np.float32)).astype(np.float64)
        spread = np.maximum(p * (1 - p), 1e-9)
        step = np.linalg.solve((design * spread) @ design.T + 1e-9 * np.eye(2), design @ (p - target))
        both -= np.clip(step, -5.0, 5.0)
        if np.abs(step).max() < 1e-8:
            break
    return float(max(both[0], 1e-3)), float(both[1])


def micro_f1_threshold(probabilities: Floats, truth: NDArray[np.bool_]) -> float:
    """The probability from which on labels are given such that micro-F1 is highest; of equals, the one nearest 0.5."""
    grid = np.arange(0.05, 0.96, 0.01)
    hits = np.array([(truth & (probabilities >= level)).sum() for level in grid], dtype=np.float64)
    given = np.array([(probabilities >= level).sum() for level in grid], dtype=np.float64)
    f1 = 2 * hits / np.maximum(given + truth.sum(), 1)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return round(float(grid[best[np.argmin(np.abs(grid[best] - 0.5))]]), 2)


def calibrate(margins: Floats, truth: NDArray[np.bool_], *, multi_label: bool) -> Calibration:
    """The calibration of out-of-fold `margins` (n, labels) against `truth` (n, labels); without rows, the neutral one."""
    if not len(margins) or (margins.shape[1] < 2 and not multi_label):
        return Calibration(multi_label=multi_label)
    if not multi_label:
        return Calibration(slope=softmax_slope(margins, truth.argmax(axis=1), doubt=few_rows_doubt(len(margins))))
    slope, offset = platt(margins, truth)
    plain = Calibration(slope=slope, offset=offset, multi_label=True)
    threshold = micro_f1_threshold(plain.probabilities(margins.astype(np.float32, copy=True)), truth)
    return Calibration(slope=slope, offset=offset, threshold=threshold, multi_label=True)
