"""A fixed upstream that costs next to nothing: OpenAI's chat shape, whole or streamed, for measuring what stands before it.

It reads no JSON: a request whose body says `"stream": true` is answered by `CHUNKS` events and a usage event, every other one
by the same body of about a kilobyte. Each event is a write of its own; where the question says `SLOWLY`, they are `GAP_S` apart,
else they follow each other as fast as they can be written, in separate turns of the event loop.
Peers ask for more routes before they start to serve; those get what lets them begin.

Run: python -m benchmarks.upstream_server [--port 0]; it prints `listening on URL`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from typing import Any

CHUNKS = 20
SLOWLY, GAP_S = "Take your time.", 0.005
MODEL = "fixed-1"
WORDS = "A parcel that is sent on a Monday is at your door on Wednesday unless the weather or the customs office says otherwise. "
TEXT = (WORDS * 8)[:740]
PIECES = tuple(f"word {place} of the answer " for place in range(CHUNKS))
STREAMED = re.compile(rb'"stream"\s*:\s*true')
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
END = b"0\r\n\r\n"


def _response(body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _event(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


def whole() -> bytes:
    """The answer to a request that is not streamed, head and body."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 120, "completion_tokens": 160, "total_tokens": 280}
    answer = {"id": "chatcmpl-fixed", "object": "chat.completion", "created": 1_700_000_000, "model": MODEL, "choices": [choice]}
    return _response(json.dumps({**answer, "usage": usage}).encode())


def events() -> tuple[bytes, ...]:
    """The events of a streamed answer, each framed as one chunk of HTTP; the last closes the stream."""

    def chunk(**rest: object) -> str:
        head = {"id": "chatcmpl-fixed", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": MODEL}
        return json.dumps({**head, **rest}, separators=(",", ":"))

    pieces = [chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": PIECES[0]}, "finish_reason": None}])]
    pieces += [chunk(choices=[{"index": 0, "delta": {"content": piece}, "finish_reason": None}]) for piece in PIECES[1:]]
    pieces.append(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    pieces.append(chunk(choices=[], usage={"prompt_tokens": 120, "completion_tokens": CHUNKS, "total_tokens": 120 + CHUNKS}))
    return (*map(_event, pieces), _event("[DONE]") + END)


WHOLE, EVENTS = whole(), events()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
MODELS = _response(json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode())
INFO = _response(json.dumps({"model_path": MODEL, "served_model_name": MODEL, "status": "ok", "is_generation": True}).encode())


class Fixed(asyncio.Protocol):
    """One connection; requests may follow each other on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.buffer, self.gap_s = loop, b"", 0.0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            told = LENGTH.search(self.buffer, 0, end)
            size = end + 4 + (int(told[1]) if told else 0)
            if len(self.buffer) < size:
                return
            request, self.buffer = self.buffer[:size], self.buffer[size:]
            self.answer(request, end)

    def answer(self, request: bytes, head: int) -> None:
        """Answer one request; `head` is where its head ends."""
        if self.transport is None:
            return
        if request.startswith(b"POST"):
            if STREAMED.search(request, head):
                self.gap_s = GAP_S if SLOWLY.encode() in request else 0.0
                self.transport.write(STREAM_HEAD + EVENTS[0])
                self.follow(1)
            else:
                self.transport.write(WHOLE)
        else:
            self.transport.write(MODELS if b"/models" in request[:64] else INFO)

    def follow(self, place: int) -> None:
        """Arrange for the event of this place and those after it."""
        if self.gap_s:
            self.loop.call_later(self.gap_s, self.push, place)
        else:
            self.loop.call_soon(self.push, place)

    def push(self, place: int) -> None:
        """Write one event."""
        if self.transport is None:
            return
        self.transport.write(EVENTS[place])
        if place + 1 < len(EVENTS):
            self.follow(place + 1)


async def serve(port: int) -> None:
    """Answer until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Fixed(loop), "127.0.0.1", port, backlog=1024)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until SIGTERM."""
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    try:
        uvloop.run(serve(given.port))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
