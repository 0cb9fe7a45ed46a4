"""Where steps run: in a thread of this process, or in other processes. The same step code everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

R = TypeVar("R")


class InlineExecutor:
    """Runs each step in a thread, so that the event loop stays alive; numerical libraries use the cores by themselves."""

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        """Run one call; its error is raised here."""
        return await asyncio.to_thread(function, *args)


class ProcessExecutor:
    """Runs steps in worker processes that are started afresh, so that no thread or lock is inherited. Close it when done."""

    def __init__(self, workers: int) -> None:
        import multiprocessing

        self._pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        """Run one call in a worker; function, arguments and result must be picklable, and its error is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def close(self) -> None:
        """End the workers."""
        self._pool.shutdown(cancel_futures=True)
