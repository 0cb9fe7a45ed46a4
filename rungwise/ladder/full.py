"""Rung 8, full: every weight of an encoder, or of the use case's language model, is trained."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.fit.search import Span
from rungwise.ladder.adapt import installed
from rungwise.ladder.origin import encoder_origin
from rungwise.ladder.rung import Ground, RungKind
from rungwise.ladder.teaching import answer_forecast, contrasted_labels, label_forecast, taught_answers, taught_labels
from rungwise.ladder.training import Recipe, searched

LABEL_SPACE = {"lr": Span(low=5e-5, high=1e-3, log=True)}
ANSWER_SPACE = {"lr": Span(low=1e-5, high=5e-4, log=True)}


FEW = 32
"""Rows a label up to which drawing like texts together is tried too: with more, the labels themselves teach more."""


def by_labels(ground: Ground) -> Rung:
    """The encoder with a new head; with few rows a label also one whose vectors were drawn together by label."""

    def build(ground: Ground, trial: Recipe) -> Candidate:
        return taught_labels(ground, encoder_origin().part, trial, technique="full")

    few = not ground.case.multi_label and ground.n_train <= FEW * max(1, len(ground.labels))
    contrasted = (contrasted_labels(ground, encoder_origin().part),) if few else ()
    whole = searched(ground, LABEL_SPACE, {}, build)

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        own = await whole(parent, train, seen[len(contrasted) :])
        return own if seen else (*contrasted, *own)

    return propose


def by_answers(ground: Ground) -> Rung:
    """The language model of the use case, trained on questions and answers."""

    def build(ground: Ground, trial: Recipe) -> Candidate:
        assert ground.origin is not None
        return taught_answers(ground, ground.origin.part, trial, technique="full")

    return searched(ground, ANSWER_SPACE, {}, build)


RUNG = RungKind(
    name="full",
    place=8,
    tasks=("classify",),
    make=by_labels,
    forecast=lambda ground: label_forecast(ground, technique="full"),
    extra="local",
    origin=installed,
)
RUNG_ANSWER = RungKind(
    name="full",
    place=8,
    tasks=("answer",),
    make=by_answers,
    forecast=lambda ground: answer_forecast(ground, technique="full"),
    extra="local",
    fits=lambda ground: ground.origin is not None,
    origin=lambda ground: ground.origin,
)
