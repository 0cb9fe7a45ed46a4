"""The router against real scripted engines: what is sent, what comes back, and what is written on the tape."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing

import pytest

from rungwise.core.content import Usage
from rungwise.serve.ask import CHAT, COMPLETION, EMBEDDINGS
from rungwise.serve.failure import BadRequest, EngineDown
from tests.clocks import StillClock
from tests.engines.upstream import USAGE, Asked, Reply, Script, completion, fails, piece, says, sends, streams, upstream
from tests.serve.faults import silent, words_for_ever
from tests.serve.routed import BODY, KEY, ask, engine, read, router, tape, text_of


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
