"""The drawings of the data card as inline SVG: a histogram of lengths, and the bars beside counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from rungwise.web.charts import linear_ticks

BAR_WIDTH, BAR_HEIGHT = 200, 12
WIDTH, HEIGHT = 460, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 22, 42
_LABEL_PX = 44  # room that a figure under the axis needs
_LEAST_PX = 1.5  # of a bar that stands for at least one row


def bar(share: float, *, kind: str = "plain") -> Markup:
    """A bar of 200 x 12 filled to a share in [0, 1]. It is drawn beside its figure, so screen readers skip it."""
    drawing = Markup(
        '<svg class="bar" viewBox="0 0 {w} {h}" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="{w}" height="{h}" rx="2"/>'
        '<rect class="fill {kind}" width="{filled}" height="{h}" rx="2"/></svg>'
    )
    filled = max(_LEAST_PX, BAR_WIDTH * share) if share > 0 else 0.0
    return drawing.format(w=BAR_WIDTH, h=BAR_HEIGHT, kind=kind, filled=f"{filled:.1f}")


def histogram(
    edges: Sequence[int], counts: Sequence[int], *, title: str, x_label: str, mark: int | None, mark_label: str = ""
) -> Markup:
    """Bars of equal width, one for each bin `[edges[i], edges[i + 1])`, with a dashed line at the value `mark`, 460 x 220."""
    top = max(counts, default=0) or 1
    room = WIDTH - LEFT - RIGHT
    step = room / max(1, len(counts))

    def y(count: float) -> float:
        return HEIGHT - BOTTOM - count / top * (HEIGHT - BOTTOM - TOP)

    drawn = [_frame(title, x_label), _grid(top, y)]
    for number, count in enumerate(counts):
        if count:
            high = max(_LEAST_PX, HEIGHT - BOTTOM - y(count))
            drawn.append(
                Markup('<rect class="fill" x="{}" y="{}" width="{}" height="{}"/>').format(
                    _px(LEFT + number * step + 0.75), _px(HEIGHT - BOTTOM - high), _px(max(1.0, step - 1.5)), _px(high)
                )
            )
    drawn += _edges(edges, step)
    if mark is not None:
        drawn.append(_mark(edges, step, mark, mark_label))
    return Markup("").join([*drawn, Markup("</svg>")])


def _frame(title: str, x_label: str) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{title}"><text class="axis" x="6" y="11">rows</text>'
        '<text class="axis" x="{right}" y="{foot}" text-anchor="end">{x_label}</text>'
    ).format(w=WIDTH, h=HEIGHT, title=title, right=WIDTH - RIGHT, foot=HEIGHT - 6, x_label=x_label)


def _grid(top: int, y: Callable[[float], float]) -> Markup:
    line = Markup(
        '<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        '<text class="tick" x="{at}" y="{under}" text-anchor="end">{text}</text>'
    )
    ticks = [tick for tick in linear_ticks(0.0, float(top), most=5) if tick == int(tick)]
    return Markup("").join(
        line.format(left=LEFT, right=WIDTH - RIGHT, y=_px(y(tick)), at=LEFT - 7, under=_px(y(tick) + 4), text=_compact(int(tick)))
        for tick in ticks
    )


def _edges(edges: Sequence[int], step: float) -> list[Markup]:
    """The lower ends of bins under the axis, as many as have room."""
    every = max(1, -(-_LABEL_PX // max(1, int(step))))
    text = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>')
    return [
        text.format(_px(LEFT + number * step), HEIGHT - BOTTOM + 16, _compact(edge))
        for number, edge in enumerate(edges[:-1])
        if number % every == 0
    ]


def _mark(edges: Sequence[int], step: float, mark: int, label: str) -> Markup:
    """A dashed line at a value, within its bin."""
    number = max(0, sum(edge <= mark for edge in edges[:-1]) - 1)
    width = edges[number + 1] - edges[number]
    x = LEFT + (number + (mark - edges[number] + 0.5) / width) * step
    anchor, beside = ("end", -5) if x > WIDTH * 0.6 else ("start", 5)
    return Markup(
        '<line class="target" x1="{x}" x2="{x}" y1="{top}" y2="{foot}"/>'
        '<text class="target-name" x="{at}" y="{above}" text-anchor="{anchor}">{label}</text>'
    ).format(x=_px(x), top=TOP - 8, foot=HEIGHT - BOTTOM, at=_px(x + beside), above=TOP - 2, anchor=anchor, label=label)


def _compact(number: int) -> str:
    """A figure on an axis: 800, 1.2k, 40k, 3M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if number >= size:
            scale = 1000 if unit == "k" else size
            return f"{number / scale:.3g}{unit}"
    return f"{number:,}"


def _px(value: float) -> str:
    """Pixels with one decimal, so that equal input gives equal bytes everywhere."""
    return f"{value:.1f}".removesuffix(".0")
