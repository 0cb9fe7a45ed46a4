"""What servers do for watching: missed days in order, each once, told once, however many do it at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from rungwise.core.reading import DAY_S
from rungwise.core.release import Release, Variant
from rungwise.data.alerts import STATES, Alerts
from rungwise.data.readings import Readings
from rungwise.data.spec import FILE
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.project import Project
from rungwise.release.registry import Releases
from rungwise.watch import chore
from rungwise.watch.look import GRACE_S
from tests.clocks import StillClock

ROOT = Path(__file__).resolve().parents[2]
DAYS = 4
RULE = {"name": "nobody asks", "metric": "cost.usd", "when": "n < 1"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project whose release went live some days ago, and that nobody ever asked since."""
    directory = tmp_path / "shop"
    Project.create(directory, task="classify")
    path = directory / FILE
    watch = {"rules": [RULE], "sinks": [{"kind": "file", "to": "alerts.jsonl"}]}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "watch": watch}))
    at = time.time() - GRACE_S - DAYS * DAY_S
    store = Store.open(directory / "state", clock=StillClock(at))
    variants = (Variant(name="a", candidate="a" * 64, weight=1.0),)
    Releases(store).put(Release(use_case="u", variants=variants, evidence=(), at=at))
    store.close()
    return directory


def started(directory: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "rungwise.serve.chores", "watch", str(directory), str(directory / "state")]
    return subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)


def found(directory: Path) -> tuple[int | None, int, list[str]]:
    """The last day that was looked at, how many alerts there ever were, and the lines that were told."""
    store = Store.open(directory / "state", clock=SystemClock())
    alerts, day = Alerts(store).list(STATES), Readings(store).last_day()
    store.close()
    path = directory / "alerts.jsonl"
    return day, len(alerts), [json.loads(line)["key"] for line in path.read_text().splitlines()] if path.exists() else []


def over() -> int:
    """The last day that is over."""
    return int((time.time() - GRACE_S) // DAY_S) - 1


def test_two_servers_at_once_look_at_each_day_once_and_tell_once(shop: Path) -> None:
    both = [started(shop) for _ in range(2)]
    said = [one.communicate(timeout=120)[1].decode() for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    day, alerts, told = found(shop)
    assert (day, alerts, len(told)) == (over(), 1, 1)
    store = Store.open(shop / "state", clock=SystemClock())
    read = Readings(store).between(0, over(), monitor="cost.usd")
    assert [one.until / DAY_S - 1 for one in read] == list(range(over() - DAYS + 1, over() + 1))
    (alert,) = Alerts(store).list()
    assert (alert.since / DAY_S, alert.heard_until / DAY_S) == (over() - DAYS + 1, over() + 1)
    assert not chore.due(store, shop, SystemClock())
    store.close()


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_makes_up_for_it(shop: Path) -> None:
    for wait_s in (0.5, 1.0, 1.5, 2.0):
        one = started(shop)
        time.sleep(wait_s)
        one.send_signal(signal.SIGKILL)
        one.communicate()
    last = started(shop)
    _, said = last.communicate(timeout=120)
    assert last.returncode == 0, said.decode()
    store = Store.open(shop / "state", clock=SystemClock())
    clock = StillClock(time.time() + 300.0)  # a delivery that a killed one had claimed is free by then
    chore.run(store, shop, clock)
    store.close()
    day, alerts, told = found(shop)
    assert (day, alerts, len(told), len(set(told))) == (over(), 1, 1, 1)


def test_it_is_due_when_a_day_is_over_or_something_is_to_be_told(shop: Path) -> None:
    store = Store.open(shop / "state", clock=SystemClock())
    now = StillClock(time.time())
    assert chore.due(store, shop, now)
    (shop / "alerts.jsonl").mkdir()  # the sink is down
    chore.run(store, shop, now)
    assert not chore.due(store, shop, now)
    now.advance(60)
    (shop / "alerts.jsonl").rmdir()
    assert chore.due(store, shop, now)
    chore.run(store, shop, now)
    assert not chore.due(store, shop, now)
    store.close()
    assert len(found(shop)[2]) == 1
