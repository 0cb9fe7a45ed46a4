"""Measures of a ranking are those of trec_eval, on the order that was given."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Response
from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.metric import metric, row_scores, value
from rungwise.evaluate.ranking import average_precision, hit_at, ndcg_at, precision_at, recall_at, reciprocal_rank_at

IDS = [f"d{number}" for number in range(30)]
RANKINGS = st.lists(st.sampled_from(IDS), unique=True, min_size=1, max_size=30)
GRADES = st.dictionaries(st.sampled_from(IDS), st.integers(0, 4), min_size=1, max_size=12).filter(lambda one: any(one.values()))
CUTS = st.sampled_from([1, 3, 5, 10, 20])


def trec(ranked: list[str], grades: Mapping[str, int], measure: str) -> float:
    """One figure of trec_eval on a run whose scores fall strictly in the order given: ties are broken by it, not by id."""
    scores = {one: float(len(ranked) - place) for place, one in enumerate(ranked)}
    evaluator = pytrec_eval.RelevanceEvaluator({"q": dict(grades)}, {measure})
    return float(evaluator.evaluate({"q": scores})["q"][measure.replace(".", "_")])


@given(RANKINGS, GRADES, CUTS)
def test_measures_with_a_cut_equal_those_of_trec_eval(ranked: list[str], grades: dict[str, int], k: int) -> None:
    pairs = {f"ndcg_cut.{k}": ndcg_at, f"recall.{k}": recall_at, f"P.{k}": precision_at, f"success.{k}": hit_at}
    for name, own in pairs.items():
        assert own(ranked, grades, k) == pytest.approx(trec(ranked, grades, name), abs=1e-9)
    assert reciprocal_rank_at(ranked, grades, k) == pytest.approx(trec(ranked[:k], grades, "recip_rank"), abs=1e-9)


@given(RANKINGS, GRADES)
def test_average_precision_equals_that_of_trec_eval(ranked: list[str], grades: dict[str, int]) -> None:
    assert average_precision(ranked, grades) == pytest.approx(trec(ranked, grades, "map"), abs=1e-9)


@given(RANKINGS, GRADES, CUTS)
def test_ids_alone_count_as_grades_of_one(ranked: list[str], grades: dict[str, int], k: int) -> None:
    plain = [one for one, grade in grades.items() if grade > 0]
    assert ndcg_at(ranked, plain, k) == ndcg_at(ranked, dict.fromkeys(plain, 1), k)


@given(RANKINGS, GRADES, CUTS)
def test_no_order_beats_the_best_one_first_and_all_stay_in_their_range(ranked: list[str], grades: dict[str, int], k: int) -> None:
    best = sorted(ranked, key=lambda one: -grades.get(one, 0))
    for measure in (ndcg_at, recall_at, precision_at, hit_at, reciprocal_rank_at):
        assert 0.0 <= measure(ranked, grades, k) <= measure(best, grades, k) + 1e-12 <= 1.0 + 2e-12
    assert 0.0 <= average_precision(ranked, grades) <= average_precision(best, grades) + 1e-12


@given(RANKINGS, GRADES, CUTS)
def test_a_document_that_comes_again_changes_nothing(ranked: list[str], grades: dict[str, int], k: int) -> None:
    again = [one for one in ranked for _ in range(2)] + ranked
    assert ndcg_at(again, grades, k) == ndcg_at(ranked, grades, k)
    assert average_precision(again, grades) == average_precision(ranked, grades)


def test_figures_by_hand() -> None:
    ranked, relevant = ["a", "x", "b", "y"], ["a", "b", "c"]
    assert recall_at(ranked, relevant, 3) == pytest.approx(2 / 3)
    assert precision_at(ranked, relevant, 5) == pytest.approx(2 / 5)  # over 5, although 4 were found
    assert average_precision(ranked, relevant) == pytest.approx((1 + 2 / 3) / 3)
    assert reciprocal_rank_at(ranked[1:], relevant, 10) == 0.5
    assert ndcg_at(ranked, relevant, 10) == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2))
    assert ndcg_at(["b", "a"], {"a": 3, "b": 1}, 2) == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_a_row_without_relevant_documents_is_not_counted() -> None:
    examples = [Example(text="q1", references=("a",)), Example(text="q2")]
    answers = Answers(("x\na", "x"))
    scores = row_scores(metric("mrr_at_10"), examples, answers)  # type: ignore[arg-type]
    assert scores[0] == 0.5
    assert math.isnan(scores[1])
    assert value(metric("mrr_at_10"), examples, answers) == 0.5


@pytest.mark.parametrize("name", ["hit_at_1", "hit_at_5", "recall_at_10", "precision_at_5", "ndcg_at_10", "map", "mrr_at_10"])
def test_an_empty_answer_scores_nothing(name: str) -> None:
    examples = [Example(text="q", references=("a", "b"))]
    assert value(metric(name), examples, Answers.of([Response("")])) == 0.0


def test_a_cut_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        ndcg_at(["a"], ["a"], 0)
