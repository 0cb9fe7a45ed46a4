"""The alerts of a project folder, as a program or notebook sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.reading import ALARM, DAY_S, Reading
from rungwise.core.watching import Rule
from rungwise.data.alerts import ACKNOWLEDGED, OPEN, RESOLVED, SENT
from rungwise.data.spec import FILE, read_watching
from rungwise.data.store import Store
from rungwise.project import Project
from rungwise.project.alerts import ProjectAlerts
from rungwise.watch.alerts.rules import doubts, holds
from rungwise.watch.alerts.state import note
from tests.clocks import StillClock


@pytest.fixture
def alerts(tmp_path: Path, clock: StillClock) -> ProjectAlerts:
    """Two alerts of one day, and a file that they go to."""
    directory = tmp_path / "tickets"
    own = Project.create(directory, task="classify", clock=clock).alerts
    path = directory / FILE
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "watch": {"sinks": [{"kind": "file", "to": "a.jsonl"}]}}))
    store = Store.open(directory / "state", clock=clock)
    readings = [Reading(monitor=f"drift.{one}", since=0.0, until=DAY_S, state=ALARM) for one in ("input.length", "truth.labels")]
    with store.write(alone=True) as connection:
        note(connection, read_watching(path), readings, at=clock.now())
    store.close()
    return own


def test_alerts_are_listed_taken_up_closed_and_sent(alerts: ProjectAlerts, clock: StillClock) -> None:
    first, second = alerts.list()
    assert {one.state for one in alerts.send()} == {SENT}
    clock.advance(5)
    taken = alerts.acknowledge(first.id[:8], by="ann")
    assert (taken.state, taken.by, taken.changed_at) == (ACKNOWLEDGED, "ann", clock.now())
    assert alerts.resolve(second.id, by="bob").state == RESOLVED
    assert [one.state for one in alerts.list()] == [ACKNOWLEDGED]
    assert sorted(one.state for one in alerts.list(all=True)) == [ACKNOWLEDGED, RESOLVED]
    assert [(one.event, one.state) for one in alerts.deliveries(second.id)] == [("opened", SENT), ("resolved", "pending")]
    assert alerts.get(first.id[:8]) == taken
    assert OPEN not in {one.state for one in alerts.list()}


def test_what_there_is_not_is_said(alerts: ProjectAlerts) -> None:
    with pytest.raises(UnknownName, match="there is no alert 'zz'"):
        alerts.get("zz")
    with pytest.raises(UnknownName):
        alerts.acknowledge("", by="ann")
    with pytest.raises(UnknownName):
        alerts.resolve("%", by="ann")


@pytest.mark.parametrize(
    ("when", "more", "expected"),
    [
        ("alarm", {"state": "alarm"}, True),
        ("alarm", {"state": "ok"}, False),
        ("alarm", {"state": "cannot_tell"}, None),
        ("value < 0.9", {"value": 0.89}, True),
        ("value < 0.9", {"value": 0.9}, False),
        ("value <= 0.9", {"value": 0.9}, True),
        ("value < 0.9", {}, None),
        ("value < 0.9", {"value": 0.1, "state": "cannot_tell"}, None),
        ("n < 5", {"n": 4, "state": "cannot_tell"}, True),
        ("effect > -1.5", {"effect": -1.0}, True),
        ("p<=1e-3", {"p": 0.001}, True),
        ("high >= 0.5", {"high": 0.4}, False),
    ],
)
def test_a_condition_holds_or_not_or_cannot_be_told(when: str, more: dict[str, object], expected: bool | None) -> None:
    reading = Reading(monitor="a.b", since=0.0, until=DAY_S, **more)  # type: ignore[arg-type]
    assert holds(Rule(name="r", metric="a", when=when), reading) is expected


@pytest.mark.parametrize("when", ["value", "value < ", "value < 1.2.3", "size > 3", "value < 1; drop"])
def test_a_condition_that_makes_no_sense_is_said_with_an_example(when: str) -> None:
    with pytest.raises(UsageError, match=r"high < 0\.9"):
        holds(Rule(name="r", metric="a", when=when), Reading(monitor="a.b", since=0.0, until=DAY_S, value=1.0))


def test_rules_that_judge_nothing_are_doubted_with_the_nearest_name() -> None:
    rules = [Rule(name="a", metric="drift.input.lenght"), Rule(name="b", metric="drift.input"), Rule(name="c", metric="cost")]
    first, second = doubts(rules, {"drift.input.length"})
    assert "Did you mean 'drift.input.length'?" in first
    assert "'cost' has read anything" in second


@pytest.mark.parametrize("name", ["", " ", "a\nb", "half \ud800"])
def test_somebody_takes_an_alert_up(alerts: ProjectAlerts, name: str) -> None:
    (alert, *_) = alerts.list()
    with pytest.raises(UsageError, match="who it is"):
        alerts.acknowledge(alert.id, by=name)
    with pytest.raises(UsageError, match="who it is"):
        alerts.resolve(alert.id, by=name)
    assert alerts.resolve(alert.id, by=" ann ", note="half \ud800").note == "half ?"
