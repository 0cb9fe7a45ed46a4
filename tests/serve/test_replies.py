"""A request that comes twice is answered once, also when the process that began it died."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rungwise.core.errors import StoreError
from rungwise.data.replies import CLAIMED, Replies, Reply
from rungwise.data.store import Store
from rungwise.serve import replies as way
from rungwise.serve.ask import CHAT, Ask, Caller
from rungwise.serve.failure import CannotTrace
from rungwise.serve.replies import TAKEOVER_S, once
from tests.clocks import StillClock

ASK = Ask(CHAT, "m", {"messages": []}, Caller("k", frozenset({"infer"})), idempotency="twice")


async def given(store: Store, clock: StillClock, trace: str, body: bytes) -> str:
    """The answer to the request that came as `trace`: `body`, unless it was answered before."""
    async with once(Replies(store), ASK, trace, clock) as claim:
        if claim.before is not None:
            return claim.before.body
        claim.body = body
    return body.decode()


def dies(store: Store, clock: StillClock) -> None:
    """A process claims the request and ends without a word."""
    assert Replies(store).claim(way.request_key(ASK), "dead", until=clock.now() + 86_400, takeover_s=TAKEOVER_S) is None


async def test_the_claim_of_a_process_that_died_is_taken_over_soon(store: Store, clock: StillClock) -> None:
    dies(store, clock)
    waiting = asyncio.create_task(given(store, clock, "second", b"fresh"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    clock.advance(TAKEOVER_S + 1)
    assert await asyncio.wait_for(waiting, 10) == "fresh"
    Replies(store).fill(way.request_key(ASK), Reply(200, "late", "dead"))  # it was only slow: what was told since stands
    assert await given(store, clock, "third", b"never given") == "fresh"


async def test_a_request_that_takes_long_keeps_its_claim(store: Store, clock: StillClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way, "HOLD_S", 0.01)
    done = asyncio.Event()

    async def slow() -> None:
        async with once(Replies(store), ASK, "first", clock) as claim:
            await done.wait()
            claim.body = b"slow but whole"

    first = asyncio.create_task(slow())
    await asyncio.sleep(0.1)
    again = asyncio.create_task(given(store, clock, "second", b"never given"))
    for _ in range(3):
        clock.advance(TAKEOVER_S - 5)
        await asyncio.sleep(0.2)
    assert not again.done()
    done.set()
    await first
    assert await asyncio.wait_for(again, 10) == "slow but whole"


async def test_a_client_that_leaves_while_its_request_is_claimed_leaves_no_claim(
    store: Store, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    claiming, go_on = threading.Event(), threading.Event()
    claim = Replies.claim

    def slowly(*arguments: object, **more: object) -> Reply | None:
        claiming.set()
        assert go_on.wait(10)
        return claim(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Replies, "claim", slowly)
    asking = asyncio.create_task(given(store, clock, "first", b"never given"))
    await asyncio.to_thread(claiming.wait, 10)
    asking.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    monkeypatch.undo()
    assert await asyncio.wait_for(given(store, clock, "second", b"fresh"), 10) == "fresh"


async def test_whoever_waits_does_not_write(store: Store, clock: StillClock, monkeypatch: pytest.MonkeyPatch) -> None:
    dies(store, clock)
    monkeypatch.setattr(Store, "write", None)
    found = Replies(store).claim(way.request_key(ASK), "second", until=clock.now() + 1, takeover_s=TAKEOVER_S)
    assert found is not None
    assert (found.status, found.trace) == (CLAIMED, "dead")


async def test_a_key_that_cannot_be_written_down_is_told_and_an_answer_that_cannot_be_kept_is_given(
    store: Store, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Replies, "fill", full)
    assert await given(store, clock, "first", b"fresh") == "fresh"
    monkeypatch.setattr(Replies, "claim", full)
    with pytest.raises(CannotTrace, match="idempotency key could not be written down"):
        await given(store, clock, "second", b"never given")
