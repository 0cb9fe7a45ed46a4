from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import pytest

from rungwise.core.types import Clock, Executor
from rungwise.engines.clock import SystemClock
from rungwise.engines.executors import InlineExecutor, ProcessExecutor


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(1)
    yield executor
    executor.close()


@pytest.mark.parametrize("name", ["inline", "processes"])
async def test_results_come_back_and_errors_are_raised_here(name: str, processes: ProcessExecutor) -> None:
    executor: Executor = InlineExecutor() if name == "inline" else processes
    assert await executor.run(divmod, 17, 5) == (3, 2)
    with pytest.raises(ZeroDivisionError):
        await executor.run(divmod, 1, 0)
    assert await executor.run(divmod, 4, 2) == (2, 0)  # an error does not end the worker


async def test_inline_runs_in_a_thread_and_the_loop_turns_meanwhile() -> None:
    executor, turns = InlineExecutor(), 0
    step = asyncio.create_task(executor.run(time.sleep, 0.2))
    while not step.done():
        turns += 1
        await asyncio.sleep(0.005)
    assert turns > 5
    assert await executor.run(threading.get_ident) != threading.get_ident()
    assert await executor.run(os.getpid) == os.getpid()


async def test_processes_run_elsewhere(processes: ProcessExecutor) -> None:
    assert await processes.run(os.getpid) != os.getpid()


async def test_a_worker_that_dies_is_an_error_and_not_a_wait_for_ever() -> None:
    executor = ProcessExecutor(1)
    try:
        with pytest.raises(Exception, match="terminated abruptly"):
            await asyncio.wait_for(executor.run(os._exit, 9), 60)
    finally:
        executor.close()


def test_the_system_clock_tells_the_time_and_never_goes_back() -> None:
    clock: Clock = SystemClock()
    assert clock.now() == pytest.approx(time.time(), abs=5)
    ticks = [clock.tick() for _ in range(100)]
    assert ticks == sorted(ticks)
