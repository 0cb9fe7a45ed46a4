"""A small ASGI application for tests of the server around it."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from urllib.parse import parse_qs

from rungwise.core.errors import UsageError
from rungwise.serve.metrics import page
from rungwise.serve.seat import Seat


def make_app(seat: Seat, *, refuse: str | None = None, refuse_late: str | None = None, refuse_when: str | None = None) -> Any:
    """An application that can be slow, stream, die, or refuse to start: at once, late, or while a file exists."""
    if refuse:
        raise UsageError(refuse)
    if refuse_when and os.path.exists(refuse_when):
        raise UsageError("the file says no")
    counted = seat.metrics.count("rungwise_feedback_total", "tiny")
    me = {"pid": os.getpid(), "number": seat.number}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            if refuse_late:
                raise UsageError(refuse_late)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        path = scope["path"]
        if path == "/die":
            os._exit(1)
        if path == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
            for n in range(int(asked["n"])):
                await asyncio.sleep(float(asked.get("every", 0)))
                piece = b"data: %d\n\n" % n + b"x" * int(asked.get("size", 0))
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
            return
        size = 0
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break
        if path == "/slow":
            await asyncio.sleep(float(asked["seconds"]))
        counted.add()
        body = page(seat.scratch) if path == "/metrics" else json.dumps({**me, "size": size, "draining": seat.draining}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    return app
