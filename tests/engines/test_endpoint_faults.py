"""A model endpoint that fails in every way we could think of: each case ends in time, in a documented error or an answer."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from upstream import Asked, Reply, Script, completion, fails, piece, says, sends, streams, upstream

from rungwise.core.content import Response
from rungwise.core.errors import EngineAnswer, EngineError, EngineUnavailable
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint
from rungwise.engines.dialect import Options
from rungwise.engines.endpoint import LanguageModel, language_model
from rungwise.engines.resilience import delay_s, retry_after_s

MESSAGES = [{"role": "user", "content": "say hello"}]
TOTAL_S, FIRST_S, BETWEEN_S = 1.2, 0.3, 0.3
SLACK_S = 1.0


class SystemClock:
    def now(self) -> float:
        return time.time()

    def tick(self) -> float:
        return time.perf_counter()


def endpoint_at(url: str, **changes: Any) -> Endpoint:
    settings: dict[str, Any] = {
        "name": "scripted",
        "base_url": url,
        "model": "m",
        "retries": 1,
        "total_s": TOTAL_S,
        "first_token_s": FIRST_S,
        "between_chunks_s": BETWEEN_S,
        "usd_per_m_input": 1.0,
        "usd_per_m_output": 1.0,
    }
    return Endpoint(**settings | changes)


class Low(random.Random):
    """Jitter at its low end, so that the tests do not wait."""

    def uniform(self, a: float, b: float) -> float:
        return a + 0.02 * (b - a)


def model_at(url: str, **changes: Any) -> LanguageModel:
    return language_model(endpoint_at(url, **changes), clock=SystemClock(), rng=Low(1))


async def ask(url: str, *, options: Options | None = None, **changes: Any) -> Response:
    async with model_at(url, **changes) as model:
        return await collect(model(MESSAGES, options))


async def silent(reply: Reply, asked: Asked) -> None:
    await asyncio.sleep(30)


async def resets(reply: Reply, asked: Asked) -> None:
    reply.reset()


async def closes(reply: Reply, asked: Asked) -> None:
    return


async def resets_in_the_middle(reply: Reply, asked: Asked) -> None:
    await reply.head(200, "text/event-stream")
    await reply.event(piece("hel"))
    await asyncio.sleep(0.05)
    reply.reset()


async def comments_for_ever(reply: Reply, asked: Asked) -> None:
    await reply.head(200, "text/event-stream")
    while True:
        await reply.raw(b": keep-alive\n\n")
        await asyncio.sleep(0.01)


async def comments_for_ever_after_a_word(reply: Reply, asked: Asked) -> None:
    await reply.head(200, "text/event-stream")
    await reply.event(piece("hel"))
    await comments_for_ever(reply, asked)


async def empty_events_for_ever(reply: Reply, asked: Asked) -> None:
    await reply.head(200, "text/event-stream")
    while True:
        await reply.event({"choices": [], "usage": None})
        await asyncio.sleep(0.01)


async def words_for_ever(reply: Reply, asked: Asked) -> None:
    await reply.head(200, "text/event-stream")
    while True:
        await reply.event(piece("x"))
        await asyncio.sleep(0.02)


async def a_byte_now_and_then(reply: Reply, asked: Asked) -> None:
    await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n")
    while True:
        await reply.raw(b" ")
        await asyncio.sleep(0.1)


async def slow_head(reply: Reply, asked: Asked) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
        await reply.raw(bytes([byte]))
        await asyncio.sleep(0.1)


async def says_first_then_stalls(reply: Reply, asked: Asked) -> None:
    await reply.head(200, "text/event-stream")
    await reply.event(piece("hel"))
    await asyncio.sleep(30)


async def half_a_body(reply: Reply, asked: Asked) -> None:
    await reply.raw(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"choices": [')


async def not_http(reply: Reply, asked: Asked) -> None:
    await reply.raw(b"220 smtp.example.org ESMTP\r\n\r\n")


async def endless_error(reply: Reply, asked: Asked) -> None:
    await reply.head(500, "text/plain")
    while True:
        await reply.raw(b"x" * 1000)
        await asyncio.sleep(0.01)


async def endless_whole(reply: Reply, asked: Asked) -> None:
    await reply.head(200)
    for _ in range(11):
        await reply.raw(b" " * 1_000_000)
    await asyncio.sleep(30)


async def a_line_of_10_mb(reply: Reply, asked: Asked) -> None:
    await reply.head(200, "text/event-stream")
    await reply.raw(b"data: ")
    for _ in range(11):
        await reply.raw(b"x" * 1_000_000)
    await asyncio.sleep(30)


@dataclass(frozen=True)
class Case:
    """What the upstream does, and how the call must end: `text`, or an error that says `says`."""

    name: str
    scripts: tuple[Script, ...]
    text: str | None = None
    error: type[EngineError] | None = None
    says: str = ""
    calls: int = 1
    stream: bool = False
    check: Callable[[Response], bool] = field(default=lambda response: True)


def done(body: str) -> bytes:
    return f"data: {body}\n\ndata: [DONE]\n\n".encode()


SSE = "text/event-stream"
EVENT = json.dumps(piece("hello", finish="stop"))
Gone, Wrong = EngineUnavailable, EngineAnswer
CASES = [
    Case("500 once", (fails(500), says()), text="hello", calls=2),
    Case("500 for ever", (fails(500),), error=Gone, says="status 500 after 2 tries", calls=2),
    Case("502 once", (fails(502), says()), text="hello", calls=2),
    Case("503 with an empty body", (fails(503, b""), says()), text="hello", calls=2),
    Case("504 once", (fails(504), says()), text="hello", calls=2),
    Case("429 without Retry-After", (fails(429), says()), text="hello", calls=2),
    Case("429 with Retry-After in seconds", (fails(429, Retry_After="0.2"), says()), text="hello", calls=2),
    Case(
        "429 with Retry-After after the total time",
        (fails(429, Retry_After="3600"),),
        error=Gone,
        says="next try would be after total_s",
    ),
    Case("429 with a rubbish Retry-After", (fails(429, Retry_After="soon"), says()), text="hello", calls=2),
    Case(
        "429 for want of quota",
        (fails(429, {"error": {"code": "insufficient_quota", "message": "pay"}}),),
        error=Gone,
        says="no quota left",
    ),
    Case("401", (fails(401),), error=Gone, says="refused the key"),
    Case("404 with an HTML body", (fails(404, b"<h1>no</h1>", kind="text/html"),), error=Gone, says="<h1>no</h1>"),
    Case("a redirect", (fails(307, b"", Location="http://127.0.0.1:9/"),), error=Gone, says="redirected"),
    Case("reset before the answer", (resets,), error=Gone, says="closed the connection", calls=2),
    Case("reset once", (resets, says()), text="hello", calls=2),
    Case("closed without an answer", (closes, says()), text="hello", calls=2),
    Case("silence, whole", (silent,), error=Gone, says="did not finish in 1.2 s"),
    Case("silence, stream", (silent,), error=Gone, says="no first token in 0.3 s", calls=2, stream=True),
    Case("slow first token once", (silent, streams("hello")), text="hello", calls=2, stream=True),
    Case("slow head", (slow_head,), error=Gone, says="did not finish in 1.2 s"),
    Case("a byte now and then", (a_byte_now_and_then,), error=Gone, says="did not finish in 1.2 s"),
    Case("half a body", (half_a_body, says()), text="hello", calls=2),
    Case("comments for ever", (comments_for_ever,), error=Gone, says="no first token in 0.3 s", calls=2, stream=True),
    Case("empty events for ever", (empty_events_for_ever,), error=Gone, says="no first token in 0.3 s", calls=2, stream=True),
    Case("not HTTP", (not_http,), error=Wrong, says="not HTTP"),
    Case("an endless error body", (endless_error, says()), text="hello", calls=2),
    Case("an endless body", (endless_whole,), error=Wrong, says="more than 10,000,000 bytes"),
    Case("a line of 10 MB", (a_line_of_10_mb,), error=Wrong, says="longer than 10,000,000 bytes", stream=True),
    Case("words for ever", (words_for_ever,), error=Gone, says="did not finish in 1.2 s", stream=True),
    Case("rubbish instead of JSON", (sends(b"{{{"),), error=Wrong, says="not JSON"),
    Case("an empty body", (sends(b""),), error=Wrong, says="not JSON"),
    Case("HTML with status 200", (sends(b"<html>login</html>", "text/html"),), error=Wrong, says="text/html"),
    Case("JSON under a wrong content type", (sends(json.dumps(completion()).encode(), "text/plain"),), text="hello"),
    Case("a JSON list", (sends(b"[]"),), error=Wrong, says="a JSON object was expected"),
    Case("choices of a wrong type", (sends(b'{"choices": "yes"}'),), error=Wrong, says="not a list"),
    Case("content of a wrong type", (sends(b'{"choices": [{"message": {"content": 7}}]}'),), error=Wrong, says="not text"),
    Case(
        "empty choices",
        (sends(b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}'),),
        error=Wrong,
        says="no choices",
    ),
    Case("an error with status 200", (sends(b'{"error": {"message": "boom", "code": 500}}'), says()), text="hello", calls=2),
    Case("an error as text with status 200", (sends(b'{"error": "out of memory"}'),), error=Gone, says="out of memory"),
    Case(
        "missing usage",
        (says(usage=None),),
        text="hello",
        check=lambda answer: answer.usage.estimated and answer.usage.output_tokens == 2,
    ),
    Case("rubbish usage", (says(usage={"prompt_tokens": "many"}),), text="hello", check=lambda answer: answer.usage.estimated),
    Case(
        "tool calls only",
        (
            says(
                None,
                finish="tool_calls",
                tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            ),
        ),
        text="",
        check=lambda answer: len(answer.parts) == 1 and answer.finish == "tool_calls",
    ),
    Case("content filter", (says(None, finish="content_filter"),), text="", check=lambda answer: answer.finish == "content_filter"),
    Case("a refusal", (says(None, refusal="I will not"),), text="I will not"),
    Case("content in parts", (says([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]),), text="hello"),  # type: ignore[arg-type]
    Case(
        "a lone surrogate",
        (sends(b'{"choices": [{"message": {"content": "a\\ud800b"}, "finish_reason": "stop"}]}'),),
        text="a\ufffdb",
    ),
    Case("a NUL", (sends(b'{"choices": [{"message": {"content": "a\\u0000b"}, "finish_reason": "stop"}]}'),), text="a\0b"),
    Case("a stream that was not asked for", (streams("hel", "lo"),), text="hello"),
    Case("no stream though one was asked for", (says(),), text="hello", stream=True),
    Case("stall in the middle", (says_first_then_stalls,), error=Gone, says="silent for 0.3 s in the middle", calls=1, stream=True),
    Case(
        "comments for ever after a word",
        (comments_for_ever_after_a_word,),
        error=Gone,
        says="silent for 0.3 s",
        calls=1,
        stream=True,
    ),
    Case("reset in the middle", (resets_in_the_middle,), error=Gone, says="cut the ", calls=1, stream=True),
    Case(
        "cut stream",
        (streams("hel", finish=None, usage=None, done=False),),
        error=Gone,
        says="cut the stream off",
        calls=1,
        stream=True,
    ),
    Case("stream without [DONE]", (streams("hel", "lo", done=False),), text="hello", stream=True),
    Case(
        "stream without usage",
        (streams("hel", "lo", usage=None),),
        text="hello",
        stream=True,
        check=lambda answer: answer.usage.estimated,
    ),
    Case("[DONE] at once", (sends(b"data: [DONE]\n\n", SSE),), error=Wrong, says="without choices", stream=True),
    Case("an empty stream", (sends(b"", SSE), streams("hello")), text="hello", calls=2, stream=True),
    Case(
        "JSON cut at the end of a stream",
        (sends(b'data: {"choices": [{"de', SSE), streams("hello")),
        text="hello",
        calls=2,
        stream=True,
    ),
    Case("rubbish in the middle of a stream", (sends(done("{{{"), SSE),), error=Wrong, says="not JSON", stream=True),
    Case(
        "429 in the middle of a stream",
        (sends(done('{"error": {"message": "slow down", "code": 429}}'), SSE), streams("hello")),
        text="hello",
        calls=2,
        stream=True,
    ),
    Case("no space after data:", (sends(f"data:{EVENT}\r\n\r\ndata:[DONE]\r\n\r\n".encode(), SSE),), text="hello", stream=True),
    Case(
        "events with comments, ids and CR alone",
        (sends(f": hi\rid: 1\rdata: {EVENT}\r\rdata: [DONE]\r\r".encode(), SSE),),
        text="hello",
        stream=True,
    ),
    Case("events with empty data", (sends(b"data:\n\n" + done(EVENT), SSE),), text="hello", stream=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_ends_in_time_in_an_answer_or_a_documented_error(case: Case) -> None:
    async with upstream(*case.scripts) as server:
        begun = time.perf_counter()
        if case.error is None:
            answer = await ask(server.url, stream=case.stream)
            assert answer.text == case.text
            assert case.check(answer)
            assert answer.usage.calls == case.calls
        else:
            with pytest.raises(case.error) as caught:
                await ask(server.url, stream=case.stream)
            message = str(caught.value)
            assert case.says in message
            for part in ("endpoint 'scripted'", server.url, "rungwise doctor"):
                assert part in message
        assert time.perf_counter() - begun <= TOTAL_S + SLACK_S
        assert len(server.asked) == case.calls


async def test_a_refused_connection_says_so_and_costs_nothing() -> None:
    async with upstream(says()) as server:
        gone = server.url
    with pytest.raises(EngineUnavailable, match=r"refused the connection.*after 2 tries"):
        await ask(gone)


async def test_an_unknown_host_says_so() -> None:
    with pytest.raises(EngineUnavailable, match=r"host name|refused|did not"):
        await ask("http://no-such-host.invalid/v1", retries=0)


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_key_is_sent(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificate to test with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    ask_for = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    subprocess.run([openssl, *ask_for, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        with pytest.raises(EngineUnavailable, match="certificate that is not trusted"):
            await ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    assert heard == []


async def test_waits_as_long_as_the_server_asks() -> None:
    async with upstream(fails(429, Retry_After="0.4"), says()) as server:
        begun = time.perf_counter()
        await ask(server.url)
        assert time.perf_counter() - begun >= 0.4


async def test_waits_until_the_date_that_the_server_names() -> None:
    at = datetime.now(UTC) + timedelta(seconds=2)
    async with upstream(fails(503, Retry_After=format_datetime(at, usegmt=True)), says()) as server:
        await ask(server.url, total_s=10.0)
        assert datetime.now(UTC).timestamp() >= int(at.timestamp())  # HTTP dates have whole seconds


async def test_others_also_stay_away_while_the_server_asks_for_rest() -> None:
    times: list[float] = []

    async def limited(reply: Reply, asked: Asked) -> None:
        times.append(time.perf_counter())
        await (fails(429, Retry_After="0.4") if len(times) == 1 else says())(reply, asked)

    async with upstream(limited) as server, model_at(server.url) as model:
        first = asyncio.ensure_future(collect(model(MESSAGES)))
        await asyncio.sleep(0.1)
        await asyncio.gather(first, collect(model([{"role": "user", "content": "another"}])))
    assert all(at - times[0] >= 0.39 for at in times[1:])


async def test_never_more_calls_at_once_than_the_endpoint_allows() -> None:
    async def slow(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(0.05)
        await says()(reply, asked)

    async with upstream(slow) as server:
        async with model_at(server.url, concurrency=3) as model:
            await asyncio.gather(*(collect(model(MESSAGES)) for _ in range(12)))
        assert server.most_open == 3
        assert len(server.asked) == 12


async def test_text_arrives_while_the_model_is_still_writing() -> None:
    async with upstream(streams("a", "b", "c", pause_s=0.1)) as server, model_at(server.url, stream=True) as model:
        seen = [(chunk.parts, time.perf_counter()) async for chunk in model(MESSAGES)]
    assert seen[-1][1] - seen[0][1] >= 0.2


async def test_a_listener_who_leaves_ends_the_call_upstream() -> None:
    async with upstream(words_for_ever) as server, model_at(server.url, stream=True, total_s=30.0) as model:
        chunks = model(MESSAGES)
        assert (await anext(aiter(chunks))).parts
        await chunks.aclose()  # type: ignore[attr-defined]
        begun = time.perf_counter()
        while server.open_calls and time.perf_counter() - begun < 1.0:
            await asyncio.sleep(0.02)
        assert server.open_calls == 0


async def test_a_cancelled_call_leaves_no_task_and_no_place_taken() -> None:
    async with upstream(silent, says()) as server, model_at(server.url, concurrency=1) as model:
        task = asyncio.ensure_future(collect(model(MESSAGES)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await collect(model(MESSAGES))).text == "hello"


@pytest.mark.parametrize(
    ("complaint", "status", "field"),
    [
        (
            {"error": {"message": "response_format of type json_schema is not supported", "param": "response_format"}},
            400,
            "response_format",
        ),
        ({"error": {"message": "something is wrong"}}, 400, "response_format"),
        ({"detail": "Unexpected fields in the request: {'response_format'}"}, 422, "response_format"),
        ({"error": {"message": "Unsupported value", "param": "temperature"}}, 400, "temperature"),
        ({"error": {"message": "logprobs are not available for this model"}}, 400, "logprobs"),
        ({"error": {"message": "unknown field seed"}}, 422, "seed"),
    ],
)
async def test_leaves_out_what_the_server_refuses_and_remembers_it(complaint: dict[str, Any], status: int, field: str) -> None:
    async def picky(reply: Reply, asked: Asked) -> None:
        await (fails(status, complaint) if field in asked.body else says())(reply, asked)

    options = Options(schema={"type": "object"}, likely=3, seed=1)
    async with upstream(picky) as server, model_at(server.url, logprobs=True, retries=0) as model:
        assert (await collect(model(MESSAGES, options))).text == "hello"
        assert field in server.asked[0].body
        assert field not in server.asked[1].body
        await collect(model(MESSAGES, options))
        assert len(server.asked) == 3


async def test_renames_the_token_limit_for_models_that_want_the_new_name() -> None:
    wants = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."

    async def newer(reply: Reply, asked: Asked) -> None:
        await (fails(400, {"error": {"message": wants, "param": "max_tokens"}}) if "max_tokens" in asked.body else says())(
            reply, asked
        )

    async with upstream(newer) as server:
        await ask(server.url, max_tokens=7)
        assert server.asked[1].body["max_completion_tokens"] == 7


async def test_puts_the_instructions_into_the_first_question_where_there_is_no_system_role() -> None:
    async def no_system(reply: Reply, asked: Asked) -> None:
        has = asked.body["messages"][0]["role"] == "system"
        await (fails(400, {"error": {"message": "System role not supported"}}) if has else says())(reply, asked)

    async with upstream(no_system) as server:
        async with model_at(server.url) as model:
            await collect(model([{"role": "system", "content": "be brief"}, *MESSAGES]))
        assert server.asked[1].body["messages"] == [{"role": "user", "content": "be brief\n\nsay hello"}]


async def test_a_refusal_that_nothing_mends_is_an_error_and_forgets_nothing() -> None:
    async with upstream(fails(400, {"error": {"message": "context length exceeded"}})) as server:
        with pytest.raises(EngineUnavailable, match="context length exceeded"):
            await ask(server.url, options=Options(schema={"type": "object"}))
        assert len(server.asked) == 2  # once with the schema, once without


def test_waits_between_nothing_and_twice_as_long_each_time_and_never_less_than_the_server_asks() -> None:
    rng = random.Random(0)
    for attempt, bound in enumerate((0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)):
        waits = [delay_s(attempt, rng) for _ in range(500)]
        assert 0.0 <= min(waits) < 0.1 * bound
        assert 0.9 * bound < max(waits) <= bound
        assert 7.0 <= delay_s(attempt, rng, asked_s=7.0) <= 7.7
    assert delay_s(10_000, rng) <= 30.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        ("nan", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970", None),
    ],
)
def test_reads_retry_after_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=100.0) == seconds
