"""Rung 11, scratch: a small model of one's own, from nothing but the training rows."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.ladder.rung import Ground, RungKind
from rungwise.ladder.teaching import CLASSIFIES, GENERATES, scratch_answers_forecast, scratch_labels_forecast, translator_recipe
from rungwise.ladder.training import fitted, settings

LEAST_PAIRS = 1_000
"""Questions with an answer below which an encoder-decoder of one's own learns to repeat and nothing else."""


def by_labels(ground: Ground) -> Rung:
    """A tokenizer and a small encoder of one's own, trained on the labels."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        from rungwise.fit.small_encoder import SmallEncoderSettings

        if seen:
            return ()
        part = fitted("small-encoder", ground, settings(SmallEncoderSettings, ground))
        return (ground.start.but(model=CLASSIFIES, head=part),)

    return propose


def by_answers(ground: Ground) -> Rung:
    """A tokenizer and an encoder-decoder of one's own, from question to answer."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen:
            return ()
        part = fitted("translator", ground, translator_recipe(ground))
        return (ground.start.but(model=GENERATES, head=part),)

    return propose


RUNG = RungKind(
    name="scratch",
    place=11,
    tasks=("classify",),
    make=by_labels,
    forecast=scratch_labels_forecast,
    extra="local",
)
RUNG_ANSWER = RungKind(
    name="scratch",
    place=11,
    tasks=("answer",),
    make=by_answers,
    forecast=scratch_answers_forecast,
    extra="local",
    fits=lambda ground: ground.n_train >= LEAST_PAIRS,
)
