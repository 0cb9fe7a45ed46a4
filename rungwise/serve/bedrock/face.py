"""Amazon Bedrock's runtime over HTTP: who asks, what they ask, and the answer in the form of the operation."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol, cast

from rungwise.serve.ask import CHAT, EMBEDDINGS, Ask, Caller, Tape, Whole
from rungwise.serve.bedrock import answers, converse, count, events, failures, invoke
from rungwise.serve.bedrock.asking import (
    CONVERSE,
    CONVERSE_STREAM,
    COUNT,
    INVOKE_STREAM,
    Call,
    ask_of,
    call_of,
    model_name,
    note_of,
)
from rungwise.serve.bedrock.blocks import read_converse, read_count
from rungwise.serve.exchange import JSON, Disconnected, Exchange, Header, request_id, until_gone
from rungwise.serve.failure import BadRequest, Blocked, NotThere, Refused, told

SIGNED = b"AWS4-HMAC-SHA256"
_log = logging.getLogger(__name__)


class Project(Protocol):
    """What is needed of a served project."""

    @property
    def name(self) -> str: ...

    @property
    def body_limit_bytes(self) -> int: ...

    def models(self) -> list[str]: ...

    async def whole(self, ask: Ask, tape: Tape) -> Whole: ...

    def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]: ...


class Telling(Protocol):
    """How chunks become frames, in one operation."""

    @property
    def begun(self) -> bytes: ...

    def frames(self, chunk: bytes) -> bytes: ...

    def last(self, tape: Tape) -> bytes: ...

    def blocked(self, message: str, tape: Tape) -> bytes | None: ...


class Door(Protocol):
    """What is needed of the gateway."""

    @property
    def projects(self) -> tuple[Project, ...]: ...

    def tape(self) -> Tape: ...

    async def enter(self, exchange: Exchange, scope: str = ...) -> tuple[Project, Caller]: ...

    async def enter_signed(self, exchange: Exchange, body: bytes, scope: str = ...) -> tuple[Project, Caller]: ...


async def bedrock(exchange: Exchange, gateway: Door) -> None:
    """POST /model/MODEL/converse and its kin. Every error is told in the form of Bedrock."""
    tape = gateway.tape()
    try:
        call = call_of(exchange)
        project, caller, body = await _enter(exchange, gateway)
        await until_gone(exchange, _answer(exchange, project, caller, call, body, tape))
    except Disconnected:
        raise
    except Refused as refusal:
        await _refuse(exchange, refusal, tape)
    except Exception as error:  # boundary: whatever breaks, the client hears of it in the form that it understands
        _log.exception("request %s broke", tape.id)
        if exchange.started:
            raise
        await _refuse(exchange, told(error), tape)


async def _enter(exchange: Exchange, gateway: Door) -> tuple[Project, Caller, bytes]:
    """Whose request it is, and its body. A signature covers the body, so that this is read first."""
    if (exchange.header(b"authorization") or b"").startswith(SIGNED):
        limit_bytes = max((project.body_limit_bytes for project in gateway.projects), default=0)
        body = await exchange.body(limit_bytes)
        return *(await gateway.enter_signed(exchange, body)), body
    project, caller = await gateway.enter(exchange)
    return project, caller, await exchange.body(project.body_limit_bytes)


async def _answer(exchange: Exchange, project: Project, caller: Caller, call: Call, body: bytes, tape: Tape) -> None:
    model = model_name(call.model, project.models() if call.model.startswith("arn:") else ())
    if call.operation == COUNT:
        await _count(exchange, project, model, body, tape)
    elif call.operation in (CONVERSE, CONVERSE_STREAM):
        asked = read_converse(body)
        chat = converse.chat_body(asked)
        streamed = call.operation == CONVERSE_STREAM
        if streamed:
            chat |= {"stream": True, "stream_options": {"include_usage": True}}
        notes = note_of(exchange, asked.request_metadata)
        ask = ask_of(exchange, caller, operation=CHAT, model=model, body=chat, notes=notes, stream=streamed)
        if streamed:
            await _stream(exchange, project, ask, tape, answers.Telling())
        else:
            await _converse(exchange, project, ask, tape, asked.additional_model_response_field_paths)
    else:
        shape = invoke.shaped(body, id=tape.id)
        streamed = call.operation == INVOKE_STREAM
        _set_stream(shape, streamed=streamed)
        notes = note_of(exchange, None)
        ask = ask_of(
            exchange, caller, operation=shape.operation, model=model, body=shape.body, notes=notes, stream=streamed, user=shape.user
        )
        await (_stream if streamed else _invoke)(exchange, project, ask, tape, shape)


def _set_stream(shape: invoke.Shape, *, streamed: bool) -> None:
    """Whether an answer comes in pieces is said by the path here, not by the body. Raises BadRequest."""
    if streamed and shape.operation == EMBEDDINGS:
        raise BadRequest("embeddings come whole: call InvokeModel", param="input")
    if not streamed:
        shape.body.pop("stream", None)
        shape.body.pop("stream_options", None)
        return
    shape.body["stream"] = True
    if isinstance(shape, invoke.AnthropicShaped):
        shape.body["stream_options"] = {"include_usage": True}


async def _converse(exchange: Exchange, project: Project, ask: Ask, tape: Tape, paths: list[str]) -> None:
    more: tuple[Header, ...] = ()
    try:
        answer = await project.whole(ask, tape)
        body, more = answers.converse_answer(answer.body, paths, latency_s=tape.elapsed_s), answer.headers
    except Blocked as refusal:
        body = answers.blocked_answer(refusal.message, tape.usage, latency_s=tape.elapsed_s)
    await exchange.answer(200, body, (JSON, *_ids(tape), *more))


async def _invoke(exchange: Exchange, project: Project, ask: Ask, tape: Tape, shape: invoke.Shape) -> None:
    answer = await project.whole(ask, tape)
    headers = (JSON, *_ids(tape), *answer.headers, *invoke.token_headers(answer.body))
    await exchange.answer(200, shape.whole(answer.body, tape), headers)


async def _stream(exchange: Exchange, project: Project, ask: Ask, tape: Tape, telling: Telling) -> None:
    """Nothing is sent before the first chunk, so that an error until then has its own status; later ones are a frame."""
    try:
        async with aclosing(cast(Any, project.stream(ask, tape))) as chunks:
            async for chunk in chunks:
                data = telling.frames(chunk)
                if not exchange.started:
                    await _begin(exchange, tape)
                    data = telling.begun + data
                if data:
                    await exchange.push(data)
        last = telling.last(tape)
    except Exception as error:  # noqa: BLE001 - boundary: what breaks in a stream is told in it
        last = _broken(exchange, error, tape, telling)
    if not exchange.started:
        await _begin(exchange, tape)
        last = telling.begun + last
    await exchange.end(last)


async def _begin(exchange: Exchange, tape: Tape) -> None:
    kind: Header = (b"content-type", events.CONTENT_TYPE)
    await exchange.begin((kind, (b"x-amzn-bedrock-content-type", b"application/json"), *_ids(tape)))


def _broken(exchange: Exchange, error: Exception, tape: Tape, telling: Telling) -> bytes:
    """The frames after an error. Raises the error where nothing was sent yet and it can be told with its status."""
    blocked = telling.blocked(error.message, tape) if isinstance(error, Blocked) else None
    if blocked is not None:
        return blocked
    if not exchange.started:
        raise error
    if not isinstance(error, Refused):
        _log.error("request %s broke in its stream", tape.id, exc_info=error)
    return failures.frame_of(told(error))


async def _count(exchange: Exchange, project: Project, model: str, body: bytes, tape: Tape) -> None:
    known = project.models()
    if model not in known and model.partition(":")[0] not in (project.name, "release"):
        raise NotThere(f"there is no model '{model}'. Known: {', '.join(known[:10]) or 'none yet'}", param="model")
    tokens = count.guess(count.count_body(read_count(body)))
    await exchange.answer(200, count.count_answer(tokens), (JSON, *_ids(tape), count.ESTIMATED))


async def _refuse(exchange: Exchange, refusal: Refused, tape: Tape) -> None:
    status, body, headers = failures.answer_of(refusal)
    await exchange.answer(status, body, (*headers, *_ids(tape)))


def _ids(tape: Tape) -> tuple[Header, Header]:
    """The trace's id under the name that AWS's clients look for and under our own."""
    return (b"x-amzn-requestid", tape.id.encode()), request_id(tape)
