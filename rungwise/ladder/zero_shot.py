"""Rung 2, zero-shot: label names or descriptions by embedding, or a language model with the plain prompt."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.tasks import TASKS
from rungwise.core.types import Rung
from rungwise.engines.chunking.chunk import Chunking
from rungwise.ladder.asking import asks, call_forecast
from rungwise.ladder.retrieval import encoding_seconds, searching
from rungwise.ladder.rung import Forecast, Ground, RungKind


def by_label_names(ground: Ground) -> Rung:
    """The label whose name, or description, is nearest to the text in the encoder's space."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen:
            return ()
        named = ground.start.but(model="label-names", encoder=ground.encoder)
        if not ground.case.descriptions:
            return (named,)
        told = {label: ground.case.descriptions[label] for label in ground.labels if label in ground.case.descriptions}
        return (named, named.but(options={"descriptions": told}))

    return propose


def by_meaning(ground: Ground) -> Rung:
    """The documents whose chunks are nearest to the question in the encoder's space."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        return () if seen else (searching(ground, Chunking(), {"mode": "dense"}),)

    return propose


def by_language_model(ground: Ground) -> Rung:
    """The plain prompt of the task, nothing searched."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        return () if seen else (asks(parent, ground, prompt=TASKS[ground.case.task].prompt),)

    return propose


RUNG = RungKind(
    name="zero-shot",
    place=2,
    tasks=("classify",),
    make=by_label_names,
    forecast=lambda ground: Forecast(seconds=4.0 + 2e-3 * ground.n_dev, answer_s=6e-3),
    extra="local",
    fits=lambda ground: not ground.case.multi_label,
)
RUNG_SEARCH = RungKind(
    name="zero-shot",
    place=2,
    tasks=("search",),
    make=by_meaning,
    forecast=lambda ground: Forecast(seconds=4.0 + encoding_seconds(ground, 1) + 5e-3 * ground.n_dev, answer_s=6e-3),
    extra="local",
    fits=lambda ground: ground.documents is not None,
)
RUNG_MODEL = RungKind(
    name="zero-shot",
    place=2,
    tasks=("classify", "answer"),
    make=by_language_model,
    forecast=lambda ground: call_forecast(ground, candidates=1),
    each="endpoint",
    races=True,
)
