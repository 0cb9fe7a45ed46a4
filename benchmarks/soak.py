"""Many streams at once for a long time: is one broken, and does the memory of the workers grow?

An upstream says one word at a steady pace in each stream, `rungwise serve` relays it with everything on (a key, two variants, a
guard on both sides, prices, a trace committed before each stream ends), and so many clients read streams without a pause
between them. A stream counts when it came whole: status 200, every word, its [DONE]. Memory is read every second; the slope is
that of a straight line through the last two thirds, in which caches are full. Goal: no error, less than 1 MB a minute.

With --restart the workers are replaced (SIGHUP) at regular intervals meanwhile: then the memory of each worker is young, and
what is shown is that no stream breaks.

Run: python -m benchmarks.soak [--streams 500] [--minutes 15] [--words-per-s 20] [--workers 1] [--restart 0]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import cast

import uvloop

from benchmarks.gateway_systems import BOTH, make_project, tree
from benchmarks.publish import machine
from benchmarks.upstream_server import MODEL
from rungwise.serve.metrics import resident_bytes

GOAL_MB_PER_MINUTE = 1.0
SECONDS = (5.0, 60.0)
"""A stream takes a time between these."""


def event(content: str | None, finish: str | None = None) -> bytes:
    """One event of an upstream's stream, as a chunk of HTTP/1.1."""
    delta = {"content": content} if content is not None else {}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "chatcmpl-soak", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices}
    return framed(json.dumps(body))


def framed(data: str) -> bytes:
    """Data as an event, as a chunk of HTTP/1.1."""
    piece = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(piece), piece)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + event("")
WORD = event("word ")
USAGE = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110}
END = event(None, "stop") + framed(json.dumps({"id": "u", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}))
END += framed("[DONE]") + b"0\r\n\r\n"


class Speaking(asyncio.Protocol):
    """One connection of the upstream: whatever it is asked, it says as many words as the question's last number asks for."""

    def __init__(self, speaking: dict[Speaking, int]) -> None:
        self.all = speaking
        self.read = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, found, body = self.read.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1])
        if len(body) < length:
            return
        self.read = body[length:]
        assert self.transport is not None
        self.transport.write(HEAD)
        self.all[self] = int(json.loads(body[:length])["messages"][-1]["content"])

    def connection_lost(self, exc: Exception | None) -> None:
        self.all.pop(self, None)

    def say(self) -> None:
        """The next word, or the end."""
        assert self.transport is not None
        left = self.all[self]
        if left:
            self.all[self] = left - 1
            self.transport.write(WORD)
        else:
            del self.all[self]
            self.transport.write(END)


@contextlib.asynccontextmanager
async def upstream(words_per_s: float) -> AsyncIterator[str]:
    """Its address. All streams get their next word in the same turn, as from a server that decodes a batch."""
    speaking: dict[Speaking, int] = {}

    async def speak() -> None:
        while True:
            await asyncio.sleep(1 / words_per_s)
            for one in list(speaking):
                one.say()

    server = await asyncio.get_running_loop().create_server(lambda: Speaking(speaking), "127.0.0.1", 0, backlog=2048)
    task = asyncio.ensure_future(speak())
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        task.cancel()
        server.close()


@dataclass
class Soaked:
    """What happened so far."""

    whole: int = 0
    words: int = 0
    open: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the beginning and megabytes of all workers."""


async def read_streams(port: int, key: str, rng: Random, soaked: Soaked, until: float, words_per_s: float) -> None:
    """Read one stream after another on one connection; on a new one after an error."""
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while time.monotonic() < until:
        words = round(words_per_s * rng.uniform(*SECONDS))
        body = json.dumps({"model": "bench", "stream": True, "messages": [{"role": "user", "content": str(words)}]})
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((head + body).encode())
            soaked.open += 1
            closing = await read_one(reader, words)
            soaked.whole += 1
            soaked.words += words
        except (OSError, EOFError, ValueError, asyncio.IncompleteReadError) as error:
            soaked.errors[f"{type(error).__name__}: {str(error)[:100]}"] += 1
            closing = True
            await asyncio.sleep(0.1)
        finally:
            soaked.open -= 1
        if closing and writer is not None:
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()


async def read_one(reader: asyncio.StreamReader, words: int) -> bool:
    """Read one answer; whether the server closes the connection. Raises ValueError for any but a whole one."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).lower()
    if not head.startswith(b"http/1.1 200"):
        raise ValueError(head.split(b"\r\n")[0].decode())
    heard, last = 0, b""
    while True:
        length = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), 60), 16)
        piece = (await reader.readexactly(length + 2))[:-2]
        if not length:
            break
        heard, last = heard + piece.count(b"word "), piece
    if heard != words or not last.endswith(b"data: [DONE]\n\n"):
        raise ValueError(f"a stream of {words} words ended after {heard} with {last[-60:]!r}")
    return b"connection: close" in head


async def soak(port: int, key: str, parent: subprocess.Popen[str], options: argparse.Namespace) -> Soaked:
    """Run it. Clients come in over some seconds, so that the streams do not move in step."""
    soaked, rng, begun = Soaked(), Random(7), time.monotonic()
    until = begun + options.minutes * 60

    async def client(after: float) -> None:
        await asyncio.sleep(after)
        await read_streams(port, key, rng, soaked, until, options.words_per_s)

    clients = [asyncio.ensure_future(client(10 * n / options.streams)) for n in range(options.streams)]
    told = restarted = begun
    while time.monotonic() < until:
        await asyncio.sleep(1)
        now = time.monotonic()
        memory = sum(resident_bytes(pid) or 0 for pid in tree(parent.pid) if pid != parent.pid)
        soaked.memory.append((now - begun, memory / 1e6))
        if now - told >= 60:
            told = now
            errors = sum(soaked.errors.values())
            say = (
                f"{(now - begun) / 60:.0f} min: {soaked.open} open, {soaked.whole:,} whole, {errors} errors, {memory / 1e6:.1f} MB"
            )
            print(say, file=sys.stderr)
        if options.restart and now - restarted >= options.restart:
            restarted = now
            parent.send_signal(signal.SIGHUP)
    await asyncio.gather(*clients)
    return soaked


def slope(memory: list[tuple[float, float]]) -> float:
    """Megabytes a minute of the line through the last two thirds, by least squares."""
    kept = memory[len(memory) // 3 :]
    mean_s, mean_mb = (sum(values) / len(kept) for values in zip(*kept, strict=True))
    over = sum((at - mean_s) * (mb - mean_mb) for at, mb in kept)
    return 60 * over / sum((at - mean_s) ** 2 for at, _ in kept)


async def run(directory: Path, options: argparse.Namespace) -> Soaked:
    """Start everything, soak, end everything."""
    async with upstream(options.words_per_s) as url:
        key = await asyncio.to_thread(make_project, directory / "bench", url, guarded=BOTH)
        command = [str(Path(sys.executable).with_name("rungwise")), "serve", str(directory / "bench"), "--port", "0"]
        parent = subprocess.Popen([*command, "--workers", str(options.workers)], stdout=subprocess.PIPE, text=True)
        try:
            assert parent.stdout is not None
            line = await asyncio.to_thread(parent.stdout.readline)
            soaked = await soak(int(line.rsplit(":", 1)[1]), key, parent, options)
        finally:
            parent.terminate()
            code = await asyncio.to_thread(parent.wait, 120)
    if code:
        soaked.errors[f"the server ended with code {code}"] += 1
    return soaked


def main() -> None:
    """Soak, print what happened and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--words-per-s", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--restart", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    os.environ.pop("RUNGWISE_STORE", None)
    with tempfile.TemporaryDirectory() as directory:
        soaked = uvloop.run(run(Path(directory), options))
    grown = slope(soaked.memory)
    errors = sum(soaked.errors.values())
    most = max(mb for _, mb in soaked.memory)
    print(f"{options.streams} streams for {options.minutes:g} minutes at {options.words_per_s:g} words/s: {soaked.whole:,} whole")
    print(f"errors: {errors} {dict(soaked.errors) or ''}; memory: {grown:+.2f} MB a minute (goal: under 1), at most {most:.0f} MB")
    figures = {
        "whole": soaked.whole,
        "words": soaked.words,
        "errors": errors,
        "mb_per_minute": round(grown, 3),
        "most_mb": round(most),
    }
    print(json.dumps({"bench": "soak", **vars(options), **figures, "machine": machine()}))


if __name__ == "__main__":
    main()
