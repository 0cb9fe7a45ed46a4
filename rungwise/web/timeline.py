"""Figures over days as inline SVG: a line with its interval and a reference, and a strip of one cell a day."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S
from rungwise.web.charts import linear_ticks

WIDTH, HEIGHT = 460, 210
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 30
STRIP_WIDTH, STRIP_HEIGHT = 320, 16
_ROOM = 0.08


@dataclass(frozen=True, kw_only=True)
class Point:
    """A day (since 1970) with a figure, its bounds where it has any, and the state of its reading."""

    day: int
    value: float
    low: float | None = None
    high: float | None = None
    state: str = "ok"


def timeline(points: Sequence[Point], *, title: str, write: Callable[[float], str], reference: float | None = None) -> Markup:
    """A line over days with its interval as a band, alarms as filled dots, and the reference as a dashed line, 460 x 210."""
    span = _span(points, reference)
    first, last = points[0].day, max(points[-1].day, points[0].day + 1)

    def x(day: float) -> float:
        return LEFT + (day - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (span[1] - value) / (span[1] - span[0]) * (HEIGHT - TOP - BOTTOM)

    drawn = [Markup('<svg class="chart timeline" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, title)]
    drawn += [_tick(y(tick), write(tick)) for tick in linear_ticks(*span, most=5)]
    drawn += [_date_tick(x(day), day) for day in _dates(first, last)]
    runs = _runs(points)
    drawn += [_band(run, x, y) for run in runs if len(run) > 1]
    if reference is not None:
        drawn.append(
            Markup('<line class="target" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(LEFT, WIDTH - RIGHT, y=_px(y(reference)))
        )
    for run in runs:
        path = "M" + "L".join(f"{_px(x(one.day))} {_px(y(one.value))}" for one in run)
        drawn.append(Markup('<path class="line" d="{}"/>').format(path))
    dots = [one for one in points if one.state == ALARM or len(points) == 1]
    drawn += [
        Markup('<circle class="dot {}" cx="{}" cy="{}" r="4"/>').format(d.state, _px(x(d.day)), _px(y(d.value))) for d in dots
    ]
    return Markup("").join([*drawn, Markup("</svg>")])


def strip(states: Sequence[tuple[int, str]], *, first: int, last: int, label: str) -> Markup:
    """One cell a day from `first` to `last`: quiet, alarm, cannot tell, or empty where nothing was read, 320 x 16."""
    width = STRIP_WIDTH / max(1, last - first + 1)
    drawn = [Markup('<svg class="strip" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(STRIP_WIDTH, STRIP_HEIGHT, label)]
    for day, state in states:
        left = (day - first) * width
        kind = {ALARM: "alarm", CANNOT_TELL: "open"}.get(state, "quiet")
        cell = '<rect class="cell {}" x="{}" y="1" width="{}" height="{}"/>'
        drawn.append(Markup(cell).format(kind, _px(left), _px(max(1.0, width - 0.8)), STRIP_HEIGHT - 2))
    return Markup("").join([*drawn, Markup("</svg>")])


def _span(points: Sequence[Point], reference: float | None) -> tuple[float, float]:
    """The stretch worth drawing. Bounds that are far wider than what was seen do not squeeze it into a line."""
    values = [one.value for one in points] + ([reference] if reference is not None else [])
    low, high = min(values), max(values)
    reach = max(high - low, 0.02 * abs(high), 1e-9)
    bounds = [bound for one in points for bound in (one.low, one.high) if bound is not None and math.isfinite(bound)]
    low = max(min([low, *bounds]), low - 2 * reach)
    high = min(max([high, *bounds]), high + 2 * reach)
    room = _ROOM * max(high - low, reach)
    return low - room, high + room


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Days without a gap between them: over a gap no line is drawn."""
    runs: list[list[Point]] = []
    for one in points:
        if runs and one.day - runs[-1][-1].day == 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _band(run: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]) -> Markup:
    known = [one for one in run if one.low is not None and one.high is not None]
    if len(known) < 2:
        return Markup("")

    def inside(value: float | None) -> str:
        return _px(min(max(y(value or 0.0), TOP), HEIGHT - BOTTOM))

    there = [f"{_px(x(one.day))} {inside(one.high)}" for one in known]
    back = [f"{_px(x(one.day))} {inside(one.low)}" for one in reversed(known)]
    return Markup('<path class="band" d="M{}Z"/>').format("L".join(there + back))


def _tick(at: float, text: str) -> Markup:
    return Markup(
        '<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        '<text class="axis" x="{text_x}" y="{text_y}" text-anchor="end">{text}</text>'
    ).format(left=LEFT, right=WIDTH - RIGHT, y=_px(at), text_x=LEFT - 6, text_y=_px(at + 4), text=text)


def _dates(first: int, last: int) -> list[int]:
    step = max(1, math.ceil((last - first) / 4))
    return list(range(first, last + 1, step))


def _date_tick(at: float, day: int) -> Markup:
    anchor = "start" if at < LEFT + 20 else "end" if at > WIDTH - RIGHT - 20 else "middle"
    text = datetime.fromtimestamp(day * DAY_S, UTC).strftime("%d %b")
    return Markup('<text class="axis" x="{}" y="{}" text-anchor="{}">{}</text>').format(_px(at), HEIGHT - 10, anchor, text)


def _px(value: float) -> str:
    """Pixels with one decimal, so that equal input gives equal bytes everywhere."""
    return f"{value:.1f}"
