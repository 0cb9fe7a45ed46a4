"""Many questions at once, answers in order: a window of requests in flight, in constant memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from rungwise.core.content import Request, Response
from rungwise.core.types import Clock, Responder, collect
from rungwise.engines.clock import SystemClock

T = TypeVar("T")
R = TypeVar("R")

WINDOW = 2_048
"""Two full micro-batches: one is answered while the next comes in."""


async def answer_stream(
    responder: Responder, requests: AsyncIterator[Request] | Iterable[Request], *, window: int = WINDOW, clock: Clock | None = None
) -> AsyncIterator[tuple[int, Response, float]]:
    """(place, answer, seconds) of every request, in order; seconds from being asked to being answered.

    At most `window` requests are in flight or waiting to be taken. The first error is
    raised, after the answers before it, and the requests behind it are cancelled.
    """
    tick = (clock or SystemClock()).tick

    async def timed(request: Request) -> tuple[Response, float]:
        started = tick()
        response = await collect(responder(request))
        return response, tick() - started

    place = 0
    async for response, seconds in in_order(timed, requests, window=window):
        yield place, response, seconds
        place += 1


async def in_order(ask: Callable[[T], Awaitable[R]], items: AsyncIterator[T] | Iterable[T], *, window: int) -> AsyncIterator[R]:
    """`ask` of every item, at most `window` at once, results in the order of the items. Raises ValueError for a window below 1."""
    if window < 1:
        raise ValueError(f"a window holds at least 1 request, not {window}")
    flying: deque[asyncio.Future[R]] = deque()
    try:
        async for item in _each(items):
            if len(flying) >= window:
                yield await flying.popleft()
            flying.append(asyncio.ensure_future(ask(item)))
        while flying:
            yield await flying.popleft()
    finally:
        for one in flying:
            one.cancel()
        await asyncio.gather(*flying, return_exceptions=True)


async def _each(items: AsyncIterator[T] | Iterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterator):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
