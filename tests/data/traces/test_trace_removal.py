"""Traces that are erased or expire are gone, also from the bytes on disk, and writers go on meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rungwise.core.errors import StoreError
from rungwise.core.trace import Trace
from rungwise.data.store import Store
from rungwise.data.traces import removal
from rungwise.data.traces.door import archive_of, open_traces
from rungwise.data.traces.file import TraceFile
from rungwise.data.traces.query import Query
from rungwise.data.traces.removal import erase, expire
from rungwise.data.traces.search import search
from rungwise.data.traces.segments import SEGMENT
from rungwise.data.traces.sums import sums
from rungwise.data.traces.writer import TraceWriter
from tests.data.traces.tracing import BEGIN, a_trace

ROWS = SEGMENT + 300


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[TraceFile]:
    """A file that stays open for writing: a full segment and the rest; ann has a secret in every tenth trace."""
    one = TraceFile(tmp_path, worker=0)
    for start in range(0, ROWS, 62):
        one.write([by_somebody(number) for number in range(start, min(ROWS, start + 62))])
        one.tidy()
    yield one
    one.close()


def by_somebody(number: int) -> Trace:
    if number % 10:
        return a_trace(number)
    return a_trace(number, user="ann", request=f'{{"content":"the secret of ann {number}"}}', tags={"whose": "only-of-ann"})


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def kept(folder: Path) -> list[Trace]:
    return list(search(folder, Query()))


def test_the_traces_of_a_user_are_gone_from_search_sums_and_bytes(tmp_path: Path, filled: TraceFile) -> None:
    assert b"the secret of ann" in bytes_of(tmp_path)
    removed = erase(tmp_path, Query().where("user", "=", "ann"))
    assert len(removed.ids) == len(range(0, ROWS, 10))
    assert removed.wiped
    assert {trace.user for trace in kept(tmp_path)} == {f"user{n}" for n in range(1, 10)}
    assert len(kept(tmp_path)) == ROWS - len(removed.ids)
    assert "ann" not in {one.value for one in sums(tmp_path, Query(), by="user")}
    assert sums(tmp_path, Query())[0].traces == ROWS - len(removed.ids)
    assert b"the secret of ann" not in bytes_of(tmp_path)
    assert b"only-of-ann" not in bytes_of(tmp_path)
    assert erase(tmp_path, Query().where("user", "=", "ann")).ids == ()


def test_a_writer_goes_on_and_seals_what_is_left(tmp_path: Path, filled: TraceFile) -> None:
    erase(tmp_path, Query().where("user", "=", "ann"))
    numbers = range(ROWS, 3 * SEGMENT)
    for start in range(ROWS, 3 * SEGMENT, 64):
        filled.write([a_trace(number, user="late") for number in numbers[start - ROWS : start - ROWS + 64]])
        filled.tidy()
    expected = ROWS - len(range(0, ROWS, 10)) + len(numbers)
    assert len(kept(tmp_path)) == expected
    assert sums(tmp_path, Query())[0].traces == expected
    assert {one.value: one.traces for one in sums(tmp_path, Query(), by="user")}["late"] == len(numbers)


def test_what_is_older_than_a_moment_goes(tmp_path: Path, filled: TraceFile) -> None:
    removed = expire(tmp_path, BEGIN + 1000)
    assert len(removed.ids) == 1000
    assert kept(tmp_path)[-1].at == BEGIN + 1000
    assert sums(tmp_path, Query())[0].traces == ROWS - 1000
    assert expire(tmp_path, BEGIN + 1000).ids == ()
    assert len(expire(tmp_path, BEGIN + ROWS).ids) == ROWS - 1000
    assert kept(tmp_path) == []
    filled.write([a_trace(5000)])
    assert kept(tmp_path) == [a_trace(5000)]


def test_a_file_from_which_everything_went_is_opened_again(tmp_path: Path) -> None:
    one = TraceFile(tmp_path, worker=0)
    one.write([a_trace(number) for number in range(50)])
    expire(tmp_path, BEGIN + 100)
    one.close()
    again = TraceFile(tmp_path, worker=0)
    again.write([a_trace(number) for number in range(100, 110)])
    again.close()
    assert len(kept(tmp_path)) == 10


def test_an_erasure_that_was_cut_off_is_finished_by_the_next(
    tmp_path: Path, filled: TraceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(removal, "write_segment", dies)
        with pytest.raises(Killed):
            erase(tmp_path, Query().where("user", "=", "ann"))
    erase(tmp_path, Query().where("user", "=", "ann"))
    left = kept(tmp_path)
    assert "ann" not in {trace.user for trace in left}
    assert sums(tmp_path, Query())[0].traces == len(left)


def test_somebody_who_reads_meanwhile_is_said(tmp_path: Path, filled: TraceFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rungwise.data.traces.file.WAIT_S", 0.05)
    with closing(search(tmp_path, Query())) as reading:
        next(reading)
        assert not erase(tmp_path, Query().where("user", "=", "ann")).wiped
    assert erase(tmp_path, Query().where("user", "=", "user1")).wiped
    assert b"the secret of ann" not in bytes_of(tmp_path)


async def test_writers_are_not_held_up_by_retention(store: Store) -> None:
    traces = open_traces(store, worker=0, disk_full="refuse")
    await asyncio.gather(*(traces.add(a_trace(number)) for number in range(3000)))
    archive = archive_of(store)
    removal_done = asyncio.create_task(asyncio.to_thread(archive.expire, BEGIN + 3000))
    number = 10_000
    while not removal_done.done():
        async with asyncio.timeout(5):
            await traces.add(a_trace(number))
        number += 1
    assert len((await removal_done).ids) == 3000
    await traces.close()
    assert len(list(archive.search(Query()))) == number - 10_000
    assert number > 10_010  # many went between the steps


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path, filled: TraceFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rungwise.data.traces.file.WAIT_S", 0.05)
    with closing(sqlite3.connect(tmp_path / "worker-0.db", isolation_level=None)) as holder:
        holder.execute("begin immediate")
        with pytest.raises(StoreError, match="cannot be removed"):
            erase(tmp_path, Query().where("user", "=", "ann"))


async def test_a_writer_waits_for_its_turn(tmp_path: Path, filled: TraceFile) -> None:
    filled.close()
    traces = TraceWriter(reopened := TraceFile(tmp_path, worker=0), disk_full="refuse")
    with closing(sqlite3.connect(reopened.path, isolation_level=None)) as holder:
        holder.execute("begin immediate")
        waiting = traces.add(a_trace(9000))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        holder.execute("rollback")
        await waiting
    await traces.close()
    filled.__init__(tmp_path, worker=1)  # type: ignore[misc]  # the fixture closes it
