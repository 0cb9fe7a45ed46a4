"""A scripted upstream: a real HTTP server on loopback that answers each call as the test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Asked:
    """One request as it came in."""

    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Reply:
    """The connection of one request, to answer on as the script likes."""

    writer: asyncio.StreamWriter

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        """A head without a length: the body ends when the connection does."""
        lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {kind}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def send(self, status: int, body: Any, kind: str = "application/json", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.head(status, kind, Content_Length=str(len(data)), **headers)
        await self.raw(data)

    async def event(self, body: Any) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        await self.raw(f"data: {text}\n\n".encode())

    def reset(self) -> None:
        """Break the connection without a goodbye (RST)."""
        self.writer.transport.abort()


Script = Callable[[Reply, Asked], Awaitable[None]]


@dataclass
class Upstream:
    """Answers the n-th call by the n-th script; the last script answers all later calls."""

    scripts: list[Script] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    open_calls: int = 0
    most_open: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.asked.append(Asked(headers, json.loads(body or b"{}")))
            script = self.scripts[min(len(self.asked), len(self.scripts)) - 1]
            self.open_calls += 1
            self.most_open = max(self.most_open, self.open_calls)
            await script(Reply(writer), self.asked[-1])
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            self.open_calls = max(0, self.open_calls - 1)
            writer.close()


@asynccontextmanager
async def upstream(*scripts: Script) -> AsyncIterator[Upstream]:
    """A running scripted server; `url` is its base address."""
    state = Upstream(list(scripts))
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(state.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield state
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


def completion(
    text: str | None = "hello", *, usage: Mapping[str, Any] | None = USAGE, finish: str = "stop", **message: Any
) -> dict[str, Any]:
    """The body of a whole answer."""
    body: dict[str, Any] = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}],
    }
    return body | ({"usage": dict(usage)} if usage is not None else {})


def piece(text: str | None = None, *, finish: str | None = None, usage: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One event of a streamed answer."""
    delta = {"role": "assistant", "content": text} if text is not None else {}
    body: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "scripted-2026"}
    if usage is not None:
        return body | {"choices": [], "usage": dict(usage)}
    return body | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def says(text: str = "hello", **more: Any) -> Script:
    """A whole answer."""

    async def script(reply: Reply, asked: Asked) -> None:
        await reply.send(200, completion(text, **more))

    return script


def fails(status: int, body: Any = None, **headers: str) -> Script:
    """An HTTP error."""

    async def script(reply: Reply, asked: Asked) -> None:
        await reply.send(
            status,
            {"error": {"message": "scripted trouble", "type": "x", "param": None, "code": None}} if body is None else body,
            **headers,
        )

    return script


def streams(
    *texts: str, usage: Mapping[str, Any] | None = USAGE, done: bool = True, finish: str | None = "stop", pause_s: float = 0.0
) -> Script:
    """A streamed answer."""

    async def script(reply: Reply, asked: Asked) -> None:
        await reply.head(200, "text/event-stream; charset=utf-8")
        for text in texts:
            await reply.event(piece(text))
            await asyncio.sleep(pause_s)
        if finish is not None:
            await reply.event(piece(finish=finish))
        if usage is not None:
            await reply.event(piece(usage=usage))
        if done:
            await reply.event("[DONE]")

    return script


def sends(data: bytes, kind: str = "application/json", then_wait_s: float = 0.0) -> Script:
    """Any bytes as the body, then the end of the connection."""

    async def script(reply: Reply, asked: Asked) -> None:
        await reply.head(200, kind)
        await reply.raw(data)
        await asyncio.sleep(then_wait_s)

    return script
