"""An engine dies under load and comes back: nobody notices, but for streams that had begun."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing

import pytest

from rungwise.core.serving import Breaker, Serving
from rungwise.core.usecase import Endpoint
from rungwise.engines.clock import SystemClock
from rungwise.serve.ask import CHAT, Tape
from rungwise.serve.failure import EngineDown
from rungwise.serve.routing.router import Router

ENGINE = """
import asyncio, json, sys

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0])
            body = json.loads(await reader.readexactly(length))
            if body.get("stream"):
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n")
                for number in range(10):
                    choice = {"index": 0, "delta": {"content": "w"}, "finish_reason": "stop" if number == 9 else None}
                    data = ("data: " + json.dumps({"choices": [choice]}) + "\\n\\n").encode()
                    writer.write(b"%x\\r\\n%b\\r\\n" % (len(data), data))
                    await writer.drain()
                    await asyncio.sleep(0.01)
                writer.write(b"e\\r\\ndata: [DONE]\\n\\n\\r\\n0\\r\\n\\r\\n")
            else:
                await asyncio.sleep(0.005)
                choice = {"index": 0, "message": {"role": "assistant", "content": sys.argv[2]}, "finish_reason": "stop"}
                data = json.dumps({"id": "1", "model": "m", "choices": [choice], "usage": None}).encode()
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%b" % (len(data), data))
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
BODY = {"messages": [{"role": "user", "content": "x"}]}


def start(port: int, name: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", ENGINE, str(port), name], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def endpoint(name: str, port: int) -> Endpoint:
    return Endpoint(name=name, base_url=f"http://127.0.0.1:{port}/v1", model="m", total_s=10)


@asynccontextmanager
async def router(*ports: int, rest_s: float) -> AsyncIterator[Router]:
    endpoints = [endpoint(name, port) for name, port in zip(("first", "second"), ports, strict=False)]
    serving = Serving(fallback={"first": ("second",)} if len(ports) > 1 else {}, breaker=Breaker(failures=5, rest_s=rest_s))
    made = Router(endpoints, serving, clock=SystemClock(), rng=random.Random(0), environ={})
    try:
        yield made
    finally:
        await made.aclose()


async def test_an_engine_that_is_killed_under_load_costs_no_whole_answer_and_is_used_again_when_it_is_back() -> None:
    ports = free_port(), free_port()
    first, second = start(ports[0], "first"), start(ports[1], "second")
    answers: list[str] = []
    failures: list[str] = []
    tapes: list[Tape] = []
    try:
        async with router(*ports, rest_s=0.3) as routing:
            over = False

            async def client() -> None:
                while not over:
                    tapes.append(Tape("t", SystemClock()))
                    try:
                        answer = json.loads(await routing.whole("first", CHAT, BODY, tapes[-1]))
                        answers.append(answer["choices"][0]["message"]["content"])
                    except Exception as error:  # noqa: BLE001 - boundary: whatever it is, it is counted
                        failures.append(repr(error))

            clients = [asyncio.ensure_future(client()) for _ in range(16)]
            await asyncio.sleep(0.4)
            assert set(answers) == {"first"}
            await asyncio.to_thread(stop, first)
            await asyncio.sleep(0.5)
            assert answers[-1] == "second"
            assert routing.states()[0].failures < 100  # the breaker keeps most requests from even trying
            first = await asyncio.to_thread(start, ports[0], "first")
            until = time.perf_counter() + 5
            while answers[-1] != "first" and time.perf_counter() < until:
                await asyncio.sleep(0.02)
            over = True
            await asyncio.gather(*clients)
    finally:
        stop(first)
        stop(second)
    assert failures == []
    assert len(answers) > 200
    assert "first" in answers[-16:]  # those that were under way when it came back may end last
    assert all(sum(span.error is None for span in tape.spans) == 1 for tape in tapes)  # nothing was answered twice


async def test_streams_break_off_with_an_error_only_where_something_was_told_already() -> None:
    ports = free_port(), free_port()
    first, second = start(ports[0], "first"), start(ports[1], "second")
    whole = broken = 0
    try:
        async with router(*ports, rest_s=0.3) as routing:

            async def client() -> None:
                nonlocal whole, broken
                await asyncio.sleep(random.random() * 0.2)
                text = ""
                try:
                    async with aclosing(routing.stream("first", CHAT, BODY, Tape("t", SystemClock()))) as chunks:
                        async for chunk in chunks:
                            text += json.loads(chunk)["choices"][0]["delta"]["content"]
                except EngineDown:
                    assert 0 < len(text) < 10
                    broken += 1
                else:
                    assert text == "w" * 10
                    whole += 1

            clients = [asyncio.ensure_future(client()) for _ in range(60)]
            await asyncio.sleep(0.15)
            await asyncio.to_thread(stop, first)
            await asyncio.gather(*clients)
    finally:
        stop(first)
        stop(second)
    assert whole + broken == 60
    assert whole > 0
    assert broken > 0


async def test_an_engine_that_restarts_without_another_to_stand_in_is_found_again_by_the_retries() -> None:
    port = free_port()
    engine = start(port, "first")
    try:
        async with router(port, rest_s=0.1) as routing:
            assert await routing.whole("first", CHAT, BODY, Tape("t", SystemClock()))
            await asyncio.to_thread(stop, engine)
            with pytest.raises(EngineDown, match=r"refused the connection|closed the connection"):
                await routing.whole("first", CHAT, BODY, Tape("t", SystemClock()))
            engine = await asyncio.to_thread(start, port, "first")
            assert await routing.whole("first", CHAT, BODY, Tape("t", SystemClock()))
    finally:
        stop(engine)
