"""Timeouts around any answer, nested in each other, and never at the expense of whoever reads slowly or cancels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from rungwise.core.serving import Timeouts
from rungwise.serve.failure import TimedOut
from rungwise.serve.routing.deadlines import CANDIDATE, ENGINE, RELEASE, within

closed: list[str] = []


async def words(*waits_s: float, name: str = "words") -> AsyncGenerator[str, None]:
    """A word after each wait; says when it is closed."""
    try:
        for number, wait_s in enumerate(waits_s):
            await asyncio.sleep(wait_s)
            yield str(number)
    finally:
        closed.append(name)


@pytest.fixture(autouse=True)
def _none_closed() -> None:
    closed.clear()


async def read(source: Any, *, pause_s: float = 0.0, into: list[str] | None = None) -> list[str]:
    seen = [] if into is None else into
    async with aclosing(source) as items:
        async for item in items:
            seen.append(item)
            await asyncio.sleep(pause_s)
    return seen


@pytest.mark.parametrize(
    ("waits", "limits", "which", "words_before"),
    [
        ((5,), Timeouts(first_token_s=0.05), "first_token", 0),
        ((0, 0, 5), Timeouts(between_chunks_s=0.05), "between_chunks", 2),
        ((0.03, 0.03, 0.03, 0.03, 0.03), Timeouts(total_s=0.08), "total", 2),
        ((5,), Timeouts(first_token_s=0.05, between_chunks_s=0.01, total_s=1), "first_token", 0),
        ((5,), Timeouts(first_token_s=1, total_s=0.05), "total", 0),
        ((0, 5), Timeouts(first_token_s=2, between_chunks_s=0.05), "between_chunks", 1),
        ((0, 5), Timeouts(first_token_s=0.01, between_chunks_s=0.1), "between_chunks", 1),
    ],
)
async def test_says_which_limit_ran_out_and_closes_what_was_read(
    waits: tuple[float, ...], limits: Timeouts, which: str, words_before: int
) -> None:
    seen: list[str] = []
    begun = time.perf_counter()
    with pytest.raises(TimedOut) as caught:
        await read(within(words(*waits), limits, CANDIDATE), into=seen)
    assert (caught.value.which, caught.value.level, len(seen)) == (which, CANDIDATE, words_before)
    assert time.perf_counter() - begun < 1.0
    assert closed == ["words"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_in_time_comes_through_whole() -> None:
    limits = Timeouts(first_token_s=1, between_chunks_s=1, total_s=5)
    assert await read(within(words(0, 0.01, 0.01), limits, RELEASE)) == ["0", "1", "2"]
    assert closed == ["words"]
    source = words(0)
    assert within(source, Timeouts(), RELEASE) is source
    await source.aclose()


async def test_a_slow_reader_uses_up_the_total_and_nothing_else() -> None:
    assert await read(within(words(0, 0, 0), Timeouts(first_token_s=0.05, between_chunks_s=0.05), ENGINE), pause_s=0.1) == list(
        "012"
    )
    with pytest.raises(TimedOut, match="total"):
        await read(within(words(0, 0, 0), Timeouts(total_s=0.15), ENGINE), pause_s=0.1)


async def test_the_inner_and_the_outer_limit_each_speak_for_themselves() -> None:
    for inner_s, outer_s, level in ((0.05, 5, CANDIDATE), (5, 0.05, RELEASE)):
        inner = within(words(9), Timeouts(total_s=inner_s), CANDIDATE)
        with pytest.raises(TimedOut) as caught:
            await read(within(inner, Timeouts(total_s=outer_s), RELEASE))
        assert caught.value.level == level
    assert closed == ["words", "words"]


async def test_limits_that_run_out_at_the_same_moment_are_one_timeout_and_no_cancellation() -> None:
    for _ in range(20):
        inner = within(words(9), Timeouts(total_s=0.01), CANDIDATE)
        with pytest.raises(TimedOut):
            await read(within(inner, Timeouts(total_s=0.01), RELEASE))
    await asyncio.sleep(0)  # a cancellation that was left over would be raised here


async def test_whoever_cancels_has_the_last_word() -> None:
    async def cancelled_at(delay_s: float) -> None:
        task = asyncio.ensure_future(read(within(words(9), Timeouts(total_s=0.05), ENGINE)))
        await asyncio.sleep(delay_s)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, TimedOut)):
            await task
        if delay_s < 0.04:
            assert task.cancelled()

    await asyncio.gather(*(cancelled_at(delay_s) for delay_s in (0, 0.01, 0.02, 0.049, 0.05, 0.051)))


async def test_a_whole_answer_has_only_the_total() -> None:
    async def whole(wait_s: float) -> str:
        await asyncio.sleep(wait_s)
        return "done"

    assert await within(whole(0.05), Timeouts(first_token_s=0.01, between_chunks_s=0.01), ENGINE) == "done"
    assert await within(whole(0.01), Timeouts(total_s=1), ENGINE) == "done"
    with pytest.raises(TimedOut, match=r"the total timeout of the engine \(0.05 s\)"):
        await within(whole(9), Timeouts(total_s=0.05), ENGINE)


async def test_an_answer_that_comes_at_the_very_moment_of_its_limit_leaves_no_cancellation_behind() -> None:
    async def whole() -> str:
        await asyncio.sleep(0.01)
        return "done"

    async def one() -> None:
        with suppress(TimedOut):
            await within(whole(), Timeouts(total_s=0.01), ENGINE)
        await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(300)))


async def test_errors_of_the_answer_come_through_as_they_are() -> None:
    async def broken() -> AsyncGenerator[str, None]:
        yield "a"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await read(within(broken(), Timeouts(total_s=1, between_chunks_s=1), ENGINE))
