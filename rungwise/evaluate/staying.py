"""Is the quality still above its target? A test that may be looked at every day, for ever."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rungwise.evaluate.answers import FloatArray, IntArray
from rungwise.evaluate.betting import MOST_OF_THE_PURSE

FALLS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Each stake is the one that makes wealth grow fastest after a fall of so much; the wealth is shared evenly over all."""
MONTH_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Stay:
    """What is known after n judged answers: `below`, that the quality was shown to be below the target and that this is not
    contradicted since; `since` the position of the answer at which it was shown; `p_value` may be looked at at any time;
    `wealth` is what is left now of 1 that was bet on a fall."""

    below: bool
    since: int | None
    p_value: float
    wealth: float


def still_above(values: FloatArray, months: IntArray, target: float, *, level: float, weights: FloatArray | None = None) -> Stay:
    """Test that the answers are right with a chance of at least `target`; `below` is ever wrong with a chance of at most `level`.

    `values` (n,) in [0, 1] are the judged answers in an order that does not depend on them, `months` (n,) counts from 0 the
    month in which each was judged. `weights`, of the same shape, say how many answers of the traffic each stands for, 1 on
    average over the draw: 1 for plain random draws. Once shown, it stays shown until the wealth is below 1 again: by then as
    much speaks against a fall as spoke for it.
    """
    if not len(values):
        return Stay(below=False, since=None, p_value=1.0, wealth=1.0)
    path = log_wealth(values, months, target, weights)
    below, since = False, None
    for place in np.flatnonzero((path >= math.log(1 / level)) | (path < 0.0)).tolist():
        if path[place] < 0.0:
            below, since = False, None
        elif not below:
            below, since = True, place
    p_value = min(1.0, math.exp(-max(0.0, float(path.max()))))
    return Stay(below=below, since=since, p_value=p_value, wealth=math.exp(min(700.0, float(path[-1]))))


def log_wealth(values: FloatArray, months: IntArray, target: float, weights: FloatArray | None = None) -> FloatArray:
    """The log of the wealth after each answer, (n,) or (n, m) for m histories side by side with the same months (n,).

    Each answer multiplies the wealth by 1 + s (w (1 - y) / (1 - target) - 1), s a fixed stake in [0, 1): never negative, and on
    average at most 1 while the quality is at or above the target, so that it ever reaches 1 / level with a chance of at most
    `level` (Ville 1939). The game of month j begins anew with the share 6 / (pi^2 j^2) of the purse, which is kept aside until
    then, so that good months before a fall do not use up what is bet on it; the shares add up to 1, so the sum is one fair game.
    """
    losses = 1 - values if weights is None else (1 - values) * weights
    ratio = losses / (1 - target) - 1
    begins = np.searchsorted(months, np.arange(int(months[-1]) + 1))  # month j begins before the answer begins[j]
    shares = 6 / (math.pi**2 * np.arange(1, len(begins) + 1) ** 2)
    paths = [_path(ratio, min(MOST_OF_THE_PURSE, fall / target), begins, shares) for fall in FALLS]
    started = np.concatenate(([0.0], np.cumsum(shares)))[np.searchsorted(begins, np.arange(len(values)), side="right")]
    aside = np.log(np.maximum(1 - started, 1e-300)).reshape((-1,) + (1,) * (values.ndim - 1))
    games = np.logaddexp.reduce(np.stack(paths), axis=0) - math.log(len(FALLS))
    return np.asarray(np.logaddexp(games, aside), dtype=np.float64)


def _path(ratio: FloatArray, stake: float, begins: IntArray, shares: FloatArray) -> FloatArray:
    """The log of the wealth of one stake in the games of all months together, those not begun left out."""
    gains = np.cumsum(np.log1p(stake * ratio), axis=0)
    paid = np.concatenate((np.zeros_like(gains[:1]), gains))[begins]  # what was won before a game began is not its own
    parts = np.logaddexp.accumulate(np.log(shares).reshape((-1,) + (1,) * (gains.ndim - 1)) - paid, axis=0)
    month = np.searchsorted(begins, np.arange(len(gains)), side="right") - 1
    return np.asarray(gains + parts[month], dtype=np.float64)
