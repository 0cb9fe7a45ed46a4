from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from rungwise.core.content import Chunk, Request, Text
from rungwise.inference.window import answer_stream, in_order
from tests.clocks import StillClock


class Slow:
    """Echoes after a number of turns of the loop that depends on the request; counts how many are in flight."""

    def __init__(self) -> None:
        self.flying = self.most = 0

    async def __call__(self, request: Request) -> AsyncIterator[Chunk]:
        self.flying += 1
        self.most = max(self.most, self.flying)
        for _ in range(int(request.text) * 7 % 5):
            await asyncio.sleep(0)
        self.flying -= 1
        yield Chunk(parts=(Text(request.text),))


async def test_answers_come_in_the_order_of_the_requests_whoever_is_ready_first() -> None:
    requests = (Request.of(str(n)) for n in range(40))
    got = [(place, response.text) async for place, response, _ in answer_stream(Slow(), requests, window=8)]
    assert got == [(n, str(n)) for n in range(40)]


async def test_no_more_than_the_window_are_in_flight_or_taken() -> None:
    slow, taken = Slow(), 0

    def requests() -> Iterator[Request]:
        nonlocal taken
        for n in range(100):
            taken += 1
            yield Request.of(str(n))

    async for place, _, _ in answer_stream(slow, requests(), window=8):
        assert taken <= place + 1 + 8
    assert 2 <= slow.most <= 8


async def test_requests_may_come_from_an_asynchronous_source() -> None:
    async def source() -> AsyncIterator[Request]:
        for n in range(3):
            await asyncio.sleep(0)
            yield Request.of(str(n))

    assert [response.text async for _, response, _ in answer_stream(Slow(), source(), window=2)] == ["0", "1", "2"]


async def test_seconds_run_from_the_question_to_its_answer(clock: StillClock) -> None:
    async def answer(request: Request) -> AsyncIterator[Chunk]:
        clock.advance(float(request.text))
        yield Chunk(parts=(Text("done"),))

    requests = [Request.of("1.5"), Request.of("0.25")]
    seconds = [took_s async for _, _, took_s in answer_stream(answer, requests, window=1, clock=clock)]
    assert seconds == pytest.approx([1.5, 0.25])


async def test_an_error_is_raised_after_the_answers_before_it_and_what_is_behind_is_cancelled() -> None:
    cancelled = []

    async def ask(n: int) -> int:
        if n == 2:
            raise ValueError("two")
        if n > 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(n)
                raise
        return n

    got = []

    async def read() -> None:
        async for answer in in_order(ask, range(100), window=5):
            got.append(answer)

    with pytest.raises(ValueError, match="two"):
        await read()
    assert got == [0, 1]
    assert cancelled
    assert max(cancelled) < 2 + 5 + 1


async def test_a_window_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        [answer async for answer in answer_stream(Slow(), [], window=0)]
