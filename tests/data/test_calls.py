"""Answered calls and what they cost are on disk before they are used, and a kill loses neither."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from rungwise.core.decision import Spend
from rungwise.core.errors import StoreError
from rungwise.data.calls import Call, CallCache
from rungwise.data.commits import Commits
from rungwise.data.spend import SpendLedger, spent
from rungwise.data.store import Store

CALL = Call("m-1", {"text": "hi {} \x00 é😀", "finish": "stop"}, {"usd": 0.25, "input_tokens": 3})


async def test_what_was_put_is_found_by_another_cache_and_the_first_one_stands(store: Store) -> None:
    await CallCache(store, Commits(store)).put("k", CALL)
    await CallCache(store, Commits(store)).put("k", Call("m-2", {"text": "later"}, {}))
    other = CallCache(store, Commits(store))
    assert await other.get("k") == CALL
    assert await other.get("unknown") is None
    assert other.get_many(["k", "unknown", "k"]) == {"k": CALL}


async def test_keys_asked_for_together_are_one_query_and_all_get_their_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = CallCache(store, Commits(store))
    await asyncio.gather(*(cache.put(f"k{number}", Call("m", {"text": str(number)}, {})) for number in range(300)))
    fresh, queries = CallCache(store, Commits(store)), []
    read = fresh._read
    monkeypatch.setattr(fresh, "_read", lambda keys: queries.append(len(keys)) or read(keys))
    found = await asyncio.gather(*(fresh.get(f"k{number % 300}") for number in range(400)), fresh.get("none"))
    assert [call.response["text"] for call in found[:400] if call] == [str(number % 300) for number in range(400)]
    assert found[400] is None
    assert queries == [301]


async def test_memory_is_bounded_and_forgetting_is_only_slower(store: Store) -> None:
    cache = CallCache(store, Commits(store), memory_calls=10)
    for number in range(50):
        await cache.put(f"k{number}", CALL)
    assert len(cache._memory) == 10
    assert await cache.get("k0") == CALL


async def test_a_cancelled_reader_does_not_take_the_answer_from_the_others(store: Store) -> None:
    cache = CallCache(store, Commits(store))
    await cache.put("k", CALL)
    fresh = CallCache(store, Commits(store))
    first, second = asyncio.ensure_future(fresh.get("k")), asyncio.ensure_future(fresh.get("k"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == CALL


async def test_writes_that_arrive_together_share_a_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commits, batches = Commits(store), []
    write = commits._write
    monkeypatch.setattr(commits, "_write", lambda batch: batches.append(len(batch)) or write(batch))
    cache = CallCache(store, commits)
    await asyncio.gather(*(cache.put(f"k{number}", CALL) for number in range(500)))
    assert sum(batches) == 500
    assert len(batches) <= 3


async def test_a_write_that_cannot_be_committed_is_an_error_for_everyone_who_waits_for_it(tmp_path: Path, clock: Any) -> None:
    store = Store.open(tmp_path / "s", clock=clock)
    cache = CallCache(store, Commits(store))
    with store.engine.begin() as connection:
        connection.exec_driver_sql("drop table calls")
    results = await asyncio.gather(*(cache.put(f"k{number}", CALL) for number in range(5)), return_exceptions=True)
    assert all(isinstance(result, StoreError) for result in results)
    assert not cache._memory  # not acknowledged, so not used
    store.close()


def test_one_cache_serves_one_event_loop_after_another(store: Store) -> None:
    commits = Commits(store)
    cache = CallCache(store, commits)
    before = threading.active_count()  # tests that ran earlier may have left some of theirs
    for number in range(3):
        asyncio.run(cache.put(f"k{number}", CALL))
        assert asyncio.run(cache.get(f"k{number}")) == CALL
        assert asyncio.run(CallCache(store, commits).get(f"k{number}")) == CALL
    assert threading.active_count() < before + 9


async def test_spending_adds_up_by_run_and_kind_and_what_is_reserved_counts_in_full(store: Store) -> None:
    commits = Commits(store)
    one, two = SpendLedger(store, commits, run="one"), SpendLedger(store, commits, run="two")
    await asyncio.gather(one.reserve("a", "call", Spend(usd=0.5, calls=1)), two.reserve("b", "fit", Spend(usd=2.0, seconds=9.0)))
    assert spent(store) == Spend(seconds=9.0, usd=2.5, calls=1)
    await one.settle("a", Spend(usd=0.125, seconds=0.5, calls=1))
    assert spent(store, run="one") == Spend(seconds=0.5, usd=0.125, calls=1)
    assert spent(store, kind="fit") == Spend(seconds=9.0, usd=2.0, calls=0)
    assert spent(store, run="nobody") == Spend()


async def test_a_row_may_be_settled_in_the_batch_that_first_writes_it(store: Store) -> None:
    ledger = SpendLedger(store, Commits(store), run="r")
    await ledger.reserve("before", "call", Spend(usd=1.0, calls=1))
    # one batch: a settlement, then a row that is first written and settled in it
    await asyncio.gather(ledger.settle("before", Spend()), ledger.reserve("x", "call", Spend(usd=1.0)), ledger.settle("x", Spend()))
    assert spent(store) == Spend()


WORKER = """
import asyncio, random, sys, time
from pathlib import Path
from rungwise.core.decision import Spend
from rungwise.data.calls import Call, CallCache
from rungwise.data.commits import Commits
from rungwise.data.spend import SpendLedger
from rungwise.data.store import Store

class Clock:
    now = staticmethod(time.time)
    tick = staticmethod(time.perf_counter)

async def main() -> None:
    store = Store.open(Path(sys.argv[1]), clock=Clock())
    commits = Commits(store)
    cache, ledger = CallCache(store, commits), SpendLedger(store, commits, run="r")
    start = int(sys.argv[2])

    async def call(number: int) -> None:
        await ledger.reserve(f"s{number}", "call", Spend(usd=1.0, calls=1))
        print("reserved", number, flush=True)
        await asyncio.sleep(random.random() * 0.01)
        put = cache.put(f"k{number}", Call("m", {"text": str(number)}, {}))
        await asyncio.gather(put, ledger.settle(f"s{number}", Spend(usd=0.25, calls=1)))
        print("done", number, flush=True)

    async def work(first: int) -> None:
        for number in range(first, 10**9, 8):
            await call(number)

    await asyncio.gather(*(work(start + place) for place in range(8)))

asyncio.run(main())
"""


def test_after_kill_9_every_acknowledged_answer_is_there_and_every_call_in_flight_counts_as_spent(
    tmp_path: Path, clock: Any
) -> None:
    acknowledged: list[tuple[str, str]] = []
    Store.open(tmp_path / "s", clock=clock).close()
    for run in range(3):
        command = [sys.executable, "-c", WORKER, str(tmp_path / "s"), str(run * 1_000_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            for seen, line in enumerate(worker.stdout, 1):
                if seen == 150 + 37 * run:
                    os.kill(worker.pid, signal.SIGKILL)
                if line.endswith("\n"):
                    what, number = line.split()
                    acknowledged.append((what, number))
    store = Store.open(tmp_path / "s", clock=clock)
    done = [number for what, number in acknowledged if what == "done"]
    reserved = {number for what, number in acknowledged if what == "reserved"}
    assert len(done) > 200
    assert set(CallCache(store, Commits(store)).get_many(f"k{number}" for number in done)) == {f"k{number}" for number in done}
    total = spent(store)
    assert total.calls >= len(reserved)
    assert total.usd >= 0.25 * len(done)
    with store.read() as connection:
        open_rows = connection.exec_driver_sql("select count(*) from spend where state = 'reserved'").scalar_one()
    assert total.usd == pytest.approx(0.25 * (total.calls - open_rows) + 1.0 * open_rows)
    store.close()
