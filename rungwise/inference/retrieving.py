"""The search that a candidate's recipe describes: an index, how it is asked, what is read of what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Passage
from rungwise.core.errors import UsageError
from rungwise.engines.encoders.encode import Encode
from rungwise.engines.search.index import LEXICAL, How, SearchIndex
from rungwise.engines.search.recipe import Recipe
from rungwise.engines.search.segment import load_segment
from rungwise.inference.calling import Model
from rungwise.inference.packing import with_parents
from rungwise.inference.searching import (
    Score,
    asking_for_hypothesis,
    asking_for_queries,
    with_hypothesis,
    with_queries,
    with_reranking,
)
from rungwise.inference.wrappers import Search

DEFAULT_PASSAGES = 3

Load = Callable[[str], Mapping[str, bytes]]
"""Gives the files of a fitted part, by its id."""


def load_index(part: Fitted, load: Load, encode: Callable[[str], Encode]) -> SearchIndex:
    """The index of a candidate. Raises Corrupt when its files are not what they were."""
    recipe = Recipe.of(part.recipe)
    segment = load_segment(load(part.id), dense=recipe.encoder is not None)
    return encoding_by(SearchIndex(recipe, [segment]), encode)


def encoding_by(index: SearchIndex, encode: Callable[[str], Encode]) -> SearchIndex:
    """The same index, whose queries are encoded by what `encode` gives for the name of its encoder.

    That is looked up at the first question: what is only searched by words needs no encoder.
    """
    name = index.recipe.encoder
    return index.asked_with((lambda texts: encode(name)(texts)) if name is not None else None)


def how_of(options: Mapping[str, Any]) -> How:
    """How the options of a candidate say that its index is searched; without any, by words."""
    return How(
        mode=options.get("mode", LEXICAL),
        weight=options.get("weight"),
        feedback=int(options.get("feedback", 0)),
    )


def search_of(candidate: Candidate, index: SearchIndex, *, score: Score | None = None, model: Model | None = None) -> Search:
    """The search of a candidate: `score` puts the first `options['rerank']` passages in order; parents are read, where they are.

    `model` puts the question in `options['queries']` other words, or imagines an answer to look for (`options['hypothesis']`).
    Raises UsageError when the recipe reranks and there is no `score`.
    """
    found = searching(index, how_of(candidate.options))
    if model is not None and candidate.options.get("queries"):
        found = with_queries(found, asking_for_queries(model), count=int(candidate.options["queries"]))
    if model is not None and candidate.options.get("hypothesis"):
        found = with_hypothesis(found, asking_for_hypothesis(model))
    depth = int(candidate.options.get("rerank", 0))
    if depth:
        if score is None:
            raise UsageError("the candidate reranks what it finds, but has no reranker. Run the climb again to make it")
        found = with_reranking(found, score, depth=depth)
    return with_parents(found, index.parent_of) if index.recipe.chunking.method == "hierarchy" else found


def searching(index: SearchIndex, how: How) -> Search:
    """The search of an index in one way."""

    async def search(text: str, k: int) -> Sequence[Passage]:
        return index.search(text, k, how)

    return search


def passages_wanted(candidate: Candidate) -> int:
    """How many passages an answer is looked for in."""
    return int(candidate.options.get("passages", DEFAULT_PASSAGES))
