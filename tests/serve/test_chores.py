"""A server runs the chores of its projects in processes of their own, and goes on whatever becomes of them."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from rungwise.core.errors import UnknownName
from rungwise.core.reading import ALARM, DAY_S, Reading
from rungwise.data.alerts import PENDING, SENT, Deliveries
from rungwise.data.chore import known_chores, load_chore
from rungwise.data.readings import Readings
from rungwise.data.spec import read_watching
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.project import Project
from rungwise.serve import chores
from rungwise.watch.alerts.state import note
from tests.serve.running import configure, engine, running


def project(directory: Path) -> Path:
    """A project without a release whose days were all looked at, and whose alerts go to a file."""
    Project.create(directory, task="classify")
    sinks = [{"kind": "file", "to": "told/alerts.jsonl"}]
    configure(directory, endpoints=[engine("http://127.0.0.1:9/v1")], watch={"sinks": sinks, "every_s": 0.2})
    return directory


def noticed(directory: Path, days_ago: int = 1) -> str:
    """Let an alert open as a look does, and give its id."""
    clock = SystemClock()
    store = Store.open(directory / "state", clock=clock)
    day = int(clock.now() // DAY_S) - days_ago
    reading = Reading(
        monitor="drift.input.length", since=day * DAY_S, until=(day + 1.0) * DAY_S, state=ALARM, why="Longer.", p=0.001, level=0.01
    )
    with store.write(alone=True) as connection:
        Readings(store).put(connection, day, [reading], at=clock.now())
        (opened,) = note(connection, read_watching(directory / "rungwise.yaml"), [reading], at=clock.now())
    store.close()
    return opened.id


def waited(until: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if until():
            return True
        time.sleep(0.05)
    return False


def test_the_chore_of_watching_comes_in_through_its_door(tmp_path: Path) -> None:
    assert "watch" in known_chores()
    assert load_chore("watch").every_s(project(tmp_path / "tickets")) == 1.0  # not 0.2: a second at least
    with pytest.raises(UnknownName, match="Did you mean 'watch'"):
        load_chore("watc")


def test_a_server_tells_what_is_to_be_told_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "FIRST_S", 0.0)
    directory = project(tmp_path / "tickets")
    id = noticed(directory)
    told = directory / "told" / "alerts.jsonl"
    with running(directory, scratch=tmp_path / "scratch") as (url, _):
        assert waited(told.exists)
        assert urllib.request.urlopen(f"{url}/healthz").status == 200
    (line,) = told.read_text().splitlines()
    assert json.loads(line)["id"] == id
    store = Store.open(directory / "state", clock=SystemClock())
    assert [one.state for one in Deliveries(store).of(id)] == [SENT]
    store.close()


def test_a_chore_that_fails_is_said_in_the_log_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chores, "FIRST_S", 0.0)
    monkeypatch.setattr(chores, "AFTER_ERROR_S", 0.05)
    directory = project(tmp_path / "tickets")
    noticed(directory)
    with running(directory, scratch=tmp_path / "scratch") as (url, _):
        configure(directory, watch={"every_s": "often"})
        assert waited(lambda: "the chore watch of tickets failed" in caplog.text)
        assert urllib.request.urlopen(f"{url}/healthz").status == 200


def test_the_process_of_a_chore_yields_to_others_and_gives_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nice: list[int] = []
    monkeypatch.setattr(os, "nice", nice.append)
    directory = project(tmp_path / "tickets")
    id = noticed(directory)
    assert chores.main(["watch", str(directory), str(directory / "state")]) == 0
    assert nice == [chores.NICE]
    (directory / "rungwise.yaml").write_text("task: [")
    assert chores.main(["watch", str(directory), str(directory / "state")]) == 2
    store = Store.open(directory / "state", clock=SystemClock())
    assert [one.state for one in Deliveries(store).of(id)] != [PENDING]
    store.close()
