"""Production as one page: what stands first, what each monitor says, and nothing that could run."""

from __future__ import annotations

from rungwise.core.reading import DAY_S, Reading
from rungwise.core.usecase import Target, UseCase
from rungwise.data.alerts import Alert
from rungwise.web.watch import WatchView, render_watch

DAY = 20_000


def reading(monitor: str, day: int, **more: object) -> Reading:
    return Reading(monitor=monitor, since=float(day * DAY_S), until=float((day + 1) * DAY_S), **more)  # type: ignore[arg-type]


def page(*readings: Reading, alerts: tuple[Alert, ...] = ()) -> str:
    case = UseCase(name="support", task="classify", target=Target(metric="accuracy", value=0.9))
    return render_watch(WatchView(project="support", case=case, day=DAY, readings=readings, alerts=alerts))


def test_a_quiet_day_says_so() -> None:
    shown = page(reading("drift.input.length", DAY, why="no longer than before"))
    assert "<h1>Nothing stands out</h1>" in shown
    assert "0 alarmed, 0 could not tell yet" in shown
    assert "no longer than before" in shown


def test_what_stands_comes_first_with_what_was_noticed() -> None:
    noticed = reading("quality.target", DAY, state="alarm", why="below 90 %, shown")
    alert = Alert(
        id="ab" * 32,
        rule="quality",
        reading=noticed,
        opened_at=0.0,
        changed_at=0.0,
        since=0.0,
        heard_until=0.0,
        severity="critical",
    )
    shown = page(noticed, alerts=(alert,))
    assert "1 critical alert stands" in shown
    assert shown.index("Alerts</h2>") < shown.index("Quality</h2>")
    assert "rungwise reclimb support --dry-run" in shown


def test_figures_over_days_are_a_picture_with_the_target_and_drift_is_a_strip() -> None:
    days = [reading("quality.reviewed", DAY - back, value=0.9, low=0.8, high=0.95) for back in range(5, -1, -1)]
    shown = page(*days, *(reading("drift.input.length", DAY - back, value=0.4) for back in range(5, -1, -1)))
    assert shown.count('class="chart timeline"') == 1
    assert 'class="target"' in shown
    assert shown.count('class="strip" viewBox="0 0 320') == 2


def test_a_monitor_that_fell_silent_cannot_tell_today() -> None:
    shown = page(reading("cost.usd", DAY - 3, value=1.0), reading("cost.usd_per_request", DAY, value=0.1))
    assert '<tr class="cannot_tell"><th scope="row">usd<' in shown


def test_what_users_wrote_cannot_become_markup() -> None:
    shown = page(reading("drift.output.answers", DAY, about={"group": "<script>alert(1)</script>"}, why="<img src=x onerror=y>"))
    assert "<script" not in shown
    assert "<img" not in shown


def test_equal_views_give_equal_bytes() -> None:
    one = reading("fairness.quality", DAY, about={"group": "a"}, why="as good as the others")
    assert page(one) == page(one)
