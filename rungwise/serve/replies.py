"""Answers that are given again: to the very same question of the same tenant, and to one request that was sent twice."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rungwise.core.errors import StoreError
from rungwise.core.record import digest
from rungwise.core.types import Clock
from rungwise.data.replies import CLAIMED, Replies, Reply
from rungwise.serve.ask import Ask
from rungwise.serve.failure import CannotTrace, Limited

KEPT = 10_000
"""Answers held in memory; the oldest go first."""
IDEMPOTENT_S = 86_400.0
"""How long a request is known by its idempotency key."""
HOLD_S = 5.0
"""How often whoever answers a request says that it is still being answered."""
TAKEOVER_S = 30.0
"""A claim that nobody has held for so long belonged to a process that died: the request is answered anew."""
WAIT_S = 900.0
"""How long a request waits for the answer to the same request."""
POLL_S, SLOWEST_POLL_S = 0.05, 1.0

_log = logging.getLogger(__name__)

# What does not shape an answer, or is the client's own note on a request.
_UNSHAPING = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "stream", "stream_options", "store", "model"})


class Questions:
    """The exact cache: whole answers under the digest of everything that shapes them, in memory, for `seconds`."""

    def __init__(self, clock: Clock, seconds: float, *, kept: int = KEPT) -> None:
        self._clock, self._seconds, self._kept = clock, seconds, kept
        self._answers: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """The answer, unless its time is over."""
        found = self._answers.get(key)
        if found is None:
            return None
        if found[1] < self._clock.now():
            del self._answers[key]
            return None
        return found[0]

    def put(self, key: str, body: bytes) -> None:
        """Keep an answer."""
        self._answers[key] = body, self._clock.now() + self._seconds
        self._answers.move_to_end(key)
        if len(self._answers) > self._kept:
            self._answers.popitem(last=False)


def question_key(ask: Ask, target: str) -> str:
    """Whose question it is, who answers, and the body less what only notes something."""
    return digest(["question", ask.caller.tenant, ask.operation, target, _shaping(ask)])


def request_key(ask: Ask) -> str:
    """What one request is known by when it is sent again: whose it is, its idempotency key, and what it asks of whom.

    A key that a client uses again for another question does not get the answer to the first.
    """
    return digest(["request", ask.caller.tenant, ask.caller.key, ask.idempotency, ask.operation, ask.model, _shaping(ask)])


def _shaping(ask: Ask) -> dict[str, Any]:
    return {name: value for name, value in ask.body.items() if name not in _UNSHAPING}


@dataclass(slots=True)
class Claim:
    """A request that may come twice: `before` is its answer where it was answered already, else `body` is to be filled."""

    before: Reply | None
    body: bytes | None = None
    status: int = 200


@asynccontextmanager
async def once(replies: Replies, ask: Ask, trace: str, clock: Clock) -> AsyncIterator[Claim]:
    """Hold the key of a request while it is answered; one that is sent again meanwhile waits for that answer.

    The answer is durable before the block is left. A block that fails gives the key back. Raises CannotTrace where the key
    cannot be written down: the request might then be answered twice.
    """
    key = request_key(ask)
    try:
        claim = Claim(await _claimed(replies, key, trace, clock))
    except StoreError as error:
        _log.error("a request that may come twice could not be claimed: %s", error)
        raise CannotTrace("the idempotency key could not be written down, so nothing was answered. Send it again later") from error
    if claim.before is not None:
        yield claim
        return
    holding = asyncio.create_task(_hold(replies, key, trace))
    try:
        yield claim
    finally:
        holding.cancel()
        if claim.body is None:
            await _durably(replies.release, key, trace)
        else:
            await _durably(replies.fill, key, Reply(claim.status, claim.body.decode("utf-8", "replace"), trace))


async def _claimed(replies: Replies, key: str, trace: str, clock: Clock) -> Reply | None:
    deadline, pause = clock.tick() + WAIT_S, POLL_S
    while True:
        found = await _ask(replies, key, trace, clock)
        if found is None or found.status != CLAIMED:
            return found
        if clock.tick() > deadline:
            raise Limited("this request is being answered under the same idempotency key", code="in_progress", status=409)
        await asyncio.sleep(pause)
        pause = min(SLOWEST_POLL_S, pause * 1.5)


async def _ask(replies: Replies, key: str, trace: str, clock: Clock) -> Reply | None:
    """Claim the key once. A client that leaves meanwhile leaves no claim behind."""
    until = clock.now() + IDEMPOTENT_S
    asking = asyncio.ensure_future(asyncio.to_thread(lambda: replies.claim(key, trace, until=until, takeover_s=TAKEOVER_S)))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        await asyncio.wait([asking])
        if asking.exception() is None and asking.result() is None:
            await _durably(replies.release, key, trace)
        raise


async def _hold(replies: Replies, key: str, trace: str) -> None:
    """Hold a claim until cancelled."""
    while True:
        await asyncio.sleep(HOLD_S)
        try:
            await asyncio.to_thread(replies.hold, key, trace)
        except StoreError as error:
            _log.warning("a request that may come twice could not be held: %s", error)


async def _durably(write: Any, *arguments: Any) -> None:
    """Write to the end, also when the request is cancelled meanwhile.

    Whoever was answered gets the answer, also where it cannot be kept for a second time: they have no reason to ask again.
    """
    try:
        await asyncio.shield(asyncio.to_thread(write, *arguments))
    except StoreError as error:
        _log.error("what became of a request that may come twice could not be written down: %s", error)
