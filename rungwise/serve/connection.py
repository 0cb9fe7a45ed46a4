"""One client's connection: uvicorn's HTTP/1.1 with deadlines for slow clients, and an end that drops no request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from rungwise.serve.metrics import Count
from rungwise.serve.seat import Patience

SWEEP_S = 0.5

REFUSED = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"


class Connections(ServerState):
    """All connections of a worker. `leaving_since` is the loop's time at which the worker began to end, else None."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self.patience = patience
        self.leaving_since: float | None = None

    async def sweep(self, in_flight: Count) -> None:
        """Close what has been too slow, again and again: one look at all is cheaper than a timer for every request.

        `in_flight` is set to the number of requests that are being answered.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            in_flight.set(len(self.tasks))
            for connection in list(self.connections):
                if isinstance(connection, Connection):
                    connection.check(now)


class Connection(HttpToolsProtocol):
    """The connection. `since`: when the request began that has not come whole; None between two requests."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(server_state, Connections)
        self.all = server_state
        self.since: float | None = None
        self.in_head = False
        self.head_bytes = 0
        self.body_bytes = 0
        self.stalled_since: float | None = None
        self.idle_since = 0.0
        self.gone: list[Callable[[], object]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came, and its first request is awaited."""
        super().connection_made(transport)
        self.since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left: whoever answers it is told, without a task that waits for it."""
        super().connection_lost(exc)
        for tell in self.gone:
            tell()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request. A head that grows too long is answered with 431."""
        super().data_received(data)
        if self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > self.all.patience.head_bytes:
                self.refuse(b"431 Request Header Fields Too Large", b"the head of the request is too long")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self.scope["rungwise.gone"] = self.gone  # type: ignore[typeddict-unknown-key]
        if self.since is None:
            self.since = self.loop.time()
        self.in_head = True
        self.head_bytes = self.body_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is whole. A worker that is about to end serves the request, and asks the client to connect anew."""
        self.in_head = False
        super().on_headers_complete()
        if self.all.leaving_since is not None and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is whole."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        self.stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client caught up."""
        self.stalled_since = None
        super().resume_writing()

    def shutdown(self) -> None:
        """The worker is about to end. A connection is closed only after an answer that said so, or when nothing has come for long.

        An answer whose head is under way said nothing, and the client may send its next request right after it.
        """
        if not self._idle() and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def check(self, now: float) -> None:
        """Close the connection if it has used up its patience. `now` is the loop's time."""
        patience = self.all.patience
        if self.stalled_since is not None and now - self.stalled_since > patience.stalled_s:
            self.transport.abort()
        elif self.since is not None:
            self._check_request(now, patience)
        elif self._left_idle(now, patience):
            self.transport.close()

    def _check_request(self, now: float, patience: Patience) -> None:
        assert self.since is not None
        if self.flow.read_paused:  # it is us who do not read
            self.since = now
            return
        waited = now - self.since
        if self.in_head:
            late = waited > patience.header_s
        elif not self._idle():
            late = waited > patience.body_s + self.body_bytes / patience.bytes_per_s
        elif self.all.leaving_since is not None:
            late = now - max(self.since, self.all.leaving_since) > patience.leaving_s
        else:
            late = waited > patience.header_s
        if late:
            self.refuse(b"408 Request Timeout", b"the request took too long to come")

    def _left_idle(self, now: float, patience: Patience) -> bool:
        since = self.all.leaving_since
        return since is not None and self._idle() and now - max(self.idle_since, since) > patience.leaving_s

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def refuse(self, status: bytes, why: bytes) -> None:
        """Give up a request that has not come whole; it is told why, where no answer has begun."""
        self.since = None
        if self.transport.is_closing():
            return
        if self.in_head and not self._idle():  # an answer runs to an earlier request: it may end
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        cycle = None if self._idle() else self.cycle
        if self.in_head or (cycle is not None and not cycle.response_started):
            body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"invalid_request"}}' % why
            self.transport.write(REFUSED % (status, len(body)) + body)
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
