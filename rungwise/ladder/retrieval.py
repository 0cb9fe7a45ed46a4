"""Rung 5, retrieval: a language model that reads the passages which lexical search finds."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.tasks import TASKS
from rungwise.core.types import Rung
from rungwise.engines.search.recipe import Recipe
from rungwise.ladder.asking import asks, call_forecast
from rungwise.ladder.rung import Ground, RungKind

# On the questions of the shipped example, most of them worded away from the text, lexical search has the answer among the
# first 2, 5, 10 passages in 32, 42, 55 % of cases; a passage is some 50 tokens.
PASSAGES = (3, 10)


def retrieval(ground: Ground) -> Rung:
    """The best prompt so far with ever more passages."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen or ground.documents is None:
            return ()
        index = Fitted(technique="index", recipe=Recipe().plain(), inputs=(ground.documents,))
        prompt = parent.prompt or TASKS[ground.case.task].prompt
        return [asks(parent, ground, prompt=prompt, index=index, options={**parent.options, "passages": k}) for k in PASSAGES]

    return propose


RUNG = RungKind(
    name="retrieval",
    place=5,
    tasks=("answer",),
    make=retrieval,
    forecast=lambda ground: call_forecast(ground, candidates=len(PASSAGES), passages=max(PASSAGES)),
    each="endpoint",
    races=True,
    fits=lambda ground: ground.documents is not None,
)
