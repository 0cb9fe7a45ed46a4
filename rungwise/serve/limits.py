"""Rate limits and budgets: reserved before a call, exact after it, shared by all processes that serve a project.

Windows are fixed: the minute, the day and the month, in UTC. Each process leases a share of a limit from the store before it
lets anything in, so that all of them together never let in more than the limit. Leases are as long as a second's demand,
and near the end of a limit no longer than the need; what is not used goes back within a second. A process that is killed
leaves its leases counted as used: never too little.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rungwise.core.errors import RungwiseError
from rungwise.data.keys import EVERY, TENANT, USER, Keys
from rungwise.data.master import MasterKey
from rungwise.data.meters import (
    REQUESTS,
    TOKENS,
    USD_DAY,
    USD_MONTH,
    Lease,
    Meter,
    Meters,
    Want,
    from_units,
    subject_of,
    to_units,
    window_ends,
    window_of,
)
from rungwise.serve.failure import Limited, Refused

if TYPE_CHECKING:
    from rungwise.core.types import Clock
    from rungwise.data.store import Store
    from rungwise.serve.ask import Caller

TICK_S = 1.0
"""How often unused leases go back and changed limits are read."""
_ASK_AGAIN_S = 0.25
"""For so long after a refusal the store is not asked for as much again."""
_PRUNE_TICKS = 600

_PER = {REQUESTS: "requests a minute", TOKENS: "tokens a minute", USD_DAY: "US dollars a day", USD_MONTH: "US dollars a month"}
_WHOSE = {"key": "this key", USER: "this user", TENANT: "this tenant"}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Local:
    """What this process has leased of one meter and not used yet. A negative amount is owed to the store.

    `spent` is what was used since the last tick and `demand` in the tick before; `held` counts the reservations that wait or are
    not settled; `left` is what the store had to give when it last refused, at `refused_at` on the clock that never goes back.
    """

    meter: Meter
    limit: int = 0
    available: int = 0
    held: int = 0
    spent: int = 0
    demand: int = 0
    left: int = 0
    refused_at: float = float("-inf")
    waiting: list[tuple[int, asyncio.Future[bool]]] = field(default_factory=list)

    def take(self, need: int) -> None:
        self.available -= need
        self.spent += need
        self.held += 1

    def put(self, need: int, used: int) -> None:
        """A reservation of `need` ends; `used` of it was."""
        self.available += need - used
        self.spent += used - need
        self.held -= 1


class Hold:
    """A reservation. `settle` it with what was really used; if the process dies before, it counts in full."""

    __slots__ = ("_taken",)

    def __init__(self, taken: list[tuple[_Local, int]]) -> None:
        self._taken = taken

    async def settle(self, tokens: int, usd: float) -> None:
        """Put what was really used in place of what was reserved. Never waits; the second time nothing happens."""
        taken, self._taken = self._taken, []
        for local, need in taken:
            measure = local.meter.measure
            used = need if measure == REQUESTS else max(0, tokens if measure == TOKENS else to_units(measure, usd))
            local.put(need, used)

    def release(self) -> None:
        """As if there had been no request at all."""
        taken, self._taken = self._taken, []
        for local, need in taken:
            local.put(need, 0)


class Limits:
    """The limits of one project in one process: of keys, of users, of tenants. A caller without limits costs nothing."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._meters, self._keys, self._clock = Meters(store), Keys(store, MasterKey(b"")), clock
        self._locals: dict[Meter, _Local] = {}
        self._asking: list[_Local] = []
        self._version = -1
        self._allowances: Mapping[tuple[str, str, str], Mapping[str, float]] = {}
        self._leasing: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._read_allowances()
        with suppress(RuntimeError):  # no loop runs yet: the first reservation starts it
            self._start()

    def bind(self, caller: Caller) -> bool:
        """Whether any limit may concern this caller; where none does, nothing need be reserved."""
        return bool(caller.limits) or bool(self._allowances)

    async def reserve(self, caller: Caller, user: str | None, tokens: int, usd: float) -> Hold:
        """Reserve a request, the most tokens and the most US dollars that it can take.

        Raises Limited with the seconds after which it may be tried again; Refused (503) where the limits cannot be read.
        """
        needs = list(self._needs(caller, user, tokens, usd))
        hold = Hold([])
        if not needs:
            return hold
        if self._ticking is None:
            self._start()
        waits: list[tuple[_Local, int, asyncio.Future[bool]]] = []
        try:
            for local, need in needs:
                if self._fits(local, need):
                    local.take(need)
                    hold._taken.append((local, need))
                else:
                    waits.append((local, need, self._ask(local, need)))
            for local, need, granted in waits:
                if not await granted:
                    raise self._used_up(local, need)
        except BaseException:
            self._undo(hold, waits)
            raise
        hold._taken.extend((local, need) for local, need, _ in waits)
        return hold

    async def close(self) -> None:
        """Give back every lease. What is still held stays counted in full."""
        self._closing.set()
        for task in (self._ticking, self._leasing):
            if task is not None:  # waited for, not cancelled: what a transaction did must be known
                await task
        self._ticking = self._leasing = None
        rest = [(local.meter, local.available) for local in self._locals.values() if local.available]
        self._locals.clear()
        try:
            if rest:
                await asyncio.to_thread(self._meters.give_back, rest)
        except RungwiseError as error:  # whoever closes has more to close
            _log.error("leases of limits cannot be given back and stay counted: %s", error)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticking = loop.create_task(self._tick_on())

    def _needs(self, caller: Caller, user: str | None, tokens: int, usd: float) -> Iterator[tuple[_Local, int]]:
        now = self._clock.now()
        for subject, limits in self._subjects(caller, caller.user or user):
            for measure, limit in limits.items():
                local = self._local(Meter(subject, measure, window_of(measure, now)))
                local.limit = to_units(measure, limit)
                amount = 1 if measure == REQUESTS else tokens if measure == TOKENS else usd
                # Something is always needed: else free requests would pass a budget that others have used up.
                need = max(1, to_units(measure, amount))
                if need > local.limit:
                    raise self._too_much(local, need)
                yield local, need

    def _subjects(self, caller: Caller, user: str | None) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Whose limits stand, and which."""
        if caller.limits:
            yield subject_of("key", caller.meter or caller.key or ""), caller.limits
        if not self._allowances:
            return
        tenant = caller.tenant or ""
        if user is not None:
            own = self._allowances.get((USER, tenant, user)) or self._allowances.get((USER, tenant, EVERY))
            if own:
                yield subject_of(USER, user, tenant=tenant), own
        if tenant and (shared := self._allowances.get((TENANT, "", tenant)) or self._allowances.get((TENANT, "", EVERY))):
            yield subject_of(TENANT, tenant), shared

    def _local(self, meter: Meter) -> _Local:
        local = self._locals.get(meter)
        if local is None:
            local = self._locals[meter] = _Local(meter)
        return local

    def _fits(self, local: _Local, need: int) -> bool:
        """Whether what is leased is enough. Raises Limited where the store has just said that it is not."""
        if local.available >= need and not local.waiting:
            return True
        if need > local.left + max(0, local.available) and self._clock.tick() - local.refused_at < _ASK_AGAIN_S:
            raise self._used_up(local, need)
        return False

    def _ask(self, local: _Local, need: int) -> asyncio.Future[bool]:
        granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not local.waiting:
            self._asking.append(local)
        local.waiting.append((need, granted))
        local.held += 1
        if self._leasing is None or self._leasing.done():
            self._leasing = asyncio.get_running_loop().create_task(self._lease())
        return granted

    async def _lease(self) -> None:
        """Ask the store for all that wait, again and again until nobody does."""
        while self._asking:
            asked, self._asking = self._asking, []
            waiting = [local.waiting for local in asked]
            wants = [_want(local) for local in asked]
            for local, want in zip(asked, wants, strict=True):
                local.waiting = []
                local.available += want.debt
            try:
                leases = await asyncio.to_thread(self._meters.lease, wants)
            except Exception as error:  # noqa: BLE001 - boundary: whoever waits must learn of it, whatever it is
                _log.error("limits cannot be reserved: %s", error)
                for local, want, queue in zip(asked, wants, waiting, strict=True):
                    local.available -= want.debt
                    _fail(local, queue)
                continue
            for local, lease, queue in zip(asked, leases, waiting, strict=True):
                self._hand_out(local, lease, queue)

    def _hand_out(self, local: _Local, lease: Lease, queue: list[tuple[int, asyncio.Future[bool]]]) -> None:
        local.available += lease.spare
        for granted, (need, future) in zip(lease.granted, queue, strict=True):
            if not granted:
                local.left, local.refused_at = lease.left, self._clock.tick()
            if granted and not future.done():
                local.spent += need
            else:  # refused, or whoever waited has gone
                local.held -= 1
                local.available += need if granted else 0
            if not future.done():
                future.set_result(granted)

    def _undo(self, hold: Hold, waits: list[tuple[_Local, int, asyncio.Future[bool]]]) -> None:
        """Give back what was reserved before the refusal, or before the request was given up."""
        hold.release()
        for local, need, granted in waits:
            if not granted.done():
                granted.cancel()
            elif not granted.cancelled() and granted.exception() is None and granted.result():
                local.put(need, 0)

    def _used_up(self, local: _Local, need: int) -> Limited:
        measure = local.meter.measure
        whose = _WHOSE[local.meter.subject.partition(":")[0]]
        limit = from_units(measure, local.limit)
        wait = window_ends(measure, self._clock.now())
        code = "budget_exceeded" if measure in (USD_DAY, USD_MONTH) else "rate_limit_exceeded"
        return Limited(f"the limit of {limit:,g} {_PER[measure]} of {whose} is used up", code=code, retry_after_s=wait)

    def _too_much(self, local: _Local, need: int) -> Limited:
        measure = local.meter.measure
        whose = _WHOSE[local.meter.subject.partition(":")[0]]
        limit, amount = from_units(measure, local.limit), from_units(measure, need)
        if local.limit == 0:
            return Limited(f"{whose} has a limit of 0 {_PER[measure]}: it may not ask at all", code="budget_exceeded")
        return Limited(
            f"this request can take up to {amount:,g}, and the limit of {whose} is {limit:,g} {_PER[measure]}. "
            "Ask for fewer tokens with max_tokens, or send less"
        )

    async def _tick_on(self) -> None:
        ticks, told = 0, ""
        while not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), TICK_S)
            ticks += 1
            try:
                await self.tick()
                if ticks % _PRUNE_TICKS == 0:
                    await asyncio.to_thread(self._meters.prune, self._clock.now())
                told = ""
            except RungwiseError as error:
                if str(error) != told:  # once, not at every tick
                    told = str(error)
                    _log.error("leases of limits cannot be given back: %s", error)

    async def tick(self) -> None:
        """Give back what is leased beyond a second's demand, write down what is owed, and read changed limits."""
        now = self._clock.now()
        back: list[tuple[_Local, int]] = []
        for local in list(self._locals.values()):
            past = local.meter.window != window_of(local.meter.measure, now)
            local.demand, local.spent = 0 if past else max(0, local.spent), 0
            more = local.available - local.demand if local.available > 0 else local.available
            if more > 0 or local.available < 0:
                local.available -= more
                back.append((local, more))
            elif local.held == 0 and local.demand == 0 and not local.waiting:
                del self._locals[local.meter]
        try:
            if back:
                await asyncio.to_thread(self._meters.give_back, [(local.meter, more) for local, more in back])
        except RungwiseError:
            # A commit may have been made although it failed here: what is owed stays owed, and leases are given up as used.
            for local, more in back:
                local.available += min(more, 0)
            raise
        await asyncio.to_thread(self._read_allowances)

    def _read_allowances(self) -> None:
        version = self._keys.version()
        if version != self._version:
            self._allowances = {(one.kind, one.tenant, one.name): one.limits for one in self._keys.allowances()}
            self._version = version


def _fail(local: _Local, queue: list[tuple[int, asyncio.Future[bool]]]) -> None:
    """Tell whoever waits that the limits cannot be read."""
    for _, granted in queue:
        local.held -= 1
        if not granted.done():
            granted.set_exception(Refused("limits cannot be checked now", status=503, code="limits_unavailable", retry_after_s=1.0))


def _want(local: _Local) -> Want:
    needs = [need for need, _ in local.waiting]
    return Want(local.meter, local.limit, needs, spare=max(local.demand, local.spent), debt=max(0, -local.available))
