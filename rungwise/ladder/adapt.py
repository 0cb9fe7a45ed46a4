"""Rung 7, adapt: low-rank adapters on an encoder for labels, on the language model of the use case for answers."""

from __future__ import annotations

from rungwise.core.candidate import Candidate
from rungwise.core.types import Rung
from rungwise.fit.search import Span
from rungwise.ladder.origin import Origin, encoder_origin
from rungwise.ladder.rung import Ground, RungKind
from rungwise.ladder.teaching import answer_forecast, label_forecast, taught_answers, taught_labels
from rungwise.ladder.training import Recipe, searched

LABEL_SPACE = {"lr": Span(low=2e-4, high=4e-3, log=True), "rank": [8, 16, 32]}
ANSWER_SPACE = {"lr": Span(low=5e-5, high=2e-3, log=True), "rank": [8, 16, 32]}


def by_labels(ground: Ground) -> Rung:
    """The encoder with adapters in all its layers and a new head."""

    def build(ground: Ground, trial: Recipe) -> Candidate:
        return taught_labels(ground, encoder_origin().part, trial, technique="lora")

    return searched(ground, LABEL_SPACE, {}, build)


def by_answers(ground: Ground) -> Rung:
    """The language model of the use case with adapters, trained on questions and answers."""

    def build(ground: Ground, trial: Recipe) -> Candidate:
        assert ground.origin is not None
        return taught_answers(ground, ground.origin.part, trial, technique="lora")

    return searched(ground, ANSWER_SPACE, {}, build)


def installed(ground: Ground) -> Origin | None:
    """What is adapted where labels are wanted."""
    return encoder_origin()


RUNG = RungKind(
    name="adapt",
    place=7,
    tasks=("classify",),
    make=by_labels,
    forecast=lambda ground: label_forecast(ground, technique="lora"),
    extra="train",
    origin=installed,
)
RUNG_ANSWER = RungKind(
    name="adapt",
    place=7,
    tasks=("answer",),
    make=by_answers,
    forecast=lambda ground: answer_forecast(ground, technique="lora"),
    extra="train",
    fits=lambda ground: ground.origin is not None,
    origin=lambda ground: ground.origin,
)
