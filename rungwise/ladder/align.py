"""Rung 9, align: the language model that learned to answer learns which of two answers people prefer."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.fit.search import Span
from rungwise.ladder.rung import Ground, RungKind
from rungwise.ladder.teaching import GENERATES, align_forecast, taught_answers
from rungwise.ladder.training import Recipe, fitted, searched, settings, unset

SPACE = {"lr": Span(low=1e-6, high=3e-4, log=True), "beta": [0.05, 0.1, 0.3]}


def by_preferences(ground: Ground) -> Rung:
    """Direct preference optimisation on top of the best answerer of the rungs before, or of an adapter of its own."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        def build(ground: Ground, trial: Recipe) -> Candidate:
            from rungwise.fit.dpo import DpoSettings

            assert ground.origin is not None
            assert ground.preferences is not None
            below = parent if parent.model == GENERATES else taught_answers(unset(ground), ground.origin.part, {}, technique="lora")
            assert below.head is not None
            own = settings(DpoSettings, ground, trial)
            return below.but(head=fitted("dpo", ground, own, on=_answerer(below.head), inputs=(ground.preferences,)))

        return await searched(ground, SPACE, {}, build)(parent, train, seen)

    return propose


def _answerer(part: Fitted) -> Fitted:
    """The part that learned to answer: an alignment stands on it, never on another alignment."""
    below = part.beneath
    return _answerer(below) if part.technique == "dpo" and below is not None else part


RUNG = RungKind(
    name="align",
    place=9,
    tasks=("answer",),
    make=by_preferences,
    forecast=align_forecast,
    extra="train",
    fits=lambda ground: ground.origin is not None and ground.preferences is not None,
    origin=lambda ground: ground.origin,
)
