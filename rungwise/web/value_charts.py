"""The drawings about money as inline SVG: each day's cost, the month with its forecast, the way to break-even, value by variant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rungwise.web.charts import linear_ticks
from rungwise.web.words import shortened

WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 24, 30
ROW, NAME, ROW_FOOT = 26, 118, 26


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One day: its name, and what of it was for users and for shadows."""

    name: str
    usd: float
    shadow_usd: float


@dataclass(frozen=True, kw_only=True)
class Fan:
    """A line through `known` (n,), and on from its last point the mean and the bounds of what is expected, each (h,).

    `names` (n + h,) are those of the points; `line` is a level to hold it against, called `line_name`.
    """

    title: str
    names: tuple[str, ...]
    known: tuple[float, ...]
    mean: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    line: float | None = None
    line_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure with its bounds, where there are any."""

    name: str
    value: float
    low: float | None
    high: float | None


def bars(days: Sequence[Bar], *, title: str, write: Callable[[float], str]) -> Markup:
    """What each day cost, one bar each, shadows on top, 460 x 240."""
    top = max([one.usd + one.shadow_usd for one in days], default=0.0) or 1.0
    y, span = _scale(0.0, top * 1.05), WIDTH - LEFT - RIGHT
    step = span / max(1, len(days))
    drawn = [_begin(title, HEIGHT), _levels(0.0, top * 1.05, y, write), _names([one.name for one in days], step, middle=True)]
    for place, one in enumerate(days):
        x, width = LEFT + step * (place + 0.12), step * 0.76
        for name, low, high in (("bar", 0.0, one.usd), ("bar shadow", one.usd, one.usd + one.shadow_usd)):
            if high > low:
                drawn.append(
                    Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                        name, _px(x), _px(y(high)), _px(width), _px(max(0.5, y(low) - y(high)))
                    )
                )
    return _end(drawn)


def fan(one: Fan, *, write: Callable[[float], str]) -> Markup:
    """A line and what is expected of it, 460 x 240."""
    values = [*one.known, *one.low, *one.high, *([] if one.line is None else [one.line]), 0.0]
    low, high = min(values), max(values)
    room = (high - low or 1.0) * 0.06
    low, high = low - (room if low < 0 else 0.0), high + room
    y = _scale(low, high)
    points = max(1, len(one.names) - 1)
    step = (WIDTH - LEFT - RIGHT) / points

    def path(values: Sequence[float], start: int) -> str:
        return " ".join(f"{_px(LEFT + step * (start + place))},{_px(y(value))}" for place, value in enumerate(values))

    drawn = [_begin(one.title, HEIGHT), _levels(low, high, y, write), _names(one.names, step, middle=False)]
    if one.mean and one.known:
        start, last = len(one.known) - 1, one.known[-1]
        back = path([last, *one.low], start).split(" ")[::-1]
        drawn.append(Markup('<polygon class="fan" points="{} {}"/>').format(path([last, *one.high], start), " ".join(back)))
        drawn.append(Markup('<polyline class="coming" points="{}"/>').format(path([last, *one.mean], start)))
    drawn.append(Markup('<polyline class="known" points="{}"/>').format(path(one.known, 0)))
    if len(one.known) == 1:
        drawn.append(Markup('<circle class="mark" cx="{}" cy="{}" r="3.5"/>').format(_px(LEFT), _px(y(one.known[0]))))
    if one.line is not None:
        at = y(one.line)
        drawn.append(Markup('<line class="target" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(LEFT, WIDTH - RIGHT, y=_px(at)))
        under = at - 5 if at > TOP + 14 else at + 14
        ends = one.known[0], (one.mean or one.known)[-1]
        right = abs(ends[1] - one.line) > abs(ends[0] - one.line)  # where the line is farther from what is drawn
        place, anchor = (WIDTH - RIGHT - 2, "end") if right else (LEFT + 4, "start")
        drawn.append(
            Markup('<text class="target-name" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                place, _px(under), anchor, one.line_name
            )
        )
    return _end(drawn)


def rows(found: Sequence[Row], *, title: str, write: Callable[[float], str]) -> Markup:
    """A dot with its interval for each, one above the other, 460 wide. The scale begins at 0 where nothing is below it."""
    values = [value for one in found for value in (one.value, one.low, one.high) if value is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    high = high if high > low else low + 1.0
    height = TOP + ROW * len(found) + ROW_FOOT
    room = (WIDTH - NAME - RIGHT) / ((high - low) * 1.06)

    def x(value: float) -> float:
        return NAME + (value - low) * room

    drawn = [_begin(title, height)]
    for tick in linear_ticks(low, high, most=5):
        drawn.append(
            Markup(
                '<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{foot}"/>'
                '<text class="tick" x="{x}" y="{under}" text-anchor="middle">{text}</text>'
            ).format(x=_px(x(tick)), top=TOP - 6, foot=height - ROW_FOOT, under=height - ROW_FOOT + 16, text=write(tick))
        )
    for place, one in enumerate(found):
        middle = TOP + ROW * (place + 0.5) - 3
        drawn.append(Markup('<text class="name" x="0" y="{}">{}</text>').format(_px(middle + 4), shortened(one.name, 16)))
        if one.low is not None and one.high is not None:
            ends = f"M{_px(x(one.low))} {_px(middle - 5)}v10M{_px(x(one.low))} {_px(middle)}H{_px(x(one.high))}"
            drawn.append(Markup('<path class="reach" d="{}M{} {}v10"/>').format(ends, _px(x(one.high)), _px(middle - 5)))
        drawn.append(Markup('<circle class="mark" cx="{}" cy="{}" r="4.5"/>').format(_px(x(one.value)), _px(middle)))
    return _end(drawn)


def _begin(title: str, height: float) -> Markup:
    return Markup('<svg class="chart money" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, _px(height), title)


def _end(drawn: Sequence[Markup]) -> Markup:
    return Markup("").join([*drawn, Markup("</svg>")])


def _scale(low: float, high: float) -> Callable[[float], float]:
    return lambda value: HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)


def _levels(low: float, high: float, y: Callable[[float], float], write: Callable[[float], str]) -> Markup:
    line = Markup(
        '<line class="{name}" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        '<text class="tick" x="{at}" y="{under}" text-anchor="end">{text}</text>'
    )
    return Markup("").join(
        line.format(
            name="zero" if tick == 0 else "grid",
            left=LEFT,
            right=WIDTH - RIGHT,
            y=_px(y(tick)),
            at=LEFT - 7,
            under=_px(y(tick) + 4),
            text=write(tick),
        )
        for tick in linear_ticks(low, high)
    )


def _names(names: Sequence[str], step: float, *, middle: bool) -> Markup:
    """Names of days under the drawing, so many as fit: the first, and every n-th on."""
    every = max(1, -(-len(names) // 5))
    text = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>')
    return Markup("").join(
        text.format(_px(min(max(LEFT + step * (place + middle / 2), LEFT + 4), WIDTH - 22)), HEIGHT - BOTTOM + 18, names[place])
        for place in range(0, len(names), every)
    )


def _px(value: float) -> str:
    """Pixels with one decimal, so that equal input gives equal bytes everywhere."""
    return f"{value:.1f}".removesuffix(".0")
