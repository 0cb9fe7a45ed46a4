"""Rung 6, head: a linear head on frozen embeddings; for questions and searches, what learns from solved ones to order text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.engines.chunking.chunk import Chunking
from rungwise.ladder.retrieval import USUAL, searching
from rungwise.ladder.rung import Forecast, Ground, RungKind

CS = (1.0, 10.0, 30.0)
DEPTHS = (10, 20)
"""How many passages are put in a better order."""
COUNTS = (3, 8)
"""How many passages the answer is looked for in."""
CLOZES = 800
"""Questions made of the documents that a reader learns first; with 300 rows of its own it needs them: benchmarks/squad2.py."""


def head(ground: Ground) -> Rung:
    """All values of C at once: they share the embeddings, which are what takes the time."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen:
            return ()
        recipes = [{"encoder": ground.encoder, "c": c} for c in CS]
        heads = [Fitted(technique="head", recipe=one, inputs=(ground.train_id,), seed=ground.case.seed) for one in recipes]
        return tuple(ground.start.but(model="head", encoder=ground.encoder, head=one) for one in heads)

    return propose


def reranker(ground: Ground) -> Rung:
    """The best search so far, with an order that was learned from the training queries: by features, then by reading too."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        best = _searcher(parent, ground)

        def ordered(depth: int, *, reads: bool) -> Candidate:
            part = _over(best, ground, technique="rerank", recipe={"reads": reads})
            return best.but(adapter=part, options={**best.options, "rerank": depth})

        light = [ordered(depth, reads=False) for depth in DEPTHS]
        return light if not seen else () if len(seen) > len(light) else (ordered(DEPTHS[0], reads=True),)

    return propose


def answerer(ground: Ground) -> Rung:
    """The best search so far, with what learned from the training questions which sentence answers, then which words of it."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        best = _searcher(parent, ground) if ground.documents is not None else ground.start
        counts = COUNTS if ground.documents is not None else COUNTS[:1]
        scorers = [_learned(best, ground, "sentence-scorer", {"encoder": ground.encoder}, count) for count in counts]
        if not seen:
            return scorers
        if len(seen) > len(scorers):
            return ()
        reader = _learned(best, ground, "reader", {"clozes": CLOZES}, counts[0])
        silent = any(not row.references for row in train)
        return (reader.but(options={**reader.options, "abstains": True}) if silent else reader,)

    return propose


def _learned(best: Candidate, ground: Ground, technique: str, recipe: dict[str, Any], count: int) -> Candidate:
    """A candidate that reads `count` passages of the best search, or the passage given, with what it learned."""
    if ground.documents is None:
        part = Fitted(technique=technique, recipe=recipe, inputs=(ground.train_id,), seed=ground.case.seed)
        return best.but(model=technique, encoder=ground.encoder, head=part)
    part = _over(best, ground, technique=technique, recipe={**recipe, "passages": count})
    return best.but(model=technique, head=part, options={**best.options, "passages": count})


def _searcher(parent: Candidate, ground: Ground) -> Candidate:
    """The best of the rungs below, where it searches by words and meaning; else that search in its usual form."""
    if parent.index is not None and parent.index.technique == "index" and parent.encoder is not None:
        return parent
    return searching(ground, Chunking(), USUAL)


def _over(best: Candidate, ground: Ground, *, technique: str, recipe: dict[str, Any]) -> Fitted:
    """A part that is fitted over what a candidate finds for the training questions."""
    assert best.index is not None
    assert ground.documents is not None
    search = {name: best.options[name] for name in ("mode", "weight", "feedback") if name in best.options}
    whole = {**recipe, "index": best.index.recipe, "search": search}
    return Fitted(technique=technique, recipe=whole, inputs=(ground.train_id, ground.documents), seed=ground.case.seed)


RUNG = RungKind(
    name="head",
    place=6,
    tasks=("classify",),
    make=head,
    forecast=lambda ground: Forecast(seconds=5.0 + 1.5e-3 * ground.n_train + 4e-3 * ground.n_dev, answer_s=6e-3),
    extra="local",
)
RUNG_ANSWER = RungKind(
    name="head",
    place=6,
    tasks=("answer",),
    make=answerer,
    forecast=lambda ground: Forecast(seconds=5.0 + 0.1 * ground.n_train + 0.1 * ground.n_dev, answer_s=4e-2),
    extra="local",
    fits=lambda ground: ground.documents is not None or ground.passages,
)
RUNG_SEARCH = RungKind(
    name="head",
    place=6,
    tasks=("search",),
    make=reranker,
    forecast=lambda ground: Forecast(seconds=10.0 + 0.6 * ground.n_train + 0.3 * ground.n_dev, answer_s=0.15),
    extra="local",
    fits=lambda ground: ground.documents is not None,
)
