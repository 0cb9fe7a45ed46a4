"""How surprising a statistic is, far out in the tail, where a test has to be right that is made every day."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import betaln, gammaln, ndtr

Floats = NDArray[np.float64]

_SPIKES = 3
_STEPS = 80


def spectrum(gram: Floats, freedom: float, dims: int) -> tuple[Floats, Floats]:
    """The eigenvalues of a covariance as (values, how often each), adding up to 1, from the Gram matrix (n, n) of n residuals.

    `freedom` is the residuals' degrees of freedom, `dims` how many dimensions they have. With fewer dimensions than degrees of
    freedom the sample's own are taken, whose first is too large on average, which is on the safe side. With more, the sample's
    spread over too few: the first three are corrected (Yata and Aoshima 2012, J. Multivariate Anal. 105, section 3), and the
    rest is taken as equal ones whose number fits an estimate of the sum of squares (Bai and Saranadasa 1996, Statistica Sinica 6).
    """
    values = np.sort(np.linalg.eigvalsh(gram))[::-1]
    values = np.maximum(values[: max(1, min(len(values), int(freedom), dims))], 0.0)
    total = float(values.sum())
    if total <= 0.0:
        return np.ones(1), np.ones(1)
    values = values / total
    if dims <= freedom or freedom < 4:
        return values, np.ones(len(values))
    squares = freedom**2 / ((freedom - 1) * (freedom + 2)) * (float((values**2).sum()) - 1.0 / freedom)
    spikes = []
    for place in range(min(_SPIKES, len(values) - 1)):
        rest = max(0.0, 1.0 - float(values[: place + 1].sum()))
        spikes.append(max(0.0, float(values[place]) - rest / max(1.0, freedom - place - 1)))
    left = max(1.0 - sum(spikes), 1e-9)
    left_squares = max(squares - sum(one**2 for one in spikes), left**2 / dims)
    count = min(max(left**2 / left_squares, 1.0), float(dims))
    return np.array([*spikes, left / count]), np.array([*np.ones(len(spikes)), count])


def ratio_tail(ratio: float, values: Floats, counts: Floats, freedom: float) -> float:
    """The chance that a squared length, divided by its estimated mean, is at least `ratio`.

    The length is a sum of chi-squares of `counts` degrees, each weighed by one of `values`; the mean is the same, averaged over
    `freedom` independent ones. With one value it is the F distribution; else the saddlepoint of the difference of the two sums
    (Kuonen 1999, Biometrika 86; Lugannani and Rice 1980), good to a few per cent however small the chance.
    """
    if not math.isfinite(ratio):
        return 0.0
    if len(values) == 1:
        return float(stats.f.sf(ratio, counts[0], counts[0] * freedom))
    if ratio <= 1.0:
        return 1.0
    # the sum is above `ratio` times its mean where sum(weights * chi-squares) > 0, the second half of the weights below 0
    weights = np.concatenate([values, -ratio / freedom * values])
    degrees = np.concatenate([counts, freedom * counts])
    keep = weights != 0
    weights, degrees = weights[keep], degrees[keep]
    low, high = 0.0, float(1.0 / (2.0 * weights.max())) * (1.0 - 1e-12)
    for _ in range(_STEPS):  # the derivative of the cumulant function rises from below 0 to infinity
        middle = (low + high) / 2.0
        if float((degrees * weights / (1.0 - 2.0 * middle * weights)).sum()) < 0.0:
            low = middle
        else:
            high = middle
    point = (low + high) / 2.0
    below = 1.0 - 2.0 * point * weights
    w = math.sqrt(max(float((degrees * np.log(below)).sum()), 0.0))
    v = point * math.sqrt(float((2.0 * degrees * weights**2 / below**2).sum()))
    if w < 1e-4 or v <= 0.0:
        return 0.5
    return float(min(1.0, max(0.0, 1.0 - ndtr(w + math.log(v / w) / w)))) if w < 8 else float(ndtr(-(w + math.log(v / w) / w)))


def counts_tail(hits: float, of: float, known: float, known_of: float, shape: float) -> float:
    """The two-sided chance of `hits` among `of`, where there were `known` among `known_of`.

    Given their sum, `hits` is beta-binomial where the counts of days are negative binomial of one `shape` for each unit of
    exposure: exact for that model, and the binomial test of two Poisson rates where the shape is large. Source: the Polya urn
    form of gamma-mixed Poisson counts (Johnson, Kemp and Kotz 2005, Univariate Discrete Distributions, 6.2.2). Summed from the
    tail's own terms, so that it is right however small.
    """
    total, own = round(hits + known), round(hits)
    a, b = max(shape * of, 1e-9), max(shape * known_of, 1e-9)
    count = np.arange(total + 1, dtype=np.float64)
    logs = gammaln(total + 1) - gammaln(count + 1) - gammaln(total - count + 1)
    logs += betaln(count + a, total - count + b) - betaln(a, b)
    chances = np.exp(logs)
    return float(min(1.0, 2.0 * min(chances[own:].sum(), chances[: own + 1].sum())))
