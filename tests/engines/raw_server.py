"""A server that says exactly the bytes it is told to, and a client of ours that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rungwise.engines.upstream.opening import open_upstream
from rungwise.engines.upstream.reply import Headers, Upstream

HEADERS: Headers = (("content-type", "application/json"), ("authorization", "Bearer secret"))
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
Talk = Callable[["Line"], Awaitable[None]]


@dataclass
class Line:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    asked: list[bytes] = field(default_factory=list)

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        self.asked.append(head + await self.reader.readexactly(length))
        return self.asked[-1]

    async def say(self, *pieces: bytes) -> None:
        for data in pieces:
            self.writer.write(data)
            await self.writer.drain()
            await asyncio.sleep(0.001 if len(pieces) > 1 else 0)


@dataclass
class Server:
    url: str
    lines: list[Line] = field(default_factory=list)


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[Server]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.lines.append(Line(reader, writer, len(running.lines)))
        try:
            await talk(running.lines[-1])
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    running = Server(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1")
    try:
        yield running
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def client(url: str, *, connect_s: float = 5.0) -> AsyncIterator[Upstream]:
    upstream = open_upstream(url, connect_s=connect_s)
    try:
        async with asyncio.timeout(10):
            yield upstream
    finally:
        await upstream.aclose()


async def ask(upstream: Upstream, *, limit: int = 10_000_000) -> bytes:
    return await (await upstream.post("/chat/completions", HEADERS, b"{}")).read(limit)


def answers(*pieces: bytes, close: bool = False) -> Talk:
    """Answers every request of a connection with the same bytes."""

    async def talk(line: Line) -> None:
        while True:
            await line.request()
            await line.say(*pieces)
            if close:
                return

    return talk
