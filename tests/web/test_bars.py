"""Bars and histograms: every row is drawn, nothing leaves the frame, and readers are told what is seen."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.data.versions.card import lengths_of
from rungwise.web.bars import BAR_WIDTH, HEIGHT, WIDTH, bar, histogram


def filled(drawing: str) -> float:
    found = re.search(r'class="fill \w+" width="([0-9.]+)"', drawing)
    assert found is not None
    return float(found[1])


def test_a_bar_is_as_long_as_its_share_and_one_row_is_still_seen() -> None:
    assert filled(bar(0.5)) == BAR_WIDTH / 2
    assert filled(bar(1.0)) == BAR_WIDTH
    assert filled(bar(0.0)) == 0.0
    assert filled(bar(1e-9)) > 1.0
    assert 'aria-hidden="true"' in bar(0.5)  # the figure stands beside it


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=100))
def test_every_bin_with_rows_is_drawn_inside_the_frame(values: list[int]) -> None:
    lengths = lengths_of(np.array(values, np.int64))
    mark = lengths.quantiles["0.5"]
    page = histogram(lengths.edges, lengths.counts, title="Characters", x_label="characters", mark=mark, mark_label="median")
    drawn = re.findall(r'<rect class="fill" x="([0-9.]+)" y="([0-9.]+)" width="([0-9.]+)" height="([0-9.]+)"', page)
    assert len(drawn) == sum(count > 0 for count in lengths.counts)
    for x, y, width, height in (map(float, one) for one in drawn):
        assert 0 <= x <= x + width <= WIDTH
        assert 0 <= y <= y + height <= HEIGHT
        assert height >= 1.0
    line = re.search(r'<line class="target" x1="([0-9.]+)"', page)
    assert line is not None
    number = max(place for place, edge in enumerate(lengths.edges[:-1]) if edge <= mark)
    heights = [float(one[0]) for one in drawn]
    own = heights[sum(count > 0 for count in lengths.counts[: number + 1]) - 1]
    assert own - 1.0 <= float(line[1]) <= own + float(drawn[0][2]) + 2.0  # the median stands in the bar that holds it


@pytest.mark.parametrize(("edges", "counts"), [((5, 6), (3,)), ((0, 1), (1,)), ((1, 2, 3), (0, 2))])
def test_a_histogram_of_one_value_can_be_drawn(edges: tuple[int, ...], counts: tuple[int, ...]) -> None:
    page = histogram(edges, counts, title="Words", x_label="words", mark=None)
    assert page.count('<rect class="fill"') == 1
    assert 'aria-label="Words"' in page
