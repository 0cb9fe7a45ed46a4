"""A calibrated linear head on frozen embeddings: multinomial logistic regression, or one logistic per label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.arrays import Files
from rungwise.engines.linear import Head
from rungwise.fit.calibration import calibrate, folds
from rungwise.fit.linear import label_names
from rungwise.fit.svm import by_label

Floats = NDArray[np.float32]

MAX_STEPS = 200
# When a fit is finished: gradient of the mean loss per weight (scikit-learn stops at 1e-4), or relative fall of the loss in a step.
FINE, ROUGH = (1e-5, 1e-7), (1e-4, 1e-5)  # for the weights that answer; for those that only calibrate


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
    Shrunken weights are too modest (clinc150, C = 1: confidence 0.67 where 0.95 are right),
    so probabilities come from margins of rows that a second fit has not seen: five folds
    under 2,000 rows, else one tenth. Raises ValueError without rows.
    """
    if not len(vectors):
        raise ValueError("a head needs at least one row")
    names = references if multi_label else [row[:1] for row in references]
    labels = label_names(names)
    truth = _truth(names, labels)
    loss = sigmoid_loss if multi_label else softmax_loss
    held = list(folds(names, seed=seed))
    start = np.zeros((vectors.shape[1] + 1, len(labels)))
    apart = [start for _ in held]
    fitted = {}
    for c in sorted(cs):
        start = minimise(vectors, truth, c=c, loss=loss, start=start)
        apart = [
            minimise(vectors[kept], truth[kept], c=c, loss=loss, start=own, stop=ROUGH)
            for own, (kept, _) in zip(apart, held, strict=True)
        ]
        unseen = [_margins(vectors[rows], plane) for plane, (_, rows) in zip(apart, held, strict=True)]
        shown = np.concatenate([rows for _, rows in held]) if held else np.zeros(0, dtype=np.int64)
        margins = np.concatenate(unseen) if unseen else np.zeros((0, len(labels)), dtype=np.float32)
        calibration = calibrate(margins, truth[shown] > 0, multi_label=multi_label)
        weights, bias = start[:-1].astype(np.float32), start[-1].astype(np.float32)
        fitted[c] = Head(labels=labels, weights=weights, bias=bias, calibration=calibration).files(
            c=c, seed=seed, rows=len(vectors)
        )
    return {c: fitted[c] for c in cs}


def _truth(references: Sequence[Sequence[str]], labels: Sequence[str]) -> Floats:
    """(n, labels) with a 1 for each label of a row."""
    truth = np.zeros((len(references), len(labels)), dtype=np.float32)
    for k, rows in enumerate(by_label(references, labels)):
        truth[rows, k] = 1.0
    return truth


def _margins(vectors: Floats, plane: NDArray[np.float64]) -> Floats:
    """(n, labels) of weights and bias (d + 1, labels)."""
    return np.asarray(vectors @ plane[:-1].astype(np.float32) + plane[-1].astype(np.float32), dtype=np.float32)


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


def minimise(
    vectors: Floats, truth: Floats, *, c: float, loss: Loss, start: NDArray[np.float64], stop: tuple[float, float] = FINE
) -> NDArray[np.float64]:
    """Weights and bias (d + 1, labels) that minimise the regularised loss, by L-BFGS (Liu and Nocedal 1989).

    `stop` holds the gradient and the relative fall of the loss at which it ends.
    """
    from scipy.optimize import minimize

    n, shape = len(vectors), start.shape

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        plane = flat.reshape(shape)
        value, slope = loss(_margins(vectors, plane), truth)
        gradient = np.empty(shape)
        gradient[:-1] = (vectors.T @ slope) / n + plane[:-1] / (c * n)
        gradient[-1] = slope.sum(axis=0) / n
        return value / n + float((plane[:-1] ** 2).sum()) / (2 * c * n), gradient.ravel()

    options: Any = {"maxiter": MAX_STEPS, "gtol": stop[0], "ftol": stop[1], "maxcor": 20}
    found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x.reshape(shape), dtype=np.float64)
