from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.engines.search.fusion import UNTUNED, Candidates, best_first, convex, reciprocal_rank, tune_weight


def _numbers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def _scores(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_a_text_that_both_searches_find_beats_one_that_a_single_search_puts_first() -> None:
    numbers, scores = reciprocal_rank([_numbers(7, 3), _numbers(5, 3)])
    assert numbers.tolist() == [3, 5, 7]
    assert scores.tolist() == pytest.approx([2 / 62, 1 / 61, 1 / 61])


@given(st.lists(st.permutations(range(6)).flatmap(lambda order: st.integers(0, 6).map(lambda k: order[:k])), max_size=4))
def test_rank_fusion_is_the_sum_written_out(rankings: list[list[int]]) -> None:
    expected: dict[int, float] = {}
    for ranking in rankings:
        for place, number in enumerate(ranking, start=1):
            expected[number] = expected.get(number, 0.0) + 1 / (60 + place)
    numbers, scores = reciprocal_rank([_numbers(*ranking) for ranking in rankings])
    assert dict(zip(numbers.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected)
    assert (np.diff(scores) <= 0).all()


def test_the_ends_of_the_weight_are_the_two_searches_themselves() -> None:
    numbers, lexical, dense = _numbers(4, 8, 9), _scores(0, 6, 3), _scores(0.5, 0.1, 0.2)
    assert convex(numbers, lexical, dense, weight=0.0)[0].tolist() == [8, 9, 4]
    assert convex(numbers, lexical, dense, weight=1.0)[0].tolist() == [4, 9, 8]


def test_scores_run_from_the_least_possible_to_the_best_found() -> None:
    numbers, scores = convex(_numbers(1, 2), _scores(8, 2), _scores(0.0, 1.0), weight=0.5)
    assert numbers.tolist() == [1, 2]
    assert scores.tolist() == pytest.approx([0.5 * 1 + 0.5 * 0.5, 0.5 * 0.25 + 0.5 * 1])  # (0 + 1) / 2 and 2 / 8


def test_equal_texts_stand_by_number_and_nothing_found_is_nothing() -> None:
    assert convex(_numbers(9, 2, 5), _scores(0, 0, 0), _scores(0.3, 0.3, 0.3), weight=0.4)[0].tolist() == [2, 5, 9]
    assert convex(_numbers(), _scores(), _scores(), weight=0.4)[0].size == 0
    assert reciprocal_rank([])[0].size == 0
    assert best_first(_numbers(3, 1), _scores(1, 1))[0].tolist() == [1, 3]


def test_a_weight_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        convex(_numbers(1), _scores(1), _scores(1), weight=1.5)


def test_the_weight_leans_to_the_search_that_knows_better() -> None:
    rng = np.random.default_rng(0)
    sharp, dull = [], []
    for _ in range(60):
        told, noise = rng.random(20).astype(np.float32), rng.random(20).astype(np.float32)
        told[7] = 1.5  # text 7 is the wanted one
        sharp.append(Candidates(np.arange(20), noise, told - 0.5))
        dull.append(Candidates(np.arange(20), told, noise - 0.5))

    def first(_: int, numbers: np.ndarray) -> float:
        return 1.0 / (1 + numbers.tolist().index(7))

    leaning, means = tune_weight(sharp, first)
    assert leaning > 0.5
    assert tune_weight(dull, first)[0] < 0.5
    assert len(means) == 21
    assert means[-1] == 1.0


def test_without_solved_queries_the_weight_is_the_known_good_one() -> None:
    assert tune_weight([], lambda query, numbers: 1.0)[0] == UNTUNED
    assert tune_weight([Candidates(_numbers(1), _scores(1), _scores(1))], lambda query, numbers: 1.0)[0] == UNTUNED
