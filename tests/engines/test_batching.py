from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from rungwise.core.content import Chunk, Request, Text
from rungwise.core.types import collect
from rungwise.engines.batching import gathered


class Echo:
    """Answers each request with its own text, and remembers the batches and the thread."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.batches: list[int] = []
        self.threads: set[int] = set()
        self.seconds = seconds

    def __call__(self, requests: Sequence[Request]) -> list[Chunk]:
        self.batches.append(len(requests))
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        if any(request.text == "bad" for request in requests):
            raise ValueError("a bad request was in the batch")
        return [Chunk(parts=(Text(request.text),)) for request in requests]


async def test_requests_of_one_turn_share_a_batch_and_each_gets_its_own_answer() -> None:
    echo = Echo()
    responder = gathered(echo, max_batch=100)
    answers = await asyncio.gather(*(collect(responder(Request.of(str(n)))) for n in range(50)))
    assert [answer.text for answer in answers] == [str(n) for n in range(50)]
    assert echo.batches == [50]
    assert threading.get_ident() not in echo.threads


async def test_a_batch_is_never_larger_than_allowed() -> None:
    echo = Echo()
    responder = gathered(echo, max_batch=16)
    await asyncio.gather(*(collect(responder(Request.of(str(n)))) for n in range(50)))
    assert max(echo.batches) == 16
    assert sum(echo.batches) == 50


async def test_what_is_asked_while_a_batch_is_answered_is_the_next_batch_and_the_loop_stays_alive() -> None:
    echo = Echo(seconds=0.2)
    responder = gathered(echo)
    first = asyncio.create_task(collect(responder(Request.of("first"))))
    while not echo.batches:
        await asyncio.sleep(0)
    started = time.perf_counter()
    later = [asyncio.create_task(collect(responder(Request.of(str(n))))) for n in range(9)]
    await asyncio.sleep(0.01)
    assert time.perf_counter() - started < 0.15  # the loop turned while the thread was busy
    await asyncio.gather(first, *later)
    assert echo.batches == [1, 9]


async def test_an_error_is_raised_for_each_request_of_the_batch_and_the_next_batch_works() -> None:
    responder = gathered(Echo())
    failed = await asyncio.gather(*(collect(responder(Request.of(t))) for t in ("good", "bad")), return_exceptions=True)
    assert [type(error) for error in failed] == [ValueError, ValueError]
    assert (await collect(responder(Request.of("good")))).text == "good"


async def test_a_missing_answer_is_an_error_and_not_a_wait_for_ever() -> None:
    responder = gathered(lambda requests: [])
    with pytest.raises(RuntimeError, match="1 requests got 0 answers"):
        await asyncio.wait_for(collect(responder(Request.of("lost"))), 5)


async def test_a_request_that_is_given_up_does_not_disturb_the_others() -> None:
    echo = Echo(seconds=0.05)
    responder = gathered(echo)
    tasks = [asyncio.create_task(collect(responder(Request.of(str(n))))) for n in range(3)]
    while not echo.batches:
        await asyncio.sleep(0)
    tasks[1].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[1], asyncio.CancelledError)
    assert done[0].text == "0"
    assert done[2].text == "2"


def test_one_responder_serves_one_event_loop_after_another() -> None:
    responder = gathered(Echo())
    for n in range(3):
        assert asyncio.run(collect(responder(Request.of(str(n))))).text == str(n)
