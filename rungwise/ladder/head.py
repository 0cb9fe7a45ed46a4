"""Rung 6, head: a calibrated linear head on frozen embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.ladder.rung import Forecast, Ground, RungKind

CS = (1.0, 10.0, 30.0)


def head(ground: Ground) -> Rung:
    """All values of C at once: they share the embeddings, which are what takes the time."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen:
            return ()
        recipes = [{"encoder": ground.encoder, "c": c} for c in CS]
        heads = [Fitted(technique="head", recipe=one, inputs=(ground.train_id,), seed=ground.case.seed) for one in recipes]
        return tuple(ground.start.but(model="head", encoder=ground.encoder, head=one) for one in heads)

    return propose


RUNG = RungKind(
    name="head",
    place=6,
    tasks=("classify",),
    make=head,
    forecast=lambda ground: Forecast(seconds=5.0 + 1.5e-3 * ground.n_train + 4e-3 * ground.n_dev, answer_s=6e-3),
    extra="local",
)
