"""The parent of the worker processes: holds the sockets, starts workers, replaces them, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rungwise.core.errors import RungwiseError, UsageError
from rungwise.core.version import __version__
from rungwise.serve.metrics import Metrics
from rungwise.serve.seat import Plan

log = logging.getLogger(__name__)

Listeners: TypeAlias = "Sequence[Sequence[socket.socket]]"
"""The listening sockets of each worker by its place, one for each address; where there is one place, all workers share it."""

REPLACED_DRAIN_S = 600.0
"""Seconds in which the answers of a replaced worker may end: its successor serves already, so there is no hurry."""

KILL_AFTER_S = 10.0
"""Seconds after its time to drain when a worker that has not ended is killed."""

PAUSES_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses before a worker that died is started again, by how often in a row it died before it had served for a while."""

STEADY_S = 30.0

# The path of imports is the parent's, and not the folder in which the server happens to be started.
_ENTRY = "import json,sys; sys.path[:]=json.loads(sys.argv.pop()); from rungwise.serve.server import main; main()"


class CannotStart(RungwiseError):
    """A worker could not start; the message and the exit code are those that it gave."""

    def __init__(self, message: str, exit_code: int = 3) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class Process:
    """One worker process, from its start to its end. `place` says which of the parent's listening sockets it serves."""

    def __init__(self, number: int, place: int, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self.number, self.place, self.process, self.line = number, place, process, line
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.ensure_future(self._watch())
        self.leaving = False
        self._killing: asyncio.TimerHandle | None = None

    @classmethod
    async def start(cls, plan: Plan, number: int, place: int, listeners: Sequence[socket.socket]) -> Process:
        """Start a worker and tell it the plan."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        numbers = [one.fileno() for one in listeners]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-c", _ENTRY, str(theirs.fileno()), json.dumps(sys.path)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *numbers),
                process_group=0,  # Ctrl-C in a terminal reaches the parent alone, which ends its workers in order
            )
        started = cls(number, place, process, ours)
        message = json.dumps({"plan": plan.to_json(), "number": number, "sockets": numbers}).encode() + b"\n"
        await asyncio.get_running_loop().sock_sendall(ours, message)
        return started

    def leave(self, seconds: float) -> None:
        """Ask the worker to end within some seconds. Asked again, the shorter time holds."""
        self.leaving = True
        with contextlib.suppress(OSError):
            self.line.send(json.dumps({"drain": seconds}).encode() + b"\n")
        if self._killing is not None:
            self._killing.cancel()
        self._killing = asyncio.get_running_loop().call_later(seconds + KILL_AFTER_S, self.kill)

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def _watch(self) -> int:
        """Hear what the worker says until it ends; its exit code."""
        loop = asyncio.get_running_loop()
        read = b""
        with contextlib.suppress(OSError):
            while piece := await loop.sock_recv(self.line, 65_536):
                read += piece
                *lines, read = read.split(b"\n")
                for one in lines:
                    self._heard(json.loads(one))
        code = await self.process.wait()
        self.line.close()
        if self._killing is not None:
            self._killing.cancel()
        if not self.ready.done():
            self.ready.set_exception(CannotStart(f"a worker ended with code {code} before it could serve. The lines above say why"))
            self.ready.exception()  # whoever waits is told; nobody waits for a worker that is started again
        return code

    def _heard(self, message: dict[str, Any]) -> None:
        if self.ready.done():
            return
        if "ready" in message:
            self.ready.set_result(None)
        else:
            self.ready.set_exception(CannotStart(message["failed"], message["exit_code"]))
            self.ready.exception()


class Workers:
    """Keeps as many workers as the plan says. SIGHUP replaces them one after the other, SIGTERM and SIGINT end them."""

    def __init__(self, plan: Plan, listeners: Listeners) -> None:
        self.plan, self.listeners = plan, listeners
        self.all: set[Process] = set()
        self._keeping: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._asked_to_stop = 0
        self._replacing: asyncio.Task[None] | None = None
        self._metrics = Metrics.open(Path(plan.scratch) / "parent.metrics")
        self._metrics.count("rungwise_build_info", __version__).set(1)

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until a signal says that it is enough. `ready` is called once, when all workers serve.

        Raises CannotStart when one of the first cannot.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_replace)
        try:
            first = [await self._start("first", place) for place in range(self.plan.workers)]
            stopped = asyncio.ensure_future(self._stop.wait())
            started = asyncio.gather(*(one.ready for one in first))
            both: set[asyncio.Future[Any]] = {stopped, started}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if started.done():
                started.result()
                for one in first:
                    self._keep(one)
                ready()
            else:
                started.cancel()
            await stopped
        finally:
            await self._end()

    async def _end(self) -> None:
        """No new connections; what runs may end."""
        self._stop.set()
        for listener in all_of(self.listeners):
            listener.close()
        for task in (self._replacing, *self._keeping):
            if task is not None:
                task.cancel()
        for one in self.all:
            one.leave(self.plan.drain_s)
        if self.all:
            await asyncio.wait({one.gone for one in self.all})
        self._metrics.close()

    async def _start(self, reason: str, place: int) -> Process:
        number = min(set(range(len(self.all) + 1)) - {one.number for one in self.all})
        started = await Process.start(self.plan, number, place, self.listeners[place % len(self.listeners)])
        self.all.add(started)
        started.gone.add_done_callback(lambda _: self.all.discard(started))
        self._metrics.count("rungwise_worker_starts_total", reason).add()
        return started

    def _keep(self, worker: Process) -> None:
        task = asyncio.ensure_future(self._start_again(worker))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _start_again(self, worker: Process) -> None:
        """When a worker ends that was not asked to, start another in its place, and so on."""
        loop = asyncio.get_running_loop()
        deaths, since = 0, loop.time()
        while True:
            code = await asyncio.shield(worker.gone)
            if worker.leaving:
                return
            deaths = 1 if loop.time() - since > STEADY_S else deaths + 1
            pause = PAUSES_S[min(deaths, len(PAUSES_S)) - 1]
            log.warning("a worker ended with code %d; another is started in %g s", code, pause)
            await asyncio.sleep(pause)
            since = loop.time()
            worker = await self._start("died", worker.place)

    def _told_to_stop(self) -> None:
        self._asked_to_stop += 1
        self._stop.set()
        if self._asked_to_stop > 1:
            for one in self.all:
                one.kill()

    def _told_to_replace(self) -> None:
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.ensure_future(self._replace())

    async def _replace(self) -> None:
        """One after the other: the new worker serves before the old one leaves. When a new one cannot start, the old ones stay."""
        for old in [one for one in self.all if not one.leaving]:
            new = await self._start("replaced", old.place)
            try:
                await new.ready
            except CannotStart as error:
                log.error("the workers stay as they are: %s", error)
                return
            old.leave(REPLACED_DRAIN_S)
            self._keep(new)


def listen(host: str, port: int, workers: int = 1) -> Listeners:
    """Sockets that listen at every address of a host, for each worker its own; port 0 finds a free one.

    Of one shared socket whoever is awake first takes all connections that wait, and keeps them: of 64 that came at once, one of
    two workers was seen to take 60. Where the kernel spreads connections over sockets of one address (Linux), each worker has its
    own, and the parent holds all of them, so that none that waits is lost with its worker. Raises UsageError when it cannot.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"there is no address '{host}' on this machine ({error}). Try: --host 127.0.0.1") from error
    several = workers if sys.platform == "linux" else 1
    places: list[list[socket.socket]] = [[] for _ in range(several)]
    try:
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            first = _listener(
                family, (address[0], port, *address[2:])
            )  # alone, so that a port in use is not shared with its holder
            port = first.getsockname()[1]
            if several == 1:
                places[0].append(first)
                continue
            first.close()
            for place in places:
                place.append(_listener(family, (address[0], port, *address[2:]), shared=True))
    except OSError as error:
        for one in all_of(places):
            one.close()
        raise UsageError(_why_not(error, host, port)) from error
    return places


def all_of(listeners: Listeners) -> list[socket.socket]:
    """The sockets of all workers."""
    return [one for place in listeners for one in place]


def _listener(family: int, address: tuple[Any, ...], *, shared: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(2048)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use. Stop what holds it, or take another: --port {port + 1}, or --port 0 for a free one"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} may not be used without special rights. Take one from 1024 on: --port 8000"
    return f"cannot listen at {host} port {port}: {error.strerror or error}. Try: --host 127.0.0.1"


def url_of(listener: socket.socket, *, tls: bool) -> str:
    """The address of a listening socket as people type it."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"
