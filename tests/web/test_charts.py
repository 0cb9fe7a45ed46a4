"""Drawings stay inside their frame whatever the figures are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.evaluation import Estimate
from rungwise.web import charts, words


def estimate(mean: float, half: float = 0.02) -> Estimate:
    return Estimate(mean=mean, low=max(0.0, mean - half), high=min(1.0, mean + half), n=500)


AXIS = charts.Axis(
    title="Quality against price", x_label="price", y_label="accuracy", write_x=words.usd_tick, write_y=lambda value: f"{value:.3g}"
)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.one_of(st.just(0.0), st.floats(1e-9, 1e5))), min_size=1, max_size=12),
    st.floats(0.001, 0.999),
)
def test_points_and_whiskers_lie_inside_the_frame(figures: list[tuple[float, float]], target: float) -> None:
    marks = [charts.Mark(name=f"rung{i}", x=x, quality=estimate(mean), state="met") for i, (mean, x) in enumerate(figures)]
    drawing = str(charts.scatter(marks, AXIS, target=target))
    for x, y in re.findall(r'cx="(-?[0-9.]+)" cy="(-?[0-9.]+)"', drawing):
        assert charts.LEFT <= float(x) <= charts.WIDTH - charts.RIGHT
        assert charts.TOP - 0.2 <= float(y) <= charts.HEIGHT - charts.BOTTOM + 0.2
    assert "nan" not in drawing
    assert "inf" not in drawing


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999))
def test_the_drawn_range_always_holds_the_target_and_the_best_rung(means: list[float], target: float) -> None:
    estimates = [estimate(mean) for mean in means]
    low, high = charts.quality_range(estimates, target)
    best = max(estimates, key=lambda one: one.low)
    assert low <= target <= high
    assert low <= best.low
    assert best.high <= high


def test_a_floor_far_below_does_not_squeeze_the_rungs_that_matter() -> None:
    low, high = charts.quality_range([estimate(0.05), estimate(0.92), estimate(0.95)], 0.9)
    assert low > 0.6
    assert high == pytest.approx(1.0, abs=0.01)


def test_a_rung_below_the_drawn_range_is_marked_at_its_edge_and_named_with_its_figure() -> None:
    marks = [
        charts.Mark(name="floor", x=0.0, quality=estimate(0.05), state="not_met"),
        charts.Mark(name="head", x=1.0, quality=estimate(0.95), state="met"),
    ]
    drawing = str(charts.scatter(marks, AXIS, target=0.9))
    assert "floor 0.05" in drawing
    assert drawing.count("<circle") == 1


def test_names_of_rungs_are_escaped_in_drawings() -> None:
    mark = charts.Mark(name="<b>&", x=1.0, quality=estimate(0.9), state="met")
    assert "&lt;b&gt;&amp;" in charts.scatter([mark], AXIS, target=0.9)


def test_log_ticks_are_round_and_few() -> None:
    assert charts.log_ticks(0.9, 1100) == pytest.approx([1, 10, 100, 1000])
    assert charts.log_ticks(1.5, 12) == pytest.approx([2, 5, 10])
    assert len(charts.log_ticks(1e-9, 1e6)) <= 6


def test_linear_ticks_are_round() -> None:
    assert charts.linear_ticks(0.65, 1.0) == pytest.approx([0.7, 0.8, 0.9, 1.0])
