"""Group commit: traces come from the event loop, one thread writes whatever has queued since its last commit, and says so."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias

from rungwise.core.errors import StoreError
from rungwise.core.serving import ANSWER
from rungwise.core.trace import Trace

Item: TypeAlias = "tuple[Trace, asyncio.Future[None], int]"

GROUP = 64
"""Traces in one commit at most. Measured in benchmarks/trace_store.py: more in one save next to nothing."""
GROUP_BYTES = 4_000_000
"""Characters of content in one commit at most: a larger one would hold up those behind it."""
BEHIND = 10_000
"""Traces that may wait for their commit, all together."""
BEHIND_BYTES = 64_000_000
"""Characters of content that may wait for their commit, all together."""

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a writer puts its traces. It is used by one thread alone."""

    def write(self, traces: Sequence[Trace]) -> None:
        """Commit all of them, or none and raise StoreError; the next call may succeed again."""
        ...

    def tidy(self) -> None:
        """What can wait until those who wait for the commit were told. Raises nothing."""
        ...

    def close(self) -> None:
        """Let go of the file or the connection."""
        ...


class Traces(Protocol):
    """What takes traces, from one event loop."""

    unlogged: int
    """How many answers were given without a trace."""
    behind: int
    """How many traces wait for their commit."""

    def add(self, trace: Trace) -> asyncio.Future[None]:
        """Write a trace; the future is done when it is committed, and raises StoreError when it cannot be."""
        ...

    async def close(self) -> None:
        """Write what has queued, then let go of the file."""
        ...


class TraceWriter:
    """Takes traces from one event loop. What is acknowledged is committed.

    `disk_full` says what becomes of a trace that cannot be written: with 'refuse' its future raises StoreError, with 'answer'
    it is done all the same and the trace is counted as `unlogged`. Writing goes on by itself once there is space again.
    """

    def __init__(self, sink: Sink, *, disk_full: str) -> None:
        self.unlogged = 0
        self.behind = 0
        self._behind_bytes = 0
        self._sink, self._disk_full = sink, disk_full
        self._queue: SimpleQueue[list[Item] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failing = False
        self._fresh: list[Item] = []  # what came in this turn of the loop
        self._waiting: deque[Item] = deque()  # what the thread took from the queue
        self._ended = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def add(self, trace: Trace) -> asyncio.Future[None]:
        """Write a trace; the future is done when it is committed, and raises StoreError when it cannot be."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        size = len(trace.request or "") + len(trace.response or "")
        if self._closed:
            self._settle_one(future, StoreError("traces are not written any more: the writer is closed"))
        elif self.behind >= BEHIND or self._behind_bytes >= BEHIND_BYTES:
            self._settle_one(
                future, StoreError(f"{self.behind:,} traces wait to be written: they come faster than the disk takes them")
            )
        else:
            self.behind += 1
            self._behind_bytes += size
            if not self._fresh:
                loop.call_soon(self._hand_over)
            self._fresh.append((trace, future, size))
        return future

    async def close(self) -> None:
        """Write what has queued, then let go of the file."""
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # what the thread said last is heard

    def _hand_over(self) -> None:
        """Give the thread what came in this turn of the loop, at once: it wakes once for all of it, and commits it together."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self._queue.put(fresh)

    def _run(self) -> None:
        try:
            while group := self._next_group():
                self._commit(group)
        finally:
            self._sink.close()

    def _next_group(self) -> list[Item]:
        """Whatever has queued, at least one; empty when the writer is closed."""
        waiting, group, size = self._waiting, list[Item](), 0
        while not self._ended and len(waiting) < GROUP:
            try:
                more = self._queue.get(block=not waiting)
            except Empty:
                break
            if more is None:
                self._ended = True
            else:
                waiting += more
        while waiting and len(group) < GROUP and size < GROUP_BYTES:
            group.append(waiting.popleft())
            size += group[-1][2]
        return group

    def _commit(self, group: list[Item]) -> None:
        error: StoreError | None = None
        try:
            self._sink.write([trace for trace, _, _ in group])
        except StoreError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - boundary: whatever is wrong with these, the thread must live for the others
            error = StoreError(f"traces could not be written: {type(failure).__name__}")
        if error is not None and not self._failing:
            logger.error("%s", error)
        self._failing = error is not None
        loop = group[0][1].get_loop()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._settle, group, error)
        self._sink.tidy()

    def _settle(self, group: list[Item], error: StoreError | None) -> None:
        self.behind -= len(group)
        for _, future, size in group:
            self._behind_bytes -= size
            self._settle_one(future, error)

    def _settle_one(self, future: asyncio.Future[None], error: StoreError | None) -> None:
        if error is not None and self._disk_full == ANSWER:
            self.unlogged += 1
            error = None
        if future.done():  # its request was cancelled
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
