"""A server forgets traces that are too old, and goes on when it once cannot."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from contextlib import closing

import pytest

from rungwise.data.replies import Replies
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.file import TraceFile
from rungwise.data.traces.query import Query
from rungwise.serve.retention import DAY_S, forget_in_time
from tests.clocks import StillClock
from tests.data.traces.tracing import BEGIN, a_trace


async def test_what_is_too_old_goes_with_the_answer_that_was_kept(
    store: Store, clock: StillClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = store.directory / "traces"
    writing = TraceFile(folder, worker=0)
    writing.write([a_trace(number) for number in range(10)])
    writing.close()
    clock.at = BEGIN + 5 + 7 * DAY_S
    Replies(store).claim("key", a_trace(2).id, until=clock.at + 60, takeover_s=60)
    monkeypatch.setattr("rungwise.data.traces.file.BUSY_S", 0.05)
    archive = archive_of(store)
    with closing(sqlite3.connect(folder / "worker-0.db", isolation_level=None)) as holder:
        holder.execute("begin immediate")
        task = asyncio.create_task(forget_in_time(store, 7.0, every_s=0.01))
        async with asyncio.timeout(10):
            while "cannot be removed" not in caplog.text:
                await asyncio.sleep(0.01)
        holder.execute("rollback")
    async with asyncio.timeout(10):
        while len(list(archive.search(Query()))) > 5:
            await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert Replies(store).claim("key", "another", until=clock.at + 60, takeover_s=60) is None
