"""The share of right answers in traffic of which only a part was judged, with its interval.

Values are right (1) or wrong (0), or any score in [0, 1]. Rows of one unit, such as the conversation or the user, depend on
one another; units do not. Coverage of every interval here is simulated in `benchmarks/live_quality.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rungwise.evaluate.answers import FloatArray, IntArray
from rungwise.evaluate.binomial import clopper_pearson_high, clopper_pearson_low
from rungwise.evaluate.odds import fit_odds

LEVEL = 0.95
FOLDS = 5
FEW = 3.0
"""So many errors weigh as much as what is known without any: see `_size`."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A mean in [0, 1] with its two-sided interval at `level`. `n` rows were judged, of so many independent `units`.

    `size` is how many independent rows, drawn evenly, would tell as much.
    """

    value: float
    low: float
    high: float
    n: int
    units: int
    size: float
    level: float = LEVEL


def weighted_share(values: FloatArray, weights: FloatArray, units: IntArray, *, level: float = LEVEL) -> Share:
    """The mean of judged rows (n,), each standing for `weights` rows of the traffic: one over the chance that it was drawn.

    sum(w y) / sum(w) (Hajek's form of the Horvitz-Thompson estimate), with the variance of the linearised sums of each unit
    and the interval of `interval_of`. Raises ValueError where there is no row, or a weight is not above 0.
    """
    if not len(values) or not (weights > 0).all():
        raise ValueError("a share needs rows with weights above 0")
    total = float(weights.sum())
    mean = float(values[0]) if (values == values[0]).all() else float(weights @ values) / total  # rounding would blur 1
    sums = _of_units(weights * (values - mean) / total, units)
    spread = _of_units(weights / total, units)
    return interval_of(mean, sums, evenly=1 / float(spread @ spread), errors=_few(values), n=len(values), level=level)


def interval_of(mean: float, parts: FloatArray, *, evenly: float, errors: float, n: int, level: float = LEVEL) -> Share:
    """The interval of a mean whose error is the sum of `parts` (units,), one for each independent unit.

    Clopper and Pearson's interval for as many rows as would vary like this, mean (1 - mean) / variance, made smaller for the
    degrees of freedom of the variance. Source: Korn and Graubard 1998, Survey Methodology 24. `evenly` is the size that the
    weights alone leave (Kish), `errors` how many rows there are of the rarer kind.
    """
    units = len(parts)
    variance = float(parts @ parts) * units / max(1, units - 1)
    size = _size(mean, variance, evenly, errors) * _certainty(n, units, level)
    half = (1 - level) / 2
    value = min(1.0, max(0.0, mean))
    low, high = clopper_pearson_low(value * size, size, half), clopper_pearson_high(value * size, size, half)
    return Share(value=value, low=float(low), high=float(high), n=n, units=units, size=size, level=level)


def _size(mean: float, variance: float, evenly: float, errors: float) -> float:
    """How many even rows would vary like this.

    Where errors are few the sample cannot show how unevenly they fall, so that a size above `evenly` is believed only as
    far as there are errors to see it by: the variance is a mean of both, the one seen with weight errors / (errors + FEW).
    """
    inside = 0.0 < mean < 1.0
    seen = mean * (1 - mean) / variance if inside and variance > 0 else math.inf
    if seen <= evenly:
        return seen
    trust = errors / (errors + FEW) if inside else 0.0
    return 1 / (trust / seen + (1 - trust) / evenly)


def _certainty(n: int, units: int, level: float) -> float:
    """(t of n - 1 / t of units - 1) squared: the variance was seen on the units alone. 1 where no unit has several rows."""
    from scipy.special import stdtrit

    if units >= n:
        return 1.0
    tail = 0.5 + level / 2
    return float((stdtrit(n - 1, tail) / stdtrit(max(1, units - 1), tail)) ** 2)


def _few(values: FloatArray) -> float:
    """How much there is of the rarer of right and wrong, in rows."""
    return float(min(values.sum(), (1 - values).sum()))


def corrected_share(
    values: FloatArray,
    weights: FloatArray,
    features: FloatArray,
    units: IntArray,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Share:
    """The mean over all N rows of the traffic, of which a random sample was judged and the rest is only foretold.

    `values` (N,) are NaN where nobody judged, `weights` (N,) one over the chance of the draw where somebody did, `features`
    (N, k) what is known of every row, such as its confidence and what users said of it. A model of the judged rows foretells
    each row, never one of its own fold; the mean of what it foretells is corrected by the weighted mean of its errors on the
    sample: whatever the model and the users' bias, the estimate is right on average.
    Source: prediction-powered inference, Angelopoulos et al. 2023, arXiv 2301.09633, with the share of the model that
    makes the variance least (PPI++, arXiv 2311.01453) and cross-fitting (Zrnic and Candes, arXiv 2309.16598).
    """
    sampled = np.flatnonzero(~np.isnan(values))
    if not len(sampled) or not (weights[sampled] > 0).all():
        raise ValueError("a share needs judged rows with weights above 0")
    y, w, own = values[sampled], weights[sampled] / weights[sampled].sum(), units[sampled]
    plain = weighted_share(y, weights[sampled], own, level=level)
    if _few(y) < 1 or len(np.unique(own)) < 2 * FOLDS:
        return plain  # nothing to learn from
    foretold, everywhere = _foretold(y, w, features, sampled, own, seed)
    share = _worth(y, w, foretold, everywhere)
    mean = float(share * everywhere.mean() + w @ (y - share * foretold))
    influence = share * (everywhere - everywhere.mean()) / len(values)
    rest = y - share * foretold
    np.add.at(influence, sampled, w * (rest - w @ rest))
    parts = _of_units(influence, units)
    spread = _of_units(w, own)
    evenly = 1 / float(spread @ spread)
    return interval_of(mean, parts[parts != 0], evenly=evenly, errors=_few(y), n=len(sampled), level=level)


def _foretold(
    y: FloatArray, w: FloatArray, features: FloatArray, sampled: IntArray, own: IntArray, seed: int
) -> tuple[FloatArray, FloatArray]:
    """(n,) what the model of the other folds says of each judged row, and (N,) the mean of the models of all folds on each row."""
    names, codes = np.unique(own, return_inverse=True)
    fold = np.random.default_rng([seed, len(y)]).permutation(len(names))[codes] % FOLDS
    foretold, everywhere = np.empty(len(y)), np.zeros(len(features))
    for one in range(FOLDS):
        held = fold == one
        said = fit_odds(features[sampled[~held]], y[~held], w[~held] * len(y)).of(features)
        foretold[held] = said[sampled[held]]
        everywhere += said * float(w[held].sum())
    return foretold, everywhere


def _worth(y: FloatArray, w: FloatArray, foretold: FloatArray, everywhere: FloatArray) -> float:
    """In [0, 1]: how much of the model to use; its covariance with the truth over its variance, sample and traffic counted."""
    centre = w @ foretold
    shared = float(w @ ((y - w @ y) * (foretold - centre)))
    own = float(w @ (foretold - centre) ** 2)
    ratio = 1 / float(w @ w) / len(everywhere)
    return min(1.0, max(0.0, shared / (own * (1 + ratio)))) if own > 0 else 0.0


def _of_units(values: FloatArray, units: IntArray) -> FloatArray:
    """The sums of the rows of each unit that occurs."""
    _, codes = np.unique(units, return_inverse=True)
    return np.asarray(np.bincount(codes, weights=values), dtype=np.float64)
