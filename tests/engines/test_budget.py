"""A hard cap is hard: room is reserved before it is used, and given back when it was not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.decision import Spend
from rungwise.core.errors import OutOfBudget, StoreError
from rungwise.core.usecase import Limits
from rungwise.engines.budget import Budget

ONE_CALL = Spend(usd=0.3, calls=1)


class StillClock:
    at = 0.0

    def now(self) -> float:
        return self.at

    tick = now


async def test_what_was_reserved_and_not_used_can_be_used_by_others() -> None:
    budget = Budget(Limits(budget_usd=0.5), StillClock())
    held = await budget.reserve("fit", ONE_CALL)
    with pytest.raises(OutOfBudget, match=r"next fit may take 0\.300000 USD, and 0\.300000 of 0\.500000 USD are spent or reserved"):
        await budget.reserve("fit", ONE_CALL)
    await budget.settle(held, usd=0.1, calls=1)
    await budget.settle(held, usd=9.0, calls=9)  # a second settlement changes nothing
    await budget.reserve("fit", ONE_CALL)
    assert budget.spent == Spend(usd=0.1, calls=1)
    assert budget.committed.usd == pytest.approx(0.4)


async def test_exactly_the_cap_fits() -> None:
    budget = Budget(Limits(budget_usd=0.3, budget_calls=1), StillClock())
    await budget.settle(await budget.reserve("call", ONE_CALL), usd=0.3, calls=1)
    with pytest.raises(OutOfBudget):
        await budget.reserve("call", Spend(calls=1))


async def test_what_earlier_runs_spent_counts() -> None:
    budget = Budget(Limits(budget_usd=1.0), StillClock(), before=Spend(usd=0.8, calls=3))
    with pytest.raises(OutOfBudget):
        await budget.reserve("call", ONE_CALL)
    assert budget.spent.calls == 3


async def test_waits_for_calls_in_flight_but_not_for_work_that_may_itself_be_waiting() -> None:
    budget = Budget(Limits(budget_usd=0.5), StillClock())
    call = await budget.reserve("call", ONE_CALL, timed=True)
    waiting = asyncio.ensure_future(budget.reserve("call", ONE_CALL, timed=True))
    await asyncio.sleep(0)
    assert not waiting.done()
    await budget.settle(call, usd=0.01, calls=1)
    await budget.settle(await waiting, usd=0.01, calls=1)
    outer = await budget.reserve("a fit that makes calls", ONE_CALL)
    with pytest.raises(OutOfBudget):
        await budget.reserve("call", ONE_CALL, timed=True)
    await budget.settle(outer, usd=0.0, calls=0)


async def test_a_wait_that_can_never_help_is_refused_at_once() -> None:
    budget = Budget(Limits(budget_usd=0.5), StillClock())
    await budget.reserve("call", ONE_CALL, timed=True)
    with pytest.raises(OutOfBudget):
        await budget.reserve("call", Spend(usd=0.6), timed=True)


async def test_seconds_of_calls_are_measured_and_of_other_work_are_told() -> None:
    clock = StillClock()
    budget = Budget(Limits(budget_s=10.0), clock)
    calls = [await budget.reserve("call", Spend(calls=1), timed=True) for _ in range(4)]
    clock.at += 6.0
    assert budget.left_s == pytest.approx(4.0)
    shares = [(await budget.settle(call, usd=0.0, calls=1)).seconds for call in calls]
    assert sum(shares) == pytest.approx(6.0)
    with pytest.raises(OutOfBudget, match="budget_s"):
        await budget.reserve("fit", Spend(seconds=5.0))
    fit = await budget.reserve("fit", Spend(seconds=4.0))
    await budget.settle(fit, usd=0.0, calls=0, seconds=3.0)
    assert budget.left_s == pytest.approx(1.0)
    assert budget.spent.seconds == pytest.approx(9.0)


async def test_a_ledger_that_cannot_write_stops_the_call_and_holds_nothing() -> None:
    class FullDisk:
        async def reserve(self, id: str, kind: str, upper: Spend) -> None:
            raise StoreError("the disk is full")

        async def settle(self, id: str, exact: Spend) -> None:
            assert exact == Spend()

    budget = Budget(Limits(budget_usd=1.0), StillClock(), FullDisk())
    with pytest.raises(StoreError):
        await budget.reserve("call", ONE_CALL, timed=True)
    assert budget.committed == Spend()


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 1.0), st.integers(0, 3)), max_size=40), st.floats(0.01, 2.0))
def test_never_passes_the_cap_in_any_order_of_reserving_and_settling(steps: list[tuple[float, float, int]], cap: float) -> None:
    async def run() -> None:
        budget = Budget(Limits(budget_usd=cap), StillClock())
        held: list[Any] = []
        for upper, share, settle_first in steps:
            for reservation in held[:settle_first]:
                await budget.settle(reservation, usd=reservation.upper.usd * share, calls=1)
            del held[:settle_first]
            try:
                held.append(await budget.reserve("work", Spend(usd=upper, calls=1)))
            except OutOfBudget:
                assert budget.committed.usd + upper > cap
            assert budget.committed.usd <= cap + 1e-9
        for reservation in held:
            await budget.settle(reservation, usd=0.0, calls=0)
        assert budget.committed.usd == pytest.approx(budget.spent.usd)

    asyncio.run(run())
