"""Rung 10, continue: pre-training goes on with the text of the domain, then the rung adapt on top of it."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.ladder.adapt import installed
from rungwise.ladder.origin import encoder_origin
from rungwise.ladder.rung import Ground, RungKind
from rungwise.ladder.teaching import continue_answers_forecast, continue_labels_forecast, general, taught_answers, taught_labels
from rungwise.ladder.training import fitted, settings, unset, without_replay


def by_labels(ground: Ground) -> Rung:
    """The encoder reads the training texts and the documents with words left out, then learns the labels."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        from rungwise.fit.masked import MaskedSettings

        if seen:
            return ()
        documents = (ground.documents,) if ground.documents is not None else ()
        read = fitted("masked", ground, settings(MaskedSettings, ground), on=encoder_origin().part, inputs=documents)
        return (taught_labels(unset(ground), read, {}, technique="lora"),)

    return propose


def by_answers(ground: Ground) -> Rung:
    """The language model reads the documents, then learns to answer."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        from rungwise.fit.continued import ContinuedSettings

        assert ground.origin is not None
        assert ground.documents is not None
        if seen:
            return ()
        recipe = settings(ContinuedSettings, ground, **without_replay(ground.case))
        read = fitted("continued", ground, recipe, on=ground.origin.part, inputs=(ground.documents, *general(ground)))
        return (taught_answers(unset(ground), read, {}, technique="lora"),)

    return propose


RUNG = RungKind(
    name="continue",
    place=10,
    tasks=("classify",),
    make=by_labels,
    forecast=continue_labels_forecast,
    extra="train",
    origin=installed,
)
RUNG_ANSWER = RungKind(
    name="continue",
    place=10,
    tasks=("answer",),
    make=by_answers,
    forecast=continue_answers_forecast,
    extra="train",
    fits=lambda ground: ground.origin is not None and ground.documents is not None,
    origin=lambda ground: ground.origin,
)
