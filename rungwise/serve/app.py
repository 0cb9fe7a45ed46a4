"""The application: raw ASGI, one table of routes, opened and closed with the server."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TypeAlias

from rungwise.core.types import Clock
from rungwise.engines.clock import SystemClock
from rungwise.serve.bedrock.face import bedrock
from rungwise.serve.exchange import Disconnected, Exchange, Message, Receive, Send
from rungwise.serve.failure import NotThere, Refused, WrongMethod
from rungwise.serve.feedback import post_feedback
from rungwise.serve.gateway import Gateway
from rungwise.serve.health import healthz, metrics, openapi, readyz
from rungwise.serve.observing import Observing
from rungwise.serve.openai import face
from rungwise.serve.reviewing import reviewing
from rungwise.serve.seat import Seat

Handler: TypeAlias = Callable[[Exchange, Gateway], Awaitable[None]]


async def judge(exchange: Exchange, gateway: Gateway) -> None:
    """POST /v1/feedback."""
    served, caller = await gateway.enter(exchange, "feedback:write")
    body = await exchange.body(served.body_limit_bytes)
    kept = await post_feedback(served, caller, body)
    gateway.seat.metrics.count("rungwise_feedback_total", served.name).add()
    await exchange.answer(200, kept)


ROUTES: Mapping[tuple[str, str], Handler] = {
    ("POST", "/v1/chat/completions"): face.chat,
    ("POST", "/v1/completions"): face.completions,
    ("POST", "/v1/embeddings"): face.embeddings,
    ("GET", "/v1/models"): face.models,
    ("POST", "/v1/feedback"): judge,
    ("GET", "/v1/reviews"): reviewing,
    ("POST", "/v1/reviews"): reviewing,
    ("DELETE", "/v1/reviews"): reviewing,
    ("GET", "/v1/reviews/agreement"): reviewing,
    ("GET", "/healthz"): healthz,
    ("GET", "/readyz"): readyz,
    ("GET", "/metrics"): metrics,
    ("GET", "/openapi.json"): openapi,
}
UNDER: Mapping[str, Handler] = {"/model/": bedrock, "/v1/models/": face.models}
"""Handlers of everything that begins so: model ids may hold slashes."""
_log = logging.getLogger(__name__)


class App:
    """The ASGI application. `opened` gives the gateway when the server starts; it is closed when the server ends."""

    def __init__(self, opened: Callable[[], Awaitable[Gateway]], seat: Seat) -> None:
        self._open, self.seat = opened, seat
        self.gateway: Gateway | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http" or self.gateway is None:
            return
        exchange = Exchange(scope, receive, send)
        try:
            await _route(exchange)(exchange, self.gateway)
        except Disconnected:
            pass
        except Refused as refusal:
            await face.refuse(exchange, refusal)
        except Exception as error:  # boundary: a request that breaks must not end the server; the client is told, the log says why
            _log.exception("a request to %s failed", exchange.path)
            if exchange.started:
                raise
            await face.refuse(exchange, error)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self.gateway = await self._open()
            observing = Observing(self.gateway, self.seat, environ=os.environ)
        except Exception as error:  # boundary: whoever starts the server is told, and starts nothing
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.gateway.close()
        await observing.close()
        await send({"type": "lifespan.shutdown.complete"})


def _route(exchange: Exchange) -> Handler:
    """Who handles a path. Raises NotThere for one that nobody does, with the method that would have been right."""
    handler = ROUTES.get((exchange.method, exchange.path))
    if handler is not None:
        return handler
    for beginning, greedy in UNDER.items():
        if exchange.path.startswith(beginning):
            if greedy is face.models and exchange.method != "GET":
                raise WrongMethod(exchange.path, "GET")
            return greedy
    other = [method for method, path in ROUTES if path == exchange.path]
    if other:
        raise WrongMethod(exchange.path, ", ".join(sorted(other)))
    raise NotThere(f"there is nothing at {exchange.path}. GET /openapi.json lists what there is", code="not_found")


def make_app(seat: Seat, *, directories: Sequence[str], clock: Clock | None = None, rng: Random | None = None) -> App:
    """The application of one worker that serves these projects. Nothing is opened before the server starts."""
    folders = [Path(one) for one in directories]
    return App(lambda: Gateway.open(folders, seat, clock=clock or SystemClock(), rng=rng or Random()), seat)
