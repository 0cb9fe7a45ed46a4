"""A calibrated linear head on frozen embeddings: multinomial logistic regression, or one logistic per label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.arrays import Files
from rungwise.engines.linear import Head
from rungwise.fit.calibration import calibrate, folds
from rungwise.fit.linear import label_names
from rungwise.fit.svm import by_label

Floats = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64] | slice
Stop: TypeAlias = tuple[float, float]
Loss: TypeAlias = Callable[[Floats, Floats], tuple[float, Floats]]

THREADS = 2
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
    chains = [Chain(slice(None), FINE), *(Chain(kept, ROUGH) for kept, _ in held)]
    ordered = sorted(cs)
    planes = _climb_chains(chains, vectors, truth, ordered, loss)
    shown = np.concatenate([rows for _, rows in held]) if held else np.zeros(0, dtype=np.int64)
    fitted = {}
    for place, c in enumerate(ordered):
        unseen = [_margins(vectors[rows], own[place]) for own, (_, rows) in zip(planes[1:], held, strict=True)]
        margins = np.concatenate(unseen) if unseen else np.zeros((0, len(labels)), dtype=np.float32)
        calibration = calibrate(margins, truth[shown] > 0, multi_label=multi_label)
        plane = planes[0][place].astype(np.float32)
        fitted[c] = Head(labels=labels, weights=plane[:-1], bias=plane[-1], calibration=calibration).files(
            c=c, seed=seed, rows=len(vectors)
        )
    return {c: fitted[c] for c in cs}


@dataclass(frozen=True)
class Chain:
    """Fits in rising order of C on some of the rows, each starting from the one before."""

    rows: Rows
    stop: Stop


def _climb_chains(
    chains: Sequence[Chain], vectors: Floats, truth: Floats, cs: Sequence[float], loss: Loss
) -> list[list[NDArray[np.float64]]]:
    """The planes of each chain, one per C. Chains run side by side, each with one thread for its matrices.

    Two threads inside one matrix product wait for each other far more than they win
    here (measured: 33 CPU seconds instead of 8.5 on a busy two-core machine).
    """
    import scipy.optimize  # noqa: F401 - brings its own BLAS, which only then can be limited
    from threadpoolctl import threadpool_limits

    def climb(chain: Chain) -> list[NDArray[np.float64]]:
        own, wanted = vectors[chain.rows], truth[chain.rows]
        plane = np.zeros((vectors.shape[1] + 1, truth.shape[1]))
        planes = []
        for c in cs:
            plane = minimise(own, wanted, c=c, loss=loss, start=plane, stop=chain.stop)
            planes.append(plane)
        return planes

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(climb, chains))


def _truth(references: Sequence[Sequence[str]], labels: Sequence[str]) -> Floats:
    """(n, labels) with a 1 for each label of a row."""
    truth = np.zeros((len(references), len(labels)), dtype=np.float32)
    for k, rows in enumerate(by_label(references, labels)):
        truth[rows, k] = 1.0
    return truth


def _margins(vectors: Floats, plane: NDArray[np.float64]) -> Floats:
    """(n, labels) of weights and bias (d + 1, labels)."""
    return np.asarray(vectors @ plane[:-1].astype(np.float32) + plane[-1].astype(np.float32), dtype=np.float32)


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
    vectors: Floats, truth: Floats, *, c: float, loss: Loss, start: NDArray[np.float64], stop: Stop = FINE
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
