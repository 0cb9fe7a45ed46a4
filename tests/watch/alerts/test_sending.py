"""Telling survives a sink that is down, a kill, a second process and a clock that goes back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rungwise.core.reading import ALARM, DAY_S, OK, Reading
from rungwise.core.watching import TERMINAL, TO_FILE, WEBHOOK, Sink, Watching
from rungwise.data.alerts import GIVEN_UP, OPENED, PENDING, RESOLVED, SENT, Alerts, Deliveries
from rungwise.data.store import Store
from rungwise.watch.alerts.sending import CLAIM_S, FIRST_WAIT_S, GIVEN_UP_AFTER_S, LEAST_ATTEMPTS, Outcome, Post, send_due
from rungwise.watch.alerts.state import note
from tests.clocks import StillClock
from tests.watch.alerts.receivers import hooks

ROOT = Path(__file__).resolve().parents[3]
FILE = Sink(kind=TO_FILE, to="alerts.jsonl")


def look(store: Store, day: int, sinks: Sequence[Sink], state: str = ALARM, monitors: Sequence[str] = ("drift.a",)) -> list[str]:
    readings = [
        Reading(monitor=one, since=day * DAY_S, until=(day + 1.0) * DAY_S, state=state, why="It moved.") for one in monitors
    ]
    with store.write(alone=True) as connection:
        return [one.id for one in note(connection, Watching(sinks=tuple(sinks)), readings, at=store.clock.now())]


def post(store: Store, sinks: Sequence[Sink], directory: Path) -> Post:
    watching = Watching(sinks=tuple(sinks))
    return Post(store=store, directory=directory, project="tickets", watching=watching, clock=store.clock, environ={})


def send(store: Store, sinks: Sequence[Sink], directory: Path, *, now: bool = False) -> list[Outcome]:
    return asyncio.run(send_due(post(store, sinks, directory), now=now))


def told(directory: Path) -> list[tuple[str, str]]:
    lines = (directory / "alerts.jsonl").read_text().splitlines()
    return [(one["id"], one["event"]) for one in map(json.loads, lines)]


def test_a_sink_that_is_down_is_tried_again_and_holds_up_no_other(
    store: Store, clock: StillClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hooks() as taken:
        taken.status = 503
        hook = Sink(kind=WEBHOOK, to=f"{taken.url}/s3cret")
        sinks = (hook, FILE)
        ids = look(store, 100, sinks, monitors=("drift.a", "drift.b", "drift.c"))
        outcomes = send(store, sinks, tmp_path)
        assert sorted(told(tmp_path)) == sorted((id, OPENED) for id in ids)
        assert [one.state for one in outcomes if one.sink.startswith("webhook")] == [PENDING]  # the others are not even tried
        clock.advance(FIRST_WAIT_S)
        send(store, sinks, tmp_path)
        taken.status = 200
        before = len(taken.posts)
        clock.advance(10 * FIRST_WAIT_S)
        send(store, sinks, tmp_path)
        assert sorted(json.loads(body)["id"] for _, _, body in taken.posts[before:]) == sorted(ids)
        assert send(store, sinks, tmp_path) == []
    assert Deliveries(store).pending() == []
    assert "s3cret" not in caplog.text


def test_waits_grow_and_nothing_is_tried_before_its_time_unless_asked(store: Store, clock: StillClock, tmp_path: Path) -> None:
    sinks = (Sink(kind=WEBHOOK, to="http://127.0.0.1:1/"),)
    (id,) = look(store, 100, sinks)
    waits = []
    for _ in range(4):
        send(store, sinks, tmp_path)
        (one,) = Deliveries(store).of(id)
        waits.append(one.next_at - clock.now())
        assert send(store, sinks, tmp_path) == []
        clock.advance(waits[-1])
    assert waits == [60.0, 120.0, 240.0, 480.0]
    assert one.error is not None
    send(store, sinks, tmp_path)
    assert len(send(store, sinks, tmp_path, now=True)) == 1


def test_after_a_week_and_enough_attempts_it_is_given_up(store: Store, clock: StillClock, tmp_path: Path) -> None:
    sinks = (Sink(kind=WEBHOOK, to="http://127.0.0.1:1/"),)
    (id,) = look(store, 100, sinks)
    clock.advance(GIVEN_UP_AFTER_S * 50)  # the clock jumps ahead by a year: no reason to give up
    for attempt in range(1, LEAST_ATTEMPTS + 1):
        (outcome,) = send(store, sinks, tmp_path, now=True)
        assert outcome.state == (GIVEN_UP if attempt == LEAST_ATTEMPTS else PENDING)
    assert [one.state for one in Deliveries(store).of(id)] == [GIVEN_UP]
    look(store, 101, sinks, OK)
    assert Deliveries(store).pending() == []  # nobody who does not know of it is told that it is over


def test_a_message_that_is_refused_does_not_hold_up_those_behind_it(store: Store, tmp_path: Path) -> None:
    with hooks() as taken:
        taken.status = 400
        sinks = (Sink(kind=WEBHOOK, to=taken.url),)
        look(store, 100, sinks, monitors=("drift.a", "drift.b"))
        assert [one.state for one in send(store, sinks, tmp_path)] == [PENDING, PENDING]
        assert len(taken.posts) == 2


def test_that_it_is_over_is_told_after_that_it_opened(store: Store, clock: StillClock, tmp_path: Path) -> None:
    with hooks() as taken:
        taken.status = 400
        sinks = (Sink(kind=WEBHOOK, to=taken.url),)
        look(store, 100, sinks)
        send(store, sinks, tmp_path)
        look(store, 101, sinks, OK)
        assert send(store, sinks, tmp_path) == []
        taken.status = 200
        clock.advance(FIRST_WAIT_S)
        send(store, sinks, tmp_path)
        assert [json.loads(body)["event"] for _, _, body in taken.posts] == [OPENED, OPENED, RESOLVED]


def test_a_clock_that_goes_back_does_not_silence_a_sink_for_long(store: Store, clock: StillClock, tmp_path: Path) -> None:
    sinks = (Sink(kind=WEBHOOK, to="http://127.0.0.1:1/"),)
    look(store, 100, sinks)
    send(store, sinks, tmp_path)
    clock.advance(-365 * DAY_S)
    assert len(send(store, sinks, tmp_path)) == 1


def test_a_sink_that_left_the_settings_is_not_waited_for(store: Store, tmp_path: Path) -> None:
    (id,) = look(store, 100, (Sink(kind=TO_FILE, to="old.jsonl"), FILE))
    assert {one.state for one in send(store, (FILE,), tmp_path)} == {SENT, GIVEN_UP}
    assert {one.error for one in Deliveries(store).of(id)} == {None, "this sink is no longer in rungwise.yaml"}


def test_of_many_senders_at_once_one_tells(store: Store, tmp_path: Path) -> None:
    with hooks() as taken:
        sinks = (Sink(kind=WEBHOOK, to=taken.url), FILE)
        ids = look(store, 100, sinks, monitors=[f"drift.m{n}" for n in range(20)])
        gate = threading.Barrier(4)

        def sender() -> None:
            own = Store.open(store.directory, clock=StillClock())
            gate.wait()
            send(own, sinks, tmp_path)
            own.close()

        with ThreadPoolExecutor(4) as threads:
            for one in [threads.submit(sender) for _ in range(4)]:
                one.result()
        assert sorted(json.loads(body)["id"] for _, _, body in taken.posts) == sorted(ids)
    assert sorted(id for id, _ in told(tmp_path)) == sorted(ids)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from rungwise.core.watching import Sink, Watching
from rungwise.data.store import Store
from rungwise.watch.alerts import sending, sinks
from tests.clocks import StillClock

moment, state, directory, url = sys.argv[1:]
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
clock = StillClock()
store = Store.open(Path(state), clock=clock)
sending.Deliveries.settle = die  # told, and killed before that was kept
if moment == "before":
    sending.open_sink = die
watching = Watching(sinks=(Sink(kind="file", to="alerts.jsonl"), Sink(kind="webhook", to=url)))
post = sending.Post(store=store, directory=Path(directory), project="tickets", watching=watching, clock=clock, environ={})
asyncio.run(sending.send_due(post))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_sender_that_is_killed_leaves_nothing_untold_and_nothing_twice(
    moment: str, store: Store, clock: StillClock, tmp_path: Path
) -> None:
    with hooks() as taken:
        sinks = (FILE, Sink(kind=WEBHOOK, to=taken.url))
        (id,) = look(store, 100, sinks)
        words = [sys.executable, "-c", KILLED, moment, str(store.directory), str(tmp_path), taken.url]
        done = subprocess.run(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
        waiting = [one for one in Deliveries(store).of(id) if one.attempts]
        assert waiting
        assert {one.state for one in waiting} == {PENDING}
        clock.advance(CLAIM_S)
        send(store, sinks, tmp_path)
        keys = {headers["idempotency-key"] for _, headers, _ in taken.posts}
        assert keys == {f"{id}-{OPENED}"}
    assert told(tmp_path) == [(id, OPENED)]
    assert {one.state for one in Deliveries(store).of(id)} == {SENT}


def test_closed_by_hand_is_told_to_those_who_knew_and_the_next_day_another_opens(
    store: Store, clock: StillClock, tmp_path: Path
) -> None:
    (id,) = look(store, 100, (FILE,))
    send(store, (FILE,), tmp_path)
    clock.advance(60)
    over = Alerts(store).resolve(id, by="ann", at=clock.now())
    assert Alerts(store).resolve(id, by="bob", at=clock.now()) == over
    clock.advance(60)
    (again,) = look(store, 101, (FILE,))
    send(store, (FILE,), tmp_path)
    assert told(tmp_path) == [(id, OPENED), (id, RESOLVED), (again, OPENED)]


def test_it_opened_comes_before_it_is_over_also_when_the_clock_goes_back(store: Store, clock: StillClock, tmp_path: Path) -> None:
    (id,) = look(store, 100, (FILE,))
    clock.advance(-DAY_S)
    look(store, 101, (FILE,), OK)
    send(store, (FILE,), tmp_path)
    assert told(tmp_path) == [(id, OPENED), (id, RESOLVED)]


def test_the_terminal_is_told_where_nothing_else_is_named(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    look(store, 100, ())
    (outcome,) = send(store, (), tmp_path)
    assert (outcome.sink, outcome.state) == (TERMINAL, SENT)
    assert "It moved." in caplog.text
