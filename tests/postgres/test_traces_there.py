"""Traces on PostgreSQL: the same promises, queries and sums as in files."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.errors import StoreError, UnknownName
from rungwise.core.trace import Trace
from rungwise.data.store import Store
from rungwise.data.traces.door import TraceArchive, archive_of, open_traces
from rungwise.data.traces.file import FOLDER, TraceFile
from rungwise.data.traces.query import TEXTS, Condition, Query, checked
from rungwise.data.traces.rows import cleaned, row_of, trace_of
from rungwise.data.traces.table import TableSink, TraceTable
from tests.clocks import StillClock
from tests.cluster import Cluster
from tests.data.traces.test_trace_search import ROWS, conditions, varied
from tests.data.traces.test_trace_writer import ODD, any_trace
from tests.data.traces.tracing import BEGIN, a_trace


@pytest.fixture
def table(store: Store) -> Iterator[TableSink]:
    sink = TableSink(store)
    yield sink
    sink.close()


@pytest.fixture(scope="module")
def archive(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceArchive]:
    """The 2,600 traces that the search of files is tested on."""
    store, rng = Store.open(tmp_path_factory.mktemp("searched"), clock=StillClock(), url=server.url), random.Random(7)
    with closing(TableSink(store)) as sink:
        for start in range(0, ROWS, 20):
            sink.write([varied(n, rng) for n in range(start, start + 20)])
    yield archive_of(store)
    store.close()


@pytest.fixture(scope="module")
def everything(archive: TraceArchive) -> list[Trace]:
    rng = random.Random(7)
    written = [varied(n, rng) for n in range(ROWS)]
    return sorted(written, key=lambda trace: (trace.at, trace.id), reverse=True)


def test_all_of_them_are_given_newest_first(archive: TraceArchive, everything: list[Trace]) -> None:
    assert list(archive.search(Query())) == everything


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions=conditions, limit=st.none() | st.integers(1, 40))
def test_any_query_gives_what_a_look_at_each_trace_gives(
    archive: TraceArchive, everything: list[Trace], conditions: tuple[Condition, ...], limit: int | None
) -> None:
    query = Query(tuple(checked(one) for one in conditions))
    expected = [trace for trace in everything if all(one.holds(trace) for one in conditions)]
    assert list(archive.search(query, limit=limit)) == expected[:limit]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions=conditions, by=st.sampled_from([None, "user", "tenant", "variant", "asked", "tag.team", "model"]))
def test_sums_are_those_of_the_traces(
    archive: TraceArchive, everything: list[Trace], conditions: tuple[Condition, ...], by: str | None
) -> None:
    wanted = [trace for trace in everything if all(one.holds(trace) for one in conditions)]
    found = {one.value: one for one in archive.sums(Query(conditions), by=by)}
    assert sum(one.traces for one in found.values()) == len(wanted)
    for value, one in found.items():
        own = [t for t in wanted if by is None or (t.tags.get("team") if by == "tag.team" else TEXTS[by](t)) == value]
        assert (one.traces, one.failed) == (len(own), sum(trace.status >= 400 for trace in own))
        assert one.usd == pytest.approx(sum(trace.usage.usd for trace in own))
        assert one.input_tokens == sum(trace.usage.input_tokens for trace in own)
        assert one.seconds == pytest.approx(sum(trace.seconds for trace in own))
    with pytest.raises(UnknownName):
        archive.sums(Query(), by="usr")


def test_pages_follow_each_other_without_a_gap(archive: TraceArchive, everything: list[Trace]) -> None:
    pages: list[Trace] = []
    while page := list(archive.search(Query(), after=(pages[-1].at, pages[-1].id) if pages else None, limit=700)):
        pages += page
    assert pages == everything


def test_ids_are_looked_up(archive: TraceArchive, everything: list[Trace]) -> None:
    some = everything[5::700]
    assert list(archive.search(Query(ids=frozenset([trace.id for trace in some] + ["0" * 32, "\0"])))) == some
    assert archive.get(some[0].id) == some[0]
    assert archive.get("f" * 32) is None
    assert archive.by_response_id("chatcmpl-2000").response_id == "chatcmpl-2000"  # type: ignore[union-attr]


async def test_what_is_acknowledged_is_read_by_another_connection(store: Store) -> None:
    traces = open_traces(store, worker=0, disk_full="refuse")
    await asyncio.gather(*(traces.add(a_trace(number)) for number in range(300)))
    assert [trace.id for trace in archive_of(store).search(Query())] == [a_trace(number).id for number in reversed(range(300))]
    await traces.close()


def test_what_comes_while_one_searches_is_left_for_the_next_search(store: Store, table: TableSink) -> None:
    table.write([a_trace(number) for number in range(5)])
    with closing(archive_of(store).search(Query())) as found:
        assert next(found) == a_trace(4)
        table.write([a_trace(number) for number in range(5, 9)])
        assert len(list(found)) == 4
    assert len(list(archive_of(store).search(Query()))) == 9


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_trace(ODD), min_size=1, max_size=4))
def test_whatever_a_trace_holds_its_neighbours_in_the_group_are_written(store: Store, odd: list[Trace]) -> None:
    with closing(TableSink(store)) as sink:
        sink.write([*odd, good := a_trace(100)])
    archive = TraceTable(store)
    there = list(archive.search(Query()))
    archive.erase(Query())
    assert there[0] == good
    assert {trace_of(cleaned(row_of(trace))).request for trace in odd} == {trace.request for trace in there[1:]}
    assert next(archive.search(Query()), None) is None


def bytes_of(store: Store, server: Cluster) -> bytes:
    """What the table's file holds."""
    with store.engine.connect() as connection:
        connection.exec_driver_sql("checkpoint")
        path = connection.exec_driver_sql("select pg_relation_filepath('traces')").scalar_one()
    return (server.folder / "data" / path).read_bytes()


def test_the_traces_of_a_user_are_erased_and_the_old_ones_expire(store: Store, table: TableSink, server: Cluster) -> None:
    table.write([a_trace(number, request="the secret" if number % 10 == 3 else None) for number in range(1200)])
    archive = archive_of(store)
    assert b"the secret" in bytes_of(store, server)
    assert len(archive.erase(Query().where("user", "=", "user3")).ids) == 120
    assert next(archive.search(Query().where("user", "=", "user3")), None) is None
    assert b"the secret" not in bytes_of(store, server)
    assert len(archive.expire(BEGIN + 1000).ids) == 900
    assert archive.sums(Query())[0].traces == 180
    table.write([a_trace(5000)])
    assert archive.expire(BEGIN + 1200).ids[0] == a_trace(1000).id
    assert list(archive.search(Query())) == [a_trace(5000)]


def test_traces_that_were_in_files_before_are_found_beside_the_new_ones(store: Store, table: TableSink) -> None:
    with closing(TraceFile(store.directory / FOLDER, worker=0)) as file:
        file.write([a_trace(number) for number in range(0, 40, 2)])
    table.write([a_trace(number) for number in range(1, 40, 2)])
    archive = archive_of(store)
    assert list(archive.search(Query())) == [a_trace(number) for number in reversed(range(40))]
    assert list(archive.search(Query(), limit=3)) == [a_trace(number) for number in (39, 38, 37)]
    page = archive.search(Query(), after=(a_trace(30).at, a_trace(30).id))
    assert list(islice(page, 2)) == [a_trace(29), a_trace(28)]
    page.close()
    assert archive.get(a_trace(4).id) == a_trace(4)
    assert {one.value: one.traces for one in archive.sums(Query(), by="variant")} == {"plain": 40}
    assert len(archive.erase(Query().where("user", "=", "user3")).ids) == 4
    assert len(archive.expire(BEGIN + 10).ids) == 9
    assert archive.sums(Query())[0].traces == 27


async def test_while_the_server_is_down_the_policy_holds_and_afterwards_it_goes_on(tmp_path: Path, frail: Cluster) -> None:
    store = Store.open(tmp_path, clock=StillClock(), url=frail.url)
    strict, lenient = (open_traces(store, worker=0, disk_full=policy) for policy in ("refuse", "answer"))
    await asyncio.gather(strict.add(a_trace(1)), lenient.add(a_trace(2)))
    frail.stop("immediate")
    try:
        with pytest.raises(StoreError, match="goes on by itself"):
            await strict.add(a_trace(3))
        await lenient.add(a_trace(4))
    finally:
        frail.start()
    await asyncio.gather(strict.add(a_trace(5)), lenient.add(a_trace(6)))
    assert [trace.id for trace in archive_of(store).search(Query())] == [a_trace(number).id for number in (6, 5, 2, 1)]
    assert (strict.unlogged, lenient.unlogged) == (0, 1)
    await strict.close()
    await lenient.close()
    store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from rungwise.data.store import Store
from rungwise.data.traces.door import open_traces
from tests.clocks import StillClock
from tests.data.traces.tracing import a_trace

async def main():
    traces = open_traces(Store.open(Path(sys.argv[1]), clock=StillClock()), worker=0, disk_full="refuse")
    async def one(first):
        for number in range(first, 10**9, 16):
            await traces.add(a_trace(number))
            print(number, flush=True)
    await asyncio.gather(*map(one, range(16)))

asyncio.run(main())
"""


def test_after_kill_9_every_acknowledged_trace_is_there_whole(store: Store) -> None:
    done: set[int] = set()
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.directory)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
        process.wait(timeout=30)
        process.stdout.close()
        done |= {int(line) for line in told if line.endswith("\n")}
    there = {trace.id for trace in archive_of(store).search(Query())}
    assert {a_trace(number).id for number in done} <= there
