"""CPU of one call to an engine over plain HTTP: our client, what routing adds to it, and the clients of others.

All ask the same upstream in another process for the same kilobyte, keep their connections open and run on uvloop, interleaved;
the figure is the CPU time of this process per call, the median of the rounds. `routing` is a whole call of the router: breaker,
timeouts, usage, price and a span on the tape included. Streams are of 20 events.

Run: python -m benchmarks.upstream_client [--calls 4000] [--rounds 7] [--concurrency 16]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import httpx
import uvloop

from benchmarks.publish import machine
from rungwise.core.serving import Serving
from rungwise.core.usecase import Endpoint
from rungwise.engines.clock import SystemClock
from rungwise.engines.upstream.opening import open_upstream
from rungwise.serve.ask import CHAT, Tape
from rungwise.serve.routing.router import Router

QUESTION = {"model": "fixed-1", "messages": [{"role": "user", "content": "When does my parcel come? " * 12}]}
STREAMED = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
LIMIT_BYTES = 10_000_000
Call = Callable[[], Awaitable[Any]]


def main() -> None:
    """Print the table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--concurrency", type=int, default=16)
    options = parser.parse_args()
    command = [sys.executable, "-m", "benchmarks.upstream_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as upstream:
        try:
            assert upstream.stdout is not None
            url = upstream.stdout.readline().split()[-1]
            figures = uvloop.run(measure(f"{url.removesuffix('/v1')}/v1", options.calls, options.rounds, options.concurrency))
        finally:
            upstream.terminate()
    for name, us in figures.items():
        print(f"{name:24s} {us:8.1f} us of CPU a call")
    print(
        json.dumps({"bench": "upstream_client", "us": {name: round(us, 1) for name, us in figures.items()}, "machine": machine()})
    )


async def measure(url: str, calls: int, rounds: int, concurrency: int) -> Mapping[str, float]:
    """Microseconds of CPU per call of each way, the median over the rounds."""
    async with AsyncExitStack() as stack:
        ways = await _ways(url, stack)
        seen: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (call, share) in ways.items():
                await _many(call, 50, concurrency)
                count = max(concurrency, int(calls * share))
                begun = time.process_time()
                await _many(call, count, concurrency)
                seen[name].append((time.process_time() - begun) / count * 1e6)
    return {name: statistics.median(each) for name, each in seen.items()}


async def _many(call: Call, count: int, concurrency: int) -> None:
    left = count

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    await asyncio.gather(*(client() for _ in range(concurrency)))


async def _ways(url: str, stack: AsyncExitStack) -> dict[str, tuple[Call, float]]:
    """Each way to call, and which share of the calls it makes."""
    body = json.dumps(QUESTION).encode()
    headers = {"content-type": "application/json"}
    ours, clock = open_upstream(url), SystemClock()
    engine = Endpoint(name="engine", base_url=url, model="fixed-1", usd_per_m_input=1.0, usd_per_m_output=2.0)
    router = Router([engine], Serving(), clock=clock, rng=random.Random(0), environ={})
    stack.push_async_callback(ours.aclose)
    stack.push_async_callback(router.aclose)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    other = await stack.enter_async_context(httpx.AsyncClient())

    async def with_ours() -> None:
        reply = await ours.post("/chat/completions", tuple(headers.items()), body)
        await reply.read(LIMIT_BYTES)

    async def with_aiohttp() -> None:
        async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
            await response.read()

    async def with_httpx() -> None:
        (await other.post(f"{url}/chat/completions", content=body, headers=headers)).read()

    async def routed() -> None:
        await router.whole("engine", CHAT, QUESTION, Tape("t", clock))

    async def routed_stream() -> None:
        async for _ in router.stream("engine", CHAT, STREAMED, Tape("t", clock)):
            pass

    return {
        "our client": (with_ours, 1),
        "aiohttp": (with_aiohttp, 0.5),
        "httpx": (with_httpx, 0.05),
        "routing, whole": (routed, 1),
        "routing, stream": (routed_stream, 0.2),
    }


if __name__ == "__main__":
    main()
