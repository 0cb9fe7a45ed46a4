"""Chat completions, completions and models: from HTTP to the gateway and back, whole or as server-sent events."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, TypeVar, cast

from rungwise.serve.ask import CHAT, COMPLETION, EMBEDDINGS, Ask, Tape
from rungwise.serve.exchange import EVENTS, JSON, Exchange, Header, request_id, until_gone
from rungwise.serve.failure import NotThere, Refused, WrongMethod, told
from rungwise.serve.gateway import Gateway
from rungwise.serve.openai.reading import ask_of
from rungwise.serve.served import Served
from rungwise.serve.shapes import encode, error_body

T = TypeVar("T")

DONE = b"data: [DONE]\n\n"


async def chat(exchange: Exchange, gateway: Gateway) -> None:
    """POST /v1/chat/completions."""
    await _complete(exchange, gateway, CHAT)


async def completions(exchange: Exchange, gateway: Gateway) -> None:
    """POST /v1/completions."""
    await _complete(exchange, gateway, COMPLETION)


async def embeddings(exchange: Exchange, gateway: Gateway) -> None:
    """POST /v1/embeddings."""
    await _complete(exchange, gateway, EMBEDDINGS)


async def models(exchange: Exchange, gateway: Gateway) -> None:
    """GET /v1/models and /v1/models/{id}."""
    served, _ = await gateway.enter(exchange)
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": served.name} for name in served.models()]
    wanted = exchange.path.removeprefix("/v1/models").strip("/")
    if not wanted:
        await exchange.answer(200, encode({"object": "list", "data": listed}))
        return
    found = [one for one in listed if one["id"] == wanted]
    if not found:
        raise NotThere(f"there is no model '{wanted}'", param="model")
    await exchange.answer(200, encode(found[0]))


async def _complete(exchange: Exchange, gateway: Gateway, operation: str) -> None:
    tape = gateway.tape()
    try:
        served, caller = await gateway.enter(exchange)
        body = await exchange.body(served.body_limit_bytes)
        ask = ask_of(exchange, body, operation, caller)
        if ask.stream and operation != EMBEDDINGS:
            await _stream(exchange, served, ask, tape)
            return
        answer = await until_gone(exchange, served.whole(ask, tape))
        await exchange.answer(answer.status, answer.body, (JSON, request_id(tape), *answer.headers))
    except Refused as refusal:
        await refuse(exchange, refusal, tape)


async def _stream(exchange: Exchange, served: Served, ask: Ask, tape: Tape) -> None:
    await until_gone(exchange, _events(exchange, served, ask, tape))


async def _events(exchange: Exchange, served: Served, ask: Ask, tape: Tape) -> None:
    """The pieces as events. Before the first one an error has its own status; after it, it is an event, and no [DONE] follows."""
    try:
        async with aclosing(cast(Any, served.stream(ask, tape))) as pieces:
            async for piece in pieces:
                if not exchange.started:
                    await exchange.begin((EVENTS, (b"cache-control", b"no-cache"), request_id(tape)))
                await exchange.push(b"data: " + piece + b"\n\n")
    except Refused as refusal:
        if not exchange.started:
            raise
        await exchange.end(b"data: " + error_of(refusal) + b"\n\n")
        return
    if not exchange.started:
        await exchange.begin((EVENTS, (b"cache-control", b"no-cache"), request_id(tape)))
    await exchange.end(DONE)


def error_of(refusal: Refused) -> bytes:
    """An error in the shape of OpenAI."""
    return error_body(refusal.message, refusal.kind, param=refusal.param, code=refusal.code)


async def refuse(exchange: Exchange, error: Exception, tape: Tape | None = None) -> None:
    """Tell a client that it is not answered, in the shape of OpenAI."""
    refusal = told(error)
    headers: list[Header] = [JSON]
    if tape is not None:
        headers.append(request_id(tape))
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(refusal.retry_after_s))).encode()))
    if isinstance(refusal, WrongMethod):
        headers.append((b"allow", refusal.allow.encode()))
    await exchange.answer(refusal.status, error_of(refusal), headers)
