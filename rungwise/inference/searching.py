"""Searches that are better than the one they wrap: other questions, another order, less of the same."""

from __future__ import annotations

import asyncio
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np

from rungwise.core.content import Passage
from rungwise.core.errors import EngineAnswer, UsageError
from rungwise.engines.answers import strip_thinking
from rungwise.engines.dialect import Options
from rungwise.engines.encoders.encode import Encode
from rungwise.engines.prompts import hypothesis_messages, query_messages
from rungwise.engines.search.diverse import distinct, mmr
from rungwise.engines.search.fusion import reciprocal_rank
from rungwise.inference.calling import Model, ask
from rungwise.inference.wrappers import Search

Score = Callable[[str, Sequence[Passage]], Sequence[float] | Awaitable[Sequence[float]]]
"""How relevant each passage is to a question, higher is better; a coroutine, or a function that is then run in a thread."""

Rewrite = Callable[[str, int], Awaitable[Sequence[str]]]
"""A question in up to that many other words."""

Write = Callable[[str], Awaitable[str]]
"""A passage that could answer a question."""

_BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s*")


def with_reranking(search: Search, score: Score, *, depth: int) -> Search:
    """Wrap `search` so that its `depth` first passages are put in the order of `score`; equal ones keep theirs.

    A passage's score becomes that of `score`. Raises EngineAnswer when there is not one finite number for each passage.
    """
    _check_depth(depth)

    async def search_and_rerank(query: str, k: int) -> Sequence[Passage]:
        found = await search(query, max(k, depth))
        if not found:
            return ()
        scores = [float(value) for value in await _scored(score, query, found)]
        if len(scores) != len(found) or not all(map(math.isfinite, scores)):
            raise EngineAnswer(f"the reranker gave {len(scores)} scores for {len(found)} passages, or some that are no numbers")
        best = sorted(range(len(found)), key=lambda place: (-scores[place], place))
        return tuple(replace(found[place], score=scores[place]) for place in best[:k])

    return search_and_rerank


async def _scored(score: Score, query: str, found: Sequence[Passage]) -> Sequence[float]:
    if inspect.iscoroutinefunction(score):
        scores: Sequence[float] = await score(query, found)
        return scores
    given = await asyncio.to_thread(score, query, found)
    return await given if inspect.isawaitable(given) else given


def with_queries(search: Search, rewrite: Rewrite, *, count: int, depth: int = 0) -> Search:
    """Wrap `search` so that it looks for the question and for `count` rewritings of it, fused by reciprocal rank.

    Each query finds `depth` passages (at least k). A passage's score becomes the sum of 1 / (60 + rank) over the queries.
    """

    async def search_many(query: str, k: int) -> Sequence[Passage]:
        others = [other for other in await rewrite(query, count) if other.strip() and other.strip() != query.strip()]
        queries = [query, *dict.fromkeys(others)][: count + 1]
        rankings = await asyncio.gather(*(search(one, max(k, depth)) for one in queries))
        return fused(rankings)[:k]

    return search_many


def fused(rankings: Sequence[Sequence[Passage]]) -> tuple[Passage, ...]:
    """One ranking of several: the sum of 1 / (60 + rank), equal ones as first met. The same place of a text is one passage."""
    numbers: dict[Passage, int] = {}
    for passage in (passage for ranking in rankings for passage in ranking):
        numbers.setdefault(_place(passage), len(numbers))
    ranked = [np.array([numbers[place] for place in dict.fromkeys(map(_place, ranking))], np.int64) for ranking in rankings]
    places = tuple(numbers)
    order, scores = reciprocal_rank(ranked)
    return tuple(replace(places[number], score=float(score)) for number, score in zip(order, scores, strict=True))


def _place(passage: Passage) -> Passage:
    return replace(passage, score=0.0)


def with_hypothesis(search: Search, write: Write, *, beside: bool = True) -> Search:
    """Wrap `search` so that it looks for a passage that a model imagines as the answer.

    Source: HyDE (Gao et al. 2022, arXiv 2212.10496). `beside` puts the question before it, as query2doc does (Wang et al. 2023,
    arXiv 2303.07678): names in the question then count even where the model imagined others. What is imagined is searched
    for and never shown.
    """

    async def search_for_hypothesis(query: str, k: int) -> Sequence[Passage]:
        imagined = (await write(query)).strip()
        if not imagined:
            return await search(query, k)
        return await search(f"{query}\n{imagined}" if beside else imagined, k)

    return search_for_hypothesis


def asking_for_queries(model: Model, options: Options | None = None) -> Rewrite:
    """Rewritings of a question by a language model. An answer without a usable line gives none."""

    async def rewrite(question: str, count: int) -> Sequence[str]:
        if count < 1:
            return ()
        written = await ask(model, query_messages(question, count), options)
        lines = (_BULLET.sub("", line).strip().strip("\"'“”`").strip() for line in strip_thinking(written.text).split("\n"))
        return tuple(dict.fromkeys(line for line in lines if line))[:count]

    return rewrite


def asking_for_hypothesis(model: Model, options: Options | None = None) -> Write:
    """A passage that could answer a question, written by a language model."""

    async def write(question: str) -> str:
        return strip_thinking((await ask(model, hypothesis_messages(question), options)).text)

    return write


def without_near_duplicates(search: Search, encode: Encode, *, threshold: float, depth: int) -> Search:
    """Wrap `search` so that of its `depth` first passages those are left out that are like a better one.

    Alike is a cosine of at least `threshold` between their vectors; 1 leaves out copies only. The others keep order and scores.
    """
    _check_depth(depth)

    async def search_distinct(query: str, k: int) -> Sequence[Passage]:
        found = await search(query, max(k, depth))
        if not found:
            return ()
        vectors = await asyncio.to_thread(encode, [passage.text for passage in found])
        return tuple(found[place] for place in distinct(vectors, threshold)[:k])

    return search_distinct


def with_mmr(search: Search, encode: Encode, *, weight: float, depth: int) -> Search:
    """Wrap `search` so that of its `depth` first passages k are chosen that are relevant and unlike each other.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): `weight` of relevance, in [0, 1], against the largest cosine
    with what is chosen already. Relevance is the search's score, scaled to [0, 1] from the worst to the best of the `depth`,
    so that a reranker or a fusion counts too and a weight of 1 keeps their order. Raises UsageError for a weight outside [0, 1].
    """
    _check_depth(depth)
    if not 0 <= weight <= 1:
        raise UsageError(f"the weight of relevance is {weight}. Choose one from 0 (only variety) to 1 (only relevance)")

    async def search_diverse(query: str, k: int) -> Sequence[Passage]:
        found = await search(query, max(k, depth))
        if not found:
            return ()
        vectors = await asyncio.to_thread(encode, [passage.text for passage in found])
        scores = np.array([passage.score for passage in found], np.float32)
        spread = float(scores.max() - scores.min())
        relevance = (scores - scores.min()) / spread if spread > 0 else np.ones_like(scores)
        return tuple(found[place] for place in mmr(relevance, vectors, k, weight))

    return search_diverse


def _check_depth(depth: int) -> None:
    if depth < 1:
        raise UsageError(f"depth is how many passages are looked at: at least 1, not {depth}")
