"""Targets with a coverage."""

from __future__ import annotations

import numpy as np
import pytest

from rungwise.core.dataset import Example
from rungwise.core.errors import UsageError
from rungwise.evaluate import catalogue
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.binomial import binomial_at_least, clopper_pearson_low
from rungwise.evaluate.selective import answered, choose_threshold, selective_bound, selective_chance, selective_value


def draw(rng: np.random.Generator, n: int) -> tuple[list[Example], Answers]:
    """Confidence u is uniform; the answer is right with the chance 0.6 + 0.4 u, so 0.8 over all and 0.9 above the median."""
    sure = rng.random(n)
    right = rng.random(n) < 0.6 + 0.4 * sure
    examples = [Example(text=str(place), references=("a",)) for place in range(n)]
    return examples, Answers(tuple("a" if one else "b" for one in right), tuple(sure.tolist()))


def test_both_bounds_are_exact_at_half_the_level() -> None:
    examples = [Example(text=str(place), references=("a",)) for place in range(10)]
    answers = Answers(("a",) * 7 + ("b",) * 3, (0.9,) * 8 + (0.1, None))
    found = selective_bound(catalogue.ACCURACY, examples, answers, threshold=0.5, level_low=0.06, level_high=0.05)
    assert found.coverage.low == pytest.approx(float(clopper_pearson_low(8, 10, 0.03)))
    assert found.quality.low == pytest.approx(float(clopper_pearson_low(7, 8, 0.03)))
    assert selective_value(catalogue.ACCURACY, examples, answers, threshold=0.5) == (0.8, 0.875)
    assert found.shows(0.4, 0.4)
    assert not found.shows(0.4, 0.8)
    assert found.excludes(0.4, 0.999)
    assert not found.excludes(0.9, 0.9)


def test_a_row_out_of_scope_counts_in_neither_share() -> None:
    examples = [Example(text=str(place), references=("oos" if place < 5 else "a",)) for place in range(10)]
    answers = Answers(("a",) * 10, (0.9,) * 8 + (0.1, 0.1))
    found = selective_value(catalogue.IN_SCOPE_ACCURACY, examples, answers, threshold=0.5, out_of_scope="oos")
    assert found == (pytest.approx(0.6), 1.0)


def test_the_threshold_is_chosen_where_both_targets_have_room() -> None:
    examples, answers = draw(np.random.default_rng(0), 2000)
    # answering the surest share c is right with 1 - 0.2 c: of c >= 0.4 and quality >= 0.85 the middle of 0.4 .. 0.75 is best
    threshold = choose_threshold(catalogue.ACCURACY, examples, answers, target=0.85, coverage=0.4, n_sealed=2000, level=0.03)
    share, quality = selective_value(catalogue.ACCURACY, examples, answers, threshold=threshold)
    assert 0.43 < share < 0.66
    assert quality > 0.87


def test_false_claims_of_both_targets_stay_within_the_level() -> None:
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        examples, answers = draw(rng, 400)
        # at 0.5 the truth is coverage 0.5 and quality 0.9: the claim 0.9 at 0.505 is false
        found = selective_bound(catalogue.ACCURACY, examples, answers, threshold=0.5, level_low=0.05, level_high=0.05)
        wrong += found.quality.low > 0.9 or found.coverage.low > 0.5
    assert float(binomial_at_least(wrong, 400, 0.05)) > 0.001
    assert wrong > 2  # and the level is not given away


def test_the_chance_falls_as_either_target_rises() -> None:
    examples, answers = draw(np.random.default_rng(0), 1000)

    def chance(target: float, coverage: float) -> float:
        return selective_chance(
            catalogue.ACCURACY, examples, answers, threshold=0.5, target=target, coverage=coverage, n_sealed=1000, level=0.03
        )

    assert chance(0.8, 0.4) > 0.95
    assert chance(0.95, 0.4) < 0.1
    assert chance(0.8, 0.6) < 0.1


def test_a_coverage_without_confidences_or_for_the_whole_set_is_refused() -> None:
    examples = [Example(text="", references=("a",))]
    with pytest.raises(UsageError, match="needs confidences"):
        answered(Answers(("a",)), 0.5)
    with pytest.raises(UsageError, match="needs confidences"):
        choose_threshold(catalogue.ACCURACY, examples, Answers(("a",)), target=0.9, coverage=0.5, n_sealed=10, level=0.03)
    with pytest.raises(UsageError, match="a coverage needs a metric of rows"):
        choose_threshold(catalogue.MACRO_F1, examples, Answers(("a",), (0.9,)), target=0.9, coverage=0.5, n_sealed=10, level=0.03)
