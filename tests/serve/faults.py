"""The fault matrix: what an engine can do wrong, whole or streamed, alone or not, and what the client is told.

`CASES` is read by the test and by `benchmarks/faults.py`, which prints how long after its limit each case ends.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

from rungwise.core.serving import Serving, Timeouts
from rungwise.core.usecase import Endpoint
from rungwise.engines.clock import SystemClock
from rungwise.serve.ask import CHAT, Tape
from rungwise.serve.failure import Refused
from rungwise.serve.routing.deadlines import CANDIDATE, ENGINE, RELEASE, within
from rungwise.serve.routing.router import Router
from tests.engines.upstream import Asked, Reply, Script, completion, fails, piece, says, sends, streams, upstream

FIRST_S, BETWEEN_S, TOTAL_S = 0.12, 0.1, 0.3
ANSWER, OTHER = "200 hello", "200 other"
SECRET = "sk-secret-0123456789"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault. `told` is what the client got; it may take `within_s` and some slack; the first engine was asked `calls` times."""

    name: str
    stream: bool
    script: Script
    told: str
    within_s: float = 0.0
    calls: int = 1
    fallback: bool = False
    limits: Mapping[str, Timeouts] = field(default_factory=dict)


@dataclass
class Ended:
    """What became of a case. `tasks` are those that were left over."""

    told: str
    message: str
    seconds: float
    calls: int
    tape: Tape
    tasks: int


def say(*, stream: bool, text: str = "hello") -> Script:
    """A right answer."""
    return streams(*text) if stream else says(text)


async def silent(reply: Reply, asked: Asked) -> None:
    """Never answers."""
    await asyncio.sleep(30)


async def head_only(reply: Reply, asked: Asked) -> None:
    """A head, and then nothing."""
    await reply.head(200, "text/event-stream" if asked.body.get("stream") else "application/json")
    await asyncio.sleep(30)


async def resets(reply: Reply, asked: Asked) -> None:
    """Breaks the connection before the head."""
    reply.reset()


async def half_a_head(reply: Reply, asked: Asked) -> None:
    """Breaks off inside the head."""
    await reply.raw(b"HTTP/1.1 200 OK\r\nConten")


async def junk(reply: Reply, asked: Asked) -> None:
    """No HTTP at all."""
    await reply.raw(b"\x00\x01SSH-2.0\r\n\r\n")


async def endless_head(reply: Reply, asked: Asked) -> None:
    """Headers without end."""
    await reply.raw(b"HTTP/1.1 200 OK\r\n" + b"x-more: and more\r\n" * 20_000)


async def bad_chunk(reply: Reply, asked: Asked) -> None:
    """A chunk whose size is no number."""
    kind = "text/event-stream" if asked.body.get("stream") else "application/json"
    await reply.raw(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n".encode())


async def short(reply: Reply, asked: Asked) -> None:
    """Less than the length that was told."""
    await reply.head(200, Content_Length="1000")
    await reply.raw(b'{"choices"')


async def drips(reply: Reply, asked: Asked) -> None:
    """A slow-loris: one byte now and then, in a head that never ends."""
    for byte in b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 10_000:
        await reply.raw(bytes([byte]))
        await asyncio.sleep(0.02)


async def drips_body(reply: Reply, asked: Asked) -> None:
    """One byte of the body now and then."""
    await reply.head(200, "text/event-stream" if asked.body.get("stream") else "application/json")
    for byte in b": " * 5_000:
        await reply.raw(bytes([byte]))
        await asyncio.sleep(0.02)


def broken_stream(*events: Any, then: Callable[[Reply], Any] | None = None, raw: bytes = b"", wait_s: float = 0.0) -> Script:
    """These events, these bytes, a wait, and the end of the connection or what `then` does."""

    async def script(reply: Reply, asked: Asked) -> None:
        await reply.head(200, "text/event-stream")
        for event in events:
            await reply.event(event)
        if raw:
            await reply.raw(raw)
        await asyncio.sleep(wait_s)
        if then is not None:
            await asyncio.sleep(0.01)
            then(reply)

    return script


async def comments_for_ever(reply: Reply, asked: Asked) -> None:
    """Keep-alives and nothing else, a flood of them."""
    await reply.head(200, "text/event-stream")
    while True:
        await reply.raw(b": keep alive\n\n" * 50)
        await asyncio.sleep(0.005)


async def one_endless_comment(reply: Reply, asked: Asked) -> None:
    """A comment whose line never ends."""
    await reply.head(200, "text/event-stream")
    while True:
        await reply.raw(b": keep alive" * 500)
        await asyncio.sleep(0.005)


async def words_for_ever(reply: Reply, asked: Asked) -> None:
    """An answer without end."""
    await reply.head(200, "text/event-stream")
    while True:
        await reply.event(piece("w"))
        await asyncio.sleep(0.02)


def pauses(*, before_s: float = 0.0, between_s: float = 0.0) -> Script:
    """A right answer that waits before its first word or between its words."""

    async def script(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(before_s)
        if not asked.body.get("stream"):
            await reply.send(200, completion())
            return
        await reply.head(200, "text/event-stream")
        for text in "hello":
            await reply.event(piece(text))
            await asyncio.sleep(between_s)
        await reply.event(piece(finish="stop"))
        await reply.event("[DONE]")

    return script


DOWN, LIMITED, SLOW = "502 engine_failed", "429 engine_rate_limited", "504 timeout"
LINE_10_MB = b"data: " + b"x" * 10_000_100
# what goes wrong before anything was answered: by whole and streamed requests alike
BEFORE: dict[str, tuple[Script, str, float]] = {
    "500": (fails(500), DOWN, 0),
    "502 with a page": (fails(502, b"<html>bad gateway</html>"), DOWN, 0),
    "503": (fails(503), DOWN, 0),
    "503, come back in 30 s": (fails(503, Retry_After="30"), DOWN, 0),
    "529 overloaded": (fails(529), DOWN, 0),
    "429": (fails(429), LIMITED, 0),
    "429, come back in 30 s": (fails(429, Retry_After="30"), LIMITED, 0),
    "429 without quota": (fails(429, {"error": {"code": "insufficient_quota", "message": "x"}}), DOWN, 0),
    "401 for our key": (fails(401), DOWN, 0),
    "403": (fails(403), DOWN, 0),
    "301": (fails(301, Location="http://elsewhere/"), DOWN, 0),
    "204 without a body": (fails(204, b""), DOWN, 0),
    "500 with a huge body": (fails(500, b"x" * 3_000_000), DOWN, 0),
    "reset before the head": (resets, DOWN, 0),
    "half a head": (half_a_head, DOWN, 0),
    "no HTTP": (junk, DOWN, 0),
    "a head without end": (endless_head, DOWN, 0),
    "a chunk without size": (bad_chunk, DOWN, 0),
    "less than was told": (short, DOWN, 0),
    "an empty body": (sends(b""), DOWN, 0),
    "a page for an answer": (sends(b"<html>hello</html>", "text/html"), DOWN, 0),
    "an answer without choices": (sends(b'{"id":"1","choices":[]}'), DOWN, 0),
    "a list for an answer": (sends(b"[1,2]"), DOWN, 0),
    "deep JSON": (sends(b"[" * 100_000), DOWN, 0),
    "an error inside a 200": (sends(b'{"error":{"message":"boom","code":500}}'), DOWN, 0),
    "a rate limit inside a 200": (sends(b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}'), LIMITED, 0),
    "silence": (silent, SLOW, TOTAL_S),
    "a head and silence": (head_only, SLOW, TOTAL_S),
    "a slow-loris in the head": (drips, SLOW, TOTAL_S),
    "a slow-loris in the body": (drips_body, SLOW, TOTAL_S),
}
# what the engine says about the request itself: no other engine would say otherwise
FINAL: dict[str, tuple[Script, str]] = {
    "400": (fails(400), "400 invalid_request"),
    "400 with a code": (
        fails(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
        "400 context_length_exceeded",
    ),
    "404": (fails(404, {"detail": "no such model"}), "404 model_not_found"),
    "413": (fails(413, b"too large"), "413 request_too_large"),
    "422": (fails(422, {"detail": [{"msg": "bad"}]}), "422 invalid_request"),
}
_HI = piece("hi")
# what goes wrong in a stream before its first event
STREAMED: dict[str, tuple[Script, str, float]] = {
    "no data lines": (broken_stream(raw=b"hello\n\nevent: x\n\n"), DOWN, 0),
    "done without an answer": (broken_stream("[DONE]"), DOWN, 0),
    "an event that is no JSON": (broken_stream("{oops"), DOWN, 0),
    "NUL bytes": (broken_stream(raw=b"data: \0\0\0\n\n"), DOWN, 0),
    "a rate limit as the first event": (broken_stream({"error": {"message": "slow down", "code": 429}}), LIMITED, 0),
    "a line of 10 MB": (broken_stream(raw=LINE_10_MB), DOWN, 0),
    "an error as the first event": (broken_stream({"error": "boom"}), DOWN, 0),
    "comments for ever": (comments_for_ever, SLOW, FIRST_S),
    "a comment without end": (one_endless_comment, SLOW, FIRST_S),
}
# and after it: the answer has begun, so there is no other engine to ask
BROKEN_OFF: dict[str, tuple[Script, str, float]] = {
    "cut off": (broken_stream(_HI), DOWN, 0),
    "cut inside an event": (broken_stream(_HI, raw=b'data: {"choices":[{"de'), DOWN, 0),
    "cut inside a character": (broken_stream(_HI, raw=b'data: {"choices":[{"delta":{"content":"\xc3'), DOWN, 0),
    "reset": (broken_stream(_HI, then=lambda reply: reply.reset()), DOWN, 0),
    "an event that is no JSON": (broken_stream(_HI, "{oops"), DOWN, 0),
    "choices that are none": (broken_stream(_HI, {"choices": 3}), DOWN, 0),
    "a rate limit": (broken_stream(_HI, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}), LIMITED, 0),
    "an error": (broken_stream(_HI, {"error": {"message": "boom", "code": 500}}), DOWN, 0),
    "NUL bytes": (broken_stream(_HI, raw=b"\0\0data: \0\n\n" + b"data: \0\n\n"), DOWN, 0),
    "a line of 10 MB": (broken_stream(_HI, raw=LINE_10_MB), DOWN, 0),
    "silence": (broken_stream(_HI, wait_s=30), SLOW, BETWEEN_S),
    "words for ever": (words_for_ever, SLOW, TOTAL_S),
}
# unusual, and right all the same
TOLERATED: dict[str, Script] = {
    "no [DONE]": streams(*"hello", done=False),
    "reset after all was said": broken_stream(*map(piece, "hello"), piece(finish="stop"), then=lambda reply: reply.reset()),
    "no usage": streams(*"hello", usage=None),
    "CRLF and CR line ends": broken_stream(
        raw=b'data: {"choices":[{"delta":{"content":"hel"}}]}\r\n\r\ndata:{"choices":[{"delta":{"content":"lo"},'
        b'"finish_reason":"stop"}]}\r\rdata: [DONE]\n\n'
    ),
    "a last event without its blank line": broken_stream(
        raw=b'data: {"choices":[{"delta":{"content":"hello"},"finish_reason":"stop"}]}'
    ),
    "a byte-order mark and comments": broken_stream(
        raw=b'\xef\xbb\xbf: hi\n\ndata: {"choices":[{"delta":{"content":"hello"},"finish_reason":"stop"}]}\n\n'
    ),
    "a body that is not streamed": says("hello"),
    "more after [DONE]": broken_stream(piece("hello", finish="stop"), "[DONE]", "{oops"),
}


def _before() -> list[Case]:
    made = []
    for name, (script, told, within_s) in BEFORE.items():
        for stream in (False, True):
            for fallback in (False, True):
                within = FIRST_S if stream and within_s else within_s
                end = OTHER if fallback else told
                made.append(Case(name=name, stream=stream, script=script, told=end, within_s=within, fallback=fallback))
    return made


def _final() -> list[Case]:
    return [
        Case(name=name, stream=stream, script=script, told=told, fallback=True)
        for name, (script, told) in FINAL.items()
        for stream in (False, True)
    ]


def _streamed() -> list[Case]:
    made = [Case(name=name, stream=True, script=script, told=ANSWER) for name, script in TOLERATED.items()]
    for name, (script, told, within_s) in STREAMED.items():
        for fallback in (False, True):
            end = OTHER if fallback else told
            made.append(Case(name=name, stream=True, script=script, told=end, within_s=within_s, fallback=fallback))
    for name, (script, told, within_s) in BROKEN_OFF.items():
        begun = "w" * 5 if script is words_for_ever else "hi"
        end = f"{begun}, then {told}"
        made.append(Case(name=f"begun, then {name}", stream=True, script=script, told=end, within_s=within_s, fallback=True))
    return made


def _limits() -> list[Case]:
    """Each timeout at each level, alone, so that it must be that one which ends it."""
    made = []
    for level in (ENGINE, CANDIDATE, RELEASE):
        for which, limit, script, begun in (
            ("first_token_s", FIRST_S, pauses(before_s=2), ""),
            ("between_chunks_s", BETWEEN_S, pauses(between_s=2), "h, then "),
            ("total_s", TOTAL_S, pauses(between_s=0.09), "hell, then "),
            ("total_s", TOTAL_S, pauses(before_s=2), ""),
        ):
            limits = {level: Timeouts(**{which: limit})}
            name = f"{which} of the {level}"
            made.append(Case(name=name, stream=True, script=script, told=f"{begun}{SLOW}", within_s=limit, limits=limits))
            if not begun and which == "total_s":
                made.append(Case(name=name, stream=False, script=script, told=SLOW, within_s=limit, limits=limits))
    return made


CASES = [*_before(), *_final(), *_streamed(), *_limits()]


async def run(case: Case) -> Ended:
    """Let it happen."""
    clock = SystemClock()
    limits = case.limits or {ENGINE: Timeouts(first_token_s=FIRST_S, between_chunks_s=BETWEEN_S, total_s=TOTAL_S)}
    own = limits.get(ENGINE, Timeouts())
    async with upstream(case.script) as server, upstream(say(stream=case.stream, text="other")) as other:
        first = Endpoint(
            name="first",
            base_url=server.url,
            model="m",
            key_env="KEY",
            first_token_s=own.first_token_s or 30,
            between_chunks_s=own.between_chunks_s or 30,
            total_s=own.total_s or 30,
        )
        second = replace(first, name="second", base_url=other.url)
        serving = Serving(retries=0, fallback={"first": ("second",)} if case.fallback else {})
        router = Router([first, second], serving, clock=clock, rng=random.Random(0), environ={"KEY": SECRET})
        tape, before, begun = Tape("t", clock), len(asyncio.all_tasks()), time.perf_counter()
        message = ""
        try:
            told = await _answer(router, case, tape, limits)
        except _Ended as ended:
            told, message = ended.told, ended.refused.message
        seconds = time.perf_counter() - begun
        tasks = max(0, len(asyncio.all_tasks()) - before - server.open_calls - other.open_calls)
        calls = len(server.asked)
        await router.aclose()
    return Ended(told, message, seconds, calls, tape, tasks)


class _Ended(Exception):
    """A refusal, and what was told before it."""

    def __init__(self, text: str, refused: Refused) -> None:
        self.refused = refused
        self.told = f"{text}{', then ' if text else ''}{refused.status} {refused.code}"
        super().__init__(self.told)


async def _answer(router: Router, case: Case, tape: Tape, limits: Mapping[str, Timeouts]) -> str:
    import msgspec

    body = {"model": "first", "messages": [{"role": "user", "content": "say hello"}], "stream": case.stream}
    text = ""
    try:
        if not case.stream:
            work = within(router.whole("first", CHAT, body, tape), limits.get(CANDIDATE, Timeouts()), CANDIDATE)
            answer = msgspec.json.decode(await within(work, limits.get(RELEASE, Timeouts()), RELEASE))
            return f"200 {answer['choices'][0]['message']['content']}"
        pieces = within(router.stream("first", CHAT, body, tape), limits.get(CANDIDATE, Timeouts()), CANDIDATE)
        async with aclosing(cast(Any, within(pieces, limits.get(RELEASE, Timeouts()), RELEASE))) as chunks:
            async for chunk in chunks:
                for choice in msgspec.json.decode(chunk)["choices"]:
                    text += choice["delta"].get("content") or ""
    except Refused as refused:
        raise _Ended(text, refused) from refused
    return f"200 {text}"
