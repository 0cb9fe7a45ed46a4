"""What the call layer adds to a call: calls a second against a local upstream, and cache hits a second.

The upstream is a bare asyncio server in a second process that answers at once, so that nearly
all of the time is ours. Three things are measured, interleaved, medians of the rounds:

    bare      aiohttp alone: post the same body, read and decode the answer
    calls     the whole layer: prompt, cache miss, reservation, HTTP, settlement, commit, parsed label
    hits      the same calls again from a new process state (empty memory, answers from SQLite), and once more from memory

Run: python benchmarks/engine_layer.py [--calls 4000] [--concurrency 64] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from rungwise.core.candidate import Candidate
from rungwise.core.content import Request
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint, Limits
from rungwise.data.calls import CallCache
from rungwise.data.commits import Commits
from rungwise.data.spend import SpendLedger, spent
from rungwise.data.store import Store
from rungwise.engines.budget import Budget
from rungwise.engines.endpoint import language_model
from rungwise.engines.prompts import messages
from rungwise.inference.language_model import language_model_responder, prompt_of

LABELS = tuple(f"label_{number}" for number in range(20))


class SystemClock:
    """Real time."""

    def now(self) -> float:
        return time.time()

    def tick(self) -> float:
        return time.perf_counter()


def serve(ready: Any) -> None:
    """An upstream that answers every call at once with the same label."""
    message = {"role": "assistant", "content": "label_7"}
    usage = {"prompt_tokens": 120, "completion_tokens": 3, "total_tokens": 123}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "bench", "choices": [choice], "usage": usage})
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.buffer = transport, b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
                head = self.buffer[:end].lower()
                start = head.index(b"content-length:") + 15
                length = int(head[start:].split(b"\r\n", 1)[0])
                if len(self.buffer) < end + 4 + length:
                    return
                self.buffer = self.buffer[end + 4 + length :]
                self.transport.write(answer)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        ready.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def keep_in_flight(count: int, ask: Callable[[int], Awaitable[Any]], window: int) -> tuple[float, float]:
    """Run `ask` for 0..count-1 with `window` at once: calls a second by the wall clock and by the CPU time of this process."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await ask(number)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(window)))
    return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


async def bare(url: str, count: int, window: int, texts: Sequence[str]) -> tuple[float, float]:
    """aiohttp alone."""
    import aiohttp

    prompt = prompt_of(Candidate(task="classify", model="m", labels=LABELS))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(number: int) -> None:
            body = json.dumps({"model": "m", "messages": messages(prompt, texts[number])})
            async with session.post(f"{url}/chat/completions", data=body, headers={"Content-Type": "application/json"}) as response:
                json.loads(await response.read())

        return await keep_in_flight(count, ask, window)


async def layered(url: str, count: int, window: int, texts: Sequence[str], directory: Path) -> dict[str, tuple[float, float]]:
    """Every call new, then every call from SQLite, then every call from memory."""
    store = Store.open(directory, clock=SystemClock())
    endpoint = Endpoint(
        name="bench", base_url=url, model="m", concurrency=window, usd_per_m_input=1.0, usd_per_m_output=1.0, max_tokens=16
    )
    candidate = Candidate(task="classify", model="bench/m", labels=LABELS)
    rates: dict[str, tuple[float, float]] = {}
    cache = CallCache(store, Commits(store))
    for name in ("calls", "hits from SQLite", "hits from memory"):
        commits = Commits(store)
        if name != "hits from memory":
            cache = CallCache(store, commits)
        budget = Budget(Limits(budget_usd=1000.0), SystemClock(), SpendLedger(store, commits, run=name))
        async with language_model(endpoint, clock=SystemClock(), rng=random.Random(0), cache=cache, budget=budget) as model:
            respond = language_model_responder(candidate, model)

            async def ask(number: int, respond: Any = respond) -> None:
                answer = await collect(respond(Request.of(texts[number])))
                assert answer.text == "label_7"

            rates[name] = await keep_in_flight(count, ask, window)
    assert spent(store).calls == count, "every call is booked once, and hits cost nothing"
    store.close()
    return rates


def main() -> None:
    """Measure, print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    upstream = context.Process(target=serve, args=(ready,), daemon=True)
    upstream.start()
    url = f"http://127.0.0.1:{ready.get(timeout=30)}/v1"
    rates: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:  # imports and first connections are not what is measured
        run(layered(url, 100, given.concurrency, [f"warm-up {n}" for n in range(100)], Path(directory)), given.loop)
    for number in range(given.rounds):
        texts = [f"round {number}: message number {n}, where is my parcel and when will it come?" for n in range(given.calls)]
        with tempfile.TemporaryDirectory() as directory:
            rates.setdefault("bare aiohttp", []).append(run(bare(url, given.calls, given.concurrency, texts), given.loop))
            measured = run(layered(url, given.calls, given.concurrency, texts, Path(directory)), given.loop)
        for name, rate in measured.items():
            rates.setdefault(name, []).append(rate)
    upstream.terminate()
    upstream.join()
    print(f"{'':18}{'a second':>12}{'a CPU second':>14}")
    result: dict[str, Any] = {
        "benchmark": "engine_layer",
        "calls": given.calls,
        "concurrency": given.concurrency,
        "loop": given.loop,
    }
    for name, measured_rates in rates.items():
        wall, cpu = (statistics.median(rate[place] for rate in measured_rates) for place in (0, 1))
        print(f"{name:18}{wall:12,.0f}{cpu:14,.0f}")
        key = name.replace(" ", "_").lower()
        result |= {f"{key}_per_s": round(wall), f"{key}_per_cpu_s": round(cpu)}
    print(json.dumps(result))


def run(work: Any, loop: str) -> Any:
    """On the event loop that was asked for."""
    if loop == "asyncio":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


if __name__ == "__main__":
    main()
