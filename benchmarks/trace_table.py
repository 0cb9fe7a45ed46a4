"""Traces on PostgreSQL: microseconds for each that is committed before it is acknowledged, and searches over a million.

The same traces and the same searches as in trace_store.py, in a table that one worker fills by COPY, 64 traces a commit. The
server is one that this script makes (initdb, as it comes, but for 256 MB of shared buffers), on the same machine; after the
load it is analysed, as its own autovacuum does. `processors` is the time of this process alone.

Run: python -m benchmarks.trace_table [TRACES]
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.trace_store import PAGE, QUERIES, RUNS, TRACES, WRITTEN, a_trace, kinds
from rungwise.data.store import Store
from rungwise.data.traces.query import Query
from rungwise.data.traces.table import TableSink, TraceTable
from rungwise.data.traces.writer import GROUP, TraceWriter
from rungwise.engines.clock import SystemClock
from tests import cluster as servers

AT_ONCE = (1, 16, 64)


async def written(store: Store, at_once: int) -> tuple[float, float]:
    """Microseconds for a trace, by the clock and of this process, when so many wait at once."""
    rng, total = random.Random(1), WRITTEN if at_once > 1 else WRITTEN // 10
    traces = TraceWriter(TableSink(store), disk_full="refuse")
    ready = iter([a_trace(number, rng, total) for number in range(total)])

    async def ask() -> None:
        for trace in ready:
            await traces.add(trace)

    clock, processors = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask() for _ in range(at_once)))
    clock, processors = time.perf_counter() - clock, time.process_time() - processors
    await traces.close()
    return clock / total * 1e6, processors / total * 1e6


def filled(store: Store, total: int) -> float:
    """Write a million; seconds that it took."""
    rng, began = random.Random(2), time.perf_counter()
    with closing(TableSink(store)) as sink:
        for start in range(0, total, GROUP):
            sink.write([a_trace(number, rng, total) for number in range(start, min(total, start + GROUP))])
    return time.perf_counter() - began


def searching(archive: TraceTable) -> dict[str, list[float]]:
    """Of each kind of search the milliseconds of each time."""
    took: dict[str, list[float]] = {}
    for name, draw in kinds(random.Random(3)).items():
        for _ in range(QUERIES):
            query = draw()[0]
            began = time.perf_counter()
            list(archive.search(query, limit=PAGE))
            took.setdefault(name, []).append((time.perf_counter() - began) * 1e3)
    for _ in range(5):
        began = time.perf_counter()
        archive.sums(Query(), by="user")
        took.setdefault("cost of each user", []).append((time.perf_counter() - began) * 1e3)
    return took


def main() -> None:
    """The tables, and all figures as one line of JSON."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else TRACES
    servers.SETTINGS["shared_buffers"] = "256MB"
    with servers.cluster() as server, tempfile.TemporaryDirectory() as folder:
        speeds: dict[str, tuple[float, float]] = {}
        print("us for a trace       clock   processors")
        for at_once in AT_ONCE:
            runs = []
            for run in range(RUNS):
                store = Store.open(Path(folder) / f"w{at_once}-{run}" / "state", clock=SystemClock(), url=server.url)
                runs.append(asyncio.run(written(store, at_once)))
                store.close()
            speeds[f"{at_once} at once"] = clock, processors = median(one for one, _ in runs), median(one for _, one in runs)
            print(f"{at_once:>3} at once         {clock:>7.1f} {processors:>12.1f}", flush=True)
        store = Store.open(Path(folder) / "searched" / "state", clock=SystemClock(), url=server.url)
        print(f"{total:,} traces written in {filled(store, total):.0f} s", flush=True)
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum (analyze) traces")
            size = connection.exec_driver_sql("select pg_total_relation_size('traces')").scalar_one()
        print(f"{size / 1e6:,.0f} MB\nms for a search         p50      p95")
        results: dict[str, Any] = {}
        for kind, took in searching(TraceTable(store)).items():
            p95 = quantiles(took, n=20)[-1]
            results[kind] = {"p50": round(median(took), 2), "p95": round(p95, 2)}
            print(f"{kind:<20} {median(took):>7.2f} {p95:>8.2f}")
        store.close()
    print(json.dumps({"benchmark": "trace_table", "traces": total, "write_us": speeds, "search_ms": results}))


if __name__ == "__main__":
    main()
