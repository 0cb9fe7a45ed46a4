"""Whether a candidate forgot what another knew: one word, wrong in no more than 5 %."""

from __future__ import annotations

import numpy as np
import pytest

from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.metric import target_metric
from rungwise.ladder.forgetting import CANNOT_TELL, FORGETS, KEEPS, compared

METRIC = target_metric("accuracy")


def rows(n: int) -> list[Example]:
    return [Example(text=f"q{i}", references=("a",)) for i in range(n)]


def right(which: np.ndarray) -> Answers:
    return Answers(tuple("a" if one else "b" for one in which), (None,) * len(which))


def verdict(old: np.ndarray, new: np.ndarray, margin: float, seed: int = 0) -> str:
    return compared(METRIC, rows(len(old)), right(old), right(new), margin=margin, seed=seed)


def test_the_same_answers_are_kept_within_a_margin() -> None:
    same = np.random.default_rng(0).random(400) < 0.9
    assert verdict(same, same, 0.05) == KEEPS


def test_a_candidate_that_lost_a_fifth_forgets() -> None:
    old = np.ones(300, np.bool_)
    new = np.arange(300) % 5 != 0
    assert verdict(old, new, 0.05) == FORGETS
    assert verdict(new, old, 0.05) == KEEPS


def test_a_handful_of_rows_cannot_tell() -> None:
    assert verdict(np.ones(8, np.bool_), np.array([True] * 7 + [False]), 0.02) == CANNOT_TELL


def test_without_a_margin_the_exact_test_of_mcnemar_decides() -> None:
    old, new = np.ones(40, np.bool_), np.ones(40, np.bool_)
    new[:5] = False  # 5 of 5 differing rows: 2^-5 = 0.031
    assert verdict(old, new, 0.0) == FORGETS
    new[4] = True  # 4 of 4: 0.0625
    assert verdict(old, new, 0.0) == CANNOT_TELL


def test_metrics_of_the_whole_set_are_compared_too() -> None:
    table = [Example(text=f"q{i}", references=("ab"[i % 2],)) for i in range(300)]
    truth = Answers(tuple("ab"[i % 2] for i in range(300)), (None,) * 300)
    worse = Answers(tuple("ab"[(i + (i % 4 == 0)) % 2] for i in range(300)), (None,) * 300)
    assert compared(target_metric("macro_f1"), table, truth, worse, margin=0.05) == FORGETS
    assert compared(target_metric("macro_f1"), table, truth, truth, margin=0.05) == KEEPS


@pytest.mark.slow
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_at_the_margin_either_word_is_wrong_in_no_more_than_five_percent(margin: float) -> None:
    rng, found = np.random.default_rng(3), []
    for seed in range(400):
        old = rng.random(300) < 0.9
        differs = rng.random(300)  # a row that differs is lost with 6 % and the margin, won with 6 %
        new = np.where(differs < 0.06 + margin, False, np.where(differs < 0.12 + margin, True, old))
        before = np.where(differs < 0.06 + margin, True, np.where(differs < 0.12 + margin, False, old))
        found.append(verdict(before, new, margin, seed))
    for word in (FORGETS, KEEPS):
        assert found.count(word) <= 34  # 5 % of 400 is 20; 34 has a chance below 0.2 %
