"""What watching found is shown at /metrics, without the names of users."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from rungwise.core.reading import ALARM, DAY_S, OK, Reading
from rungwise.core.watching import Watching
from rungwise.data.readings import Readings
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.project import Project
from rungwise.serve.metrics import page
from rungwise.serve.noticed import MOST_READINGS, Noticed
from rungwise.watch.alerts.state import note
from tests.serve.running import configure, engine, running


def reading(monitor: str, day: int = 100, **more: object) -> Reading:
    return Reading(monitor=monitor, since=day * DAY_S, until=(day + 1.0) * DAY_S, **more)  # type: ignore[arg-type]


def look(store: Store, readings: list[Reading], day: int = 100) -> None:
    with store.write(alone=True) as connection:
        assert Readings(store).put(connection, day, readings, at=1.0)
        note(connection, Watching(), readings, at=1.0)


def shown(store: Store, folder: Path) -> str:
    return page(folder, {"tickets"}, Noticed(store, "tickets").series()).decode()


def test_readings_of_the_last_day_and_alerts_are_shown(store: Store, tmp_path: Path) -> None:
    look(store, [reading("drift.input.length", value=3.5)], day=99)
    look(store, [reading("drift.input.length", state=ALARM, value=12.5), reading("quality.target", about={"variant": "b"})])
    lines = shown(store, tmp_path).splitlines()
    assert 'rungwise_alerts_open{deployment="tickets",rule="drift",severity="warning",state="open"} 1' in lines
    assert 'rungwise_reading_value{deployment="tickets",monitor="drift.input.length",days="1",about=""} 12.5' in lines
    assert 'rungwise_reading_alarm{deployment="tickets",monitor="quality.target",days="1",about="variant=b"} 0' in lines
    assert f'rungwise_looked_until_seconds{{deployment="tickets"}} {101 * 86_400}' in lines


def test_no_user_and_no_tenant_becomes_a_label_and_alarms_come_before_the_rest(store: Store, tmp_path: Path) -> None:
    many = [reading("fairness.quality", state=OK, about={"group": f"{n:05d}"}) for n in range(MOST_READINGS + 5)]
    alarm = reading("fairness.quality", state=ALARM, about={"group": "zz"})
    look(store, [reading("cost.user_budget", state=ALARM, about={"user": "ann"}), *many, alarm])
    text = shown(store, tmp_path)
    assert "ann" not in text
    assert 'about="group=zz"} 1' in text
    assert text.count("rungwise_reading_alarm{") == MOST_READINGS


def test_a_day_is_read_once_and_the_next_one_is_seen(store: Store) -> None:
    noticed = Noticed(store, "tickets")
    assert noticed.series() == []
    look(store, [reading("a.b", value=1.0)])
    first = noticed.series()
    assert noticed.series() == first
    look(store, [reading("a.b", day=101, value=2.0)], day=101)
    assert [2.0] in [values for _, values in noticed.series()]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt install prometheus)")
def test_a_server_shows_them_and_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    directory = tmp_path / "tickets"
    Project.create(directory, task="classify")
    configure(directory, endpoints=[engine("http://127.0.0.1:9/v1")])
    store = Store.open(directory / "state", clock=SystemClock())
    look(store, [reading("drift.input.length", state=ALARM, value=1.5)])
    store.close()
    with running(directory, scratch=tmp_path / "scratch") as (url, _):
        text = urllib.request.urlopen(f"{url}/metrics").read()
    assert b"rungwise_reading_alarm" in text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
