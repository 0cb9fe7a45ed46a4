"""A model inside a candidate goes the same way as a plain engine, and is to its callers what it was while climbing."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rungwise.core.content import Text, ToolCall, Usage
from rungwise.core.serving import Serving
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint
from rungwise.engines.clock import SystemClock
from rungwise.engines.dialect import Options
from rungwise.engines.endpoint import language_model
from rungwise.engines.prompts import Message
from rungwise.inference.calling import Model
from rungwise.serve.ask import Tape
from rungwise.serve.failure import BadRequest, EngineDown
from rungwise.serve.routing.model import TAPE, routed_model
from rungwise.serve.routing.router import Router
from tests.engines.upstream import Asked, Reply, fails, says, streams, upstream

MESSAGES: list[Message] = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "say hello"}]


def endpoint(url: str, name: str = "first", **more: Any) -> Endpoint:
    return Endpoint(name=name, base_url=url, model="m", usd_per_m_input=1.0, usd_per_m_output=2.0, **more)


def router(*endpoints: Endpoint, **serving: Any) -> Router:
    return Router(endpoints, Serving(**serving), clock=SystemClock(), rng=random.Random(0), environ={})


@pytest.mark.parametrize("stream", [False, True])
async def test_says_and_sends_what_the_climb_saw(stream: bool) -> None:
    script = streams("hel", "lo") if stream else says()
    options = Options(schema={"type": "object"}, likely=2, seed=3, stop=("x",), max_tokens=9)
    async with upstream(script) as server:
        one = endpoint(server.url, stream=stream, logprobs=True)
        routing = router(one)
        model: Model = routed_model(routing, one)
        served = await collect(model(MESSAGES, options))
        await routing.aclose()
        async with language_model(one, clock=SystemClock(), rng=random.Random(0), environ={}) as direct:
            climbed = await collect(direct(MESSAGES, options))
        assert served == climbed
        assert served.usage.calls == 1
        assert server.asked[0].body == server.asked[1].body


async def test_text_comes_as_it_is_written_and_usage_last() -> None:
    async with upstream(streams("a", "b")) as server:
        one = endpoint(server.url, stream=True)
        routing = router(one)
        chunks = [chunk async for chunk in routed_model(routing, one)(MESSAGES)]
        await routing.aclose()
    assert [chunk.parts for chunk in chunks if chunk.parts] == [(Text("a"),), (Text("b"),)]
    assert (chunks[-1].model, chunks[-1].finish) == ("scripted-2026", "stop")
    assert chunks[-1].usage == Usage(11, 3, calls=1, usd=pytest.approx(17e-6))


async def test_tool_calls_come_through() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    async with upstream(says(None, tool_calls=[call])) as server:
        one = endpoint(server.url)
        routing = router(one)
        answer = await collect(routed_model(routing, one)(MESSAGES))
        await routing.aclose()
    assert [part for part in answer.parts if isinstance(part, ToolCall)] == [ToolCall("0", "look", "{}")]


async def test_another_engine_stands_in_and_the_request_has_the_spans_but_counts_the_usage_once() -> None:
    async with upstream(fails(500)) as first, upstream(says("other")) as second:
        one, two = endpoint(first.url), endpoint(second.url, "second")
        routing = router(one, two, fallback={"first": ("second",)})
        tape = Tape("t", SystemClock())
        token = TAPE.set(tape)
        try:
            answer = await collect(routed_model(routing, one)(MESSAGES))
        finally:
            TAPE.reset(token)
        await routing.aclose()
    assert answer.text == "other"
    assert answer.usage.calls == 2
    assert [(span.name, span.error) for span in tape.spans] == [("first", "answered with status 500"), ("second", None)]
    assert (tape.engine, tape.usage) == ("second", None)


async def test_leaves_out_what_the_engine_refuses_and_remembers_it() -> None:
    async def picky(reply: Reply, asked: Asked) -> None:
        bad = fails(400, {"error": {"message": "unknown field seed", "param": "seed"}})
        await (bad if "seed" in asked.body else says())(reply, asked)

    async with upstream(picky) as server:
        one = endpoint(server.url)
        routing = router(one)
        model = routed_model(routing, one)
        for _ in range(2):
            assert (await collect(model(MESSAGES, Options(seed=1)))).text == "hello"
        await routing.aclose()
    assert ["seed" in asked.body for asked in server.asked] == [True, False, False]


async def test_what_nothing_mends_is_the_refusal_of_the_router() -> None:
    async with upstream(fails(400, {"error": {"message": "context length exceeded"}})) as server:
        one = endpoint(server.url)
        routing = router(one)
        with pytest.raises(BadRequest, match="context length"):
            await collect(routed_model(routing, one)(MESSAGES))
        await routing.aclose()
    async with upstream(fails(500)) as server:
        one = endpoint(server.url)
        routing = router(one, retries=0)
        with pytest.raises(EngineDown):
            await collect(routed_model(routing, one)(MESSAGES))
        await routing.aclose()


async def test_what_an_answer_cannot_carry_is_counted_on_the_request() -> None:
    async with upstream(
        fails(400, {"error": {"message": "no", "param": "seed"}}), streams("a", "b", finish=None, done=False)
    ) as server:
        one = endpoint(server.url, stream=True)
        routing = router(one)
        tape = Tape("t", SystemClock())
        TAPE.set(tape)
        with pytest.raises(EngineDown, match="cut"):
            await collect(routed_model(routing, one)(MESSAGES, Options(seed=1)))
        await routing.aclose()
    assert tape.usage is not None
    assert tape.usage.calls == 2
    assert tape.usage.input_tokens > 0
    assert len(tape.spans) == 2


async def test_a_message_of_another_shape_is_the_fault_of_the_engine() -> None:
    async with upstream(says(content={"a": 1})) as server:
        one = endpoint(server.url)
        routing = router(one)
        with pytest.raises(EngineDown, match="outside the protocol"):
            await collect(routed_model(routing, one)(MESSAGES))
        await routing.aclose()
