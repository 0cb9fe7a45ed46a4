"""Rung 5, retrieval: search by words and meaning together, or a language model that reads what a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.tasks import TASKS
from rungwise.core.types import Rung
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.prompts import GROUNDED
from rungwise.engines.search.fusion import UNTUNED
from rungwise.engines.search.recipe import Recipe
from rungwise.ladder.asking import asks, call_forecast
from rungwise.ladder.rung import Forecast, Ground, RungKind
from rungwise.ladder.seen import best, next_stage

# On the questions of the shipped example, most of them worded away from the text, lexical search has the answer among the
# first 2, 5, 10 passages in 32, 42, 55 % of cases; a passage is some 50 tokens.
PASSAGES = (3, 10)
QUERIES = 3
"""In how many other words a model puts the question, where it is asked to."""

FUSIONS: tuple[dict[str, Any], ...] = (
    {"mode": "dense"},
    {"mode": "hybrid"},
    {"mode": "hybrid", "weight": 0.3},
    {"mode": "hybrid", "weight": 0.5},
    {"mode": "hybrid", "weight": 0.7},
    {"mode": "hybrid", "weight": UNTUNED},
)
USUAL: dict[str, Any] = {"mode": "hybrid", "weight": UNTUNED}
"""Where nothing was measured."""

CHUNKINGS = (Chunking(size=500), Chunking(method="hierarchy", size=300, parent=1_500), Chunking(size=2_000))
COUNTS = (1, 3, 5, 8)

ENCODED_CHARS_PER_S = 60_000.0
"""What MiniLM encodes on two cores, from benchmarks/encoders.py, rounded down; only forecasts use it."""


def by_words_and_meaning(ground: Ground) -> Rung:
    """Fusions first, then with the best of them other chunks, then how much is read: each stage begins at the best so far."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        first = searching(ground, Chunking(), USUAL)
        return next_stage((lambda _: fusions(ground), _chunkings(ground), _counts(ground)), first, seen, ground.case)

    return propose


def fusions(ground: Ground) -> list[Candidate]:
    """The ways of bringing words and meaning together, over chunks of the default size."""
    return [searching(ground, Chunking(), fusion) for fusion in FUSIONS]


def searching(ground: Ground, chunking: Chunking, options: dict[str, Any]) -> Candidate:
    """Whoever searches documents that are cut like this; for questions, with the best sentence as the answer."""
    assert ground.documents is not None
    recipe = Recipe(chunking=chunking, words=ground.words, encoder=ground.encoder)
    index = Fitted(technique="index", recipe=recipe.plain(), inputs=(ground.documents,))
    model = "search" if ground.case.task == "search" else "best-sentence"
    asked = options if ground.case.task == "search" else {"passages": PASSAGES[0], **options}
    return ground.start.but(model=model, encoder=ground.encoder, index=index, options=asked)


def _chunkings(ground: Ground) -> Any:
    return lambda kept: [searching(ground, chunking, dict(kept.options)) for chunking in CHUNKINGS]


def _counts(ground: Ground) -> Any:
    """How many passages the answer is looked for in; a search gives as many documents as are asked for."""
    if ground.case.task == "search":
        return lambda kept: ()
    return lambda kept: [kept.but(options={**kept.options, "passages": count}) for count in COUNTS]


def by_language_model(ground: Ground) -> Rung:
    """The best prompt so far with ever more passages; then the best of these asking in other words too, and citing."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if ground.documents is None:
            return ()
        recipe = Recipe(words=ground.words, encoder=ground.encoder)
        index = Fitted(technique="index", recipe=recipe.plain(), inputs=(ground.documents,))
        prompt = parent.prompt or TASKS[ground.case.task].prompt
        told = {**parent.options, **USUAL}
        plain = [
            asks(parent, ground, prompt=prompt, index=index, encoder=ground.encoder, options={**told, "passages": k})
            for k in PASSAGES
        ]
        if len(seen) < len(plain):
            return plain
        if len(seen) > len(plain):
            return ()
        kept = best(plain, seen, ground.case)
        asked = kept.but(options={**kept.options, "queries": QUERIES})
        # A schema or reasoning first would stand between the sentences and what they cite.
        cites = {name: value for name, value in kept.options.items() if name not in ("schema", "reason")}
        return (asked, kept.but(prompt=GROUNDED, options={**cites, "cite": True}))

    return propose


def encoding_seconds(ground: Ground, times: int) -> float:
    """Seconds that encoding all documents takes, `times` over."""
    return times * ground.document_chars / ENCODED_CHARS_PER_S


RUNG = RungKind(
    name="retrieval",
    place=5,
    tasks=("answer", "search"),
    make=by_words_and_meaning,
    forecast=lambda ground: Forecast(
        seconds=4.0 + encoding_seconds(ground, 1 + len(CHUNKINGS)) + 0.05 * ground.n_dev, answer_s=8e-3
    ),
    extra="local",
    fits=lambda ground: ground.documents is not None,
)
RUNG_MODEL = RungKind(
    name="retrieval",
    place=5,
    tasks=("answer",),
    make=by_language_model,
    forecast=lambda ground: call_forecast(ground, candidates=len(PASSAGES) + 3, passages=max(PASSAGES)),
    each="endpoint",
    races=True,
    fits=lambda ground: ground.documents is not None,
)
