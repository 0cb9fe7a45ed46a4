"""kill -9 while traces are written, sealed and erased: what was acknowledged is there, with its content, and sums agree.

A child writes traces from 16 requests at once and says each id once it is acknowledged; in every third child a thread erases
a user's traces meanwhile. It is killed at a random moment. Then every acknowledged id is looked for. The folder is used
again, so that each start recovers what the last kill left.

Run: python -m tests.journeys.trace_crashes [KILLS]   (10,000 take about a quarter of an hour)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import select
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from rungwise.core.content import Usage
from rungwise.core.trace import Trace, new_trace_id
from rungwise.data.traces import file
from rungwise.data.traces.file import TraceFile, files
from rungwise.data.traces.query import Query
from rungwise.data.traces.removal import erase
from rungwise.data.traces.sums import sums
from rungwise.data.traces.writer import TraceWriter

AT_ONCE = 16
LEAST_S, MOST_S = 0.004, 0.12
"""When a child is killed, from its first word on."""
FRESH_AFTER = 25
"""Kills after which a new folder is begun."""
GONE = "gone"
"""The user whose traces are erased."""
LINE_BYTES = 33
COPIED_BYTES = 100_000
"""From so many bytes on the log is copied back: so few that a child does it several times in its short life."""


@dataclass
class Tally:
    """What came of the kills. `lost`: acknowledged and not there; `spoilt`: there with another content; `damaged`: files that
    are not sound; `miscounted`: folders whose sums are not those of their rows."""

    kills: int = 0
    acknowledged: int = 0
    erasing: int = 0
    lost: int = 0
    spoilt: int = 0
    damaged: int = 0
    miscounted: int = 0


def content_of(id: str) -> str:
    """The request of a trace, which its id says."""
    return hashlib.sha256(id.encode()).hexdigest() * 20


def run(kills: int, seed: int = 0) -> Tally:
    """Kill so many children, and count."""
    tally, rng = Tally(), random.Random(seed)
    while tally.kills < kills:
        with tempfile.TemporaryDirectory(prefix="trace-crashes-") as name:
            folder, acknowledged = Path(name), set[str]()
            for _ in range(min(FRESH_AFTER, kills - tally.kills)):
                erasing = rng.random() < 1 / 3
                new = _killed_child(folder, rng.uniform(LEAST_S, MOST_S), seed=rng.randrange(2**32), erasing=erasing)
                acknowledged |= new
                tally.kills += 1
                tally.erasing += erasing
                tally.acknowledged += len(new)
                _look(folder, new, tally)
            _look(folder, acknowledged, tally, whole=True)
    return tally


def _killed_child(folder: Path, after_s: float, *, seed: int, erasing: bool) -> set[str]:
    """What a child acknowledged before it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _write_for_ever(folder, writing, seed, erasing=erasing)  # never comes back
    os.close(writing)
    said = os.read(reading, LINE_BYTES)
    end = time.monotonic() + after_s
    while (rest := end - time.monotonic()) > 0:
        if select.select([reading], [], [], rest)[0]:
            said += os.read(reading, 65536)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 65536):
        said += more
    os.close(reading)
    return {line.decode() for line in said.split(b"\n") if len(line) == LINE_BYTES - 1}


def _write_for_ever(folder: Path, out: int, seed: int, *, erasing: bool) -> None:
    try:
        asyncio.run(_write(folder, out, random.Random(seed), erasing=erasing))
    finally:
        os._exit(1)


async def _write(folder: Path, out: int, rng: random.Random, *, erasing: bool) -> None:
    file.COPIED_BYTES = COPIED_BYTES
    traces = TraceWriter(TraceFile(folder, worker=rng.randrange(2)), disk_full="refuse")

    async def ask() -> None:
        while True:
            now = time.time()
            id = new_trace_id(now, rng.randbytes(10))
            user = GONE if id[-1] in "01" else f"user{id[-1]}"
            usage = Usage(10, 5, calls=1, usd=0.001)
            await traces.add(
                Trace(id=id, at=now, seconds=0.1, asked="x", user=user, usage=usage, tags={"a": "b"}, request=content_of(id))
            )
            if user != GONE:
                os.write(out, f"{id}\n".encode())

    def erase_again() -> None:
        while True:
            erase(folder, Query().where("user", "=", GONE))

    if erasing:
        threading.Thread(target=erase_again, daemon=True).start()
    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))


def _look(folder: Path, acknowledged: set[str], tally: Tally, *, whole: bool = False) -> None:
    """Look for what was acknowledged; with `whole` also whether files are sound and sums are right."""
    there: dict[str, str] = {}
    for path in files(folder):
        with closing(sqlite3.connect(path)) as connection:
            if not connection.execute("pragma user_version").fetchone()[0]:
                continue
            for id, request in connection.execute("select id, request from traces"):
                if id in acknowledged:
                    there[id] = request
            if whole and connection.execute("pragma integrity_check").fetchone() != ("ok",):
                tally.damaged += 1
    tally.lost += len(acknowledged - there.keys())
    tally.spoilt += sum(request != content_of(id) for id, request in there.items())
    if whole:
        erase(folder, Query().where("user", "=", GONE))  # finishes what a kill cut off
        with closing(sqlite3.connect(":memory:")) as memory:
            for number, path in enumerate(files(folder)):
                memory.execute(f"attach ? as f{number}", (str(path),))
            rows = sum(memory.execute(f"select count(*) from f{n}.traces").fetchone()[0] for n in range(len(files(folder))))
        tally.miscounted += [one.traces for one in sums(folder, Query())] != [rows]


def main() -> None:
    """The table as one line of JSON; exit code 1 when anything is wrong."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    began = time.monotonic()
    tally = run(kills)
    print(json.dumps({**asdict(tally), "seconds": round(time.monotonic() - began)}))  # noqa: T201
    sys.exit(bool(tally.lost or tally.spoilt or tally.damaged or tally.miscounted))


if __name__ == "__main__":
    main()
