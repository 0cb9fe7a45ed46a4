"""A calibrated linear head on frozen embeddings: multinomial logistic regression, or one logistic per label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.arrays import Files
from rungwise.engines.linear import Calibration, Head
from rungwise.fit.calibration import micro_f1_threshold
from rungwise.fit.linear import label_names

Floats = NDArray[np.float32]

MAX_STEPS = 200
# Gradient of the mean loss per weight at which the fit is finished; scikit-learn stops at 1e-4.
TOLERANCE = 1e-5


def fit_head(
    vectors: Floats,
    references: Sequence[Sequence[str]],
    *,
    cs: Sequence[float],
    seed: int = 0,
    multi_label: bool = False,
) -> dict[float, Files]:
    """Fit one head per C on the same vectors (n, d); each starts from the one before, in rising order of C.

    The loss is scikit-learn's: C * sum of log losses + |weights|^2 / 2, bias unpenalised.
    A logistic head is fitted for log loss, so its probabilities are used as they are.
    Raises ValueError without rows.
    """
    if not len(vectors):
        raise ValueError("a head needs at least one row")
    names = references if multi_label else [row[:1] for row in references]
    labels = label_names(names)
    place = {label: k for k, label in enumerate(labels)}
    truth = np.zeros((len(vectors), len(labels)), dtype=np.float32)
    for row, own in enumerate(names):
        truth[row, [place[label] for label in own]] = 1.0
    loss = sigmoid_loss if multi_label else softmax_loss
    fitted, start = {}, np.zeros((vectors.shape[1] + 1, len(labels)))
    for c in sorted(cs):
        start = minimise(vectors, truth, c=c, loss=loss, start=start)
        weights, bias = start[:-1].astype(np.float32), start[-1].astype(np.float32)
        calibration = Calibration(multi_label=multi_label)
        if multi_label:
            shown = calibration.probabilities(np.asarray(vectors @ weights + bias, dtype=np.float32))
            calibration = Calibration(multi_label=True, threshold=micro_f1_threshold(shown, truth > 0))
        head = Head(labels=labels, weights=weights, bias=bias, calibration=calibration)
        fitted[c] = head.files(c=c, seed=seed, rows=len(vectors))
    return {c: fitted[c] for c in cs}


Loss = Callable[[Floats, Floats], tuple[float, Floats]]


def softmax_loss(margins: Floats, truth: Floats) -> tuple[float, Floats]:
    """Sum of -log softmax at the true label, in nats, and its gradient (n, labels). Overwrites `margins`."""
    margins -= margins.max(axis=1, keepdims=True)
    own = float((margins * truth).sum())
    np.exp(margins, out=margins)
    sums = margins.sum(axis=1, keepdims=True)
    margins /= sums
    margins -= truth
    return float(np.log(sums).sum()) - own, margins


def sigmoid_loss(margins: Floats, truth: Floats) -> tuple[float, Floats]:
    """Sum of the logistic losses of all labels, in nats, and its gradient (n, labels)."""
    loss = float(np.logaddexp(0.0, margins).sum() - (margins * truth).sum())
    return loss, np.asarray(1.0 / (1.0 + np.exp(-np.clip(margins, -60, 60))) - truth, dtype=np.float32)


def minimise(vectors: Floats, truth: Floats, *, c: float, loss: Loss, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights and bias (d + 1, labels) that minimise the regularised loss, by L-BFGS (Liu and Nocedal 1989)."""
    from scipy.optimize import minimize

    n, shape = len(vectors), start.shape

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        plane = flat.reshape(shape)
        margins = vectors @ plane[:-1].astype(np.float32) + plane[-1].astype(np.float32)
        value, slope = loss(margins, truth)
        gradient = np.empty(shape)
        gradient[:-1] = (vectors.T @ slope) / n + plane[:-1] / (c * n)
        gradient[-1] = slope.sum(axis=0) / n
        return value / n + float((plane[:-1] ** 2).sum()) / (2 * c * n), gradient.ravel()

    stop: Any = {"maxiter": MAX_STEPS, "gtol": TOLERANCE, "ftol": 1e-7, "maxcor": 10}
    found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options=stop)
    return np.asarray(found.x.reshape(shape), dtype=np.float64)
