"""A search with other questions and another order: what is found stays exactly what stands in the documents."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Chunk, Passage, Request, Text, Usage
from rungwise.core.errors import EngineAnswer, EngineUnavailable, UsageError
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.endpoint import LanguageModel, language_model
from rungwise.inference.calling import ask, metered
from rungwise.inference.searching import (
    asking_for_hypothesis,
    asking_for_queries,
    fused,
    with_hypothesis,
    with_mmr,
    with_queries,
    with_reranking,
    without_near_duplicates,
)
from rungwise.inference.wrappers import with_retrieval
from tests.clocks import StillClock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engines"))  # the scripted upstream lives beside its own tests
from upstream import Upstream, fails, says, upstream

TEXTS = {"cat": "The cat sat.", "dog": "A dog barks.", "fox": "The fox is red.", "cow": "Cows eat grass."}
PASSAGES = {name: Passage(text, f"{name}.md", 0, len(text), 1.0, "v") for name, text in TEXTS.items()}


@asynccontextmanager
async def modelled(*scripts: Any) -> AsyncIterator[tuple[LanguageModel, Upstream]]:
    async with upstream(*scripts) as server:
        endpoint = Endpoint(name="e", base_url=server.url, model="m", retries=0)
        async with language_model(endpoint, clock=StillClock(), rng=random.Random(0)) as model:
            yield model, server


class ByWords:
    """A real search: passages that share a word with the query, those that share more first. It remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, query: str, k: int) -> Sequence[Passage]:
        self.asked.append((query, k))
        wanted = set(query.lower().split())
        shared = {name: len(wanted & set(text.lower().rstrip(".").split())) for name, text in TEXTS.items()}
        return [PASSAGES[name] for name in sorted(shared, key=lambda name: -shared[name]) if shared[name]][:k]


def names(found: Sequence[Passage]) -> list[str]:
    return [passage.document.removesuffix(".md") for passage in found]


async def test_a_reranker_orders_its_depth_and_k_are_given() -> None:
    search = ByWords()
    reranked = with_reranking(search, lambda query, found: [len(passage.text) for passage in found], depth=3)
    found = await reranked("the cat fox", 2)
    assert search.asked == [("the cat fox", 3)]
    assert [(passage.document, passage.score) for passage in found] == [("fox.md", 15.0), ("cat.md", 12.0)]
    assert names(await reranked("nothing", 2)) == []


async def test_a_reranker_may_be_a_coroutine_and_equal_scores_keep_the_order() -> None:
    async def score(query: str, found: Sequence[Passage]) -> Sequence[float]:
        return [0.5] * len(found)

    assert names(await with_reranking(ByWords(), score, depth=4)("cat the", 4)) == ["cat", "fox"]


@pytest.mark.parametrize("scores", [[1.0], [1.0, float("nan")]])
async def test_scores_that_are_missing_or_no_numbers_are_an_error(scores: list[float]) -> None:
    with pytest.raises(EngineAnswer, match="2 passages"):
        await with_reranking(ByWords(), lambda query, found: scores, depth=4)("cat the", 4)
    with pytest.raises(UsageError, match="at least 1"):
        with_reranking(ByWords(), lambda query, found: scores, depth=0)


async def test_queries_that_a_model_writes_are_searched_too_and_fused() -> None:
    search = ByWords()
    async with modelled(says("<think>hm</think>1. A dog?\n- 'red fox'\n\ncat\nred fox\ncow")) as (model, server):
        found, usage = await metered(with_queries(search, asking_for_queries(model), count=3)("cat", 2))
    assert sorted(query for query, _ in search.asked) == ["A dog?", "cat", "red fox"]  # the question itself is not searched twice
    assert names(found) == ["cat", "dog"]
    assert found[0].score == pytest.approx(1 / 61)
    assert [message["role"] for message in server.asked[0].body["messages"]] == ["system", "user"]
    assert server.asked[0].body["messages"][1]["content"] == "cat"
    assert (usage.calls, usage.input_tokens) == (1, 11)


async def test_an_empty_answer_of_the_model_leaves_the_question() -> None:
    async with modelled(says("")) as (model, _):
        assert names(await with_queries(ByWords(), asking_for_queries(model), count=3)("cat", 2)) == ["cat"]
        assert names(await with_hypothesis(ByWords(), asking_for_hypothesis(model))("cat", 2)) == ["cat"]


async def test_an_endpoint_that_fails_is_an_error_and_not_a_worse_search() -> None:
    async with modelled(fails(500)) as (model, _):
        with pytest.raises(EngineUnavailable):
            await with_queries(ByWords(), asking_for_queries(model), count=3)("cat", 2)


async def test_an_imagined_passage_is_searched_for_and_never_shown() -> None:
    search = ByWords()
    async with modelled(says("Grass is what cows eat")) as (model, _):
        found = await with_hypothesis(search, asking_for_hypothesis(model))("fox", 3)
        await with_hypothesis(search, asking_for_hypothesis(model), beside=False)("fox", 3)
    assert [query for query, _ in search.asked] == ["fox\nGrass is what cows eat", "Grass is what cows eat"]
    assert names(found) == ["cow", "fox"]
    assert all(passage.text == TEXTS[name] for name, passage in zip(names(found), found, strict=True))


def test_the_same_place_in_two_rankings_is_one_passage_whatever_its_scores() -> None:
    cat, dog, fox = (PASSAGES[name] for name in ("cat", "dog", "fox"))
    again = Passage(cat.text, cat.document, cat.start, cat.end, 9.0, cat.version)
    found = fused([[cat, dog], [fox, again]])
    assert [(passage.document, round(passage.score, 6)) for passage in found] == [
        ("cat.md", round(1 / 61 + 1 / 62, 6)),
        ("fox.md", round(1 / 61, 6)),
        ("dog.md", round(1 / 62, 6)),
    ]
    assert fused([]) == ()


@given(st.lists(st.lists(st.sampled_from(list(PASSAGES)), unique=True), max_size=4))
def test_a_fusion_holds_each_passage_once_and_best_first(rankings: list[list[str]]) -> None:
    found = fused([[PASSAGES[name] for name in ranking] for ranking in rankings])
    assert sorted(names(found)) == sorted({name for ranking in rankings for name in ranking})
    scores = [passage.score for passage in found]
    assert scores == sorted(scores, reverse=True)


async def test_usage_goes_to_the_nearest_meter_only() -> None:
    async with modelled(says("x")) as (model, _):

        async def inner() -> int:
            _, usage = await metered(ask(model, [{"role": "user", "content": "inner"}]))
            await ask(model, [{"role": "user", "content": "outer"}])
            return usage.calls

        assert await metered(inner()) == (1, (await metered(ask(model, [{"role": "user", "content": "again"}])))[1])


NEWS = [
    Passage("The bridge over the river is closed.", "a", 0, 36, 0.9),
    Passage("The bridge over the river is closed!", "b", 0, 36, 0.8),
    Passage("Ferries sail every hour instead.", "c", 0, 32, 0.5),
    Passage("The bridge over the river is closed today.", "d", 0, 42, 0.4),
]


async def news(query: str, k: int) -> Sequence[Passage]:
    return NEWS[:k]


async def test_a_passage_like_a_better_one_is_left_out() -> None:
    encode = load_encoder("hashed")
    found = await without_near_duplicates(news, encode, threshold=0.95, depth=4)("bridge", 2)
    assert found == (NEWS[0], NEWS[2])
    assert await without_near_duplicates(news, encode, threshold=0.85, depth=4)("bridge", 4) == (NEWS[0], NEWS[2])


async def test_variety_is_weighed_against_relevance() -> None:
    encode = load_encoder("hashed")
    assert await with_mmr(news, encode, weight=1.0, depth=4)("bridge", 3) == tuple(NEWS[:3])
    assert await with_mmr(news, encode, weight=0.5, depth=4)("bridge", 2) == (NEWS[0], NEWS[2])
    with pytest.raises(UsageError, match="from 0"):
        with_mmr(news, encode, weight=1.5, depth=4)


async def test_of_nothing_nothing_is_chosen() -> None:
    async def empty(query: str, k: int) -> Sequence[Passage]:
        return ()

    encode = load_encoder("hashed")
    assert await with_mmr(empty, encode, weight=0.5, depth=4)("q", 3) == ()
    assert await without_near_duplicates(empty, encode, threshold=0.9, depth=4)("q", 3) == ()


async def test_what_a_model_inside_the_search_costs_is_part_of_the_answer() -> None:
    async def answer(request: Request) -> AsyncIterator[Chunk]:
        yield Chunk((Text(request.passages[0].document),), usage=Usage(calls=1, output_tokens=1))

    async with modelled(says("fox")) as (model, _):
        respond = with_retrieval(answer, with_queries(ByWords(), asking_for_queries(model), count=1), k=2)
        found, other = await asyncio.gather(collect(respond(Request.of("cat"))), collect(respond(Request.of("dog"))))
    assert (found.text, found.usage.calls, found.usage.input_tokens) == ("cat.md", 2, 11)
    assert (other.text, other.usage.calls) == ("dog.md", 2)  # two at a time, each pays for itself
