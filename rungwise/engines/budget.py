"""Hard budgets: money, seconds and calls are reserved before they are spent and settled to the exact amount after."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from rungwise.core.decision import Spend
from rungwise.core.errors import OutOfBudget
from rungwise.core.types import Clock
from rungwise.core.usecase import Limits
from rungwise.engines.prices import SharedSeconds

_ROUNDING_USD = 1e-12  # sums of prices differ from their cap by float rounding only


class Ledger(Protocol):
    """Where reservations are written so that they outlive the process; `data/spend.py` is the one for a store."""

    async def reserve(self, id: str, kind: str, upper: Spend) -> None:
        """Write down the most that something may cost; returns once that is durable."""
        ...

    async def settle(self, id: str, exact: Spend) -> None:
        """Correct it to what it cost; returns once that is durable."""
        ...


@dataclass(slots=True)
class Reservation:
    """Room in the budget that is held until it is settled. `mark` is set for calls, which share their seconds."""

    id: str
    kind: str
    upper: Spend
    mark: float | None = None
    settled: bool = False


@dataclass
class Budget:
    """What may still be spent. For the tasks of one event loop.

    The seconds of calls that are in flight together are shared out among them, so
    that they add up to the time during which any call ran; work on this machine
    is charged the seconds it says. `before` is what earlier runs spent against the same limits.
    """

    limits: Limits
    clock: Clock
    ledger: Ledger | None = None
    before: Spend = field(default_factory=Spend)

    def __post_init__(self) -> None:
        self._exact = Spend()
        self._held = 0
        self._held_usd, self._held_calls, self._held_s, self._calls_held = 0.0, 0, 0.0, 0
        self._waiting: list[asyncio.Future[None]] = []
        self._shared = SharedSeconds(self.clock)
        self._timed_before_s = 0.0
        self._prefix, self._numbers = uuid4().hex[:16], itertools.count()

    @property
    def spent(self) -> Spend:
        """What was settled, earlier runs included; what is in flight is not in it."""
        return self.before + self._exact

    @property
    def committed(self) -> Spend:
        """What was settled and what is reserved: the most that can have been spent by now."""
        spent = self.spent
        return Spend(seconds=self._used_s, usd=spent.usd + self._held_usd, calls=spent.calls + self._held_calls)

    @property
    def left_s(self) -> float:
        """Seconds until the budget for time is used up; infinite when there is none."""
        return float("inf") if self.limits.budget_s is None else self.limits.budget_s - self._used_s

    async def reserve(self, kind: str, upper: Spend, *, timed: bool = False) -> Reservation:
        """Hold room for the most that something may cost. Raises OutOfBudget, and nothing is spent, when it cannot fit.

        With `timed` it is a call: its seconds are measured until it is settled. Where only
        calls in flight stand in the way, it waits for one of them to be settled.
        """
        while passed := self._passed(upper, self.committed):
            if self._passed(upper, self.spent) or not self._calls_held:
                raise OutOfBudget(self._message(kind, upper, passed))
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        reservation = Reservation(f"{self._prefix}-{next(self._numbers)}", kind, upper)
        if timed:
            reservation.mark = self._shared.start()
        self._hold(reservation, 1)
        if self.ledger is not None:
            try:
                await self.ledger.reserve(reservation.id, kind, upper)
            except BaseException:
                await self.settle(reservation, usd=0.0, calls=0)
                raise
        return reservation

    async def settle(self, reservation: Reservation, *, usd: float, calls: int, seconds: float = 0.0) -> Spend:
        """Replace a reservation by what it really cost, and tell the ledger. A second call changes nothing."""
        if reservation.settled:
            return Spend()
        reservation.settled = True
        self._hold(reservation, -1)
        if reservation.mark is not None:
            seconds = self._shared.stop(reservation.mark)
            self._timed_before_s += seconds
        exact = Spend(seconds=seconds, usd=usd, calls=calls)
        self._exact = self._exact + exact
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        if self.ledger is not None:
            await self.ledger.settle(reservation.id, exact)
        return exact

    @property
    def _used_s(self) -> float:
        return self.spent.seconds - self._timed_before_s + self._shared.busy_s + self._held_s

    def _hold(self, reservation: Reservation, sign: int) -> None:
        timed = reservation.mark is not None
        self._held += sign
        self._calls_held += sign * timed
        self._held_calls += sign * reservation.upper.calls
        # floats that were added and taken away again leave dust: nothing held is exactly 0
        self._held_usd = (self._held_usd + sign * reservation.upper.usd) * bool(self._held)
        self._held_s = (self._held_s + sign * reservation.upper.seconds * (not timed)) * bool(self._held)

    def _passed(self, upper: Spend, used: Spend) -> str | None:
        """The name of the cap that would be passed on top of `used`, or None."""
        limits = self.limits
        if limits.budget_usd is not None and used.usd + upper.usd > limits.budget_usd + _ROUNDING_USD:
            return "budget_usd"
        if limits.budget_calls is not None and used.calls + upper.calls > limits.budget_calls:
            return "budget_calls"
        if limits.budget_s is not None and (used.seconds + upper.seconds > limits.budget_s or used.seconds >= limits.budget_s):
            return "budget_s"
        return None

    def _message(self, kind: str, upper: Spend, passed: str) -> str:
        used, limits = self.committed, self.limits
        needs, has = {
            "budget_usd": (f"{upper.usd:.6f} USD", f"{used.usd:.6f} of {limits.budget_usd or 0:.6f} USD"),
            "budget_calls": (f"{upper.calls} call(s)", f"{used.calls} of {limits.budget_calls or 0} calls"),
            "budget_s": (f"{upper.seconds:.1f} s", f"{used.seconds:.1f} of {limits.budget_s or 0:.1f} s"),
        }[passed]
        return (
            f"out of budget: the next {kind} may take {needs}, and {has} are spent or reserved. "
            f"Nothing was spent on it. Raise {passed} under limits in rungwise.yaml and run the same command again"
        )
