"""How sure a reader's answers are, and from when on it should rather say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage, Response
from rungwise.core.dataset import Example
from rungwise.engines.answerable import QUESTION_SIGNS
from rungwise.engines.reader import SIGNS, Doubt, Reader, signs_of
from rungwise.evaluate.text import token_f1
from rungwise.fit.head import minimise, sigmoid_loss

Floats = NDArray[np.float32]

OWN = len(SIGNS) - len(QUESTION_SIGNS)
"""The first so many signs are of an answer, the others of the question alone."""


LEAST_SPREAD = 0.25


def fit_doubt(reader: Reader, held: Sequence[Example], taught: tuple[Floats, NDArray[np.bool_]]) -> tuple[Doubt, int]:
    """Confidence and threshold from rows that the model has not seen, and how many there were; without rows, the neutral ones.

    A stack of two ridge logistics (Wolpert 1992): the signs of the question alone (n, 6) towards whether there is an answer
    (n,), on the rows that `taught` the model, which are many and which its weights do not make easier; then its margin and
    the signs of the answer towards the answer's token F1, on the held-out rows. The threshold is `best_threshold`.
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
    weights, offset = logistic(np.column_stack([signs[:, :OWN], answerable]), scores)
    every = (*weights[:OWN], *(weights[OWN] * by_question))
    doubt = Doubt(weights=tuple(map(float, every)), offset=float(offset + weights[OWN] * base))
    sure = np.array([doubt.confidence(own) for own in signs])
    unanswerable = np.array([not row.references for row, _ in pairs])
    return Doubt(weights=doubt.weights, offset=doubt.offset, threshold=best_threshold(sure, scores, unanswerable)), len(pairs)


def logistic(signs: NDArray[Any], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Weights (d,) and offset of sigmoid(signs @ weights + offset) for `scores` (n,) in [0, 1], by least log loss.

    Signs are brought to unit variance first (those that vary by more than 0.25), and the ridge is scikit-learn's C = 1 on them. Scores are moved off 0 and 1
    by as much as one row that is right and one that is wrong (Platt 1999).
    """
    # what hardly varied is not blown up: in the fitted model it may lie a little beside what was seen
    mean, scale = signs.mean(axis=0), np.maximum(signs.std(axis=0), LEAST_SPREAD)
    targets = ((scores * len(scores) + 1) / (len(scores) + 2)).astype(np.float32)[:, None]
    standard = np.asarray((signs - mean) / scale, dtype=np.float32)
    plane = minimise(standard, targets, c=1.0, loss=sigmoid_loss, start=np.zeros((signs.shape[1] + 1, 1)))[:, 0]
    weights = plane[:-1] / scale
    return weights, float(plane[-1] - weights @ mean)


def best_threshold(sure: NDArray[Any], scores: NDArray[Any], unanswerable: NDArray[np.bool_]) -> float:
    """The confidence from which on answering scores most on average; 0, never silent, when no row lacks an answer.

    `scores` (n,) are what answers are worth; silence is worth 1 for an unanswerable row and 0 for another. Between two
    rows the threshold stands in the middle.
    """
    if not unanswerable.any():
        return 0.0
    order = np.argsort(-sure, kind="stable")
    gains = np.concatenate([[0.0], np.cumsum((scores - unanswerable)[order])])
    answered = int(np.argmax(gains))
    edges = np.concatenate([[1.0], sure[order], [0.0]])
    return float((edges[answered] + edges[answered + 1]) / 2)
