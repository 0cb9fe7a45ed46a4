"""kill -9 of a whole gateway under load: every answer that a client has read to its end left a trace that is on disk.

Sixteen clients ask a running gateway, half of them for streams; it is killed at a random moment. Then the trace of every
answer that came whole is looked for, with what was asked and answered in it. The project is used again after each kill.

Run: python -m tests.journeys.gateway_crashes [KILLS]   (a kill takes about a second)
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import uvicorn
import yaml

from benchmarks.upstream_server import PIECES, TEXT
from rungwise.data.traces.query import Query
from rungwise.data.traces.search import search
from rungwise.serve.app import make_app
from rungwise.serve.metrics import Metrics
from rungwise.serve.seat import Seat

CLIENTS = 16
LEAST_S, MOST_S = 0.02, 0.3
"""When a gateway is killed, from its first answer on."""
STARTED_S = 30.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Tally:
    """What came of the kills: answers that clients read to their end, and of those without a trace, or with another content."""

    kills: int = 0
    answered: int = 0
    streamed: int = 0
    lost: int = 0
    spoilt: int = 0


@dataclass
class Answer:
    """An answer that came whole: what was asked, and whether it was streamed."""

    asked: str
    streamed: bool


def run(kills: int, seed: int = 0) -> Tally:
    """Kill so many gateways, and count."""
    tally, rng = Tally(), random.Random(seed)
    with _upstream() as url, tempfile.TemporaryDirectory(prefix="gateway-crashes-") as name:
        project = Path(name) / "support"
        project.mkdir()
        endpoint = {"name": "fixed", "base_url": f"{url}/v1", "model": "fixed-1"}
        (project / "rungwise.yaml").write_text(yaml.safe_dump({"task": "answer", "endpoints": [endpoint]}))
        while tally.kills < kills:
            answered = _killed(project, Path(name), rng.uniform(LEAST_S, MOST_S))
            tally.kills += 1
            tally.answered += len(answered)
            tally.streamed += sum(one.streamed for one in answered.values())
            _look(project, answered, tally)
    return tally


@contextmanager
def _upstream() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.upstream_server", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1].rstrip("/").removesuffix("/v1")
        finally:
            process.kill()


def _killed(project: Path, scratch: Path, after_s: float) -> dict[str, Answer]:
    """The answers of a gateway that came whole before it was killed, by the ids of their traces."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        child = os.fork()
        if child == 0:
            _serve_for_ever(project, scratch, listening)  # never comes back
        port = listening.getsockname()[1]
    answered: dict[str, Answer] = {}
    first = threading.Event()
    clients = [threading.Thread(target=_ask, args=(port, number, answered, first)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    assert first.wait(STARTED_S), "the gateway does not answer"
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for client in clients:
        client.join()
    return answered


def _serve_for_ever(project: Path, scratch: Path, listening: socket.socket) -> None:
    try:
        app = make_app(Seat(0, 1, scratch, Metrics.open(scratch / "worker-0.metrics")), directories=[str(project)])
        config = uvicorn.Config(app, log_config=None, lifespan="on", http="httptools", loop="uvloop")
        asyncio.run(uvicorn.Server(config).serve([listening]))
    finally:
        os._exit(1)


def _ask(port: int, client: int, answered: dict[str, Answer], first: threading.Event) -> None:
    """Ask until the gateway is gone."""
    connection = HTTPConnection("127.0.0.1", port, timeout=STARTED_S)
    streamed = client % 2 == 0
    number = 0
    try:
        while True:
            number += 1
            asked = f"question {number} of client {client} at {time.monotonic()}"
            body = {"model": "fixed", "messages": [{"role": "user", "content": asked}], "stream": streamed}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            read = response.read()
            assert response.status == 200, read
            if not streamed or read.rstrip().endswith(b"data: [DONE]"):
                answered[response.headers["x-request-id"]] = Answer(asked, streamed)
                first.set()
    except (OSError, HTTPException):
        return
    finally:
        connection.close()


def _look(project: Path, answered: dict[str, Answer], tally: Tally) -> None:
    there = {trace.id: trace for trace in search(project / "state" / "traces", Query(ids=frozenset(answered)))}
    tally.lost += len(answered.keys() - there.keys())
    for id, trace in there.items():
        said = "".join(PIECES) if answered[id].streamed else TEXT
        same = answered[id].asked in (trace.request or "") and said in (trace.response or "")
        tally.spoilt += not same


def main() -> None:
    """The table as one line of JSON; exit code 1 when anything is wrong."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    began = time.monotonic()
    tally = run(kills)
    print(json.dumps({**asdict(tally), "seconds": round(time.monotonic() - began)}))  # noqa: T201
    sys.exit(bool(tally.lost or tally.spoilt))


if __name__ == "__main__":
    main()
