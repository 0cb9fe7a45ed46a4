"""Our own HTTP/1.1 client for plain HTTP: a pool of connections to one server that are kept open.

Written for the one thing that a gateway does all day, a POST of a few kilobytes to a server near by, at about a fifth of what
aiohttp costs and a ninetieth of what httpx does (`benchmarks/upstream_client.py`). It follows no redirect, sends no cookie
and asks for no compression.
"""

from __future__ import annotations

import asyncio
import os
import socket

from rungwise.engines.resilience import Failed, Failure
from rungwise.engines.upstream.connection import Connection, PlainReply, cut
from rungwise.engines.upstream.reply import Headers, Reply

KEPT = 512  # idle connections that are kept open
KEPT_S = 60.0  # how long at most; as a rule the server closes them earlier


class PlainUpstream:
    """One server over plain HTTP. See `reply.Upstream`."""

    def __init__(self, host: str, port: int, *, prefix: str, connect_s: float) -> None:
        self._host, self._port, self._prefix, self._connect_s = host, port, prefix, connect_s
        name = f"[{host}]" if ":" in host else host
        self._name = name if port == 80 else f"{name}:{port}"
        self._heads: dict[tuple[str, Headers], bytes] = {}
        self._free: list[Connection] = []  # the one used last at the end: it is the least likely to be stale
        self._all: set[Connection] = set()
        self._closed = False

    async def post(self, path: str, headers: Headers, body: bytes) -> Reply:
        """Send a request; returns when the head of the answer is there. Raises Failed.

        A connection from the pool that turns out to be closed is not the server's failure: if not one byte came back, the
        request is sent once more over a new connection.
        """
        data = b"%b%d\r\n\r\n%b" % (self._head(path, headers), len(body), body)
        while self._free:
            connection = self._free.pop()
            if not connection.usable:
                continue
            reply = connection.send(data)
            try:
                return await self._begun(reply)
            except Failed:
                if reply.heard:
                    raise
                break
        connection = await self._connect()
        return await self._begun(connection.send(data))

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        for connection in list(self._all):
            connection.close()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    async def _begun(self, reply: PlainReply) -> PlainReply:
        try:
            await reply.head()
        except BaseException:
            reply.abort()
            raise
        return reply

    def _head(self, path: str, headers: Headers) -> bytes:
        """Everything before the value of content-length; remembered, since it is the same for all requests to an engine."""
        head = self._heads.get((path, headers))
        if head is None:
            lines = [f"POST {self._prefix}{path} HTTP/1.1", f"host: {self._name}", *(f"{name}: {value}" for name, value in headers)]
            if any("\r" in line or "\n" in line or "\0" in line for line in lines):
                raise ValueError("a header must not hold a line break")
            head = "\r\n".join([*lines, "content-length: "]).encode("latin-1")
            if len(self._heads) >= 64:
                self._heads.clear()
            self._heads[path, headers] = head
        return head

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        failure: Failure
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_connection(self._made, self._host, self._port)
            if connection.usable:
                self._all.add(connection)
                return connection
            failure = cut(False)  # closed again before anybody could say a word
        except TimeoutError:
            failure = Failure(what="did not accept the connection in time", retry=True, sent=False)
        except socket.gaierror:
            failure = Failure(what="has a host name that cannot be found", retry=True, sent=False)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else "connection error"
            failure = Failure(what=f"refused the connection ({why})", retry=True, sent=False)
        raise Failed(failure)

    def _made(self) -> Connection:
        return Connection(self._keep, self._lost)

    def _keep(self, connection: Connection) -> None:
        """A connection is free again."""
        now = asyncio.get_running_loop().time()
        connection.idle_since = now
        free = self._free
        if self._closed or len(free) >= KEPT:
            connection.close()
            return
        while free and now - free[0].idle_since > KEPT_S:
            free.pop(0).close()
        free.append(connection)

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
