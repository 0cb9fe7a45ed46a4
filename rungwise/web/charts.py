"""The drawings of the report as inline SVG: whiskers beside the ladder, and quality against price or latency."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rungwise.core.evaluation import Estimate
from rungwise.web.words import shortened

WHISKER_WIDTH, WHISKER_HEIGHT = 200, 22
WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 18, 46
ZERO_LANE = 34  # px left of a log axis for values of 0, which has no logarithm
_CHARACTER_PX = 6.9  # of a 12 px sans serif, wide enough for most


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One rung in a chart: quality with its interval, at `x` (US dollars or seconds, 0 allowed)."""

    name: str
    x: float
    quality: Estimate
    state: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Words and units of a chart: its title, the label of the x axis, and how figures are written."""

    title: str
    x_label: str
    y_label: str
    write_x: Callable[[float], str]
    write_y: Callable[[float], str]


def quality_range(estimates: Sequence[Estimate], target: float) -> tuple[float, float]:
    """The stretch of the quality scale worth drawing: around the target and the best, within [0, 1] where the scores are.

    A floor at 5 % would squeeze the rungs that matter into a few pixels; what lies below the range is drawn at its edge.
    """
    best_low = max((estimate.low for estimate in estimates), default=target)
    top = max([target, *(estimate.high for estimate in estimates)])
    low = min(target - 2.5 * (1.0 - target), best_low - 0.6 * abs(target - best_low) - 0.02)
    lowest = min([target, *(estimate.low for estimate in estimates)])
    low = max(low, lowest - 0.02, min(0.0, lowest))
    high = top + 0.08 * (top - low)
    return low, min(1.0, high) if top <= 1.0 else high


def whisker(estimate: Estimate, *, target: float, span: tuple[float, float], state: str, label: str) -> Markup:
    """A dot with its interval against the target line, 200 x 22. `label` is what a screen reader says."""
    x = _linear(span, 6, WHISKER_WIDTH - 6)
    middle = WHISKER_HEIGHT / 2
    drawn = [
        Markup('<svg class="whisker" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WHISKER_WIDTH, WHISKER_HEIGHT, label),
        Markup('<line class="track" x1="6" x2="{}" y1="{}" y2="{}"/>').format(WHISKER_WIDTH - 6, _px(middle), _px(middle)),
        Markup('<line class="target" x1="{0}" x2="{0}" y1="1" y2="{1}"/>').format(_px(x(target)), WHISKER_HEIGHT - 1),
    ]
    if estimate.high < span[0]:
        drawn.append(Markup('<path class="mark {}" d="M4 {} l7 -4.5 v9 z"/>').format(state, _px(middle)))
    else:
        low, high = x(max(estimate.low, span[0])), x(estimate.high)
        drawn.append(Markup('<path class="reach {}" d="{}"/>').format(state, _reach(low, high, middle, cut=estimate.low < span[0])))
        drawn.append(
            Markup('<circle class="mark {}" cx="{}" cy="{}" r="4"/>').format(
                state, _px(x(max(estimate.mean, span[0]))), _px(middle)
            )
        )
    return Markup("").join([*drawn, Markup("</svg>")])


def _reach(low: float, high: float, y: float, *, cut: bool) -> str:
    """The path of an interval with end caps; no cap where the drawing cuts it off."""
    cap = "" if cut else f"M{_px(low)} {_px(y - 4)}v8"
    return f"{cap}M{_px(low)} {_px(y)}H{_px(high)}M{_px(high)} {_px(y - 4)}v8"


def scatter(marks: Sequence[Mark], axis: Axis, *, target: float) -> Markup:
    """Quality with whiskers against a logarithmic price or latency, with the target as a dashed line, 460 x 300."""
    span = quality_range([mark.quality for mark in marks], target)
    y = _linear(span, HEIGHT - BOTTOM, TOP)
    x, x_ticks = _log_axis([mark.x for mark in marks])
    labels = _Labels()
    for mark in marks:
        ends = [y(max(end, span[0])) for end in (mark.quality.high, mark.quality.low)]
        labels.avoid(x(mark.x), ends[0], ends[1])
    drawn = [_frame(axis), _grid_y(span, y, axis), _grid_x(x_ticks, axis)]
    drawn.append(_target_line(y(target), axis.write_y(target), labels))
    best_first = sorted(marks, key=lambda mark: (-mark.quality.mean, mark.name))
    drawn += [_point(mark, x(mark.x), y, span) for mark in best_first]
    for mark in best_first:
        below = mark.quality.high < span[0]
        name = f"{mark.name} {axis.write_y(mark.quality.mean)}" if below else mark.name
        at_y = HEIGHT - BOTTOM - 6 if below else y(max(mark.quality.mean, span[0]))
        drawn.append(labels.place(shortened(name, 28), x(mark.x), at_y))
    return Markup("").join([*drawn, Markup("</svg>")])


def _frame(axis: Axis) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{title}">'
        '<text class="axis" x="{left}" y="11">{y_label}</text>'
        '<text class="axis" x="{right}" y="{foot}" text-anchor="end">{x_label}</text>'
    ).format(
        w=WIDTH,
        h=HEIGHT,
        title=axis.title,
        left=6,
        y_label=axis.y_label,
        right=WIDTH - RIGHT,
        foot=HEIGHT - 6,
        x_label=axis.x_label,
    )


def _grid_y(span: tuple[float, float], y: Callable[[float], float], axis: Axis) -> Markup:
    line = Markup(
        '<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        '<text class="tick" x="{at}" y="{under}" text-anchor="end">{text}</text>'
    )
    return Markup("").join(
        line.format(left=LEFT, right=WIDTH - RIGHT, y=_px(y(tick)), at=LEFT - 7, under=_px(y(tick) + 4), text=axis.write_y(tick))
        for tick in linear_ticks(*span)
    )


def _grid_x(ticks: Sequence[tuple[float, float]], axis: Axis) -> Markup:
    line = Markup(
        '<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{foot}"/>'
        '<text class="tick" x="{x}" y="{under}" text-anchor="middle">{text}</text>'
    )
    foot = HEIGHT - BOTTOM
    return Markup("").join(
        line.format(x=_px(at), top=TOP, foot=foot, under=foot + 16, text=axis.write_x(value)) for value, at in ticks
    )


def _target_line(y: float, figure: str, labels: _Labels) -> Markup:
    line = Markup('<line class="target" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(LEFT, WIDTH - RIGHT, y=_px(y))
    return line + labels.place_at_edge(f"target {figure}", y)


def _point(mark: Mark, x: float, y: Callable[[float], float], span: tuple[float, float]) -> Markup:
    if mark.quality.high < span[0]:
        return Markup('<path class="mark {}" d="M{} {} l-5 -8 h10 z"/>').format(mark.state, _px(x), _px(y(span[0])))
    low, high = y(max(mark.quality.low, span[0])), y(mark.quality.high)
    foot = "" if mark.quality.low < span[0] else f"M{_px(x - 5)} {_px(low)}h10"
    path = f"M{_px(x)} {_px(low)}V{_px(high)}M{_px(x - 5)} {_px(high)}h10{foot}"
    return Markup('<path class="reach {0}" d="{1}"/><circle class="mark {0}" cx="{2}" cy="{3}" r="5"/>').format(
        mark.state, path, _px(x), _px(y(max(mark.quality.mean, span[0])))
    )


class _Labels:
    """Names beside points, moved until they cover no point and no other name."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float, float, float]] = []

    def avoid(self, x: float, top: float, foot: float) -> None:
        """Keep names off a point and its whiskers."""
        self._taken.append((x - 6, top - 6, x + 6, foot + 6))

    def place_at_edge(self, text: str, y: float) -> Markup:
        """The name of a horizontal line: above or below it, at its right or left end, wherever nothing stands yet."""
        width = _CHARACTER_PX * len(text)
        spots = [(WIDTH - RIGHT - width, y - 5), (LEFT + 3, y - 5), (WIDTH - RIGHT - width, y + 14), (LEFT + 3, y + 14)]
        left, under = next(((at, at_y) for at, at_y in spots if self._is_free(_box(at, at_y, width))), spots[0])
        self._taken.append(_box(left, under, width))
        at, anchor = (WIDTH - RIGHT, "end") if left > WIDTH / 3 else (left, "start")
        return Markup('<text class="target-name" x="{}" y="{}" text-anchor="{}">{}</text>').format(
            _px(at), _px(under), anchor, text
        )

    def place(self, text: str, x: float, y: float) -> Markup:
        """The name at the first free place around its point; right of it where none is free."""
        width = _CHARACTER_PX * len(text)
        ways = [(10, 0.0, "start"), (-10, width, "end")]
        spots = [(x + dx, y + 4 + dy, back, anchor) for dy in (0, -15, 15, -28, 28, -41, 41) for dx, back, anchor in ways]
        free = (spot for spot in spots if self._is_free(_box(spot[0] - spot[2], spot[1], width)))
        at, under, back, anchor = next(free, spots[0] if x < WIDTH / 2 else spots[1])
        self._taken.append(_box(at - back, under, width))
        return Markup('<text class="name" x="{}" y="{}" text-anchor="{}">{}</text>').format(_px(at), _px(under), anchor, text)

    def _is_free(self, box: tuple[float, float, float, float]) -> bool:
        left, top, right, foot = box
        inside = left >= LEFT - 4 and right <= WIDTH and top >= TOP - 8 and foot <= HEIGHT - BOTTOM + 2
        return inside and all(right < a or left > c or foot < b or top > d for a, b, c, d in self._taken)


def _box(left: float, under: float, width: float) -> tuple[float, float, float, float]:
    """Left, top, right and foot of a line of text that stands on `under`."""
    return left, under - 10, left + width, under + 3


def _linear(span: tuple[float, float], start: float, end: float) -> Callable[[float], float]:
    low, high = span
    return lambda value: start + (value - low) / ((high - low) or 1.0) * (end - start)


def linear_ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high]."""
    rough = (high - low) / (most - 1) or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _log_axis(values: Sequence[float]) -> tuple[Callable[[float], float], list[tuple[float, float]]]:
    """From value to pixel, and the ticks as (value, pixel). Zeros stand in a lane of their own at the left."""
    positive = [value for value in values if value > 0]
    low, high = (min(positive), max(positive)) if positive else (1.0, 10.0)
    start, end = LEFT + 12.0, WIDTH - RIGHT - 12.0
    zeros = len(positive) < len(values)
    start += ZERO_LANE if zeros else 0.0
    bottom, top = _decades(low, high)
    scale = _linear((bottom, top), start, end)

    def place(value: float) -> float:
        return scale(math.log10(value)) if value > 0 else LEFT + 14.0

    ticks = [(value, place(value)) for value in log_ticks(10.0**bottom, 10.0**top)]
    return place, ([(0.0, place(0.0)), *ticks] if zeros else ticks)


def _decades(low: float, high: float) -> tuple[float, float]:
    """The ends of a log axis, in powers of ten: a little room on both sides, at least one decade."""
    bottom, top = math.log10(low), math.log10(high)
    room = max(0.12 * (top - bottom), (1.0 - (top - bottom)) / 2, 0.1)
    return bottom - room, top + room


def log_ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Powers of ten inside [low, high], every n-th when there are many; 1-2-5 steps when there are few."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    powers = list(range(first, last + 1))
    if len(powers) >= 2:
        step = math.ceil(len(powers) / most)
        return [10.0**power for power in powers[::step]]
    steps = [times * 10.0**power for power in range(first - 1, last + 1) for times in (1, 2, 5)]
    return [value for value in steps if low <= value <= high]


def _px(value: float) -> str:
    """Pixels with one decimal, so that equal input gives equal bytes everywhere."""
    return f"{value:.1f}".removesuffix(".0")
