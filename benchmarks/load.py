"""A load generator for chat endpoints: closed loop (so many in flight) or open loop (so many a second), whole or streamed.

It speaks HTTP/1.1 over kept connections and parses no more than where an answer ends, which costs about 10 us a request, so that
the server is the one that is measured. The open loop sends when a request is due, whatever became of those before it.
Answers that are not 200, and connections that break, count as errors. `check` looks once at what an answer says.

Run: python -m benchmarks.load URL [--model fixed-1] [--key K] [--concurrency 16] [--rate 0] [--stream] [--seconds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.upstream_server import PIECES, SLOWLY, TEXT

FIRST = PIECES[0][:6].encode()
"""What the first content of a stream begins with: a piece that only names the role is no content."""
PROMPTS = 64
QUESTION = (
    "You are the help desk of a parcel service. Answer the question of the customer in two or three friendly sentences, name the "
    "day on which the parcel will come if it can be known, and never promise what the rules below do not allow. Rules: a parcel "
    "takes two working days, three to the islands; customs take as long as they take; a parcel is kept for seven days at the "
    "counter. Question number {number}: where is my parcel, and when will it come?"
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where requests go: the URL of the chat route, the name of the model there (None where the URL says it), the key if any."""

    url: str
    model: str | None = "fixed-1"
    key: str | None = None

    def body(self, number: int, *, stream: bool, slow: bool = False) -> bytes:
        """The JSON of one request, about half a kilobyte."""
        question = QUESTION.format(number=number) + (f" {SLOWLY}" if slow else "")
        body: dict[str, Any] = {"messages": [{"role": "user", "content": question}]}
        if self.model is not None:
            body = {"model": self.model, **body}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(body).encode()

    def head(self) -> dict[str, str]:
        """The headers of a request."""
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    def request(self, number: int, *, stream: bool, slow: bool = False) -> bytes:
        """A whole request as it goes over the wire."""
        body, parts = self.body(number, stream=stream, slow=slow), urlsplit(self.url)
        lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.head().items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass(kw_only=True)
class Measured:
    """What one run saw. Latencies in seconds; `cpu_s` is what the meter counted between the end of the warm-up and the end."""

    seconds: float
    cpu_s: float
    errors: int
    latencies: list[float] = field(repr=False)
    firsts: list[float] = field(repr=False)

    @property
    def requests(self) -> int:
        """Answers that came whole."""
        return len(self.latencies)

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the metered processes for one answer."""
        return self.cpu_s / self.requests * 1e6 if self.requests else float("nan")

    def latency_ms(self, share: float) -> float:
        """The quantile `share` of the time to a whole answer, in milliseconds."""
        return _quantile(self.latencies, share) * 1000

    def first_ms(self, share: float) -> float:
        """The quantile `share` of the time to the first content of a stream, in milliseconds."""
        return _quantile(self.firsts, share) * 1000


def _quantile(values: list[float], share: float) -> float:
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def check(target: Target, *, stream: bool, timeout_s: float = 30.0) -> None:
    """Ask once and look at the whole answer. Raises AssertionError or OSError when it is not the upstream's."""
    parts = urlsplit(target.url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        connection.request("POST", parts.path, target.body(0, stream=stream), target.head())
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, f"{target.url} answered {answer.status}: {body[:500]!r}"
    finally:
        connection.close()
    if not stream:
        assert json.loads(body)["choices"][0]["message"]["content"] == TEXT, body[:500]
        return
    lines = [line[5:].strip() for line in body.decode().splitlines() if line.startswith("data:")]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    said = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert said == "".join(PIECES), f"{target.url} streamed {said!r}"


class Connection(asyncio.Protocol):
    """One kept connection with at most one request in flight."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: Any = None
        self.busy = False
        self.asked = 0.0
        self.expect = -1  # bytes of the answer, -1 while unknown, -2 when chunked
        self.buffer, self.seen = b"", 0
        self.first: float | None = None
        self.status_ok = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.busy:
            self.busy = False
            self.load.failed(self)

    def ask(self, now: float) -> None:
        """Send the next request; its time counts from `now`."""
        self.busy, self.asked = True, now
        self.expect, self.buffer, self.seen, self.first = -1, b"", 0, None
        self.transport.write(self.load.next_request())

    def data_received(self, data: bytes) -> None:
        if self.first is None and self.load.stream and FIRST in data:
            self.first = time.perf_counter() - self.asked
        if self.expect == -1:
            self.buffer += data
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._read_head(self.buffer[:end].lower())
            data, self.buffer = self.buffer[end + 4 :], b""
        self.seen += len(data)
        if self.expect == -2:
            self.buffer = (self.buffer + data)[-5:]
            if self.buffer != b"0\r\n\r\n":
                return
        elif self.seen < self.expect:
            return
        self.busy = False
        self.load.answered(self)

    def _read_head(self, head: bytes) -> None:
        self.status_ok = head[9:12] == b"200"
        place = head.find(b"content-length:")
        self.expect = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else -2


class Load:
    """One run: connections, the requests they send in turn, and what was seen after the warm-up."""

    def __init__(self, target: Target, *, stream: bool, slow: bool) -> None:
        self.stream = stream
        self.parts = urlsplit(target.url)
        self.requests = [target.request(number, stream=stream, slow=slow) for number in range(PROMPTS)]
        self.sent = 0
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.errors = 0
        self.closed_loop = True
        self.over = False
        self.idle: list[Connection] = []

    def next_request(self) -> bytes:
        """The requests in turn."""
        self.sent += 1
        return self.requests[self.sent % PROMPTS]

    def answered(self, connection: Connection) -> None:
        """An answer is whole: count it and, in the closed loop, ask again."""
        now = time.perf_counter()
        if connection.status_ok:
            self.latencies.append(now - connection.asked)
            if connection.first is not None:
                self.firsts.append(connection.first)
        else:
            self.errors += 1
        if not self.closed_loop:
            self.idle.append(connection)
        elif not self.over:
            connection.ask(now)

    def failed(self, connection: Connection) -> None:
        """A connection broke in the middle of an answer; another takes its place."""
        if not self.over:
            self.errors += 1
            self.task = asyncio.ensure_future(self._replace())

    async def _replace(self) -> None:
        await asyncio.sleep(0.01)
        connection = await self.open()
        if self.closed_loop and not self.over:
            connection.ask(time.perf_counter())
        else:
            self.idle.append(connection)

    async def open(self) -> Connection:
        """One more connection."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: Connection(self), self.parts.hostname or "", self.parts.port or 80)
        return protocol

    def forget(self) -> None:
        """The warm-up is over: count from here."""
        self.latencies.clear()
        self.firsts.clear()
        self.errors = 0


async def press(
    target: Target,
    *,
    concurrency: int,
    seconds: float,
    warm_s: float = 0.5,
    rate: float = 0.0,
    stream: bool = False,
    slow: bool = False,
    meter: Callable[[], float] = lambda: 0.0,
) -> Measured:
    """Load `target` with `concurrency` in flight, or with `rate` requests a second over as many connections as that takes.

    `slow` asks the upstream for pauses between the events.
    `meter` gives CPU seconds so far of whatever is metered; it is read at the end of the warm-up and at the end.
    """
    load = Load(target, stream=stream, slow=slow)
    connections = [await load.open() for _ in range(concurrency)]
    gc.collect()
    gc.disable()  # a collection here would look like a slow answer there
    try:
        begun = time.perf_counter()
        if rate:
            load.closed_loop, load.idle = False, connections
            feeding = asyncio.ensure_future(_feed(load, begun, rate))
        else:
            for connection in connections:
                connection.ask(time.perf_counter())
        await asyncio.sleep(warm_s)
        load.forget()
        started, cpu = time.perf_counter(), meter()
        await asyncio.sleep(seconds)
        ended, cpu = time.perf_counter(), meter() - cpu
        result = Measured(
            seconds=ended - started, cpu_s=cpu, errors=load.errors, latencies=list(load.latencies), firsts=list(load.firsts)
        )
        if rate:
            feeding.cancel()
    finally:
        gc.enable()
        load.over = True
    for connection in {*connections, *load.idle}:
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(0.05)
    return result


async def _feed(load: Load, begun: float, rate: float) -> None:
    """The open loop: each request at its due time, whatever became of those before it."""
    number = 0
    while True:
        number += 1
        due = begun + number / rate
        pause = due - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        while load.idle and load.idle[-1].transport is None:
            load.idle.pop()
        connection = load.idle.pop() if load.idle else await load.open()
        connection.ask(time.perf_counter())


def run_press(work: Coroutine[Any, Any, Measured]) -> Measured:
    """Run one measurement on uvloop."""
    import uvloop

    return uvloop.run(work)


def main() -> None:
    """Measure one URL and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url")
    parser.add_argument("--model", default="fixed-1")
    parser.add_argument("--key")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--slow", action="store_true", help="the upstream leaves a pause between the events of a stream")
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    target = Target(url=given.url, model=given.model, key=given.key)
    check(target, stream=given.stream)
    result = run_press(press(target, concurrency=given.concurrency, seconds=given.seconds, rate=given.rate, stream=given.stream))
    shown = {name: value for name, value in asdict(result).items() if not isinstance(value, list)}
    shown |= {"per_s": round(result.per_s, 1), "p50_ms": result.latency_ms(0.5), "p99_ms": result.latency_ms(0.99)}
    if given.stream:
        shown |= {"first_p50_ms": result.first_ms(0.5), "first_p99_ms": result.first_ms(0.99)}
    print(json.dumps(shown))


if __name__ == "__main__":
    main()
