"""A small model of chances: the odds of a value are a product of what is known of a row (logistic regression)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rungwise.evaluate.answers import FloatArray

RIDGE = 1.0
STEPS = 30
_EDGE = 30.0


@dataclass(frozen=True, eq=False)
class Odds:
    """`slopes` (k + 1,) of the features, after they were brought to mean 0 and spread 1, the offset first; `doubt` their
    covariance (k + 1, k + 1)."""

    slopes: FloatArray
    doubt: FloatArray
    centre: FloatArray
    spread: FloatArray

    def of(self, features: FloatArray) -> FloatArray:
        """(n,) the chance of each row."""
        return _chances(self.design(features) @ self.slopes)

    def design(self, features: FloatArray) -> FloatArray:
        """(n, k + 1) the features as the slopes take them."""
        return np.column_stack((np.ones(len(features)), (features - self.centre) / self.spread))


def fit_odds(features: FloatArray, values: FloatArray, weights: FloatArray, *, ridge: float = RIDGE) -> Odds:
    """Fit to rows (n, k) with values (n,) in [0, 1]: the least weighted log loss plus `ridge` / 2 times the squared slopes.

    The offset is not held back; one row of either kind is added, so that all-equal values do not make it certain (Platt
    1999). Newton's method, halved where it overshoots.
    """
    spread = features.std(axis=0)
    centre = features.mean(axis=0)
    found = Odds(np.zeros(features.shape[1] + 1), np.eye(features.shape[1] + 1), centre, np.where(spread > 1e-9, spread, 1.0))
    x = found.design(features)
    total = float(weights.sum())
    target = (weights * values + weights / total) / (weights * (1 + 2 / total))
    held = np.full(x.shape[1], ridge)
    held[0] = 1e-6
    slopes = found.slopes
    slopes[0] = np.log((weights @ target) / (weights @ (1 - target)))
    curve = np.eye(len(slopes))
    for _ in range(STEPS):
        p = _chances(x @ slopes)
        curve = (x * (weights * p * (1 - p))[:, None]).T @ x + np.diag(held)
        step = np.linalg.solve(curve, x.T @ (weights * (p - target)) + held * slopes)
        slopes = slopes - step * min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-8:
            break
    return Odds(slopes, np.asarray(np.linalg.inv(curve), dtype=np.float64), centre, found.spread)


def _chances(margins: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(margins, -_EDGE, _EDGE))), dtype=np.float64)
