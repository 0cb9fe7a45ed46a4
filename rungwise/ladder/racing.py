"""Racing on dev: paid candidates are asked in growing batches, and one that cannot be the nominee is asked no further."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import numpy as np

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.data.ledger import opening_level
from rungwise.evaluate.metric import RowMetric
from rungwise.ladder.judge import Judge
from rungwise.ladder.nominate import price_step

FIRST_BATCH = 40
GROWTH = 1.5
# Racing saves 43 % of the calls of 3 to 12 candidates, and 1 nominee in 24 differs (`benchmarks/cost_to_decide.py`).
NO_CHANCE = 0.02
# Who cannot reach the target may still be the best to build the next rung on, so it must be likely to stay behind too.
HARDLY = 0.1

Ask = Callable[[Candidate, Sequence[Example]], Awaitable[Evaluation]]


async def race(candidates: Sequence[Candidate], dev: Sequence[Example], ask: Ask, *, judge: Judge) -> Sequence[Evaluation]:
    """Ask all candidates the same rows in the same random order, batch by batch; give each one's last evaluation.

    The leader, best so far, is asked everything. Another leaves when its chance of
    ending ahead of the leader on all of dev is under 2 %, or under 10 % once its
    upper bound is below the target; if it is a step of price cheaper, and so
    may be nominated although it is worse, only when its chance of `met` is under
    2 % too. These chances are predictions for choosing on dev, not tests: a wrong
    one costs quality or money, never the
    promise (`benchmarks/cost_to_decide.py` says how often). What was
    answered in an earlier batch is not asked again: the calls are cached. Metrics
    that are not scored row by row do not race, nor do targets with a coverage,
    where what counts is how well a candidate knows when it is right.
    """
    metric = judge.metric
    if not isinstance(metric, RowMetric) or judge.target.coverage is not None or len(dev) <= FIRST_BATCH:
        return [await ask(candidate, dev) for candidate in candidates]
    order = list(dev)
    Random(judge.case.seed).shuffle(order)
    running = list(range(len(candidates)))
    last: dict[int, Evaluation] = {}
    for size in batch_ends(len(order)):
        rows = dev if size == len(order) else order[:size]
        for place in running:
            last[place] = await ask(candidates[place], rows)
        if size < len(order):
            running = _still_running(running, candidates, last, judge)
    return [last[place] for place in range(len(candidates))]


def batch_ends(n: int) -> list[int]:
    """How many rows are seen after each batch: batches grow by half until all n are seen."""
    ends, batch = [], float(FIRST_BATCH)
    seen = 0
    while seen < n:
        seen = min(n, seen + int(batch))
        # A last crumb is not worth a batch of its own.
        seen = n if n - seen < batch / 2 else seen
        ends.append(seen)
        batch *= GROWTH
    return ends


def _still_running(running: Sequence[int], candidates: Sequence[Candidate], last: dict[int, Evaluation], judge: Judge) -> list[int]:
    scores = {place: _values(last[place], judge.metric.name) for place in running}
    means = {place: float(np.nanmean(scores[place])) if np.isfinite(scores[place]).any() else -math.inf for place in running}
    leader = max(running, key=lambda place: (means[place], -place))

    cheapest = min(one.usd_per_1k for one in last.values())
    steps = {place: price_step(last[place].usd_per_1k, cheapest) for place in running}

    def is_out(place: int) -> bool:
        differences = scores[leader] - scores[place]
        overtakes = chance_of_overtaking(differences[~np.isnan(differences)], len(judge.dev) - len(differences))
        if judge.dev_high(last[place]) < judge.target.value:
            return overtakes < HARDLY
        if overtakes >= NO_CHANCE:
            return False
        if steps[place] >= steps[leader]:
            return True
        return judge.chance(candidates[place], last[place], level=opening_level(1, judge.case.alpha), looked_at=1) < NO_CHANCE

    return [place for place in running if place == leader or not is_out(place)]


def chance_of_overtaking(differences: np.ndarray, left: int) -> float:
    """The chance that a lead of paired differences (n,) turns into none or less when `left` more rows are seen.

    The lead over all rows is the lead so far plus what the rest brings, whose mean
    varies about the mean so far by s^2 / n + s^2 / left; the normal predictive
    chance, s^2 being the variance with one more difference that knows nothing.
    """
    from scipy.special import ndtr

    n = len(differences)
    if n == 0 or left <= 0:
        return 1.0 if n == 0 or differences.mean() <= 0 else 0.0
    mean = float(differences.mean())
    spread = (float(differences.var()) * n + 0.25) / (n + 1)
    return float(ndtr(-mean * (1 + n / left) / math.sqrt(spread * (1 / n + 1 / left))))


def _values(evaluation: Evaluation, name: str) -> np.ndarray:
    return np.asarray([np.nan if one is None else one for one in evaluation.scores[name]], dtype=np.float64)
