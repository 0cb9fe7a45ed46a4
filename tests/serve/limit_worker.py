"""A process that spends a budget: python limit_worker.py STATE BUDGET_USD BOUND_USD USED_USD AT_ONCE.

It prints a line for each request that was let in and settled, and `full` once it was refused as often as it asks at once.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.serve.ask import Caller
from rungwise.serve.failure import Limited
from rungwise.serve.limits import Limits


def say(word: object) -> None:
    """One line, at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def spend(state: Path, budget: float, bound: float, used: float, at_once: int) -> None:
    """Ask until the budget is used up."""
    clock = SystemClock()
    store = Store.open(state, clock=clock)
    limits = Limits(store, clock=clock)
    caller = Caller(key="k", scopes=frozenset(), limits={"usd_per_month": budget})

    async def ask() -> None:
        while True:
            try:
                hold = await limits.reserve(caller, None, 0, bound)
            except Limited:
                return
            await hold.settle(0, used)
            say(used)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(ask() for _ in range(at_once)))
    await limits.close()
    store.close()
    say("full")


if __name__ == "__main__":
    asyncio.run(spend(Path(sys.argv[1]), *(float(one) for one in sys.argv[2:5]), int(sys.argv[5])))
