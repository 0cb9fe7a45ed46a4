"""One HTTP request and its answer over raw ASGI: the body within a limit, headers, whole and streamed answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from typing import Any, TypeAlias, TypeVar

from rungwise.serve.ask import Tape
from rungwise.serve.failure import BadRequest, TooLarge

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]
T = TypeVar("T")

JSON: Header = (b"content-type", b"application/json")
EVENTS: Header = (b"content-type", b"text/event-stream; charset=utf-8")


class Disconnected(Exception):
    """The client went away before its answer was whole."""


class Exchange:
    """What a handler is given. The body is read first; from then on `when_gone` watches the client."""

    __slots__ = ("_headers", "_receive", "_send", "path", "raw_path", "scope", "started")

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.path: str = scope["path"]
        self.raw_path: bytes = scope.get("raw_path") or self.path.encode()
        self._headers: dict[bytes, bytes] | None = None
        self.started = False

    @property
    def method(self) -> str:
        """GET, POST ..."""
        return str(self.scope["method"])

    def header(self, name: bytes) -> bytes | None:
        """A request header by its lower-case name; of several the last."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        return self._headers.get(name)

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body. Raises TooLarge over the limit, unread where its length is told; Disconnected when it is cut."""
        told = self.header(b"content-length")
        if told is not None and not told.isdigit():
            raise BadRequest("the header content-length is no number")
        if told is not None and int(told) > limit_bytes:
            raise TooLarge(f"the body may have at most {limit_bytes:,} bytes")
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if message["type"] == "http.disconnect":
                raise Disconnected
            return body
        pieces, size = [body], len(body)
        while message.get("more_body"):
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > limit_bytes:
                raise TooLarge(f"the body may have at most {limit_bytes:,} bytes")
        return b"".join(pieces)

    def when_gone(self, tell: Callable[[], object]) -> Callable[[], None]:
        """Call `tell` when the client leaves, until the function that is given is called. Only after the body was read."""
        heard: list[Callable[[], object]] | None = self.scope.get("rungwise.gone")
        if heard is not None:  # our own connections say so themselves
            heard.append(tell)
            return lambda: heard.remove(tell)

        async def watch() -> None:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            tell()

        watching = asyncio.ensure_future(watch())

        def stop() -> None:
            watching.cancel()

        return stop

    async def answer(self, status: int, body: bytes, headers: Sequence[Header] = (JSON,)) -> None:
        """Send a whole answer."""
        self.started = True
        length = (b"content-length", str(len(body)).encode())
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, headers: Sequence[Header] = (EVENTS,), *, status: int = 200) -> None:
        """Start a streamed answer."""
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def push(self, data: bytes) -> None:
        """Send a piece of a streamed answer; waits while the client reads more slowly than it is answered."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Send the last piece."""
        await self._send({"type": "http.response.body", "body": data})


async def until_gone(exchange: Exchange, work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, unless the client leaves first: then it is cancelled, and Disconnected is raised."""
    answering = asyncio.current_task()
    assert answering is not None
    left = False

    def leave() -> None:
        nonlocal left
        left = True
        answering.cancel()

    stop = exchange.when_gone(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if left and answering.uncancel() == 0:
            raise Disconnected from None
        raise
    finally:
        stop()


def request_id(tape: Tape) -> Header:
    """The header by which a client names the trace of its request."""
    return (b"x-request-id", tape.id.encode())
