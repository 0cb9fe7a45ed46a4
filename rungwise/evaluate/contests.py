"""Two variants on live traffic: which is better, decided at any time, however often one looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rungwise.evaluate.answers import BoolArray, FloatArray
from rungwise.evaluate.betting import MOST_OF_THE_PURSE, risked

WINNER, LOSER, CANNOT_TELL = "winner", "loser", "cannot_tell"

# Each stake is the best one for a test of so many units; the wealth is shared evenly over all, so that none has to be chosen.
# Against the one stake of `sequences.stakes_for_ever` this needs 35 to 70 % of the outcomes (`benchmarks/contest.py`).
SIZES = tuple(30 * 4**step for step in range(8))
SKEWED = 0.001
"""The level at which the share of judged units is said not to be the share of the traffic."""
POWER = 0.8
_WIDE = 3.0  # the bound is searched this far from the mean first, in widths of a normal one
_HALVINGS = 12


@dataclass(frozen=True, slots=True)
class Steps:
    """What each judged unit says of a difference, in order: arrays (n,), or (n, m) for m samples side by side.

    `gains` have the difference as their mean, whatever was before; a gain is at least -`below` and at most `above`, and
    varies about as much as `variances` say. All but the gain itself is known before the unit is judged.
    """

    gains: FloatArray
    below: FloatArray
    above: FloatArray
    variances: FloatArray


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The second variant against the first: `verdict` on the second is winner, loser or cannot_tell.

    `difference` is second less first, with bounds that hold at all times at once with a chance of 1 - `level`; `p_value` may be
    looked at at any time too. `first` and `second` are the means of the judged units of each. `fixed_n` is how many units a test
    that looks only once would need to show this difference with a power of 0.8; None where there is none. `skewed` says
    that more or fewer units of one variant are judged than its share of the traffic explains.
    """

    verdict: str
    difference: float
    low: float
    high: float
    p_value: float
    level: float
    first: float | None
    second: float | None
    n_first: int
    n_second: int
    fixed_n: int | None
    skewed: bool


def compare_arms(second: BoolArray, shares: FloatArray, values: FloatArray, *, level: float = 0.05) -> Standing:
    """Compare two variants by the values (n,) in [0, 1] of judged units, in the order of the judgements.

    `second[i]` says which variant answered unit i, and `shares[i]`, inside (0, 1), with which probability that was the
    second. The shares may change with what was seen before, and quality may drift: what is judged is the mean
    difference. Wrong with a chance of at most `level`, whenever one stops, if whether a unit is judged does not depend on
    its variant; where it seems to, `skewed` says so.
    """
    if not len(values):
        return _nothing(level)
    steps = arm_steps(second, shares, values)
    balance = Steps(second - shares, shares, 1 - shares, shares * (1 - shares))
    skewed = min(_p_values(balance, SKEWED)) <= SKEWED / 2
    spread = float((steps.variances * shares * (1 - shares))[-1])
    weight = spread * float(np.mean(1 / (shares * (1 - shares))))
    sides = [values[~second], values[second]]
    return _standing(steps, level, sides=sides, weight=weight, skewed=skewed)


def compare_pairs(first: FloatArray, second: FloatArray, *, level: float = 0.05) -> Standing:
    """The same where both answered every unit, as a shadow does: values (n,) and (n,) in [0, 1]."""
    if not len(first):
        return _nothing(level)
    steps = pair_steps(second - first)
    return _standing(steps, level, sides=[first, second], weight=float(steps.variances[-1]), skewed=False)


def arm_steps(second: BoolArray, shares: FloatArray, values: FloatArray) -> Steps:
    """Each value less the mean of those before it, weighted by the inverse of the chance of its variant: (n,) or (n, m).

    (y - m) (1{second} / p - 1{first} / (1 - p)) has the difference of the means as its mean for every m that is known before
    (inverse propensity weighting, Horvitz and Thompson 1952, with a control variate). m takes out what both have in common.
    """
    means = _before(values, 0.5)
    odds = np.where(second, 1 / shares, -1 / (1 - shares))
    gains = (values - means) * odds
    below = np.maximum(means / shares, (1 - means) / (1 - shares))
    above = np.maximum((1 - means) / shares, means / (1 - shares))
    variances = _before((values - means) ** 2, 0.25) / (shares * (1 - shares))
    return Steps(gains, below, above, variances)


def pair_steps(differences: FloatArray) -> Steps:
    """Paired differences in [-1, 1], (n,) or (n, m)."""
    ones = np.ones_like(differences)
    return Steps(differences, ones, ones, _before((differences - _before(differences, 0.0)) ** 2, 0.25))


def path(steps: Steps, level: float, difference: float = 0.0) -> FloatArray:
    """The log of the wealth after each unit of betting that the true difference is above `difference`: (n,) or (n, m).

    If it is not, it ever reaches ln(1 / level) with a chance of at most `level` (Ville 1939). The stakes are those of
    Waudby-Smith and Ramdas 2024, JRSS-B 86, arXiv 2010.09686, for several sample sizes, each with an even share of the wealth.
    """
    return _wealth(steps, _stakes(steps, level), difference)


def _stakes(steps: Steps, level: float) -> list[FloatArray]:
    """For each of the sizes, what is betted on each unit: at most so much that a share of the wealth is left."""
    price = 2 * math.log(1 / level)
    return [risked(np.sqrt(price / (steps.variances * size)), steps.below) / steps.below for size in SIZES]


def _wealth(steps: Steps, stakes: list[FloatArray], difference: float) -> FloatArray:
    # Nothing but how much may be lost depends on the difference, so the wealth falls as it grows and can be searched by halves.
    most = MOST_OF_THE_PURSE / np.maximum(steps.below + difference, 1e-9)
    shifted = steps.gains - difference
    paths = np.stack([np.cumsum(np.log1p(np.minimum(one, most) * shifted), axis=0) for one in stakes])
    top = paths.max(axis=0)
    np.exp(paths - top, out=paths)
    return np.asarray(np.log(paths.sum(axis=0)) + top - math.log(len(stakes)), dtype=np.float64)


def turned(steps: Steps) -> Steps:
    """The same of the difference the other way round."""
    return Steps(-steps.gains, steps.above, steps.below, steps.variances)


def _before(values: FloatArray, prior: float) -> FloatArray:
    """The mean of the values before each, started at `prior` with the weight of one value."""
    count = np.arange(1, len(values) + 1, dtype=np.float64).reshape((-1,) + (1,) * (values.ndim - 1))
    after = (prior + np.cumsum(values, axis=0)) / (count + 1)
    return np.concatenate((np.full_like(after[:1], prior), after[:-1]))


def _p_values(steps: Steps, level: float) -> tuple[float, float]:
    """That there is no lead, and no lag: each valid at any time for itself."""
    up, down = (float(path(one, level / 2).max()) for one in (steps, turned(steps)))
    return min(1.0, math.exp(-up)), min(1.0, math.exp(-down))


def _standing(steps: Steps, level: float, *, sides: list[FloatArray], weight: float, skewed: bool) -> Standing:
    up, down = _p_values(steps, level)
    leads, lags = up <= level / 2, down <= level / 2
    low, high = _low(steps, level / 2), -_low(turned(steps), level / 2)
    difference = float(np.clip(steps.gains.mean(), -1.0, 1.0))
    means = [float(side.mean()) if len(side) else None for side in sides]
    return Standing(
        # Both at once can only be where the quality drifted while one looked.
        verdict=CANNOT_TELL if leads == lags else WINNER if leads else LOSER,
        difference=difference,
        low=max(low, 0.0) if leads else low,
        high=min(high, 0.0) if lags else high,
        p_value=min(1.0, 2 * min(up, down)),
        level=level,
        first=means[0],
        second=means[1],
        n_first=len(sides[0]),
        n_second=len(sides[1]),
        fixed_n=fixed_size(difference, weight, level),
        skewed=skewed,
    )


def _low(steps: Steps, level: float) -> float:
    """The largest difference that is rejected as too small, rounded down by a thousandth of the width; -1 where none is."""
    wanted, stakes = math.log(1 / level), _stakes(steps, level)

    def rejected(difference: float) -> bool:
        return bool(_wealth(steps, stakes, difference).max() >= wanted)

    mean = float(steps.gains.mean())
    width = _WIDE * math.sqrt(float(steps.variances[-1]) * math.log(1 / level) / len(steps.gains))
    low, high = max(-1.0, mean - width), min(1.0, mean + width)
    if low >= high or not rejected(low):
        low, high = -1.0, max(low, -1.0)
    elif rejected(high):
        low, high = high, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low


def fixed_size(difference: float, variance: float, level: float) -> int | None:
    """Units, of both variants together, for a two-sided test with a power of 0.8 that looks once: ((z_a + z_b) / d)^2 variance.

    `variance` is that of one gain. None where there is no difference.
    """
    from scipy.special import ndtri

    if difference == 0.0:
        return None
    needed = variance * ((float(ndtri(1 - level / 2)) + float(ndtri(POWER))) / difference) ** 2
    return math.ceil(needed) if needed < 1e12 else None


def _nothing(level: float) -> Standing:
    return Standing(
        verdict=CANNOT_TELL,
        difference=0.0,
        low=-1.0,
        high=1.0,
        p_value=1.0,
        level=level,
        first=None,
        second=None,
        n_first=0,
        n_second=0,
        fixed_n=None,
        skewed=False,
    )
