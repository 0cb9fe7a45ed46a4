"""Whether a new candidate forgot what the old one was chosen for: both on the sealed rows of the old decision, told as one word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import SEALED, Example
from rungwise.core.decision import Decision
from rungwise.core.types import Clock
from rungwise.core.usecase import UseCase
from rungwise.data.datasets import load_dataset
from rungwise.data.store import Store
from rungwise.evaluate.answers import Answers, unit_codes, unit_means
from rungwise.evaluate.betting import betting_high, betting_low, shuffled
from rungwise.evaluate.binomial import binomial_at_least
from rungwise.evaluate.metric import RowMetric, TargetMetric, row_scores, target_metric
from rungwise.evaluate.paired import compare
from rungwise.inference.window import answer_stream
from rungwise.ladder.serving import ready

FORGETS, KEEPS, CANNOT_TELL = "forgets", "keeps", "cannot tell"
LEVEL = 0.05
"""The chance of saying wrongly that a candidate forgets, and of saying wrongly that it keeps; apart from all openings."""

WINDOW = 256


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the old sealed rows say of the new candidate against the old one: nothing of their scores but this word is ever told."""

    verdict: str
    margin: float
    rows: int


async def remembers(
    store: Store,
    directory: Path,
    pairs: Sequence[tuple[Candidate, Decision]],
    *,
    case: UseCase,
    margin: float,
    clock: Clock,
) -> Memory:
    """The old candidate and the new one, each with its decision, on the sealed rows of the old decision.

    Both answer afresh, without their thresholds: the sealed rows of the new decision hold others too.
    """
    (old, first), (new, second) = pairs
    rows = load_dataset(store, first.dataset).part(SEALED)
    if not rows:
        return Memory(verdict=CANNOT_TELL, margin=margin, rows=0)
    answers = [
        await _answers(store, directory, candidate.but(threshold=None), decision, rows, case=case, clock=clock)
        for candidate, decision in ((old, first), (new, second))
    ]
    metric = target_metric(first.target.metric)
    verdict = compared(metric, rows, *answers, margin=margin, out_of_scope=case.out_of_scope, seed=case.seed)
    return Memory(verdict=verdict, margin=margin, rows=len(rows))


def compared(
    metric: TargetMetric,
    rows: Sequence[Example],
    old: Answers,
    new: Answers,
    *,
    margin: float,
    out_of_scope: str | None = None,
    seed: int = 0,
) -> str:
    """'forgets' where the new answers are shown to be worse than the old by more than `margin`, 'keeps' where they are shown not
    to be, each at 5 %; else 'cannot tell'. `margin` is in units of the metric.

    Row scores: bounds of the mean paired difference by betting (`evaluate/betting.py`), and without a margin the exact McNemar
    test of 0-1 scores, one-sided. Other metrics: the paired bootstrap.
    """
    if not isinstance(metric, RowMetric):
        found = compare(metric, rows, old, new, out_of_scope=out_of_scope, level=1 - 2 * LEVEL, seed=seed)
        return FORGETS if found.high < -margin else KEEPS if found.low > -margin else CANNOT_TELL
    first, second = (row_scores(metric, rows, one, out_of_scope=out_of_scope) for one in (old, new))
    counted = np.flatnonzero(~np.isnan(first) & ~np.isnan(second))
    if not len(counted):
        return CANNOT_TELL
    codes, grouped = unit_codes([rows[int(row)] for row in counted])
    differences = unit_means(second[counted] - first[counted], codes)
    if margin == 0.0 and metric.binary and not grouped:
        wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
        if float(binomial_at_least(losses, wins + losses, 0.5)) <= LEVEL:
            return FORGETS
    span = metric.high - metric.low  # a difference lies in [-span, span]
    values = ((differences + span) / (2 * span))[shuffled(len(differences), seed)]
    least = (span - margin) / (2 * span)
    if betting_high(values, LEVEL) < least:
        return FORGETS
    return KEEPS if betting_low(values, LEVEL) > least else CANNOT_TELL


async def _answers(
    store: Store, directory: Path, candidate: Candidate, decision: Decision, rows: Sequence[Example], *, case: UseCase, clock: Clock
) -> Answers:
    serving = ready(store, case, directory, decision, candidate, clock=clock)
    async with serving as responder:
        stream = answer_stream(responder, (row.request for row in rows), window=WINDOW)
        return Answers.of([response async for _, response, _ in stream])
