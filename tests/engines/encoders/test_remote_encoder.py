"""Encoders behind an address: order, dimensions, trouble, price and budget, against a real server on loopback."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from rungwise.core.errors import EngineAnswer, EngineUnavailable, OutOfBudget, UnknownName, UsageError
from rungwise.core.usecase import Endpoint, Limits
from rungwise.data.store import Store
from rungwise.data.vectors import VectorCache
from rungwise.engines.budget import Budget
from rungwise.engines.encoders.remembering import with_cache
from rungwise.engines.encoders.remote import RemoteEncoder
from tests.clocks import StillClock
from tests.engines.upstream import Asked, Reply, Script, Upstream, fails, upstream

KEY = "sk-rungwise-0123456789"


class NoWait(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return a


def encoder_at(
    server: Upstream, *, bedrock: bool = False, dimensions: int | None = None, budget: Budget | None = None, **more: Any
) -> RemoteEncoder:
    settings: dict[str, Any] = {"name": "paid", "base_url": server.url, "model": "m", "total_s": 5.0, "key_env": "KEY"}
    make = RemoteEncoder.bedrock if bedrock else RemoteEncoder
    return make(
        Endpoint(**settings | {"usd_per_m_input": 2.0} | more),
        clock=StillClock(),
        rng=NoWait(1),
        dimensions=dimensions,
        budget=budget,
        environ={"KEY": KEY},
    )


def vector(text: str) -> list[float]:
    return [float(len(text)), 1.0, 2.0]


def answers(change: Callable[[list[dict[str, Any]]], Any] = lambda items: items, **more: Any) -> Script:
    """Vectors by the length of each text, after a change of the list."""

    async def script(reply: Reply, asked: Asked) -> None:
        items = [{"index": place, "embedding": vector(text)} for place, text in enumerate(asked.body["input"])]
        await reply.send(200, {"data": change(items), "usage": {"prompt_tokens": 10 * len(items)}, **more})

    return script


def unit(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    rows = np.asarray([vector(text) for text in texts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


async def test_vectors_come_in_the_order_of_the_texts_whatever_the_order_of_the_items() -> None:
    texts = ["x" * length for length in range(1, 151)]
    async with upstream(answers(lambda items: items[::-1])) as server:
        encode = encoder_at(server)
        assert await encode.embed(texts) == pytest.approx(unit(texts), abs=1e-6)
        assert sorted(len(asked.body["input"]) for asked in server.asked) == [22, 64, 64]
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
        assert encode.usage.input_tokens == 1_500
        assert encode.usage.calls == 3
        assert encode.usage.usd == pytest.approx(1_500 * 2.0 / 1e6)
        assert (await encode.embed([])).shape[0] == 0
        assert await encode.embed(["", "\ud800"]) == pytest.approx(unit([".", "?"]), abs=1e-6)


async def test_it_is_a_function_like_other_encoders_also_beside_a_running_loop(store: Store) -> None:
    import asyncio

    async with upstream(answers()) as server:
        encode = encoder_at(server)
        remembering = with_cache(encode, VectorCache(store), encode.identity)
        first = await asyncio.to_thread(remembering, ["a", "bb"])
        assert first == pytest.approx(unit(["a", "bb"]), abs=1e-6)
        assert (await asyncio.to_thread(remembering, ["bb", "a"])).tobytes() == first[::-1].tobytes()
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda items: items[1:], "1 items for 2 texts"),
        (lambda items: [items[0], items[0]], "indexes that are not 0 to 1"),
        (lambda items: [items[0], items[1] | {"embedding": [1.0]}], "no lists of one length"),
        (lambda items: [items[0], items[1] | {"embedding": [1.0, float("nan"), 0.0]}], "no numbers"),
        (lambda items: [items[0], items[1] | {"embedding": [0.0, 0.0, 0.0]}], "of no length"),
        (lambda items: [items[0], items[1] | {"embedding": ["1", 2, 3]}], "something else than numbers"),
        (lambda items: [items[0], {"index": 1}], "no lists"),
        (lambda items: "vectors", "no list 'data'"),
    ],
)
async def test_an_answer_that_is_not_one_vector_a_text_is_refused_and_paid(change: Any, says: str) -> None:
    async with upstream(answers(change)) as server:
        encode = encoder_at(server)
        with pytest.raises(EngineAnswer, match=says):
            await encode.embed(["a", "bb"])
        assert len(server.asked) == 1
        assert encode.usage.usd > 0


async def test_vectors_of_another_dimension_than_asked_for_are_refused() -> None:
    async with upstream(answers()) as server:
        with pytest.raises(EngineAnswer, match="3 numbers instead of 256"):
            await encoder_at(server, dimensions=256).embed(["a"])
        assert server.asked[0].body["dimensions"] == 256


async def test_trouble_that_passes_is_tried_again_and_what_does_not_pass_is_said_without_the_key() -> None:
    async with upstream(fails(503), fails(429, Retry_After="0"), answers()) as server:
        assert await encoder_at(server).embed(["a"]) == pytest.approx(unit(["a"]), abs=1e-6)
        assert len(server.asked) == 3
    async with upstream(fails(500, {"error": f"broken {KEY}"})) as server:
        with pytest.raises(EngineUnavailable, match="after 3 tries") as error:
            await encoder_at(server, retries=2).embed(["a"])
        assert KEY not in str(error.value)
    async with upstream(fails(401)) as server:
        with pytest.raises(EngineUnavailable, match="refused the key"):
            await encoder_at(server).embed(["a"])
        assert len(server.asked) == 1
    with pytest.raises(UsageError, match="needs its key"):
        await encoder_at(server, key_env="OTHER").embed(["a"])


async def test_a_budget_is_never_passed_and_nothing_is_sent_when_it_would_be() -> None:
    async with upstream(answers()) as server:
        budget = Budget(Limits(budget_usd=1e-3), StillClock())
        encode = encoder_at(server, budget=budget, concurrency=1)
        await encode.embed(["a"] * 3)
        assert budget.spent.usd == pytest.approx(30 * 2.0 / 1e6)
        with pytest.raises(OutOfBudget):
            await encode.embed(["long " * 1_000])
        assert len(server.asked) == 1


async def test_titan_and_cohere_are_asked_in_their_own_shape() -> None:
    async def titan(reply: Reply, asked: Asked) -> None:
        await reply.send(200, {"embedding": vector(asked.body["inputText"]), "inputTextTokenCount": 7})

    async def cohere(reply: Reply, asked: Asked) -> None:
        await reply.send(200, {"embeddings": {"float": [vector(text) for text in asked.body["texts"]]}})

    texts = ["a", "bb", "ccc"]
    async with upstream(titan) as server:
        encode = encoder_at(server, bedrock=True, model="amazon.titan-embed-text-v2:0")
        assert await encode.embed(texts) == pytest.approx(unit(texts), abs=1e-6)
        assert len(server.asked) == 3
        assert encode.usage.input_tokens == 21
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    async with upstream(cohere) as server:
        encode = encoder_at(server, bedrock=True, model="eu.cohere.embed-multilingual-v3")
        assert await encode.embed(texts) == pytest.approx(unit(texts), abs=1e-6)
        assert [asked.body["texts"] for asked in server.asked] == [texts]
    with pytest.raises(UnknownName, match="titan"):
        encoder_at(server, bedrock=True, model="anthropic.claude")
