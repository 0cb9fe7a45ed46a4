"""Traces: microseconds for each that is on disk before it is acknowledged, and milliseconds for a search over a million.

Writing: so many requests at once each wait for the commit of their trace (1.4 KB), through the one writer thread of a worker.
Beside it what each part of that costs, and the usual way: the same rows in one table with five indexes, committed in the same
groups. Three interleaved runs, medians. Searching: a million traces of 10,000 users over 30 days in the files of two workers;
queries draw their users, moments, costs and tags at random, 20 traces a page, and a page far back. The usual way's searches are
its own SQL on the same rows.

Run: python -m benchmarks.trace_store [TRACES] [--skip-usual]
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rungwise.core.content import Usage
from rungwise.core.trace import Span, Trace, new_trace_id
from rungwise.data.traces.file import TraceFile, connect
from rungwise.data.traces.query import Query
from rungwise.data.traces.rows import COLUMNS, row_of
from rungwise.data.traces.search import search
from rungwise.data.traces.sums import sums
from rungwise.data.traces.writer import GROUP, TraceWriter

TRACES, RUNS, WRITTEN, QUERIES = 1_000_000, 3, 20_000, 100
AT_ONCE = (1, 16, 64, 256)
BEGIN, SPAN_S = 1_790_000_000.0, 30 * 86_400.0
USERS, TEAMS = 10_000, 200
PAGE = 20

_ASKED = json.dumps(
    {"model": "support", "messages": [{"role": "user", "content": "Where is my parcel, and when does it come? " * 12}]}
)
_ANSWERED = json.dumps({"id": "c", "choices": [{"message": {"role": "assistant", "content": "It is on its way to you. " * 22}}]})
_SPANS = (Span(name="local", kind="model", start_s=0.001, seconds=0.2, details={"engine": "local", "status": 200}),)


def a_trace(number: int, rng: random.Random, total: int) -> Trace:
    """The number-th of so many traces."""
    at = BEGIN + SPAN_S * number / total
    usage = Usage(rng.randrange(50, 900), rng.randrange(400), calls=1, usd=rng.lognormvariate(-7, 1.5), seconds=0.2)
    return Trace(
        id=new_trace_id(at, rng.randbytes(10)),
        at=at,
        seconds=rng.lognormvariate(-1, 0.7),
        asked="support",
        release="a" * 64,
        variant="plain" if rng.random() < 0.9 else "rich",
        candidate="b" * 64,
        engine="local",
        model="tiny-2026-11",
        response_id=f"chatcmpl-{rng.getrandbits(64):x}",
        key=f"k{rng.randrange(20)}",
        tenant=f"t{rng.randrange(10)}",
        user=f"user{int(USERS * rng.random() ** 2)}",
        tags={"team": f"team{rng.randrange(TEAMS)}"},
        usage=usage,
        status=200 if rng.random() < 0.99 else 502,
        spans=_SPANS,
        request=_ASKED,
        response=_ANSWERED,
    )


class Usual:
    """The same rows in one table with the indexes that the searches want."""

    def __init__(self, path: Path) -> None:
        self.connection = connect(path)
        self.connection.execute(f"create table traces (n integer primary key, {', '.join(COLUMNS)}, team)")
        for name, columns in {"id": "id", "at": "at", "user": "user, at", "usd": "usd, at", "team": "team, at"}.items():
            self.connection.execute(f"create index traces_{name} on traces ({columns})")

    def write(self, traces: Sequence[Trace]) -> None:
        """Commit a group."""
        mark = f"(null,{','.join('?' * (len(COLUMNS) + 1))})"
        values = [value for trace in traces for value in (*row_of(trace), trace.tags.get("team"))]
        self.connection.execute(f"insert into traces values {','.join([mark] * len(traces))}", values)

    def tidy(self) -> None:
        """Indexes leave nothing for later."""

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()


async def written(folder: Path, at_once: int, *, usual: bool) -> tuple[float, float]:
    """Microseconds of the clock and of the processors for a trace."""
    rng = random.Random(1)
    traces = [a_trace(number, rng, WRITTEN) for number in range(WRITTEN if at_once > 1 else WRITTEN // 10)]
    writer = TraceWriter(Usual(folder / "usual.db") if usual else TraceFile(folder, worker=0), disk_full="refuse")
    rest = iter(traces)

    async def ask() -> None:
        for trace in rest:
            await writer.add(trace)

    began, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask() for _ in range(at_once)))
    took = time.perf_counter() - began, time.process_time() - spent
    await writer.close()
    return took[0] / len(traces) * 1e6, took[1] / len(traces) * 1e6


def writing(*, usual: bool) -> dict[str, list[float]]:
    """The median microseconds of each way and number at once: [clock, processors]."""
    import uvloop

    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(RUNS):
        for at_once in AT_ONCE:
            for name in ("rungwise", "usual") if usual else ("rungwise",):
                with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    one = runner.run(written(Path(folder), at_once, usual=name == "usual"))
                found.setdefault(f"{name} at {at_once}", []).append(one)
    return {name: [round(median(column), 1) for column in zip(*runs, strict=True)] for name, runs in found.items()}


def filled(folder: Path, total: int, sinks: Sequence[Any]) -> float:
    """Write a million; seconds that it took."""
    rng, began = random.Random(2), time.perf_counter()
    for start in range(0, total, GROUP):
        group = [a_trace(number, rng, total) for number in range(start, min(total, start + GROUP))]
        sink = sinks[rng.randrange(len(sinks))]
        sink.write(group)
        sink.tidy()
    for sink in sinks:
        sink.close()
    return time.perf_counter() - began


Draw = tuple[Query, str, tuple[Any, ...]]


def kinds(rng: random.Random) -> dict[str, Callable[[], Draw]]:
    """What is searched for: the query, and the usual way's condition with its values."""

    def user() -> str:
        return f"user{int(USERS * rng.random() ** 2)}"

    def day() -> float:
        return BEGIN + rng.random() * (SPAN_S - 86_400)

    def by_user() -> Draw:
        one = user()
        return Query().where("user", "=", one), "user = ?", (one,)

    def by_user_and_cost() -> Draw:
        one = user()
        return Query().where("user", "=", one).where("usd", ">", 0.01), "user = ? and usd > 0.01", (one,)

    def by_tag() -> Draw:
        one = f"team{rng.randrange(TEAMS)}"
        return Query().where("tag.team", "=", one), "team = ?", (one,)

    def by_time() -> Draw:
        one = day()
        return Query().where("at", ">=", one).where("at", "<", one + 3600), "at >= ? and at < ?", (one, one + 3600)

    def by_cost() -> Draw:
        one = rng.choice([0.05, 0.1, 0.2])
        return Query().where("usd", ">", one), "usd > ?", (one,)

    def by_tag_and_day() -> Draw:
        one, begin = f"team{rng.randrange(TEAMS)}", day()
        query = Query().where("tag.team", "=", one).where("at", ">=", begin).where("at", "<", begin + 86_400)
        return query, "team = ? and at >= ? and at < ?", (one, begin, begin + 86_400)

    def of_nobody() -> Draw:
        return Query().where("user", "=", "nobody"), "user = ?", ("nobody",)

    def words_of_an_hour() -> Draw:
        begin = day()
        query = Query().where("text", "~", "no such words").where("at", ">=", begin).where("at", "<", begin + 3600)
        likes = "(request like ? or response like ?) and at >= ? and at < ?"
        return query, likes, ("%no such words%", "%no such words%", begin, begin + 3600)

    draws = (by_user, by_user_and_cost, by_tag, by_time, by_cost, by_tag_and_day, of_nobody, words_of_an_hour)
    return {draw.__name__.replace("_", " "): draw for draw in draws}


def searching(folder: Path, usual: Path | None) -> Iterator[tuple[str, list[float], list[float]]]:
    """Of each kind of search the milliseconds of each time, ours and the usual way's. Both give the same traces."""
    rng = random.Random(3)
    for name, draw in kinds(rng).items():
        ours, theirs = [], []
        for _ in range(QUERIES):
            query, condition, values = draw()
            began = time.perf_counter()
            found = list(search(folder, query, limit=PAGE))
            ours.append((time.perf_counter() - began) * 1e3)
            if usual is not None:
                began = time.perf_counter()
                with closing(connect(usual)) as connection:
                    statement = f"select {', '.join(COLUMNS)} from traces where {condition} order by at desc, id desc limit {PAGE}"
                    rows = connection.execute(statement, values).fetchall()
                theirs.append((time.perf_counter() - began) * 1e3)
                assert [row[0] for row in rows] == [trace.id for trace in found], name
        yield name, ours, theirs
    took = []
    for _ in range(5):
        began = time.perf_counter()
        sums(folder, Query(), by="user")
        took.append((time.perf_counter() - began) * 1e3)
    yield "cost of each user", took, []


def main() -> None:
    """The tables, and all figures as one line of JSON."""
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    total, usual = numbers[0] if numbers else TRACES, "--skip-usual" not in sys.argv
    speeds = writing(usual=usual)
    print("us for a trace       clock   processors")
    for name, (clock, processors) in speeds.items():
        print(f"{name:<18} {clock:>7.1f} {processors:>12.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder, other = Path(name) / "traces", Path(name) / "usual.db"
        took = filled(folder, total, [TraceFile(folder, worker=worker) for worker in range(2)])
        print(f"{total:,} traces written in {took:.0f} s")
        if usual:
            print(f"the usual way in {filled(folder, total, [Usual(other)]):.0f} s, {other.stat().st_size / 1e6:,.0f} MB")
        print(
            f"{sum(one.stat().st_size for one in folder.iterdir()) / 1e6:,.0f} MB\nms for a search         p50      p95   usual p95"
        )
        results: dict[str, Any] = {}
        for kind, ours, theirs in searching(folder, other if usual else None):
            p95 = quantiles(ours, n=20)[-1]
            results[kind] = {"p50": round(median(ours), 2), "p95": round(p95, 2)}
            if theirs:
                results[kind]["usual_p95"] = round(quantiles(theirs, n=20)[-1], 2)
            print(f"{kind:<20} {median(ours):>7.2f} {p95:>8.2f} {results[kind].get('usual_p95', float('nan')):>11.2f}")
    print(json.dumps({"benchmark": "trace_store", "traces": total, "write_us": speeds, "search_ms": results}))


if __name__ == "__main__":
    main()
