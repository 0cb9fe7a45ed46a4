"""Timeouts until the first token, between chunks and in total, at the level of an engine, a candidate or a release."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from rungwise.core.serving import Timeouts
from rungwise.serve.failure import TimedOut

T = TypeVar("T")

ENGINE, CANDIDATE, RELEASE = "engine", "candidate", "release"
_EARLY_S = 1e-3  # a loop's timer may ring this much too soon


class Watch:
    """Interrupts a wait when its time is over: `with watch: await ...`; `heard` after each chunk, `close` at the end.

    Only the waits count for `between_chunks_s`: a client that reads slowly is no fault of the engine. One timer serves a whole
    stream; it is set anew only when it rings, since a chunk is worth about a microsecond and a timer costs one.
    """

    __slots__ = (
        "_armed",
        "_between_s",
        "_cancelling",
        "_expired",
        "_fresh",
        "_level",
        "_loop",
        "_task",
        "_timeouts",
        "_timer",
        "_until",
        "begun",
        "deadline",
    )

    def __init__(self, timeouts: Timeouts, level: str, *, stream: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts, self._level = timeouts, level
        now = self._loop.time()
        self.deadline = math.inf if timeouts.total_s is None else now + timeouts.total_s
        first_s = timeouts.first_token_s if stream else None
        self._between_s = timeouts.between_chunks_s if stream else None
        self._until = self.deadline if first_s is None else min(self.deadline, now + first_s)
        self._armed = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._expired = self._fresh = self.begun = False

    def heard(self) -> None:
        """A chunk has come: the limit for silence starts anew with the next wait."""
        self.begun = self._fresh = True

    def close(self) -> None:
        """No more waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        if self._fresh:
            self._fresh = False
            self._until = self.deadline if self._between_s is None else min(self.deadline, self._loop.time() + self._between_s)
        until = self._until
        if until == math.inf:
            return
        if self.deadline == until and self._loop.time() >= until:
            raise self._ran_out()
        self._task = task = asyncio.current_task()
        self._cancelling = task.cancelling() if task is not None else 0
        if self._timer is None or until < self._armed - _EARLY_S:
            self.close()
            self._armed, self._timer = until, self._loop.call_at(until, self._ring)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        task, self._task = self._task, None
        if self._expired and task is not None:
            self._expired = False
            # cancelled by somebody else as well: that one has the last word
            if task.uncancel() <= self._cancelling and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise self._ran_out() from None

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nobody waits: the next wait sets the timer again
        if self._loop.time() + _EARLY_S < self._until:
            self._armed, self._timer = self._until, self._loop.call_at(self._until, self._ring)
            return
        self._expired = True
        self._task.cancel()

    def _ran_out(self) -> TimedOut:
        limits = self._timeouts
        if self._until >= self.deadline:
            return TimedOut("total", self._level, limits.total_s or 0.0)
        if self.begun:
            return TimedOut("between_chunks", self._level, limits.between_chunks_s or 0.0)
        return TimedOut("first_token", self._level, limits.first_token_s or 0.0)


@overload
def within(source: AsyncIterator[T], timeouts: Timeouts, level: str) -> AsyncIterator[T]: ...
@overload
def within(source: Awaitable[T], timeouts: Timeouts, level: str) -> Awaitable[T]: ...
def within(source: AsyncIterator[T] | Awaitable[T], timeouts: Timeouts, level: str) -> AsyncIterator[T] | Awaitable[T]:
    """The same answer, whole or in pieces, under these limits. A whole one has only the total. Raises TimedOut.

    What it wraps is ended when the time is over, and when whoever reads it stops. Close an iterator that is not read to its end.
    """
    if isinstance(source, AsyncIterator):
        return source if timeouts == Timeouts() else _stream_within(source, timeouts, level)
    return source if timeouts.total_s is None else _whole_within(source, timeouts, level)


async def _whole_within(source: Awaitable[T], timeouts: Timeouts, level: str) -> T:
    watch = Watch(timeouts, level, stream=False)
    try:
        with watch:
            return await source
    finally:
        watch.close()


async def _stream_within(source: AsyncIterator[T], timeouts: Timeouts, level: str) -> AsyncGenerator[T, None]:
    watch = Watch(timeouts, level, stream=True)
    try:
        while True:
            with watch:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    return
            watch.heard()
            yield item
    finally:
        watch.close()
        if hasattr(source, "aclose"):
            await cast(Any, source).aclose()
