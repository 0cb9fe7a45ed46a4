"""Production as one HTML page: alerts, then each part of the watch over days."""

from __future__ import annotations

import importlib.metadata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from markupsafe import Markup

from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S, OK, Reading
from rungwise.core.usecase import UseCase
from rungwise.data.alerts import Alert
from rungwise.web import words
from rungwise.web.page import render_page
from rungwise.web.timeline import Point, strip, timeline

Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A monitor, and the part of the traffic."""
STRIP_DAYS = 90
SILENT_DAYS = 14
"""A monitor that said nothing for longer is left out: it was switched off, or its part of the traffic is gone."""
_GRAVITY = (CANNOT_TELL, OK, ALARM)
PARTS: Mapping[str, tuple[str, str]] = {
    "quality": ("Quality", "Is it still good enough? The dashed line is the target; the band is the interval."),
    "drift": ("Drift", "Has something changed? One cell is a day; all monitors together keep the promise about false alarms."),
    "fairness": ("Groups", "For whom does it fail? Each group against everybody else, by users and not by requests."),
    "cost": ("Cost", "What answering costs."),
    "value": ("Value", "What answering brings."),
    "feedback": ("Feedback", "What users say, with those who say nothing in view."),
    "review": ("Review", "What waits for people."),
}
"""The parts of the page by the first word of a monitor's name."""


@dataclass(frozen=True, kw_only=True)
class WatchView:
    """What the page shows: the readings of the days until `day` (since 1970, in UTC), and the alerts that stand."""

    project: str
    case: UseCase
    day: int
    readings: tuple[Reading, ...]
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One monitor over the days: what it says now, a strip of states, and a picture where it has figures."""

    name: str
    about: str
    window: str
    state: str
    why: str
    strip: Markup
    chart: Markup | None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the page; `folded` are the lines of variants, groups and so on."""

    title: str
    lead: str
    lines: tuple[Line, ...]
    folded: tuple[Line, ...] = ()


def render_watch(view: WatchView) -> str:
    """The page. Equal views give equal bytes."""
    context = {
        "view": view,
        "rungwise": importlib.metadata.version("rungwise"),
        "until": _date(view.day * DAY_S),
        "headline": _headline(view),
        "lead": _lead(view),
        "parts": _parts(view),
        "alerts": [(one, _date(one.since)) for one in view.alerts],
        "commands": _commands(view),
    }
    return render_page("watch.html.jinja2", ("report.css", "watch.css"), context)


def _headline(view: WatchView) -> str:
    if view.alerts:
        critical = sum(one.severity == "critical" for one in view.alerts)
        if critical == len(view.alerts):
            return words.count(critical, "critical alert stands", "critical alerts stand")
        told = f", {critical} of them critical" if critical else ""
        return f"{words.count(len(view.alerts), 'alert stands', 'alerts stand')}{told}"
    return "Nothing stands out"


def _lead(view: WatchView) -> str:
    newest = [one for one in view.readings if one.until == (view.day + 1) * DAY_S]
    alarms, open_ = (sum(one.state == state for one in newest) for state in (ALARM, CANNOT_TELL))
    told = f"On {_date(view.day * DAY_S)} {words.count(len(newest), 'reading was', 'readings were')} taken: {alarms} alarmed"
    return f"{told}, {open_} could not tell yet."


def _parts(view: WatchView) -> list[Part]:
    series: dict[str, dict[Key, list[Reading]]] = defaultdict(dict)
    for one in view.readings:
        key = (one.monitor, tuple(sorted(one.about.items())))
        series[one.monitor.partition(".")[0]].setdefault(key, []).append(one)
    order = [*PARTS, *sorted(set(series) - set(PARTS))]
    return [_part(view, name, series[name]) for name in order if name in series]


def _part(view: WatchView, name: str, series: Mapping[Key, Sequence[Reading]]) -> Part:
    first = max(view.day - STRIP_DAYS + 1, min(_day(run[0]) for run in series.values()))
    heard = {key: run for key, run in series.items() if max(map(_day, run)) >= view.day - SILENT_DAYS}
    lines = {key: _line(view, key, run, first) for key, run in sorted(heard.items())}
    title, lead = PARTS.get(name, (name, ""))
    whole = tuple(line for (_, about), line in lines.items() if not about)
    some = tuple(line for (_, about), line in lines.items() if about)
    return Part(title=title, lead=lead, lines=whole or some, folded=some if whole else ())


def _line(view: WatchView, key: Key, run: Sequence[Reading], first: int) -> Line:
    """All windows of a monitor: the worst state of each day, and the surest reading of the newest."""
    monitor, about = key
    states: dict[int, str] = {}
    for one in run:
        states[_day(one)] = max(states.get(_day(one), CANNOT_TELL), one.state, key=_GRAVITY.index)
    newest = [one for one in run if _day(one) == max(states)]
    told = min(newest, key=lambda one: (-_GRAVITY.index(one.state), 1.0 if one.p is None else one.p, one.days))
    return Line(
        name=monitor.partition(".")[2] or monitor,
        about=", ".join(f"{name} {value}" for name, value in about),
        window=words.count(told.days, "day"),
        state=told.state if max(states) == view.day else CANNOT_TELL,
        why=told.why,
        strip=strip(
            [(day, state) for day, state in sorted(states.items()) if day >= first],
            first=first,
            last=view.day,
            label=_told(monitor, states),
        ),
        chart=_chart(view, monitor, about, [one for one in run if one.days == told.days]),
    )


def _chart(view: WatchView, monitor: str, about: tuple[tuple[str, str], ...], run: Sequence[Reading]) -> Markup | None:
    """A picture of all traffic's figures; of parts of it, and of drift, where the strip says enough, there is none."""
    points = [
        Point(day=_day(one), value=one.value, low=one.low, high=one.high, state=one.state) for one in run if one.value is not None
    ]
    if about or monitor.startswith("drift.") or len(points) < 2:
        return None
    aim = view.case.target.value if monitor.startswith("quality.") and view.case.target is not None else None
    return timeline(
        points, title=f"{monitor} over {words.count(run[0].days, 'day')}", write=_writer(monitor, points), reference=aim
    )


def _writer(monitor: str, points: Sequence[Point]) -> Callable[[float], str]:
    if monitor.startswith("cost.") or monitor in ("value.revenue", "value.return"):
        return words.usd_tick
    if all(0.0 <= one.value <= 1.0 for one in points) and monitor.partition(".")[0] in ("quality", "feedback", "value"):
        return lambda value: f"{100 * value:.3g} %"
    return lambda value: f"{value:,.4g}"


def _told(monitor: str, states: Mapping[int, str]) -> str:
    alarms = sum(state == ALARM for state in states.values())
    return f"{monitor}: {words.count(alarms, 'day')} of {len(states):,} with an alarm"


def _commands(view: WatchView) -> list[tuple[str, str]]:
    commands = [(f"rungwise watch {view.project}", "look again")]
    if view.alerts:
        commands.append((f"rungwise alerts {view.project}", "take an alert up, or close it"))
        commands.append((f"rungwise reclimb {view.project} --dry-run", "what climbing again would cost, and could show"))
    commands.append((f"rungwise review {view.project}", "judge some answers: nothing else tells the quality without bias"))
    return commands


def _day(one: Reading) -> int:
    return int(one.until // DAY_S) - 1


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %B %Y")
