"""The server process: several workers on one socket, replaced and ended without a dropped request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rungwise.core.errors import UsageError
from rungwise.serve.seat import Patience, Plan
from rungwise.serve.workers import all_of, listen, url_of

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import asyncio, sys
from rungwise.core.errors import RungwiseError
from rungwise.serve.seat import Plan
from rungwise.serve.workers import Workers, listen, url_of
plan = Plan.from_json(sys.argv[1])
listeners = listen(plan.host, plan.port, plan.workers)
try:
    asyncio.run(Workers(plan, listeners).run(lambda: print(url_of(listeners[0][0], tls=False), flush=True)))
except RungwiseError as error:
    print(type(error).__name__, error, error.exit_code, flush=True)
    sys.exit(error.exit_code)
"""


class Running:
    """A server in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process, self.url = process, url
        self.port = int(url.rsplit(":", 1)[1]) if url.startswith("http://") else 0

    async def get(self, path: str) -> dict[str, Any]:
        """GET over a connection of its own."""
        return await asyncio.to_thread(self._get, path)

    def _get(self, path: str) -> dict[str, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()

    async def pids(self, *, wanted: int) -> set[int]:
        """The workers that answer, when `wanted` different ones did."""
        seen: set[int] = set()
        for _ in range(400):
            seen |= {(await self.get("/"))["pid"] for _ in range(4)}
            if len(seen) >= wanted:
                return seen
            # All that come at once are often taken by one worker; a busy one leaves the next to another.
            await asyncio.gather(*(self.get("/slow?seconds=0.05") for _ in range(4)))
        raise AssertionError(f"{wanted} workers were to answer, {len(seen)} did")

    def signal(self, number: int) -> None:
        """Send a signal to the parent."""
        self.process.send_signal(number)


@asynccontextmanager
async def running(tmp_path: Path, *, workers: int = 1, **arguments: Any) -> AsyncIterator[Running]:
    """A server with the tiny application; it is killed if the block does not end it."""
    known = {name: arguments.pop(name) for name in ("patience", "drain_s") if name in arguments}
    plan = Plan(
        factory="tests.serve.tiny_app:make_app",
        arguments=arguments,
        port=0,
        workers=workers,
        scratch=str(tmp_path / "run"),
        **known,
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, plan.to_json()),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        process_group=0,
    )
    assert process.stdout is not None
    try:
        first = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        yield Running(process, first)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 30)
            except TimeoutError:
                process.kill()
                await process.wait()
        process._transport.close()  # type: ignore[attr-defined] # else it is closed after the loop, with a warning


async def until(true: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait for something, within bounds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_server_ends_with_code_0_when_it_is_told_to(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as server:
        pids = await server.pids(wanted=2)
        server.signal(signal.SIGTERM)
        assert await asyncio.wait_for(server.process.wait(), 20) == 0
    assert not any(lives(pid) for pid in pids)


async def test_answers_that_run_end_whole_and_new_connections_are_refused_when_it_is_told_to_end(tmp_path: Path) -> None:
    async with running(tmp_path) as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/stream?n=15&every=0.1") as answer:
            slow = asyncio.create_task(server.get("/slow?seconds=1"))
            await answer.content.readline()
            await asyncio.sleep(0.2)
            server.signal(signal.SIGTERM)
            whole = await answer.content.read()
        assert b"data: 14" in whole
        assert b"[DONE]" in whole
        assert (await slow)["draining"] is True
        assert await asyncio.wait_for(server.process.wait(), 20) == 0
        with pytest.raises(OSError):
            await server.get("/")


async def test_an_answer_that_takes_longer_than_the_time_to_drain_is_cut(tmp_path: Path) -> None:
    async with running(tmp_path, drain_s=0.5) as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/stream?n=1000&every=0.1") as answer:
            await answer.content.readline()
            server.signal(signal.SIGTERM)
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.content.read()
        assert await asyncio.wait_for(server.process.wait(), 20) == 0


async def test_an_idle_connection_is_served_once_more_while_its_worker_leaves(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/")
        first = json.loads(connection.getresponse().read())
        server.signal(signal.SIGTERM)
        await asyncio.sleep(0.4)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert json.loads(answer.read())["pid"] == first["pid"]
        assert answer.getheader("connection") == "close"
        connection.close()
        assert await asyncio.wait_for(server.process.wait(), 20) == 0


async def test_a_stream_that_ends_while_its_worker_leaves_does_not_take_the_next_request_with_it(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/stream?n=8&every=0.1")
        stream = connection.getresponse()
        stream.readline()
        server.signal(signal.SIGTERM)
        assert stream.read().endswith(b"[DONE]\n\n")
        connection.request("GET", "/")  # the stream's head did not say that the connection would be closed
        answer = connection.getresponse()
        assert answer.getheader("connection") == "close"
        assert json.loads(answer.read())["draining"] is True
        connection.close()


async def test_a_worker_that_dies_is_started_again_under_its_number(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        before = await server.get("/")
        with pytest.raises(Exception):  # noqa: B017 - however the connection breaks
            await server.get("/die")
        after = await server.get("/")
        assert after["pid"] != before["pid"]
        assert after["number"] == before["number"] == 0


@pytest.mark.slow  # the same with the real application is in tests/cli/test_serve_verb.py
async def test_no_request_fails_while_workers_are_replaced_under_load(tmp_path: Path) -> None:
    failed: list[str] = []
    counts = {"answered": 0}
    async with running(tmp_path, workers=2) as server, aiohttp.ClientSession() as session:
        before = await server.pids(wanted=2)
        stop = asyncio.Event()

        async def ask() -> None:
            while not stop.is_set():
                try:
                    async with session.post(f"{server.url}/slow?seconds=0.01", data=b"x" * 1000) as answer:
                        assert (await answer.json(content_type=None))["size"] == 1000
                    counts["answered"] += 1
                except Exception as error:  # noqa: BLE001 - any is a dropped request
                    failed.append(repr(error))

        asking = [asyncio.create_task(ask()) for _ in range(16)]
        async with session.get(f"{server.url}/stream?n=40&every=0.1") as stream:
            for _ in range(2):
                server.signal(signal.SIGHUP)
                await asyncio.sleep(2)
            assert b"[DONE]" in await stream.content.read()
        await until(lambda: not any(lives(pid) for pid in before))
        stop.set()
        await asyncio.gather(*asking)
        assert not failed
        assert counts["answered"] > 100
        assert not before & await server.pids(wanted=2)


async def test_the_old_workers_stay_when_new_ones_cannot_start(tmp_path: Path) -> None:
    async with running(tmp_path, refuse_when=str(tmp_path / "no")) as server:
        before = await server.get("/")
        (tmp_path / "no").touch()
        server.signal(signal.SIGHUP)
        await asyncio.sleep(2)
        assert await server.get("/") == before


@pytest.mark.parametrize("when", ["refuse", "refuse_late"])
async def test_why_the_application_cannot_start_is_told_with_its_exit_code(tmp_path: Path, when: str) -> None:
    async with running(tmp_path, workers=2, **{when: "there is no release. Type: rungwise release"}) as server:
        assert server.url == "CannotStart there is no release. Type: rungwise release 2"
        assert await server.process.wait() == 2


async def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as server:
        pids = await server.pids(wanted=2)
        server.process.kill()
        await server.process.wait()
        await until(lambda: not any(lives(pid) for pid in pids))


async def test_counts_of_all_workers_are_on_one_page_and_outlive_a_worker(tmp_path: Path) -> None:
    async with running(tmp_path, workers=2) as server, aiohttp.ClientSession() as session:

        async def counted() -> float:
            async with session.get(f"{server.url}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            return float(next(line.split()[1] for line in lines if line.startswith("rungwise_feedback_total{")))

        await server.pids(wanted=2)
        before = await counted()
        await asyncio.gather(*(server.get("/slow?seconds=0.05") for _ in range(10)))
        assert await counted() == before + 11
        with pytest.raises(Exception):  # noqa: B017 - however the connection breaks
            await server.get("/die")
        await server.pids(wanted=2)
        assert await counted() >= before + 12


async def test_a_client_that_is_too_slow_is_told_so_and_closed(tmp_path: Path) -> None:
    patience = Patience(header_s=0.5, body_s=0.5, bytes_per_s=1000, head_bytes=2000, stalled_s=0.5)
    async with running(tmp_path, patience=patience) as server:
        opened = {
            b"": b"",
            b"GET / HTTP/1.1\r\nhost: x\r\n": b"408",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc": b"408",
            b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"y" * 3000: b"431",
        }
        for sent, status in opened.items():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(sent)
            heard = await asyncio.wait_for(reader.read(), 10)
            assert heard[9:12] == status, sent
            writer.close()
            await writer.wait_closed()
        assert (await server.get("/"))["pid"]


async def test_a_long_body_that_keeps_coming_is_awaited(tmp_path: Path) -> None:
    patience = Patience(header_s=0.5, body_s=0.5, bytes_per_s=100)
    async with running(tmp_path, patience=patience) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(20):
            writer.write(b"x" * 50)
            await asyncio.sleep(0.08)
        assert b'"size": 1000' in await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_reads_nothing_of_its_answer_is_let_go(tmp_path: Path) -> None:
    async with running(tmp_path, patience=Patience(stalled_s=0.5)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /stream?n=100000&size=100000 HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.sleep(2.5)
            client.settimeout(10)
            read = 0
            with contextlib.suppress(ConnectionError):
                while piece := await asyncio.to_thread(client.recv, 1_000_000):
                    read += len(piece)
            assert 0 < read < 100_000_000  # of ten thousand million


def test_a_port_in_use_and_a_host_that_is_not_ours_are_told_with_what_to_type() -> None:
    held = listen("127.0.0.1", 0, 2)
    port = held[0][0].getsockname()[1]
    try:
        assert url_of(held[0][0], tls=True) == f"https://127.0.0.1:{port}"
        for workers in (1, 2):
            with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 is in use.*--port {port + 1}"):
                listen("127.0.0.1", port, workers)
        with pytest.raises(UsageError, match=r"cannot listen at 192\.0\.2\.1"):
            listen("192.0.2.1", 0)
        with pytest.raises(UsageError, match=r"no address .nowhere\.invalid"):
            listen("nowhere.invalid", 0)
    finally:
        for one in all_of(held):
            one.close()
