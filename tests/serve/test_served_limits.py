"""Limits: never passed by what runs at once, exact when all of it is settled, and on the safe side after a kill."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from rungwise.core.errors import StoreError
from rungwise.data.keys import EVERY, TENANT, USER, Keys
from rungwise.data.master import MasterKey
from rungwise.data.meters import Meters
from rungwise.data.store import Store
from rungwise.serve.ask import Caller
from rungwise.serve.failure import Limited, Refused
from rungwise.serve.limits import Hold, Limits
from tests.clocks import StillClock

MINUTE_S, DAY_S = 60, 86_400


def caller(
    *, key: str = "k", tenant: str | None = None, user: str | None = None, meter: str | None = None, **limits: float
) -> Caller:
    return Caller(key=key, scopes=frozenset({"infer"}), tenant=tenant, user=user, limits=limits, meter=meter)


@asynccontextmanager
async def opened(store: Store, clock: StillClock) -> AsyncIterator[Limits]:
    limits = Limits(store, clock=clock)
    try:
        yield limits
    finally:
        await limits.close()


def used(store: Store, clock: StillClock, subject: str = "key:k") -> dict[str, float]:
    return Meters(store).used(subject, clock.now())


async def outcome(limits: Limits, who: Caller, tokens: int = 0, usd: float = 0.0, user: str | None = None) -> Hold | Limited:
    try:
        return await limits.reserve(who, user, tokens, usd)
    except Limited as limited:
        return limited


async def test_who_has_no_limits_costs_nothing(store: Store, clock: StillClock, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(store, clock=clock)
    assert not limits.bind(caller())
    monkeypatch.setattr(limits, "_meters", None)  # nothing is asked of the store
    hold = await limits.reserve(caller(), "ann", 10**9, 1e9)
    await hold.settle(10**9, 1e9)
    await limits.close()


async def test_of_two_hundred_at_once_exactly_fifty_come_in(store: Store, clock: StillClock) -> None:
    who = caller(requests_per_minute=50)
    async with opened(store, clock) as limits:
        found = await asyncio.gather(*(outcome(limits, who) for _ in range(200)))
        assert sum(isinstance(one, Hold) for one in found) == 50
    assert used(store, clock) == {"requests_per_minute": 50.0}


async def test_of_two_hundred_at_once_in_four_workers_exactly_fifty_come_in(store: Store, clock: StillClock) -> None:
    who = caller(requests_per_minute=50)
    workers = [Limits(store, clock=clock) for _ in range(4)]
    found = await asyncio.gather(*(outcome(workers[n % 4], who) for n in range(200)))
    assert sum(isinstance(one, Hold) for one in found) == 50
    for worker in workers:
        await worker.close()
    assert used(store, clock) == {"requests_per_minute": 50.0}


async def test_the_refusal_says_whose_limit_it_is_and_when_to_come_again(store: Store, clock: StillClock) -> None:
    clock.at = 1_700_000_010.0 // MINUTE_S * MINUTE_S + 10
    async with opened(store, clock) as limits:
        who = caller(requests_per_minute=1)
        await limits.reserve(who, None, 0, 0.0)
        with pytest.raises(Limited, match="limit of 1 requests a minute of this key is used up") as refusal:
            await limits.reserve(who, None, 0, 0.0)
        assert (refusal.value.status, refusal.value.code, refusal.value.retry_after_s) == (429, "rate_limit_exceeded", 50.0)
        clock.advance(50)
        await limits.reserve(who, None, 0, 0.0)


async def test_a_budget_is_counted_by_the_day_and_by_the_month_in_utc(store: Store, clock: StillClock) -> None:
    clock.at = 1_703_980_800.0 + 3600  # 2023-12-31 01:00 UTC
    who = caller(usd_per_day=1, usd_per_month=1.5)
    async with opened(store, clock) as limits:
        await (await limits.reserve(who, None, 0, 1.0)).settle(0, 1.0)
        with pytest.raises(Limited) as refusal:
            await limits.reserve(who, None, 0, 0.1)
        assert (refusal.value.code, refusal.value.retry_after_s) == ("budget_exceeded", 23 * 3600)
        clock.advance(DAY_S)  # another day, and another month and year
        await (await limits.reserve(who, None, 0, 1.0)).settle(0, 1.0)
        clock.advance(DAY_S)
        with pytest.raises(Limited, match=r"1\.5 US dollars a month") as refusal:
            await limits.reserve(who, None, 0, 0.6)
        await limits.reserve(who, None, 0, 0.5)


async def test_what_was_not_used_is_there_again_and_what_was_used_beyond_is_counted(store: Store, clock: StillClock) -> None:
    who = caller(tokens_per_minute=1000, usd_per_day=1)
    async with opened(store, clock) as limits:
        first = await limits.reserve(who, None, 900, 0.9)
        with pytest.raises(Limited):
            await limits.reserve(who, None, 200, 0.01)
        await first.settle(100, 0.2)
        second = await limits.reserve(who, None, 800, 0.01)
        await second.settle(1500, 0.5)  # the answer was longer than anybody had said
        clock.advance(1)
        with pytest.raises(Limited):
            await limits.reserve(who, None, 1, 0.01)
    assert used(store, clock) == {"tokens_per_minute": 1600.0, "usd_per_day": 0.7}


async def test_a_hold_settles_once(store: Store, clock: StillClock) -> None:
    async with opened(store, clock) as limits:
        hold = await limits.reserve(caller(tokens_per_minute=1000), None, 500, 0.0)
        await hold.settle(100, 0.0)
        await hold.settle(0, 0.0)
        hold.release()
    assert used(store, clock) == {"tokens_per_minute": 100.0}


async def test_a_request_that_one_limit_refuses_takes_nothing_of_the_others(store: Store, clock: StillClock) -> None:
    who = caller(requests_per_minute=10, usd_per_day=0.5)
    async with opened(store, clock) as limits:
        await (await limits.reserve(who, None, 0, 0.5)).settle(0, 0.5)
        for _ in range(5):
            with pytest.raises(Limited):
                await limits.reserve(who, None, 0, 0.1)
    assert used(store, clock) == {"requests_per_minute": 1.0, "usd_per_day": 0.5}


async def test_a_request_that_can_never_fit_is_told_so(store: Store, clock: StillClock) -> None:
    async with opened(store, clock) as limits:
        with pytest.raises(Limited, match="max_tokens") as refusal:
            await limits.reserve(caller(tokens_per_minute=1000), None, 1001, 0.0)
        assert refusal.value.retry_after_s is None
        with pytest.raises(Limited, match="may not ask at all"):
            await limits.reserve(caller(usd_per_day=0), None, 1, 0.0)


async def test_free_requests_do_not_pass_a_budget_that_is_used_up(store: Store, clock: StillClock) -> None:
    who = caller(usd_per_day=0.5)
    async with opened(store, clock) as limits:
        await (await limits.reserve(who, None, 0, 0.0)).settle(0, 0.5)
        with pytest.raises(Limited):
            await limits.reserve(who, None, 0, 0.0)


async def test_keys_that_replaced_one_another_share_one_meter(store: Store, clock: StillClock) -> None:
    async with opened(store, clock) as limits:
        await limits.reserve(caller(key="old", meter="old", requests_per_minute=1), None, 0, 0.0)
        with pytest.raises(Limited):
            await limits.reserve(caller(key="new", meter="old", requests_per_minute=1), None, 0, 0.0)


async def test_limits_of_tenants_and_users_stand_over_all_their_keys(store: Store, clock: StillClock) -> None:
    keys = Keys(store, MasterKey(b""))
    keys.allow(TENANT, None, "acme", {"requests_per_minute": 3}, actor="test")
    keys.allow(USER, "acme", EVERY, {"requests_per_minute": 1}, actor="test")
    keys.allow(USER, "acme", "ann", {"requests_per_minute": 2}, actor="test")
    async with opened(store, clock) as limits:
        one, two, other = (caller(key=key, tenant=tenant) for key, tenant in (("1", "acme"), ("2", "acme"), ("3", "beta")))
        assert limits.bind(one)
        assert isinstance(await outcome(limits, one, user="ann"), Hold)
        assert isinstance(await outcome(limits, two, user="ann"), Hold)
        assert "this user" in str(await outcome(limits, one, user="ann"))
        assert isinstance(await outcome(limits, one, user="bob"), Hold)
        assert "this user" in str(await outcome(limits, two, user="bob"))
        assert "this tenant" in str(await outcome(limits, two, user="cyd"))
        assert "this tenant" in str(await outcome(limits, two))
        for _ in range(5):
            assert isinstance(await outcome(limits, other, user="ann"), Hold)
        # the user that a key is made for stands, whatever the request says
        bound = caller(key="4", tenant="acme", user="ann")
        assert "this user" in str(await outcome(limits, bound, user="somebody-else"))


async def test_the_tenant_of_everybody_is_each_tenant_by_itself(store: Store, clock: StillClock) -> None:
    Keys(store, MasterKey(b"")).allow(TENANT, None, EVERY, {"requests_per_minute": 1}, actor="test")
    async with opened(store, clock) as limits:
        for tenant in ("acme", "beta"):
            assert isinstance(await outcome(limits, caller(tenant=tenant)), Hold)
            assert isinstance(await outcome(limits, caller(tenant=tenant)), Limited)


async def test_limits_that_change_hold_from_the_next_tick_on(store: Store, clock: StillClock) -> None:
    async with opened(store, clock) as limits:
        who = caller(tenant="acme")
        assert not limits.bind(who)
        Keys(store, MasterKey(b"")).allow(TENANT, None, "acme", {"requests_per_minute": 1}, actor="test")
        await limits.tick()
        assert isinstance(await outcome(limits, who), Hold)
        assert isinstance(await outcome(limits, who), Limited)


async def test_limits_that_change_are_seen_although_nothing_was_limited_before(store: Store, clock: StillClock) -> None:
    async with opened(store, clock) as limits:
        Keys(store, MasterKey(b"")).allow(TENANT, None, "acme", {"requests_per_minute": 1}, actor="test")
        for _ in range(100):
            if limits.bind(caller(tenant="acme")):
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the new limit was not seen within five seconds")


async def test_whoever_gives_up_waiting_gives_back_what_they_waited_for(store: Store, clock: StillClock) -> None:
    who = caller(requests_per_minute=10, tokens_per_minute=1000)
    async with opened(store, clock) as limits:
        for _ in range(30):
            task = asyncio.create_task(limits.reserve(who, None, 100, 0.0))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert len([one for one in [await outcome(limits, who, 100) for _ in range(10)] if isinstance(one, Hold)]) == 10
    assert used(store, clock) == {"requests_per_minute": 10.0, "tokens_per_minute": 1000.0}


async def test_what_is_reserved_when_a_process_dies_counts_in_full(store: Store, clock: StillClock) -> None:
    dead = Limits(store, clock=clock)
    await dead.reserve(caller(usd_per_day=1), None, 0, 0.75)
    async with opened(store, clock) as limits:  # `dead` is never closed before this
        assert isinstance(await outcome(limits, caller(usd_per_day=1), usd=0.5), Limited)
        assert isinstance(await outcome(limits, caller(usd_per_day=1), usd=0.25), Hold)
    await dead.close()


async def test_a_store_that_cannot_be_written_refuses_and_recovers(
    store: Store, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = caller(requests_per_minute=2)
    async with opened(store, clock) as limits:
        with monkeypatch.context() as full:

            def fail(_: object) -> None:
                raise StoreError("the disk is full")

            full.setattr(limits._meters, "lease", fail)
            found = await asyncio.gather(*(limits.reserve(who, None, 0, 0.0) for _ in range(5)), return_exceptions=True)
            assert {type(one) for one in found} == {Refused}
            assert {one.status for one in found if isinstance(one, Refused)} == {503}
        assert isinstance(await outcome(limits, who), Hold)
    assert used(store, clock) == {"requests_per_minute": 1.0}


async def test_a_busy_key_does_not_ask_the_store_for_every_request(store: Store, clock: StillClock) -> None:
    who = caller(requests_per_minute=100_000, tokens_per_minute=10_000_000)
    async with opened(store, clock) as limits:
        asked = 0
        real: Callable[..., object] = limits._meters.lease

        def counted(wants: object) -> object:
            nonlocal asked
            asked += 1
            return real(wants)

        limits._meters.lease = counted  # type: ignore[method-assign, assignment]
        for _ in range(2000):
            await (await limits.reserve(who, None, 100, 0.0)).settle(50, 0.0)
        assert asked < 40
    assert used(store, clock) == {"requests_per_minute": 2000.0, "tokens_per_minute": 100_000.0}


async def test_leases_that_are_not_used_go_back(store: Store, clock: StillClock) -> None:
    who = caller(requests_per_minute=10_000)
    async with opened(store, clock) as busy, opened(store, clock) as other:
        for _ in range(200):
            await (await busy.reserve(who, None, 0, 0.0)).settle(0, 0.0)
        assert used(store, clock)["requests_per_minute"] > 200
        for _ in range(3):
            await busy.tick()
        assert used(store, clock)["requests_per_minute"] == 200
        assert busy._locals == {}  # and nothing is remembered of a user who has gone
        await other.reserve(who, None, 0, 0.0)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_no_limit_is_passed_and_all_is_exact_at_the_end(store: Store, clock: StillClock, seed: int) -> None:
    """Three workers, random bounds and uses, requests given up, ticks and closings in between; windows pass by."""
    rng = random.Random(seed)
    keys = Keys(store, MasterKey(b""))
    keys.allow(TENANT, None, "acme", {"tokens_per_minute": 3000}, actor="test")
    keys.allow(USER, "acme", EVERY, {"tokens_per_minute": 1200, "requests_per_minute": 9}, actor="test")
    workers = [Limits(store, clock=clock) for _ in range(3)]
    who = caller(tenant="acme", requests_per_minute=20, tokens_per_minute=2500, usd_per_day=2)
    spent: dict[int, int] = {}
    money = 0.0

    async def one_request() -> None:
        nonlocal money
        bound, usd = rng.randint(1, 400), rng.randint(0, 40) / 1000
        window = int(clock.now() // MINUTE_S)
        try:
            hold = await rng.choice(workers).reserve(who, rng.choice("abc"), bound, usd)
        except Limited:
            return
        spent[window] = spent.get(window, 0) + bound
        assert spent[window] <= 2500
        await asyncio.sleep(rng.random() / 100)
        real, paid = rng.randint(0, bound), round(usd * rng.random(), 9)
        await hold.settle(real, paid)
        spent[window] += real - bound
        money += paid

    for _ in range(6):
        tasks = [asyncio.create_task(one_request()) for _ in range(60)]
        await asyncio.sleep(rng.random() / 50)
        for worker in workers:
            await worker.tick()
        await asyncio.gather(*tasks)
        clock.advance(rng.choice((0, 0, 20, 60)))
    for worker in workers:
        await worker.close()
    window = int(clock.now() // MINUTE_S)
    assert used(store, clock).get("tokens_per_minute", 0.0) == spent.get(window, 0)
    assert used(store, clock).get("usd_per_day", 0.0) == pytest.approx(money, abs=1e-12)
    assert money <= 2


async def test_old_windows_are_forgotten(store: Store, clock: StillClock) -> None:
    async with opened(store, clock) as limits:
        await limits.reserve(caller(requests_per_minute=5, usd_per_month=1), None, 0, 0.1)
    before = clock.now()
    Meters(store).prune(before + 30 * MINUTE_S)
    assert Meters(store).used("key:k", before)["requests_per_minute"] == 1
    Meters(store).prune(before + 2 * DAY_S)
    assert set(Meters(store).used("key:k", before)) == {"usd_per_month"}


@pytest.mark.parametrize("user", ["\x00", "\ud800", "a\nb", "Jörg", "模型", "\\ud800"])
async def test_a_user_with_a_name_that_no_database_keeps_is_counted_and_harms_nobody(
    store: Store, clock: StillClock, user: str
) -> None:
    Keys(store, MasterKey(b"")).allow(USER, None, EVERY, {"requests_per_minute": 1}, actor="test")
    async with opened(store, clock) as limits:
        found = await asyncio.gather(*(outcome(limits, caller(), user=name) for name in (user, "ann", user)))
        assert [type(one) for one in found] == [Hold, Hold, Limited]


async def test_workers_whose_clocks_differ_keep_the_limit_of_each_window(store: Store) -> None:
    clocks = [StillClock(1_700_000_040.0 + skew) for skew in (-45, 0, 30)]
    workers = [Limits(store, clock=clock) for clock in clocks]
    who = caller(requests_per_minute=10)
    taken: dict[int, int] = {}
    for _ in range(8):
        for clock, worker in zip(clocks, workers, strict=True):
            for _ in range(6):
                if isinstance(await outcome(worker, who), Hold):
                    window = int(clock.now() // MINUTE_S)
                    taken[window] = taken.get(window, 0) + 1
            clock.advance(11)
    clocks[0].advance(-300)  # a clock that is set back meets windows that are full already
    for _ in range(3):
        await outcome(workers[0], who)
    assert max(taken.values()) == 10
    assert len(taken) >= 3
    for worker in workers:
        await worker.close()
    for window, count in taken.items():
        assert Meters(store).used("key:k", window * MINUTE_S)["requests_per_minute"] >= count
