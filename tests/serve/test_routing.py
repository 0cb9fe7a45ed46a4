"""The router against real scripted engines: what is sent, what comes back, who is asked next, and what is written on the tape."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from rungwise.core.content import Usage
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.serving import Breaker, Serving
from rungwise.core.types import Clock
from rungwise.core.usecase import Endpoint
from rungwise.engines.clock import SystemClock
from rungwise.serve.ask import CHAT, COMPLETION, EMBEDDINGS, Tape
from rungwise.serve.failure import BadRequest, EngineDown, Limited, NotThere, Refused, TimedOut
from rungwise.serve.routing.router import Router
from tests.clocks import StillClock
from tests.engines.upstream import USAGE, Asked, Reply, Script, completion, fails, piece, says, sends, streams, upstream
from tests.serve.faults import silent, words_for_ever

KEY = "sk-secret-0123456789"
BODY: dict[str, Any] = {"model": "asked", "messages": [{"role": "user", "content": "say hello"}], "temperature": 0.3, "x": [1]}


def engine(url: str, name: str = "first", **more: Any) -> Endpoint:
    return Endpoint(name=name, base_url=url, model=f"{name}-model", **more)


@asynccontextmanager
async def router(
    *endpoints: Endpoint, clock: Clock | None = None, environ: Mapping[str, str] | None = None, **serving: Any
) -> AsyncIterator[Router]:
    made = Router(endpoints, Serving(**serving), clock=clock or SystemClock(), rng=random.Random(0), environ=environ or {})
    try:
        yield made
    finally:
        await made.aclose()


def tape(clock: Clock | None = None) -> Tape:
    return Tape("trace", clock or SystemClock())


async def ask(routing: Router, *, on: Tape | None = None, engine: str = "first") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await routing.whole(engine, CHAT, BODY, on or tape()))
    return answer


async def read(routing: Router, body: Mapping[str, Any] = BODY, *, on: Tape | None = None) -> list[dict[str, Any]]:
    async with aclosing(routing.stream("first", CHAT, body, on or tape())) as chunks:
        return [json.loads(chunk) async for chunk in chunks]


def text_of(answer: Mapping[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


async def test_a_request_goes_on_as_it_came_but_for_the_model_and_the_key() -> None:
    before = json.dumps(BODY)
    async with upstream(says()) as server, router(engine(server.url, key_env="KEY"), environ={"KEY": KEY}) as routing:
        assert await ask(routing) == completion("hello")
        assert server.asked[0].body == {**BODY, "model": "first-model"}
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
        await ask(routing, engine="first/other/model")
        assert server.asked[1].body["model"] == "other/model"
    assert json.dumps(BODY) == before


async def test_completions_and_embeddings_have_their_own_routes() -> None:
    vectors = {"object": "list", "data": [{"embedding": [0.5]}], "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    paths: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        paths.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])
        body = json.dumps(vectors if paths[-1].endswith(b"embeddings") else completion()).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, router(engine(url, usd_per_m_input=1.0)) as routing:
        on = tape()
        assert json.loads(await routing.whole("first", EMBEDDINGS, {"input": "x"}, on)) == vectors
        assert on.usage == Usage(4, 0, calls=1, usd=4e-6)
        await routing.whole("first", COMPLETION, {"prompt": "x"}, tape())
    assert paths == [b"/v1/embeddings", b"/v1/completions"]


async def test_a_stream_is_asked_for_its_usage_which_only_those_see_who_asked() -> None:
    async with upstream(streams("a", "b")) as server, router(engine(server.url)) as routing:
        on = tape()
        chunks = await read(routing, {**BODY, "stream": True}, on=on)
        assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["a", "b", None]
        assert server.asked[0].body["stream_options"] == {"include_usage": True}
        assert on.usage == Usage(11, 3, calls=1)
        chunks = await read(routing, {**BODY, "stream": True, "stream_options": {"include_usage": True, "other": 1}})
        assert chunks[-1]["usage"] == USAGE
        assert server.asked[1].body["stream_options"] == {"include_usage": True, "other": 1}


async def test_what_makes_no_sense_is_for_the_engine_to_say() -> None:
    async with upstream(streams("a", usage=None, done=False)) as server, router(engine(server.url)) as routing:
        for odd in ({"stream_options": "x"}, {"n": "many"}, {"n": 0}, {"n": True}, {"stream": "yes"}):
            assert len(await read(routing, {**BODY, **odd})) == 2
        assert server.asked[0].body["stream_options"] == "x"


async def test_an_engine_that_refuses_to_tell_the_usage_is_asked_without_from_then_on() -> None:
    async def picky(reply: Reply, asked: Asked) -> None:
        bad = fails(400, {"error": {"message": "unknown field stream_options"}})
        await (bad if "stream_options" in asked.body else streams("a", usage=None))(reply, asked)

    async with upstream(picky) as server, router(engine(server.url)) as routing:
        for _ in range(2):
            on = tape()
            assert len(await read(routing, on=on)) == 2
            assert on.usage is not None
            assert on.usage.estimated
        assert ["stream_options" in asked.body for asked in server.asked] == [True, False, False]


async def test_the_tape_says_who_answered_and_what_it_took() -> None:
    used = {**USAGE, "prompt_tokens_details": {"cached_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 2}}
    async with (
        upstream(says(usage=used), streams("a", "b", usage=used)) as server,
        router(engine(server.url, usd_per_m_input=2.0, usd_per_m_cached=1.0, usd_per_m_output=10.0)) as routing,
    ):
        for call in (ask, read):
            on = tape()
            await call(routing, on=on)
            assert (on.engine, on.model, on.response_id, on.finish) == ("first", "scripted-2026", "1", "stop")
            assert on.usage == Usage(11, 3, 10, 2, calls=1, usd=pytest.approx((2 + 10 + 30) / 1e6))
            assert on.usage.seconds > 0
            assert on.first_token_s is not None
            (span,) = on.spans
            assert (span.name, span.kind, span.error) == ("first", "model", None)
            assert span.details == {"model": "scripted-2026", "input_tokens": 11, "output_tokens": 3}


async def test_tokens_that_nobody_counted_are_guessed_and_flagged() -> None:
    async with (
        upstream(says("x" * 400, usage=None)) as server,
        router(engine(server.url, usd_per_m_output=1.0)) as routing,
    ):
        on = tape()
        await ask(routing, on=on)
        assert on.usage is not None
        assert on.usage.estimated
        assert on.usage.output_tokens >= 100
        assert on.usage.usd > 0


async def test_a_machine_is_paid_by_the_time_it_takes(clock: StillClock) -> None:
    async def slow(reply: Reply, asked: Asked) -> None:
        clock.advance(36)
        await says()(reply, asked)

    async with upstream(slow) as server, router(engine(server.url, usd_per_hour=1.0), clock=clock) as routing:
        on = tape(clock)
        await ask(routing, on=on)
        assert on.usage is not None
        assert on.usage.usd == pytest.approx(0.01)


async def test_what_may_pass_is_tried_again_so_often_and_no_more() -> None:
    async with upstream(fails(500), fails(503), says()) as server, router(engine(server.url), retries=2) as routing:
        on = tape()
        assert text_of(await ask(routing, on=on)) == "hello"
        assert [span.error for span in on.spans] == ["answered with status 500", "answered with status 503", None]
        assert on.usage is not None
        assert on.usage.calls == 3
    async with upstream(fails(500)) as server, router(engine(server.url), retries=2) as routing:
        with pytest.raises(EngineDown, match="answered with status 500"):
            await ask(routing)
        assert len(server.asked) == 3


async def test_all_requests_together_are_tried_again_only_within_the_budget() -> None:
    async with (
        upstream(fails(500)) as server,
        router(engine(server.url), retries=5, retry_share=0.1, breaker=Breaker(failures=10_000)) as routing,
    ):
        for _ in range(100):
            with pytest.raises(EngineDown):
                await ask(routing)
        assert len(server.asked) <= 100 + 10 + 0.1 * 100
    async with upstream(fails(500)) as server, router(engine(server.url), retries=5, retry_share=0.0) as routing:
        with pytest.raises(EngineDown):
            await ask(routing)
        assert len(server.asked) == 1


async def test_a_short_wait_that_the_engine_asks_for_is_kept_and_a_long_one_is_told_to_the_client() -> None:
    async with upstream(fails(429, Retry_After="0.3"), says()) as server, router(engine(server.url)) as routing:
        begun = time.perf_counter()
        await ask(routing)
        assert time.perf_counter() - begun >= 0.3
    async with upstream(fails(429, Retry_After="30")) as server, router(engine(server.url)) as routing:
        with pytest.raises(Limited) as caught:
            await ask(routing)
        assert caught.value.retry_after_s == 30.0
        assert len(server.asked) == 1


async def test_retries_end_before_the_total_of_the_engine_would_run_out() -> None:
    async with upstream(fails(503, Retry_After="0.9")) as server, router(engine(server.url, total_s=0.5)) as routing:
        begun = time.perf_counter()
        with pytest.raises(EngineDown):
            await ask(routing)
        assert time.perf_counter() - begun < 0.5
        assert len(server.asked) == 1


async def test_the_total_is_for_all_tries_of_an_engine_together() -> None:
    async def slow_failure(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(0.25)
        await fails(500)(reply, asked)

    async with upstream(slow_failure) as server, router(engine(server.url, total_s=0.6), retries=10) as routing:
        begun = time.perf_counter()
        with pytest.raises((TimedOut, EngineDown)):
            await ask(routing)
        assert time.perf_counter() - begun < 0.6 + 0.5
        assert len(server.asked) <= 3


async def test_an_engine_that_asks_for_rest_comes_last_until_then(clock: StillClock) -> None:
    async with (
        upstream(fails(429, Retry_After="30"), says("first")) as first,
        upstream(says("second")) as second,
        router(engine(first.url), engine(second.url, "second"), clock=clock, fallback={"first": ("second",)}) as routing,
    ):
        assert [text_of(await ask(routing)) for _ in range(3)] == ["second"] * 3
        assert len(first.asked) == 1
        clock.advance(31)
        assert text_of(await ask(routing)) == "first"


async def test_fallbacks_are_asked_in_their_order_with_a_model_of_their_own() -> None:
    async with (
        upstream(fails(500)) as first,
        upstream(fails(401)) as second,
        upstream(says("third")) as third,
        router(
            engine(first.url),
            engine(second.url, "second"),
            engine(third.url, "third"),
            fallback={"first": ("first", "second", "third/tiny", "third")},
        ) as routing,
    ):
        on = tape()
        assert text_of(await ask(routing, on=on)) == "third"
        assert [span.name for span in on.spans] == ["first", "second", "third"]
        assert third.asked[0].body["model"] == "tiny"
        assert on.usage is not None
        assert on.usage.calls == 3
        assert [len(one.asked) for one in (first, second, third)] == [1, 1, 1]


async def test_a_fallback_of_an_engine_serves_whichever_model_it_was_asked_for() -> None:
    async with (
        upstream(fails(500)) as first,
        upstream(says("second")) as second,
        router(engine(first.url), engine(second.url, "second"), fallback={"first": ("second",)}) as routing,
    ):
        assert text_of(await ask(routing, engine="first/large")) == "second"


async def test_vectors_come_from_another_engine_only_where_it_has_the_same_model() -> None:
    vectors = json.dumps(
        {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    ).encode()
    async with upstream(fails(500)) as first, upstream(sends(vectors)) as second:
        for fallback, works in (("second", False), ("second/first-model", True)):
            async with router(
                engine(first.url), engine(second.url, "second"), retries=0, fallback={"first": (fallback,)}
            ) as routing:
                asking = routing.whole("first", EMBEDDINGS, {"input": "x"}, tape())
                if works:
                    assert json.loads(await asking) == json.loads(vectors)
                else:
                    with pytest.raises(EngineDown):
                        await asking


async def test_an_engine_that_fails_again_and_again_is_not_asked_while_it_rests(
    clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        upstream(*[fails(500)] * 3, says()) as server,
        router(engine(server.url), clock=clock, retries=0, breaker=Breaker(failures=3, rest_s=10.0)) as routing,
    ):
        for _ in range(3):
            with pytest.raises(EngineDown, match="status 500"):
                await ask(routing)
        clock.advance(4)
        with pytest.raises(EngineDown, match="rests after failures") as caught:
            await ask(routing)
        assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (503, "engine_unavailable", 6.0)
        assert routing.states()[0].circuit == "open"
        assert len(server.asked) == 3
        clock.advance(6)
        assert text_of(await ask(routing)) == "hello"
        assert routing.states()[0].circuit == "closed"
    assert caplog.messages == ["the engine 'first' rests for 10 s: it answered with status 500", "the engine 'first' is back"]


async def test_while_one_request_tries_whether_an_engine_is_back_the_others_go_elsewhere(clock: StillClock) -> None:
    back = asyncio.Event()

    async def slowly(reply: Reply, asked: Asked) -> None:
        await back.wait()
        await says("first")(reply, asked)

    async with (
        upstream(fails(500), slowly) as first,
        upstream(says("second")) as second,
        router(
            engine(first.url),
            engine(second.url, "second"),
            clock=clock,
            breaker=Breaker(failures=1, rest_s=10.0),
            fallback={"first": ("second",)},
        ) as routing,
    ):
        assert text_of(await ask(routing)) == "second"
        clock.advance(10)
        trying = asyncio.ensure_future(ask(routing))
        while len(first.asked) < 2:
            await asyncio.sleep(0.001)
        assert {text_of(await ask(routing)) for _ in range(5)} == {"second"}
        back.set()
        assert text_of(await trying) == "first"
        assert text_of(await ask(routing)) == "first"


async def test_while_the_one_that_stands_in_rests_the_first_is_tried_again(clock: StillClock) -> None:
    async with (
        upstream(fails(500), fails(500), says("first")) as first,
        upstream(fails(500)) as second,
        router(
            engine(first.url),
            engine(second.url, "second"),
            clock=clock,
            retries=1,
            breaker=Breaker(failures=2),
            fallback={"first": ("second",)},
        ) as routing,
    ):
        for _ in range(2):
            with pytest.raises(EngineDown):
                await ask(routing, engine="second")
        assert routing.states()[1].circuit == "open"
        first.scripts[1] = says("first")
        assert text_of(await ask(routing)) == "first"
        assert len(second.asked) == 2


async def test_what_is_wrong_with_the_request_speaks_against_no_engine() -> None:
    told = {"error": {"message": f"too long for {KEY}", "code": "context_length_exceeded", "param": "messages"}}
    async with (
        upstream(fails(400, told)) as first,
        upstream(says()) as second,
        router(
            engine(first.url, key_env="KEY"), engine(second.url, "second"), environ={"KEY": KEY}, fallback={"first": ("second",)}
        ) as routing,
    ):
        for _ in range(20):
            with pytest.raises(BadRequest) as caught:
                await ask(routing)
        refused = caught.value
        assert (refused.status, refused.code, refused.param) == (400, "context_length_exceeded", "messages")
        assert refused.message == "too long for [key]"
        assert (len(first.asked), len(second.asked)) == (20, 0)
        assert routing.states()[0].circuit == "closed"


async def test_neither_the_key_nor_the_address_of_an_engine_reaches_a_client() -> None:
    def places(url: str) -> str:
        return url.split("/")[2]

    async def talks(reply: Reply, asked: Asked) -> None:
        host = asked.headers["host"]
        await fails(400, {"error": {"message": f"{KEY} is not known at {host}"}})(reply, asked)

    scripts: list[Script] = [
        talks,
        says(f"the key is {KEY}"),
        streams(f"the key is {KEY}"),
        sends(json.dumps({"error": {"message": KEY, "code": 500}}).encode()),
    ]
    async with (
        upstream(*scripts) as server,
        router(engine(server.url, key_env="KEY"), environ={"KEY": KEY}, retries=0) as routing,
    ):
        on = tape()
        with pytest.raises(BadRequest) as caught:
            await ask(routing, on=on)
        assert caught.value.message == "[key] is not known at [engine]"
        assert places(server.url) not in caught.value.message
        assert text_of(await ask(routing, on=on)) == "the key is [key]"
        assert KEY not in json.dumps(await read(routing, on=on))
        with pytest.raises(EngineDown) as down:
            await ask(routing, on=on)
        assert KEY not in f"{down.value.message} {on.spans}"


async def test_a_missing_key_is_a_fault_of_the_engine_that_a_fallback_mends() -> None:
    async with (
        upstream(says("first")) as first,
        upstream(says("second")) as second,
        router(engine(first.url, key_env="MISSING"), engine(second.url, "second"), fallback={"first": ("second",)}) as routing,
    ):
        assert text_of(await ask(routing)) == "second"
        assert first.asked == []
    async with upstream(says()) as first, router(engine(first.url, key_env="MISSING")) as routing:
        with pytest.raises(EngineDown, match="has no key on this server"):
            await ask(routing)


async def test_a_name_that_is_no_engine_is_not_there_and_as_a_fallback_a_mistake_in_the_file() -> None:
    async with router(engine("http://127.0.0.1:9/v1")) as routing:
        for name in ("second", "", "/", "first/", "/model"):
            with pytest.raises(NotThere):
                await ask(routing, engine=name)
    for fallback in ({"first": ("secnod",)}, {"frist": ("first",)}):
        with pytest.raises(UnknownName, match="Did you mean"):
            Router(
                [engine("http://a/v1"), engine("http://b/v1", "second")],
                Serving(fallback=fallback),
                clock=SystemClock(),
                rng=random.Random(0),
            )
    with pytest.raises(UsageError, match="base_url"):
        Router([engine("ftp://x")], Serving(), clock=SystemClock(), rng=random.Random(0))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_who_leaves_ends_the_call_upstream_and_what_was_used_is_counted_once(stream: bool) -> None:
    async with upstream(words_for_ever if stream else silent) as server, router(engine(server.url)) as routing:
        on = tape()
        task = asyncio.ensure_future(read(routing, on=on) if stream else ask(routing, on=on))
        while not server.open_calls or (stream and on.first_token_s is None):
            await asyncio.sleep(0.001)
        begun = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while server.open_calls and stream and time.perf_counter() - begun < 1.0:
            await asyncio.sleep(0.005)
        assert server.open_calls == 0 or not stream  # the silent one never looks at its connection
        assert on.usage is not None
        assert (on.usage.calls, on.usage.estimated) == (1, True)
        assert [span.error for span in on.spans] == ["cancelled"]
        assert (routing.states()[0].in_flight, routing.states()[0].failures) == (0, 0)


async def test_a_stream_that_is_closed_half_way_ends_the_call_upstream() -> None:
    async with upstream(words_for_ever) as server, router(engine(server.url)) as routing:
        chunks = routing.stream("first", CHAT, BODY, tape())
        await anext(chunks)
        await chunks.aclose()
        begun = time.perf_counter()
        while server.open_calls and time.perf_counter() - begun < 1.0:
            await asyncio.sleep(0.005)
        assert server.open_calls == 0


async def test_a_client_who_reads_slowly_is_no_fault_of_the_engine() -> None:
    async with upstream(streams(*"hello")) as server, router(engine(server.url, between_chunks_s=0.1)) as routing:
        text = ""
        async with aclosing(routing.stream("first", CHAT, BODY, tape())) as chunks:
            async for chunk in chunks:
                await asyncio.sleep(0.15)
                text += json.loads(chunk)["choices"][0]["delta"].get("content", "")
        assert text == "hello"


async def test_chunks_are_handed_on_byte_for_byte_and_mended_where_no_client_could_read_them() -> None:
    odd = b'{"choices":[ {"delta":{"content":"\xc3\xa9"}} ],  "unknown":{"a":1e5}}'
    bad = b'{"choices":[{"delta":{"content":"x\xff"},"finish_reason":"stop","logprob":NaN}]}'

    async def script(reply: Reply, asked: Asked) -> None:
        await reply.head(200, "text/event-stream")
        await reply.raw(b"data: " + odd + b"\n\ndata: " + bad + b"\n\ndata: [DONE]\n\n")

    async with upstream(script) as server, router(engine(server.url)) as routing:
        chunks = [chunk async for chunk in routing.stream("first", CHAT, BODY, tape())]
    assert chunks[0] == odd
    mended = json.loads(chunks[1].decode(), parse_constant=lambda name: pytest.fail(name))
    assert mended["choices"][0]["delta"]["content"] == "x�"


async def test_tool_calls_of_an_engine_that_does_not_stream_come_as_a_chunk() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    async with upstream(says(None, tool_calls=[call], finish="tool_calls")) as server, router(engine(server.url)) as routing:
        (chunk,) = await read(routing)
    assert chunk["object"] == "chat.completion.chunk"
    assert chunk["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **call}]
    assert chunk["choices"][0]["finish_reason"] == "tool_calls"


async def test_several_answers_at_once_come_through() -> None:
    async def two(reply: Reply, asked: Asked) -> None:
        await reply.head(200, "text/event-stream")
        for index in (0, 1):
            await reply.event({**piece("x"), "choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": "stop"}]})
        await reply.event("[DONE]")

    async with upstream(two) as server, router(engine(server.url)) as routing:
        assert [chunk["choices"][0]["index"] for chunk in await read(routing, {**BODY, "n": 2})] == [0, 1]


async def test_the_states_say_how_each_engine_does() -> None:
    async with (
        upstream(fails(500)) as first,
        router(engine(first.url), engine("http://127.0.0.1:9/v1", "second"), retries=1) as routing,
    ):
        with pytest.raises(Refused):
            await ask(routing)
        one, two = routing.states()
    assert (one.name, one.circuit, one.attempts, one.failures, one.in_flight) == ("first", "closed", 2, 2, 0)
    assert (two.name, two.attempts, two.rests_s) == ("second", 0, 0.0)
