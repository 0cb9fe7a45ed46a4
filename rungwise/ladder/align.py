"""Rung 9, align: the language model that learned to answer learns which of two answers people prefer."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.ladder.rung import Forecast, Ground, RungKind
from rungwise.ladder.teaching import GENERATES, align_forecast, taught_answers
from rungwise.ladder.training import fitted, settings


def by_preferences(ground: Ground) -> Rung:
    """Direct preference optimisation on top of the best answerer of the rungs before, or of an adapter of its own."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        from rungwise.fit.dpo import DpoSettings

        assert ground.origin is not None
        assert ground.preferences is not None
        if seen:
            return ()
        below = parent if parent.model == GENERATES else taught_answers(ground, ground.origin.part, {}, technique="lora")
        assert below.head is not None
        part = fitted("dpo", ground, settings(DpoSettings, ground), on=_answerer(below.head), inputs=(ground.preferences,))
        return (below.but(head=part),)

    return propose


def _answerer(part: Fitted) -> Fitted:
    """The part that learned to answer: an alignment stands on it, never on another alignment."""
    below = part.beneath
    return _answerer(below) if part.technique == "dpo" and below is not None else part


def _forecast(ground: Ground) -> Forecast:
    return align_forecast(ground)


RUNG = RungKind(
    name="align",
    place=9,
    tasks=("answer",),
    make=by_preferences,
    forecast=_forecast,
    extra="train",
    fits=lambda ground: ground.origin is not None and ground.preferences is not None,
    origin=lambda ground: ground.origin,
)
