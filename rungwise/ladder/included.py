"""The system that a team already has, by its recorded answers and price: a rung like any other."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.ladder.rung import Forecast, Ground, RungKind


def included(ground: Ground) -> Rung:
    """One candidate, named by the digest of the recorded answers."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen or ground.included is None:
            return ()
        system = ground.included
        answers = Fitted(technique="recorded", inputs=(ground.recorded[system.name],))
        return (ground.start.but(model="recorded", index=answers, options={"name": system.name}),)

    return propose


def _forecast(ground: Ground) -> Forecast:
    price = ground.included.usd_per_1k if ground.included else 0.0
    return Forecast(seconds=0.1, answer_usd=price / 1000.0)


RUNG = RungKind(name="included", place=2, tasks=("classify", "answer"), make=included, forecast=_forecast, each="included")
