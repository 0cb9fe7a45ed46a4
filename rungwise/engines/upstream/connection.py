"""One connection of our own HTTP/1.1 client, and the answer that comes over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import cast

import httptools

from rungwise.engines.resilience import Failed, Failure

HEAD_LIMIT_BYTES = 65_536  # all headers of one answer together; trailers count as well
HELD_LIMIT_BYTES = 65_536  # of a body that is read in pieces: above it the sender is made to wait
LINGER_S = 1.0  # how long the rest of an answer that nobody reads may take before its connection is closed


class Connection(asyncio.Protocol):
    """A connection that carries one exchange after another. `idle` is called when it can be used again, `gone` when it is lost.

    What the parser calls while it reads bytes are the `on_` methods; an exchange ends in `_settle`, after the bytes of one read
    were all looked at, because only then it is known whether anything followed that nobody asked for.
    """

    def __init__(self, idle: Callable[[Connection], None], gone: Callable[[Connection], None]) -> None:
        self._idle, self._gone = idle, gone
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._reply: PlainReply | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._unasked = self._paused = False
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether a request can be sent over it."""
        return self._transport is not None and self._reply is None and not self._transport.is_closing()

    def send(self, data: bytes) -> PlainReply:
        """Begin an exchange."""
        assert self._transport is not None
        self._reply = reply = PlainReply(self, self._loop)
        self._transport.write(data)
        return reply

    def close(self) -> None:
        """Close it now. An exchange under way fails."""
        if self._transport is not None:
            self._transport.abort()

    def linger(self) -> None:
        """Let the rest of the answer come, for a little while."""
        self.flow(paused=False)
        if self._linger is None:
            self._linger = self._loop.call_later(LINGER_S, self.close)

    def flow(self, *, paused: bool) -> None:
        """Stop or go on reading from the network."""
        if paused is self._paused or self._transport is None or self._transport.is_closing():
            return
        self._paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        reply = self._reply
        if reply is None:  # nobody asked for anything
            self.close()
            return
        reply.heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._unasked = True
            if not reply.complete:
                reply.fail(not_http("its bytes cannot be read"))
        if reply.failure is not None:
            self.close()
        elif reply.complete:
            self._settle(reply)
        elif len(reply.held) > reply.limit_bytes:
            self.flow(paused=True)
        reply.wake()

    def eof_received(self) -> None:
        """The server has ended its side: so do we."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed, by either side."""
        self._transport = None
        if self._linger is not None:
            self._linger.cancel()
        reply, self._reply = self._reply, None
        if reply is not None:
            if error is None and reply.ends_with_connection:
                reply.end()
            else:
                reply.fail(cut(reply.heard))
            reply.wake()
        self._gone(self)

    # what the parser calls

    def on_message_begin(self) -> None:
        """Another answer begins; after the end of the one that was asked for it is junk."""
        if self._reply is None or self._reply.complete:
            self._unasked = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        reply = self._reply
        if reply is None or self._unasked:
            return
        reply.head_bytes += len(name) + len(value) + 4
        if reply.head_bytes > HEAD_LIMIT_BYTES:
            reply.fail(not_http(f"more than {HEAD_LIMIT_BYTES:,} bytes of headers"))
        elif not reply.begun:
            reply.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole. An interim one (1xx) is passed over."""
        reply = self._reply
        if reply is None or self._unasked:
            return
        status = self._parser.get_status_code()
        if status < 200:
            reply.headers.clear()
            reply.head_bytes += len(b"HTTP/1.1 100\r\n\r\n")  # there is no end of them otherwise
            if status == 101:
                reply.fail(not_http("it wants to speak another protocol"))
            elif reply.head_bytes > HEAD_LIMIT_BYTES:
                reply.fail(not_http(f"more than {HEAD_LIMIT_BYTES:,} bytes of headers"))
        else:
            reply.begin(status)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        reply = self._reply
        if reply is not None and not self._unasked:
            reply.held += data

    def on_message_complete(self) -> None:
        """The end of an answer, unless it was an interim one."""
        reply = self._reply
        if reply is not None and reply.begun and not self._unasked:
            reply.keep = self._parser.should_keep_alive()
            reply.end()

    def _settle(self, reply: PlainReply) -> None:
        """The answer is whole: the connection is free, if it may be used again."""
        self._reply = None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self.flow(paused=False)
        transport = self._transport
        if transport is None:
            return
        if self._unasked or not reply.keep or transport.get_write_buffer_size():
            transport.close()
        else:
            self._idle(self)


class PlainReply:
    """The answer to one request. See `reply.Reply`."""

    __slots__ = (
        "_connection",
        "_loop",
        "_waiter",
        "begun",
        "complete",
        "failure",
        "head_bytes",
        "headers",
        "heard",
        "held",
        "keep",
        "limit_bytes",
        "status",
    )

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection, self._loop = connection, loop
        self.held = bytearray()  # of the body, not read yet; one buffer, since a server may cut it into chunks of a byte
        self._waiter: asyncio.Future[None] | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.failure: Failure | None = None
        self.status = self.head_bytes = 0
        self.limit_bytes = HELD_LIMIT_BYTES
        self.heard = self.begun = self.complete = self.keep = False

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body has no other end: no length was told, and it does not come in chunks."""
        return self.begun and self.header(b"content-length") is None and self.header(b"transfer-encoding") is None

    def header(self, name: bytes) -> bytes | None:
        """A header by its lower-case name; of several the first."""
        for known, value in self.headers:
            if known == name:
                return value
        return None

    async def head(self) -> None:
        """Returns when the head is there. Raises Failed."""
        while not self.begun:
            await self._wait()

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises Failed when it is longer than that."""
        self.limit_bytes = limit_bytes
        self._connection.flow(paused=False)
        while not self.complete:
            if len(self.held) > limit_bytes:
                self.abort()
                raise Failed(Failure(what=f"answered more than {limit_bytes:,} bytes", retry=False, agreed=False, worked=True))
            await self._wait()
        return bytes(self.held)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces as they come."""
        held = self.held
        while True:
            while held:
                data = bytes(held)
                held.clear()
                yield data
            if self.complete:
                return
            self._connection.flow(paused=False)
            await self._wait()

    def leave(self) -> None:
        """Nothing more is wanted of it."""
        if not self.complete and self.failure is None:
            self._connection.linger()

    def abort(self) -> None:
        """Close its connection now."""
        if not self.complete and self.failure is None:
            self.fail(cut(self.heard))
            self.wake()
            self._connection.close()

    # what the connection calls

    def begin(self, status: int) -> None:
        """The head is there."""
        self.status, self.begun = status, True

    def end(self) -> None:
        """The body is whole."""
        self.complete = True

    def fail(self, failure: Failure) -> None:
        """It will never be whole."""
        if self.failure is None and not self.complete:
            self.failure = failure

    def wake(self) -> None:
        """Something of this has happened, for whoever waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        if self.failure is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.failure is not None:
            raise Failed(self.failure)


def cut(heard: bool) -> Failure:
    """The connection ended before the answer did."""
    if heard:
        return Failure(what="cut the answer off", retry=True, worked=True)
    return Failure(what="closed the connection without an answer", retry=True, worked=True)


def not_http(what: str) -> Failure:
    """The server does not keep to the protocol."""
    return Failure(what=f"answered something that is not HTTP: {what}", retry=False, agreed=False, worked=True)
