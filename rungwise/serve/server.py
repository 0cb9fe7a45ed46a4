"""One worker process: makes the application, serves it on the sockets that it was given, and ends without a dropped request."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from uvicorn.config import Config
from uvicorn.server import Server

from rungwise.core.errors import RungwiseError
from rungwise.serve.connection import Connection, Connections
from rungwise.serve.metrics import Metrics
from rungwise.serve.seat import Plan, Seat

log = logging.getLogger(__name__)


class Channel:
    """The line to the parent, JSON on lines: ready or failed from here, drain from there. Its end means that the parent is gone."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line

    def hear(self) -> dict[str, Any]:
        """The first message; blocks. Raises EOFError when the parent is gone, or does not want this worker any more."""
        read = b""
        while b"\n" not in read:
            piece = self.line.recv(65_536)
            if not piece:
                raise EOFError
            read += piece
        first, _, more = read.partition(b"\n")
        if more:
            raise EOFError
        heard: dict[str, Any] = json.loads(first)
        return heard

    def tell(self, **message: Any) -> None:
        """Send one message; when nobody listens any more there is nobody to tell."""
        with contextlib.suppress(OSError):
            self.line.send(json.dumps(message).encode() + b"\n")


class Lifespan:
    """Starts and ends the application as ASGI says, and lets through what it raises when it cannot start."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.should_exit = False
        self.to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.running: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Returns when the application has started. Raises what it raised, or RungwiseError with the reason that it gave."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self.running = asyncio.ensure_future(self.app(scope, self.to_app.get, self.from_app.put))
        await self._say("lifespan.startup")

    async def shutdown(self) -> None:
        """Returns when the application has ended."""
        if self.running is not None and not self.running.done():
            await self._say("lifespan.shutdown")
            await self.running

    async def _say(self, what: str) -> None:
        assert self.running is not None
        await self.to_app.put({"type": what})
        answer = asyncio.ensure_future(self.from_app.get())
        await asyncio.wait({answer, self.running}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self.running.result()  # raises what ended it; an application that knows no lifespan has nothing to start
        elif answer.result()["type"] == f"{what}.failed":
            await self.running  # raises what went wrong, if the application lets it through
            raise RungwiseError(answer.result().get("message") or "the application could not start")


class Worker(Server):
    """uvicorn's server, started and ended by the parent."""

    def __init__(self, config: Config, seat: Seat, plan: Plan, channel: Channel) -> None:
        super().__init__(config)
        self.seat, self.plan, self.channel = seat, plan, channel
        self.server_state: Connections = Connections(plan.patience)
        self._sweeping: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A worker that is told to end by a signal ends as when its parent tells it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.drain, self.plan.drain_s)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is the parent's
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and listen; the parent is told."""
        self.lifespan = Lifespan(self.config.loaded_app)
        await super().startup(sockets)
        self._sweeping = asyncio.ensure_future(self.server_state.sweep(self.seat.metrics.count("rungwise_requests_in_flight")))
        asyncio.get_running_loop().add_reader(self.channel.line.fileno(), self._heard)
        # What was loaded stays: the collector need not look at it again and again while requests wait.
        gc.collect()
        gc.freeze()
        self.channel.tell(ready=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve what runs to its end, within the time that is left for it."""
        asyncio.get_running_loop().remove_reader(self.channel.line.fileno())
        await super().shutdown(sockets)
        if self._sweeping is not None:
            self._sweeping.cancel()

    def drain(self, seconds: float) -> None:
        """Take no new connections, finish what runs within `seconds`, then end."""
        self.seat.draining = self.should_exit = True
        self.config.timeout_graceful_shutdown = seconds  # type: ignore[assignment]
        if self.server_state.leaving_since is None:
            self.server_state.leaving_since = asyncio.get_running_loop().time()

    def _heard(self) -> None:
        try:
            heard = self.channel.line.recv(65_536)
        except OSError:
            heard = b""
        seconds = self.plan.drain_s
        if heard:
            seconds = float(json.loads(heard.splitlines()[-1])["drain"])
        else:
            asyncio.get_running_loop().remove_reader(self.channel.line.fileno())
        self.drain(seconds)


def configured(app: Any, plan: Plan) -> Config:
    """uvicorn's settings: its fast parts, and none of what the application does itself."""
    config = Config(
        app,
        http=Connection,
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(plan.patience.idle_s),
        ssl_certfile=plan.certificate,
        ssl_keyfile=plan.private_key,
    )
    config.load()
    return config


def run_worker(plan: Plan, number: int, sockets: Sequence[socket.socket], channel: Channel) -> None:
    """Make the application and serve it until the parent says that it is enough. Raises what the application raises first."""
    import uvloop

    metrics = Metrics.open(Path(plan.scratch) / f"worker-{number}.metrics")
    seat = Seat(number, plan.workers, Path(plan.scratch), metrics)
    module, _, name = plan.factory.partition(":")
    app = getattr(importlib.import_module(module), name)(seat, **plan.arguments)
    worker = Worker(configured(app, plan), seat, plan, channel)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(worker.serve(list(sockets)))
    finally:
        metrics.close()


def raise_file_limit() -> None:
    """Every stream holds two sockets, and a thousand files is what many systems begin with."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """The entry of a worker process. Its one argument is the file number of the line to the parent."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    try:
        told = channel.hear()
    except EOFError:
        return
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    raise_file_limit()
    sockets = [socket.socket(fileno=one) for one in told["sockets"]]
    try:
        run_worker(Plan.from_json(told["plan"]), told["number"], sockets, channel)
    except RungwiseError as error:
        channel.tell(failed=str(error), kind=type(error).__name__, exit_code=error.exit_code)
        sys.exit(error.exit_code)
    except Exception as error:  # boundary: the parent tells it, with the trace beside it in the log
        log.exception("the worker cannot start")
        channel.tell(failed=f"a worker cannot start: {type(error).__name__}: {error}", kind="RungwiseError", exit_code=3)
        sys.exit(3)
