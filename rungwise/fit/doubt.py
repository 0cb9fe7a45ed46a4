"""How sure a reader's answers are, and how likely there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage, Response
from rungwise.core.dataset import Example
from rungwise.engines.answerable import QUESTION_SIGNS
from rungwise.engines.reader import SIGNS, Doubt, Logistic, Reader, signs_of
from rungwise.evaluate.text import token_f1
from rungwise.fit.head import minimise, sigmoid_loss

Floats = NDArray[np.float32]

OWN = len(SIGNS) - len(QUESTION_SIGNS)
"""The first so many signs are of an answer, the others of the question alone."""


LEAST_SPREAD = 0.25


def fit_doubt(reader: Reader, held: Sequence[Example], taught: tuple[Floats, NDArray[np.bool_]]) -> tuple[Doubt, int]:
    """How sure to be, from rows that the model has not seen, and how many there were; without rows, the neutral doubt.

    Two stacks of ridge logistics (Wolpert 1992). The signs of the question alone (n, 6) are first weighed towards whether
    there is an answer (n,), on the rows that `taught` the model: they are many, and its weights do not make them easier.
    Then their sum and the signs of the answer are weighed on the held-out rows, towards the answer's token F1 and towards
    whether there is none. The larger of both decides, which
    takes no tuned threshold (two articles of squad2_part: F1 0.600, with a threshold tuned on the held-out rows 0.585).
    """
    windows = reader.windows([(row.text, (Passage(row.passage or ""),)) for row in held])
    pairs = [(row, window) for row, window in zip(held, windows, strict=True) if window is not None]
    if len(pairs) < 2:
        return Doubt(), len(pairs)
    readings = [own[0] for own in reader.read([window for _, window in pairs])]
    signs = np.stack([signs_of(window, own) for (_, window), own in zip(pairs, readings, strict=True)])
    scores = np.array([token_f1(row, Response(own.passage.text)) for (row, _), own in zip(pairs, readings, strict=True)])
    by_question, base = (
        logistic(taught[0], taught[1].astype(np.float64)) if 0 < taught[1].mean() < 1 else (np.zeros(len(QUESTION_SIGNS)), 0.0)
    )
    answerable = signs[:, OWN:] @ by_question + base
    stacked = np.column_stack([signs[:, :OWN], answerable])

    def weighed(scores: NDArray[np.float64]) -> Logistic:
        weights, offset = logistic(stacked, scores)
        every = (*weights[:OWN], *(weights[OWN] * by_question))
        return Logistic(weights=tuple(map(float, every)), offset=float(offset + weights[OWN] * base))

    unanswerable = np.array([not row.references for row, _ in pairs])
    # Who was never asked what has no answer is never silent.
    none = weighed(unanswerable.astype(np.float64)) if unanswerable.any() else Logistic(offset=-60.0)
    return Doubt(right=weighed(scores), none=none), len(pairs)


def logistic(signs: NDArray[Any], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Weights (d,) and offset of sigmoid(signs @ weights + offset) for `scores` (n,) in [0, 1], by least log loss.

    Signs are brought to unit variance first (those that vary by more than 0.25), and the ridge is scikit-learn's C = 1 on
    them. Scores are moved off 0 and 1 by as much as one row that is right and one that is wrong (Platt 1999).
    """
    # what hardly varied is not blown up: in the fitted model it may lie a little beside what was seen
    mean, scale = signs.mean(axis=0), np.maximum(signs.std(axis=0), LEAST_SPREAD)
    targets = ((scores * len(scores) + 1) / (len(scores) + 2)).astype(np.float32)[:, None]
    standard = np.asarray((signs - mean) / scale, dtype=np.float32)
    plane = minimise(standard, targets, c=1.0, loss=sigmoid_loss, start=np.zeros((signs.shape[1] + 1, 1)))[:, 0]
    weights = plane[:-1] / scale
    return weights, float(plane[-1] - weights @ mean)
