"""Strict F1 of spans, and its interval."""

from __future__ import annotations

import pytest

from rungwise.evaluate.spans import Span, span_score

GOLD: list[list[Span]] = [[(0, 3, "A"), (5, 9, "B")], [(0, 2, "A")], []]


def test_a_span_is_right_only_with_its_ends_and_its_type() -> None:
    found: list[list[Span]] = [[(0, 3, "A"), (5, 8, "B")], [(0, 2, "B")], [(1, 2, "A")]]
    score = span_score(GOLD, found)
    assert (score.right, score.found, score.gold) == (1, 4, 3)
    assert score.f1 == pytest.approx(2 / 7)
    assert (score.precision, score.recall) == pytest.approx((1 / 4, 1 / 3))
    assert score.low <= score.f1 <= score.high


def test_all_right_is_one_and_nothing_of_nothing_too() -> None:
    assert span_score(GOLD, GOLD).f1 == 1.0
    assert span_score([[], []], [[], []]).low == 1.0
    assert span_score([], []).texts == 0
