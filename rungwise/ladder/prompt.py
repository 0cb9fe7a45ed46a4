"""Rung 3, prompt: better instructions, a schema, reasoning steps, searched on dev one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.ladder.asking import asks, call_forecast
from rungwise.ladder.rung import Ground, RungKind
from rungwise.ladder.seen import best

INSTRUCTIONS = {
    "classify": (
        "You sort customer messages. Read the message, think about what the writer wants to be done, and choose the one label "
        "that fits best. Near labels differ in what is asked for, not in the words used.\nLabels:\n{labels}",
        "Which of these labels fits the message? If two fit, choose the more specific one.\n{labels}\nAnswer with the label only.",
    ),
    "answer": (
        "Answer from the passage only. Copy the shortest span of it that answers the question, word for word.",
        "You answer questions about documents. Quote the words of the passage that answer the question, and nothing else.",
    ),
}


def prompt(ground: Ground) -> Rung:
    """First other instructions, then the best of them with a JSON schema, then with reasoning before the answer."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        wordings = [asks(parent, ground, prompt=wording) for wording in INSTRUCTIONS[ground.case.task]]
        if not seen:
            return wordings
        kept = best(wordings, seen[: len(wordings)], ground.case)
        if len(seen) == len(wordings):
            return (kept.but(options={**kept.options, "schema": True}), kept.but(options={**kept.options, "reason": True}))
        return ()

    return propose


RUNG = RungKind(
    name="prompt",
    place=3,
    tasks=("classify", "answer"),
    make=prompt,
    forecast=lambda ground: call_forecast(ground, candidates=4),
    each="endpoint",
    races=True,
)
