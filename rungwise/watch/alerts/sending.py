"""Telling what is to be told: every sink by itself, in order, tried again when it was down, and given up at last.

A delivery is claimed before it is told and settled after it, each in a transaction of its own. Of two processes one claims it.
A process that is killed in between leaves it to the next, which tells it with the same key: a file does not get a second line,
a webhook sees the same idempotency-key, mail has the same Message-ID. Only the terminal may then say it twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import UsageError
from rungwise.core.types import Clock
from rungwise.core.watching import CRITICAL, Sink, Watching
from rungwise.data.alerts import GIVEN_UP, PENDING, SENT, Deliveries, Delivery
from rungwise.data.spec import FILE, read_use_case, read_watching
from rungwise.data.store import Store
from rungwise.watch.alerts.sinks import NotTold, Tell, open_sink
from rungwise.watch.alerts.words import Message, message, sink_name, sinks_of

CLAIM_S = 120.0
"""How long a delivery belongs to who claimed it; telling takes a sixth of that at most."""
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 6 * 3_600.0
GIVEN_UP_AFTER_S = 7 * 86_400.0
LEAST_ATTEMPTS = 5
"""Nothing is given up before so many attempts: a clock that jumps ahead is no reason."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of telling one thing: `state` is sent, pending (it will be tried again) or given_up; `why` not."""

    alert: str
    event: str
    sink: str
    state: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Post:
    """A project whose alerts are sent."""

    store: Store
    directory: Path
    project: str
    watching: Watching
    clock: Clock
    environ: Mapping[str, str]

    @classmethod
    def of(cls, store: Store, directory: Path, clock: Clock, environ: Mapping[str, str] | None = None) -> Post:
        """The post of a project folder by its settings; secrets are looked up in `environ`, else in the process's own."""
        return cls(
            store=store,
            directory=directory,
            project=read_use_case(directory / FILE).name,
            watching=read_watching(directory / FILE),
            clock=clock,
            environ=os.environ if environ is None else environ,
        )


async def send_due(post: Post, *, now: bool = False) -> list[Outcome]:
    """Tell what is due; with `now`, also what waits to be tried again. A sink that is down holds up no other."""
    waiting: dict[str, list[Delivery]] = defaultdict(list)
    for one in await asyncio.to_thread(Deliveries(post.store).pending):
        waiting[one.sink].append(one)
    sinks = {sink_name(sink): sink for sink in sinks_of(post.watching)}
    told = await asyncio.gather(*(_to(post, sinks.get(name), waiting[name], now=now) for name in sorted(waiting)))
    return [one for outcomes in told for one in outcomes]


def is_due(one: Delivery, at: float) -> bool:
    """Whether it is time. One that is to be tried later than anything ever is was put off by a clock that was ahead."""
    return one.next_at <= at or one.next_at > at + LONGEST_WAIT_S + CLAIM_S


async def send_test(post: Post) -> list[Outcome]:
    """Send a message to every sink that says it is a test."""
    at = post.clock.now()
    text = f"This is a test from {post.project}: alerts come here."
    data = {"id": "test", "event": "test", "project": post.project, "severity": CRITICAL, "text": text, "opened_at": at}
    test = Message(key=f"test-{at:.3f}", severity=CRITICAL, subject=f"test from {post.project}", text=text, data=data, at=at)
    return list(await asyncio.gather(*(_tested(post, sink, test) for sink in sinks_of(post.watching))))


async def _tested(post: Post, sink: Sink, test: Message) -> Outcome:
    state, why = SENT, ""
    try:
        await open_sink(sink, post.directory, post.environ)(test, False)
    except (NotTold, UsageError) as error:
        state, why = GIVEN_UP, str(error)
    return Outcome(alert="test", event="test", sink=sink_name(sink), state=state, why=why)


async def _to(post: Post, sink: Sink | None, waiting: Sequence[Delivery], *, now: bool) -> list[Outcome]:
    """Tell one sink what it is to be told, one after the other. 'resolved' waits for 'opened'."""
    outcomes: list[Outcome] = []
    tell: Tell | None = None
    held: set[str] = set()
    for one in waiting:
        if one.alert.id in held or not (now or is_due(one, post.clock.now())):
            held.add(one.alert.id)
            continue
        claimed = await asyncio.to_thread(Deliveries(post.store).claim, one, until=post.clock.now() + CLAIM_S)
        if claimed is None:
            held.add(one.alert.id)
            continue
        down = False
        try:
            if sink is None:
                raise _Gone
            tell = tell or open_sink(sink, post.directory, post.environ)
            said = message(one.alert, one.event, project=post.project, directory=post.directory)
            await tell(said, claimed.attempts > 1)
            outcome = await _settled(post, claimed, SENT)
        except _Gone:
            outcome = await _settled(post, claimed, GIVEN_UP, "this sink is no longer in rungwise.yaml")
        except (NotTold, UsageError) as error:
            down = not isinstance(error, NotTold) or error.down
            outcome = await _settled(post, claimed, _after(claimed, post.clock.now()), str(error))
        outcomes.append(outcome)
        if outcome.state == PENDING:
            held.add(one.alert.id)
        if down:
            break
    return outcomes


class _Gone(Exception):
    """The sink is not there any more."""


def _after(one: Delivery, at: float) -> str:
    """What becomes of a delivery that failed again."""
    old = at - one.happened_at > GIVEN_UP_AFTER_S and one.attempts >= LEAST_ATTEMPTS
    return GIVEN_UP if old else PENDING


async def _settled(post: Post, one: Delivery, state: str, why: str = "") -> Outcome:
    wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(one.attempts - 1, 20))
    next_at = post.clock.now() + wait_s if state == PENDING else 0.0
    await asyncio.to_thread(Deliveries(post.store).settle, one, state, next_at=next_at, error=why or None)
    if why:
        more = f"tried again in {wait_s:.0f} s" if state == PENDING else "given up"
        _log.warning("alert %s was not told to %s (%s): %s", one.alert.id[:12], one.sink, more, why)
    return Outcome(alert=one.alert.id, event=one.event, sink=one.sink, state=state, why=why)
