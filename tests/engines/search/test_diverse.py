import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rungwise.core.errors import UsageError
from rungwise.engines.search.diverse import distinct, mmr


def hits(rows: int, seed: int, dimensions: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((rows, dimensions)).astype(np.float32)
    if rows > 3:
        vectors[2] = vectors[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if rows > 5:
        vectors[5] = 0
    return np.sort(rng.random(rows).astype(np.float32))[::-1].copy(), vectors


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return math.fsum(float(a) * float(b) for a, b in zip(one, other, strict=True))


def mmr_by_loop(relevance: np.ndarray, vectors: np.ndarray, k: int, weight: float) -> list[float]:
    """The worth of each choice, by the sentence of the paper."""
    chosen: list[int] = []
    worths = []
    while len(chosen) < min(k, len(vectors)):
        worth = {}
        for place in range(len(vectors)):
            if place not in chosen:
                likest = max((cosine(vectors[place], vectors[other]) for other in chosen), default=0.0)
                worth[place] = weight * float(relevance[place]) - (1 - weight) * likest
        chosen.append(max(worth, key=lambda place: (round(worth[place], 9), -place)))
        worths.append(worth[chosen[-1]])
    return worths


@settings(max_examples=80, deadline=None)
@given(rows=st.integers(0, 25), k=st.integers(0, 30), weight=st.floats(0, 1), seed=st.integers(0, 2**16))
def test_every_choice_is_worth_as_much_as_the_best_that_a_plain_loop_finds(rows: int, k: int, weight: float, seed: int) -> None:
    relevance, vectors = hits(rows, seed)
    order = mmr(relevance, vectors, k, weight).tolist()
    assert len(order) == len(set(order)) == min(k, rows)
    assert worths(order, relevance, vectors, weight) == pytest.approx(mmr_by_loop(relevance, vectors, k, weight), abs=1e-6)


def worths(order: list[int], relevance: np.ndarray, vectors: np.ndarray, weight: float) -> list[float]:
    return [
        weight * float(relevance[place])
        - (1 - weight) * max((cosine(vectors[place], vectors[other]) for other in order[:step]), default=0.0)
        for step, place in enumerate(order)
    ]


def test_relevance_alone_keeps_the_order_and_of_equals_the_earlier_comes_first() -> None:
    relevance = np.asarray([0.9, 0.5, 0.5, 0.1], dtype=np.float32)
    assert mmr(relevance, np.ones((4, 1), dtype=np.float32), 4, 1.0).tolist() == [0, 1, 2, 3]


def test_a_copy_of_the_first_hit_comes_after_something_new() -> None:
    vectors = np.asarray([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert mmr(np.asarray([0.9, 0.89, 0.5], dtype=np.float32), vectors, 3, 0.5).tolist() == [0, 2, 1]


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_a_weight_outside_zero_to_one_is_refused(weight: float) -> None:
    relevance, vectors = hits(4, 0)
    with pytest.raises(UsageError, match="weight"):
        mmr(relevance, vectors, 2, weight)


def test_vectors_of_other_hits_are_refused() -> None:
    relevance, vectors = hits(4, 0)
    with pytest.raises(UsageError, match="one vector for each hit"):
        mmr(relevance, vectors[:3], 2, 0.5)


@settings(max_examples=80, deadline=None)
@given(rows=st.integers(0, 25), threshold=st.floats(-0.9, 0.99), seed=st.integers(0, 2**16))
def test_kept_hits_are_those_that_a_plain_loop_keeps(rows: int, threshold: float, seed: int) -> None:
    _, vectors = hits(rows, seed)
    kept: list[int] = []
    for place in range(rows):
        nearest = max((cosine(vectors[place], vectors[other]) for other in kept), default=-math.inf)
        assume(abs(nearest - threshold) > 1e-5)  # else rounding decides
        if nearest < threshold:
            kept.append(place)
    assert distinct(vectors, threshold).tolist() == kept


def test_a_threshold_of_one_leaves_out_copies_only() -> None:
    _, vectors = hits(30, 1, dimensions=384)
    assert distinct(vectors, 1.0).tolist() == [place for place in range(30) if place != 2]
