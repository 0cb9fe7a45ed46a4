"""Traces are written in groups, and an acknowledged one is on disk."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.content import Usage
from rungwise.core.errors import StoreError
from rungwise.core.trace import Span, Trace
from rungwise.data.store import Store
from rungwise.data.traces import file, writer
from rungwise.data.traces.door import open_traces
from rungwise.data.traces.file import TraceFile
from rungwise.data.traces.query import Query
from rungwise.data.traces.rows import cleaned, row_of, trace_of
from rungwise.data.traces.search import get, search
from rungwise.data.traces.segments import SEGMENT
from rungwise.data.traces.writer import TraceWriter
from tests.data.traces.tracing import a_trace


def kept(folder: Path) -> list[Trace]:
    return list(search(folder, Query()))


async def test_what_is_acknowledged_is_read_by_another_connection(store: Store) -> None:
    traces = open_traces(store, worker=0, disk_full="refuse")
    await traces.add(a_trace(1))
    assert get(store.directory / "traces", a_trace(1).id) == a_trace(1)
    await traces.close()


async def test_a_folder_that_is_taken_away_acknowledges_nothing_until_it_is_back(store: Store) -> None:
    traces = open_traces(store, worker=0, disk_full="refuse")
    await traces.add(a_trace(1))
    folder = (store.directory / "traces").rename(store.directory / "elsewhere")
    with pytest.raises(StoreError, match="removed or replaced"):
        await traces.add(a_trace(2))
    folder.rename(store.directory / "traces")
    await traces.add(a_trace(3))
    await traces.close()
    assert [trace.id for trace in kept(store.directory / "traces")] == [a_trace(3).id, a_trace(1).id]


async def test_those_that_wait_together_are_one_commit(tmp_path: Path) -> None:
    sizes: list[int] = []

    class Slow(TraceFile):
        def write(self, traces: Sequence[Trace]) -> None:
            sizes.append(len(traces))
            super().write(traces)

    traces = TraceWriter(Slow(tmp_path, worker=0), disk_full="refuse")
    await asyncio.gather(*(traces.add(a_trace(number)) for number in range(200)))
    await traces.close()
    assert len(kept(tmp_path)) == 200
    assert max(sizes) <= writer.GROUP
    assert len(sizes) < 100


async def test_what_has_queued_is_written_when_the_writer_is_closed(tmp_path: Path) -> None:
    traces = TraceWriter(TraceFile(tmp_path, worker=0), disk_full="refuse")
    waiting = [traces.add(a_trace(number)) for number in range(500)]
    assert traces.behind == 500
    await traces.close()
    assert all(one.done() for one in waiting)
    assert traces.behind == 0
    assert len(kept(tmp_path)) == 500
    with pytest.raises(StoreError, match="closed"):
        await traces.add(a_trace(501))


async def test_a_trace_that_comes_while_the_writer_closes_is_told_so(tmp_path: Path) -> None:
    traces = TraceWriter(TraceFile(tmp_path, worker=0), disk_full="refuse")
    early = traces.add(a_trace(1))
    closing = asyncio.create_task(traces.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match="closed"):
        await traces.add(a_trace(2))
    await asyncio.gather(closing, early)
    assert kept(tmp_path) == [a_trace(1)]


async def test_a_request_that_was_cancelled_is_traced_all_the_same(tmp_path: Path) -> None:
    traces = TraceWriter(TraceFile(tmp_path, worker=0), disk_full="refuse")
    traces.add(a_trace(1)).cancel()
    await traces.add(a_trace(2))
    await traces.close()
    assert len(kept(tmp_path)) == 2


async def test_more_than_may_wait_is_refused_or_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BEHIND", 5)
    strict = TraceWriter(TraceFile(tmp_path / "strict", worker=0), disk_full="refuse")
    waiting = [strict.add(a_trace(number)) for number in range(6)]
    with pytest.raises(StoreError, match="faster than the disk"):
        await waiting[5]
    await asyncio.gather(*waiting[:5])
    await strict.close()
    lenient = TraceWriter(TraceFile(tmp_path / "lenient", worker=0), disk_full="answer")
    await asyncio.gather(*(lenient.add(a_trace(number)) for number in range(6)))
    assert lenient.unlogged == 1
    await lenient.close()


class Failing(TraceFile):
    """A file on a disk that is full while `full`."""

    full = True

    def write(self, traces: Sequence[Trace]) -> None:
        if self.full:
            raise StoreError("database or disk is full")
        super().write(traces)


@pytest.mark.parametrize("policy", ["refuse", "answer"])
async def test_a_full_disk_follows_the_policy_and_writing_goes_on_after_it(tmp_path: Path, policy: str) -> None:
    sink = Failing(tmp_path, worker=0)
    traces = TraceWriter(sink, disk_full=policy)
    if policy == "refuse":
        with pytest.raises(StoreError, match="full"):
            await traces.add(a_trace(1))
    else:
        await traces.add(a_trace(1))
    assert traces.unlogged == (1 if policy == "answer" else 0)
    sink.full = False
    await traces.add(a_trace(2))
    await traces.close()
    assert [trace.id for trace in kept(tmp_path)] == [a_trace(2).id]


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from rungwise.core.errors import StoreError
from rungwise.data.traces.file import TraceFile
from rungwise.data.traces.writer import TraceWriter
from tests.data.traces.tracing import a_trace

async def main(folder):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    traces = TraceWriter(TraceFile(folder, worker=0), disk_full="refuse")
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    number, told = 0, None
    while told is None:
        try:
            await traces.add(a_trace(number, request="x" * 5000))
            print(number, flush=True)
        except StoreError as error:
            told = error
        number += 1
    print("told", told, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await traces.add(a_trace(9999))
    print(9999, flush=True)
    await traces.close()

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_limit_on_the_size_of_files_is_told_and_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True)
    *lines, told, last = done.stdout.splitlines()
    assert "traces cannot be written" in told
    assert "goes on by itself" in told
    there = {trace.id for trace in kept(tmp_path)}
    assert {a_trace(int(line)).id for line in [*lines, last]} <= there
    assert len(lines) > 5


def test_a_file_is_for_one_process_and_the_next_comer_gets_another(tmp_path: Path) -> None:
    first, second = TraceFile(tmp_path, worker=3), TraceFile(tmp_path, worker=3)
    first.write([a_trace(1)])
    second.write([a_trace(2)])
    first.close()
    third = TraceFile(tmp_path, worker=3)
    third.write([a_trace(3)])
    second.close()
    third.close()
    assert [one.path.name for one in (first, second, third)] == ["worker-3.db", "worker-3-1.db", "worker-3.db"]
    assert [trace.id for trace in kept(tmp_path)] == [a_trace(number).id for number in (3, 2, 1)]


def test_a_file_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    TraceFile(tmp_path, worker=0).close()
    with closing(sqlite3.connect(tmp_path / "worker-0.db")) as connection:
        connection.execute(f"pragma user_version={file.VERSION + 1}")
    with pytest.raises(StoreError, match="newer version"):
        TraceFile(tmp_path, worker=0)
    with pytest.raises(StoreError, match="newer version"):
        kept(tmp_path)


def test_a_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = TraceFile(tmp_path, worker=0)
    old.write([a_trace(1)])
    old.close()
    monkeypatch.setattr(file, "VERSION", 2)
    monkeypatch.setitem(file._UPGRADES, 1, lambda connection: connection.execute("create table later (x)"))
    assert kept(tmp_path) == [a_trace(1)]
    new = TraceFile(tmp_path, worker=0)
    new.write([a_trace(2)])
    new.close()
    with closing(sqlite3.connect(tmp_path / "worker-0.db")) as connection:
        assert connection.execute("select name from sqlite_master where name = 'later'").fetchone()
    assert len(kept(tmp_path)) == 2


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="Choose a writable"):
        TraceFile(tmp_path / "state" / "traces", worker=0)


def test_full_segments_are_written_down_and_survive_a_restart(tmp_path: Path) -> None:
    traces = [a_trace(number) for number in range(2 * SEGMENT + 100)]
    first = TraceFile(tmp_path, worker=0)
    for start in range(0, 1100, 50):
        first.write(traces[start : start + 50])
        first.tidy()
    first.close()
    second = TraceFile(tmp_path, worker=0)
    for start in range(1100, len(traces), 50):
        second.write(traces[start : start + 50])
        second.tidy()
    second.close()
    with closing(sqlite3.connect(tmp_path / "worker-0.db")) as connection:
        assert connection.execute("select count(*) from segments").fetchone() == (2,)
    assert kept(tmp_path) == traces[::-1]


ODD = st.text(st.characters(exclude_categories=()), max_size=20)
WORDS = st.text(max_size=20)
numbers = st.floats(0, 1e9)


@st.composite
def any_trace(draw: st.DrawFn, odd: st.SearchStrategy[str]) -> Trace:
    plain = st.none() | odd
    usage = Usage(
        draw(st.integers(0, 2**70)), draw(st.integers(0, 9)), 1, 2, draw(st.integers(0, 3)), draw(numbers), draw(st.booleans()), 0.5
    )
    span = Span(name=draw(odd), kind="model", start_s=0.0, seconds=draw(numbers), error=draw(plain), details={"what": draw(odd)})
    return a_trace(
        draw(st.integers(0, 99)),
        user=draw(plain),
        tags=draw(st.dictionaries(odd, odd, max_size=3)),
        request=draw(plain),
        response=draw(plain),
        usage=usage,
        error=draw(plain),
        finish=draw(plain),
        first_token_s=draw(st.none() | numbers),
        streamed=draw(st.booleans()),
        cached=draw(st.booleans()),
        shadow_of=draw(plain),
        operation=draw(st.sampled_from(["chat", "embeddings"])),
        spans=(span,) * draw(st.integers(0, 2)),
        parts_used=("a", "b"),
    )


@given(any_trace(WORDS))
def test_a_row_is_the_trace_again(trace: Trace) -> None:
    if not trace.usage.calls:
        trace = replace(trace, usage=Usage(trace.usage.input_tokens, trace.usage.output_tokens, usd=trace.usage.usd))
    assert trace_of(row_of(trace)) == trace


@settings(max_examples=30, deadline=None)
@given(st.lists(any_trace(ODD), min_size=1, max_size=4))
def test_whatever_a_trace_holds_its_neighbours_in_the_group_are_written(
    tmp_path_factory: pytest.TempPathFactory, odd: list[Trace]
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    good = a_trace(100)
    one = TraceFile(folder, worker=0)
    one.write([*odd, good])
    one.close()
    there = kept(folder)
    assert there[0] == good
    requests = {trace_of(cleaned(row_of(trace))).request for trace in there[1:]}  # cleaned already, or nothing was amiss
    assert requests == {trace_of(cleaned(row_of(trace))).request for trace in odd}


def test_a_row_written_by_a_newer_version_with_more_details_is_read() -> None:
    row = list(row_of(a_trace(1)))
    row[19] = str(row[19])[:-1] + ',"later":{"x":1}}'
    assert trace_of(row) == a_trace(1)


async def test_what_people_asked_is_not_for_everybody_on_the_machine(tmp_path: Path) -> None:
    await TraceWriter(TraceFile(tmp_path / "traces", worker=0), disk_full="refuse").close()
    assert (tmp_path / "traces").stat().st_mode & 0o077 == 0
