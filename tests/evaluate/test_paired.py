"""Comparisons of two candidates on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rungwise.core.dataset import Example
from rungwise.evaluate import catalogue
from rungwise.evaluate.answers import Answers, FloatArray
from rungwise.evaluate.metric import metric, value
from rungwise.evaluate.paired import compare, compare_scores, mcnemar, newcombe_paired


def rows(n: int, *, per_group: int = 0) -> list[Example]:
    return [
        Example(text=str(place), references=("a",), group=f"g{place // per_group}" if per_group else None) for place in range(n)
    ]


def told(right: FloatArray | list[bool]) -> Answers:
    return Answers(tuple("a" if one else "b" for one in right))


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 7), (7, 1), (12, 2), (30, 30), (3, 0)])
def test_mcnemar_is_the_exact_two_sided_binomial_test(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert mcnemar(wins, losses) == pytest.approx(expected, abs=1e-12)


def test_newcombes_interval_equals_published_ones() -> None:
    # airway hyper-responsiveness, table (1, 1 / 7, 12), as in Fagerland, Lydersen and Laake 2014: -0.507 to -0.026
    assert newcombe_paired(1, 1, 7, 12) == pytest.approx((-0.507, -0.026), abs=5e-4)
    low, high = newcombe_paired(20, 12, 2, 16)
    assert newcombe_paired(20, 2, 12, 16) == pytest.approx((-high, -low))  # exchanging the candidates mirrors it
    assert newcombe_paired(0, 0, 0, 0) == (-1.0, 1.0)


def test_newcombes_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    outside = 0
    for both, gained, lost, neither in rng.multinomial(150, (0.8, 0.08, 0.05, 0.07), size=2000):
        low, high = newcombe_paired(int(both), int(gained), int(lost), int(neither))
        outside += not low <= 0.03 <= high
    assert 0.02 <= outside / 2000 <= 0.06


def test_zero_one_scores_are_compared_row_by_row() -> None:
    first, second = [True] * 6 + [False] * 4, [True] * 5 + [False] + [True] * 3 + [False]
    found = compare(catalogue.ACCURACY, rows(10), told(first), told(second))
    assert (found.first, found.second, found.difference) == (0.6, 0.8, pytest.approx(0.2))
    assert (found.wins, found.losses, found.ties, found.n) == (3, 1, 6, 10)
    assert found.differing == (5, 6, 7, 8)
    assert found.p_value == pytest.approx(0.625)  # 2 * P(X >= 3), X binomial (4, 1/2)
    assert found.low < 0.2 < found.high
    assert found.method == "McNemar, Newcombe"


def test_pairing_sees_a_difference_that_two_separate_intervals_hide() -> None:
    first = np.r_[np.zeros(30), np.ones(270)]
    second = np.r_[np.zeros(15), np.ones(285)]
    found = compare(catalogue.ACCURACY, rows(300), told(first), told(second))
    assert found.p_value < 0.001
    assert found.low > 0.02
    assert found.high < 0.09


def test_rows_that_count_for_one_candidate_only_are_left_out() -> None:
    first, second = np.asarray([1.0, np.nan, 0.0]), np.asarray([0.0, 1.0, 0.0])
    found = compare_scores(catalogue.ACCURACY, rows(3), first, second)
    assert (found.n, found.differing) == (2, (0,))


@pytest.mark.parametrize("per_group", [0, 5])
def test_bootstrap_of_scores_keeps_its_level_and_finds_a_real_difference(per_group: int) -> None:
    rng = np.random.default_rng(3)
    examples = rows(200, per_group=per_group)
    wrong = 0
    for draw in range(120):
        own = np.repeat(rng.beta(5, 2, 40), 5) if per_group else rng.beta(5, 2, 200)
        first, second = np.clip(own + rng.normal(0, 0.1, (2, 200)), 0, 1)
        wrong += compare_scores(catalogue.TOKEN_F1, examples, first, second, seed=draw).p_value < 0.05
    assert wrong <= 15  # 6 are expected
    better = compare_scores(catalogue.TOKEN_F1, examples, first, np.clip(first + 0.05, 0, 1))
    assert better.p_value < 0.01
    assert 0 < better.low <= better.difference <= better.high < 0.06
    assert ("groups" in better.method) == bool(per_group)


@pytest.mark.parametrize("name", ["macro_f1", "micro_f1", "mcc", "auc", "log_loss", "balanced_accuracy"])
def test_every_kind_of_metric_can_be_compared(name: str) -> None:
    rng = np.random.default_rng(0)
    examples = [Example(text=str(place), references=(("a", "b", "c")[place % 3],)) for place in range(300)]
    labels = ("a", "b", "c")

    def candidate(strength: float) -> Answers:
        belief = rng.normal(size=(300, 3)) + strength * np.eye(3)[np.arange(300) % 3]
        table = (np.exp(belief) / np.exp(belief).sum(axis=1, keepdims=True)).astype(np.float32)
        return Answers(tuple(labels[one] for one in table.argmax(axis=1)), (), labels, table)

    weak, strong = candidate(1.0), candidate(2.5)
    found = compare(metric(name), examples, weak, strong)
    assert found.difference == pytest.approx(value(metric(name), examples, strong) - value(metric(name), examples, weak))
    assert found.low < found.difference < found.high
    assert found.p_value < 0.01
    assert found.wins > found.losses
    same = compare(metric(name), examples, weak, weak)
    assert (same.difference, same.low, same.high, same.differing) == (0.0, 0.0, 0.0, ())
    assert same.p_value == pytest.approx(1.0)


def test_no_counted_rows_decide_nothing() -> None:
    examples = [Example(text="", references=("oos",))]
    for name in ("in_scope_accuracy", "in_scope_macro_f1"):
        found = compare(metric(name), examples, Answers(("a",)), Answers(("b",)), out_of_scope="oos")
        assert (found.n, found.p_value, found.low, found.high) == (0, 1.0, -1.0, 1.0)
