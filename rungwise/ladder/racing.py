"""Racing on dev: paid candidates are asked in growing batches, and one that cannot be the nominee is asked no further."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random

import numpy as np

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.evaluate.metric import RowMetric
from rungwise.evaluate.sequences import paired_lead
from rungwise.ladder.judge import Judge

FIRST_BATCH = 40
GROWTH = 1.5
LEVEL = 0.05
NO_CHANCE = 0.01

Ask = Callable[[Candidate, Sequence[Example]], Awaitable[Evaluation]]


async def race(candidates: Sequence[Candidate], dev: Sequence[Example], ask: Ask, *, judge: Judge) -> Sequence[Evaluation]:
    """Ask all candidates the same rows in the same random order, batch by batch; give each one's last evaluation.

    A candidate leaves when an anytime-valid paired sequence shows it behind another
    that costs no more, at 0.05 / candidates^2. Metrics that are not scored row by row
    do not race. What was answered in an earlier batch is not asked again: the calls are cached.
    """
    metric = judge.metric
    if not isinstance(metric, RowMetric) or len(dev) <= FIRST_BATCH:
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
            running = _still_running(running, last, metric.name, len(candidates))
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


def _still_running(running: Sequence[int], last: dict[int, Evaluation], name: str, count: int) -> list[int]:
    scores = {place: _values(last[place], name) for place in running}
    means = {place: float(np.nanmean(scores[place])) if len(scores[place]) else 0.0 for place in running}
    leader = max(running, key=lambda place: (means[place], -place))
    kept = []
    for place in running:
        dearer = last[place].usd_per_1k >= last[leader].usd_per_1k * 0.5
        if place == leader or not (dearer and _is_behind(scores[leader], scores[place], count)):
            kept.append(place)
    return kept


def _is_behind(leader: np.ndarray, other: np.ndarray, count: int) -> bool:
    differences = leader - other
    differences = differences[~np.isnan(differences)]
    low, _ = paired_lead(differences, level=LEVEL / count**2)
    return low > 0.0


def _values(evaluation: Evaluation, name: str) -> np.ndarray:
    return np.asarray([np.nan if one is None else one for one in evaluation.scores[name]], dtype=np.float64)
