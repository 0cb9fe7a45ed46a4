"""How much more labels would bring: a learning curve through fits on parts of the training rows, and its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rungwise.core.evaluation import Estimate

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

EXPONENTS = np.arange(0.05, 1.55, 0.05)
RESAMPLES = 200
LEVEL = 0.9


@dataclass(frozen=True)
class Fits:
    """What fits on parts of the training rows got right: `sizes` (fits,) rows learned from, `right` (fits, dev rows)."""

    sizes: NDArray[np.int64]
    right: Bools


@dataclass(frozen=True)
class Curve:
    """Error as a function of the number of training rows: floor + scale x n^-exponent, all >= 0."""

    floor: float
    scale: float
    exponent: float

    def error(self, n: float) -> float:
        """The expected error after learning from n rows."""
        return float(min(1.0, self.floor + self.scale * n**-self.exponent))


def fit_curve(sizes: Sequence[int] | NDArray[np.int64], errors: Doubles) -> Curve:
    """The inverse power law nearest to the errors in least squares, larger sizes weighing more.

    Source: Figueroa et al. 2012, BMC Medical Informatics and Decision Making 12:8, who fit it to small
    annotated samples with weights that rise with size, here sqrt(n); the exponent is searched on a grid from 0.05 to 1.5.
    `sizes` and `errors` are (fits,). Raises ValueError with fewer than two distinct sizes.
    """
    n = np.asarray(sizes, dtype=np.float64)
    if len(np.unique(n)) < 2:
        raise ValueError("a learning curve needs fits on at least two sizes")
    weight = np.sqrt(n / n.sum())
    found = [_fit_at(exponent, n, errors, weight) for exponent in EXPONENTS.tolist()]
    return min(found)[1]


def _fit_at(exponent: float, n: Doubles, errors: Doubles, weight: Doubles) -> tuple[float, Curve]:
    """Weighted squared error and curve at one exponent; the exponent breaks ties."""
    from scipy.optimize import nnls

    shape = (n / n.max()) ** -exponent  # 1 at the largest size, which keeps the system well conditioned
    (floor, scale), rest = nnls(np.stack((weight, weight * shape), axis=1), weight * errors)
    return float(rest), Curve(float(floor), float(scale * n.max() ** exponent), exponent)


def forecast_gain(fits: Fits, *, now: int, more: int, seed: int, level: float = LEVEL) -> Estimate:
    """The expected rise in dev accuracy from `more` rows drawn like the `now` rows, with a two-sided interval at `level`.

    What two fits on the same dev rows differ by varies for two reasons, both of which
    are in the interval: the curve is not known (dev rows and fits are resampled
    together), and each refit changes single answers by chance: with a share d of
    the answers changed, the difference has the variance d / dev rows. d is that between the
    largest fits and fits with `more` rows fewer (at most half), which is what adding that many changes or rather less.
    Raises ValueError with fewer than two sizes.
    """
    errors = 1.0 - fits.right.mean(axis=1)
    curve = fit_curve(fits.sizes, errors)
    mean = curve.error(now) - curve.error(now + more)
    n_dev = fits.right.shape[1]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, n_dev, n_dev)
        picked = _resampled(fits.sizes, rng)
        own = fit_curve(fits.sizes[picked], 1.0 - fits.right[picked][:, rows].mean(axis=1))
        drawn.append(own.error(now) - own.error(now + more))
    from scipy.special import ndtri

    changed = _changed(fits, now=now, more=more)
    half = float(ndtri((1 + level) / 2)) * math.sqrt(float(np.var(drawn)) + changed / n_dev)
    return Estimate(mean=mean, low=mean - half, high=mean + half, n=n_dev, level=level, method="inverse power law, bootstrap")


def _resampled(sizes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Fits drawn anew within each size, so that no size is lost."""
    places = [np.flatnonzero(sizes == size) for size in np.unique(sizes)]
    return np.concatenate([rng.choice(own, len(own)) for own in places])


def _changed(fits: Fits, *, now: int, more: int) -> float:
    """The share of dev rows on which one fit is right and the other wrong, for a change by `more` rows."""
    largest = fits.right[fits.sizes.argmax()]
    less = now - min(more, now // 2)
    smaller = fits.sizes[fits.sizes < fits.sizes.max()]
    nearest = smaller[np.abs(smaller - less).argmin()]
    share = float((fits.right[fits.sizes == nearest] != largest).mean())
    return share * max(1.0, math.log2(1 + more / now))
