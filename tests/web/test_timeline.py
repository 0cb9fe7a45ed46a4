"""Figures over days as pictures."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rungwise.web.timeline import HEIGHT, WIDTH, Point, strip, timeline

FIGURES = st.floats(-1e6, 1e6, allow_nan=False)


def drawn(*points: Point, reference: float | None = None) -> str:
    return str(timeline(points, title="quality", write=lambda value: f"{value:.3g}", reference=reference))


def test_no_line_is_drawn_over_a_day_without_a_figure() -> None:
    days = [0, 1, 2, 5, 6]
    picture = drawn(*(Point(day=day, value=0.9, low=0.8, high=0.95) for day in days))
    assert picture.count('class="line"') == 2
    assert picture.count('class="band"') == 2


def test_an_alarm_is_a_dot_and_the_reference_a_dashed_line() -> None:
    picture = drawn(Point(day=0, value=0.9), Point(day=1, value=0.7, state="alarm"), reference=0.85)
    assert picture.count('class="dot alarm"') == 1
    assert picture.count('class="target"') == 1


def test_a_single_day_is_a_dot() -> None:
    assert drawn(Point(day=3, value=0.5)).count('class="dot ok"') == 1


@given(st.lists(st.tuples(st.integers(0, 400), FIGURES, FIGURES, FIGURES), min_size=1, max_size=30), FIGURES)
def test_whatever_the_figures_are_the_picture_stays_in_its_frame(
    rows: list[tuple[int, float, float, float]], reference: float
) -> None:
    days = {day: (value, low, high) for day, value, low, high in rows}
    points = [Point(day=day, value=value, low=low, high=high) for day, (value, low, high) in sorted(days.items())]
    picture = drawn(*points, reference=reference)
    for name, most in (("cx", WIDTH), ("cy", HEIGHT), ("y1", HEIGHT), ("x1", WIDTH)):
        assert all(-1 <= float(one) <= most + 1 for one in re.findall(rf'{name}="([-0-9.]+)"', picture))
    assert "nan" not in picture
    assert "inf" not in picture


def test_a_strip_has_a_cell_for_each_day_that_was_read() -> None:
    picture = str(strip([(10, "ok"), (11, "alarm"), (13, "cannot_tell")], first=10, last=13, label="drift"))
    assert [picture.count(f'class="cell {kind}"') for kind in ("quiet", "alarm", "open")] == [1, 1, 1]
    assert 'aria-label="drift"' in picture
