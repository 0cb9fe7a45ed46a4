"""Withholding the least certain answers raises quality by a stated amount."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.dataset import Example
from rungwise.core.errors import CannotScore
from rungwise.evaluate import catalogue
from rungwise.evaluate.abstention import abstention_gain, area_under_risk, coverage_curve
from rungwise.evaluate.answers import Answers


def rows(right: list[int], sure: list[float | None], groups: list[str] | None = None) -> tuple[list[Example], Answers]:
    examples = [Example(text=str(place), references=("a",), group=groups[place] if groups else None) for place in range(len(right))]
    return examples, Answers(tuple("a" if one else "b" for one in right), tuple(sure))


def test_the_curve_goes_from_the_surest_to_all_with_the_quality_of_each_part() -> None:
    examples, answers = rows([1, 1, 0, 0], [0.9, 0.8, 0.7, 0.6])
    curve = coverage_curve(catalogue.ACCURACY, examples, answers, points=4)
    assert [point.threshold for point in curve] == [0.9, 0.8, 0.7, 0.6]
    assert [point.coverage for point in curve] == [0.25, 0.5, 0.75, 1.0]
    assert [point.risk for point in curve] == pytest.approx([0, 0, 1 / 3, 0.5])
    assert all(point.quality.low <= point.quality.mean <= point.quality.high for point in curve)


def test_a_row_without_confidence_is_never_covered_and_comes_last_in_the_area() -> None:
    examples, answers = rows([1, 0], [0.9, None])
    curve = coverage_curve(catalogue.ACCURACY, examples, answers)
    assert [point.coverage for point in curve] == [0.5]
    assert area_under_risk(catalogue.ACCURACY, examples, answers) == pytest.approx((0 + 0.5) / 2)


def test_area_by_hand() -> None:
    examples, answers = rows([1, 0, 1], [0.9, 0.8, 0.7])
    assert area_under_risk(catalogue.ACCURACY, examples, answers) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.5, 0.9])), min_size=1, max_size=30), st.randoms())
def test_the_order_of_rows_does_not_matter_and_one_confidence_for_all_gives_the_plain_risk(pairs, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(pairs, len(pairs))
    areas = [
        area_under_risk(catalogue.ACCURACY, *rows([one for one, _ in each], [sure for _, sure in each]))
        for each in (pairs, shuffled)
    ]
    assert areas[0] == pytest.approx(areas[1])
    right = [one for one, _ in pairs]
    assert area_under_risk(catalogue.ACCURACY, *rows(right, [0.5] * len(right))) == pytest.approx(1 - sum(right) / len(right))


def test_gain_of_withholding_a_fifth_is_that_of_the_sure_four_fifths() -> None:
    examples, answers = rows([1, 1, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5])
    found = abstention_gain(catalogue.ACCURACY, examples, answers, share=0.2)
    assert (found.before, found.after) == (0.6, 0.75)
    assert found.gain.mean == pytest.approx(0.15)
    assert found.gain.low <= found.gain.mean <= found.gain.high


def test_the_interval_of_the_gain_excludes_zero_only_when_confidence_tells_something() -> None:
    rng = np.random.default_rng(0)
    sure = rng.random(600)
    informed = (rng.random(600) < 0.4 + 0.6 * sure).astype(int).tolist()
    blind = (rng.random(600) < 0.7).astype(int).tolist()
    assert abstention_gain(catalogue.ACCURACY, *rows(informed, sure.tolist())).gain.low > 0
    found = abstention_gain(catalogue.ACCURACY, *rows(blind, sure.tolist())).gain
    assert found.low < 0 < found.high


def test_rows_of_one_group_are_drawn_together() -> None:
    right, sure = [1, 1, 1, 0, 0, 0] * 20, [0.9, 0.9, 0.9, 0.1, 0.1, 0.1] * 20
    alone = abstention_gain(catalogue.ACCURACY, *rows(right, sure)).gain
    together = abstention_gain(catalogue.ACCURACY, *rows(right, sure, [str(place // 6) for place in range(120)])).gain
    assert together.high - together.low < alone.high - alone.low  # every group has the same share of right answers


def test_without_confidences_there_is_no_curve() -> None:
    examples = [Example(text="1", references=("a",))]
    with pytest.raises(CannotScore, match="needs confidences"):
        area_under_risk(catalogue.ACCURACY, examples, Answers(("a",)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        abstention_gain(catalogue.ACCURACY, examples, Answers(("a",), (0.5,)), share=1.0)


def test_rows_that_do_not_count_are_left_out() -> None:
    examples = [Example(text="1", references=("a",)), Example(text="2")]
    answers = Answers(("a", "x"), (0.4, 0.9))
    assert area_under_risk(catalogue.NDCG_AT_10, examples, answers) == 0.0
    assert math.isnan(area_under_risk(catalogue.NDCG_AT_10, examples[1:], answers.take([1])))
    assert math.isnan(abstention_gain(catalogue.NDCG_AT_10, examples[1:], answers.take([1])).gain.mean)
