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

EXPONENTS = np.arange(0.05, 2.05, 0.05)
RESAMPLES = 200
LEVEL = 0.9


@dataclass(frozen=True)
class Fits:
    """What fits on parts of the training rows got right: `sizes` (fits,) rows learned from, `right` (fits, dev rows)."""

    sizes: NDArray[np.int64]
    right: Bools


@dataclass(frozen=True)
class Curve:
    """Odds of an error as a function of the number of training rows: floor + scale x n^-exponent, all >= 0."""

    floor: float
    scale: float
    exponent: float

    def error(self, n: float) -> float:
        """The expected error after learning from n rows, in [0, 1)."""
        odds = self.floor + self.scale * n**-self.exponent
        return float(odds / (1.0 + odds))


def fit_curve(sizes: Sequence[int] | NDArray[np.int64], errors: Doubles, *, floored: bool) -> Curve:
    """The inverse power law nearest to the errors in least squares; without `floored` it falls to 0.

    Source: Figueroa et al. 2012, BMC Medical Informatics and Decision Making 12:8, with
    weights that rise with size (here sqrt(n)); for odds in place of errors, which cannot
    pass 1: with few rows a label the error itself flattens, and its own power law
    forecasts two thirds of the gain (`benchmarks/label_next.py`). The exponent is searched on a grid from 0.05 to 2.
    `sizes` and `errors` are (fits,). Raises ValueError with fewer than two distinct sizes.
    """
    n = np.asarray(sizes, dtype=np.float64)
    if len(np.unique(n)) < 2:
        raise ValueError("a learning curve needs fits on at least two sizes")
    error = np.clip(errors, 1e-4, 1 - 1e-4)
    # An odds varies 1 / (1 - error)^2 times as much as its error.
    weight = n / n.sum() * (1 - error) ** 4
    odds, falling = error / (1 - error), (n / n.max()) ** -EXPONENTS[:, None]  # (exponents, fits), 1 at the largest size
    floor, scale = _least_squares(falling, odds, weight, floored=floored)
    rest = (weight * (odds - floor[:, None] - scale[:, None] * falling) ** 2).sum(axis=1)
    best = int(rest.argmin())
    return Curve(float(floor[best]), float(scale[best] * n.max() ** EXPONENTS[best]), float(EXPONENTS[best]))


def _least_squares(falling: Doubles, odds: Doubles, weight: Doubles, *, floored: bool) -> tuple[Doubles, Doubles]:
    """Floor and scale >= 0 of odds = floor + scale x falling at each exponent, (exponents,) each.

    In closed form: where the free solution has one below 0, that one is 0.
    """
    plain, once, twice = weight.sum(), falling @ weight, falling**2 @ weight
    given, both = float(weight @ odds), falling @ (weight * odds)
    alone = both / twice
    if not floored:
        return np.zeros_like(alone), alone
    spread = np.maximum(plain * twice - once**2, 1e-300)
    floor, scale = (given * twice - both * once) / spread, (plain * both - once * given) / spread
    floor, scale = np.where(scale < 0, given / plain, floor), np.maximum(scale, 0.0)
    return np.maximum(floor, 0.0), np.where(floor < 0, alone, scale)


def forecast_gain(fits: Fits, *, now: int, more: int, seed: int, level: float = LEVEL) -> Estimate:
    """The expected rise in dev accuracy from `more` rows drawn like the `now` rows, with a two-sided interval at `level`.

    The mean of two curves, with a floor and without, since parts of the rows cannot tell
    how low the error will fall. The interval holds what may make two fits differ on the same dev rows:
    the curve is not known (dev rows and fits are resampled together, and the two curves
    differ), and each refit changes single answers by chance: with a share d of
    the answers changed, the difference has the variance d / dev rows. d is that between the
    largest fit and fits with `more` rows fewer (at most half), which is what adding as many changes, or more.
    Raises ValueError with fewer than two sizes.
    """
    gains = _gains(fits.sizes, 1.0 - fits.right.mean(axis=1), now, more)
    n_dev = fits.right.shape[1]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, n_dev, n_dev)
        picked = _resampled(fits.sizes, rng)
        drawn += _gains(fits.sizes[picked], 1.0 - fits.right[picked][:, rows].mean(axis=1), now, more)
    from scipy.special import ndtri

    changed = _changed(fits, now=now, more=more)
    half = float(ndtri((1 + level) / 2)) * math.sqrt(float(np.var(drawn)) + changed / n_dev)
    mean = sum(gains) / len(gains)
    return Estimate(mean=mean, low=mean - half, high=mean + half, n=n_dev, level=level, method="inverse power law, bootstrap")


def _gains(sizes: NDArray[np.int64], errors: Doubles, now: int, more: int) -> list[float]:
    """What the curves with and without a floor forecast."""
    curves = [fit_curve(sizes, errors, floored=floored) for floored in (False, True)]
    return [curve.error(now) - curve.error(now + more) for curve in curves]


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
