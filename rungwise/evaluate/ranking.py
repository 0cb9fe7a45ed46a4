"""Scores of a ranked list of documents against the relevant ones: recall, precision, hit, reciprocal rank, nDCG, average precision.

Every function takes the ids as they were ranked, best first, and the relevant ones:
a collection of ids (each of grade 1) or a mapping of ids to grades, of which only
those above 0 are relevant. An id that comes again is not counted again and takes no
rank, so that several passages of one document count as that document. All results
lie in [0, 1]; where nothing is relevant they are NaN, which is how a row is left out
of a mean. Equal to trec_eval, which the tests check, on the order given here:
trec_eval itself orders by score and breaks ties by id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from rungwise.core.content import Response
from rungwise.core.dataset import Example

Relevant: TypeAlias = Collection[str] | Mapping[str, float]
Measure: TypeAlias = Callable[[Sequence[str], Relevant], float]


def recall_at(ranked: Sequence[str], relevant: Relevant, k: int) -> float:
    """The share of the relevant documents that are among the first `k`. Source: trec_eval, measure `recall`."""
    grades = _grades(relevant)
    return sum(one in grades for one in _first(ranked, k)) / len(grades) if grades else math.nan


def precision_at(ranked: Sequence[str], relevant: Relevant, k: int) -> float:
    """The relevant among the first `k` over `k`, also when fewer than `k` were found. Source: trec_eval, measure `P`."""
    grades = _grades(relevant)
    return sum(one in grades for one in _first(ranked, k)) / k if grades else math.nan


def hit_at(ranked: Sequence[str], relevant: Relevant, k: int) -> float:
    """1 when any of the first `k` is relevant, else 0. Source: trec_eval, measure `success`."""
    grades = _grades(relevant)
    return float(any(one in grades for one in _first(ranked, k))) if grades else math.nan


def reciprocal_rank_at(ranked: Sequence[str], relevant: Relevant, k: int) -> float:
    """1 over the rank of the first relevant document among the first `k`, 0 without one; its mean is MRR@k.

    Source: trec_eval, measure `recip_rank`, on a run cut at `k`.
    """
    grades = _grades(relevant)
    if not grades:
        return math.nan
    return next((1 / rank for rank, one in enumerate(_first(ranked, k), start=1) if one in grades), 0.0)


def ndcg_at(ranked: Sequence[str], relevant: Relevant, k: int) -> float:
    """DCG@k over that of the best possible order, with DCG@k = sum over ranks i <= k of grade_i / log2(i + 1).

    The gain is the grade itself, not 2^grade - 1; for grades of 0 and 1 both are the
    same. Source: Jarvelin and Kekalainen 2002, ACM TOIS 20(4), as in trec_eval,
    measure `ndcg_cut`.
    """
    grades = _grades(relevant)
    if not grades:
        return math.nan
    best = _discounted(sorted(grades.values(), reverse=True)[:k])
    return _discounted([grades.get(one, 0.0) for one in _first(ranked, k)]) / best


def average_precision(ranked: Sequence[str], relevant: Relevant) -> float:
    """The precision at the rank of each relevant document, 0 for those not found, averaged; its mean over rows is MAP.

    Source: trec_eval, measure `map`.
    """
    grades = _grades(relevant)
    if not grades:
        return math.nan
    found, total = 0, 0.0
    for rank, one in enumerate(dict.fromkeys(ranked), start=1):
        if one in grades:
            found += 1
            total += found / rank
    return total / len(grades)


def at(measure: Callable[[Sequence[str], Relevant, int], float], k: int) -> Measure:
    """The same measure with its `k` fixed."""
    return lambda ranked, relevant: measure(ranked, relevant, k)


def of_ranking(measure: Measure) -> Callable[[Example, Response], float]:
    """The score of an answer that is one document id a line, best first; the row's references are the relevant ids.

    A row without references has no relevant documents and scores NaN.
    """

    def score(example: Example, response: Response) -> float:
        return measure(response.labels, example.references)

    return score


def _grades(relevant: Relevant) -> Mapping[str, float]:
    if isinstance(relevant, Mapping):
        return {one: grade for one, grade in relevant.items() if grade > 0}
    return dict.fromkeys(relevant, 1.0)


def _first(ranked: Sequence[str], k: int) -> list[str]:
    """The first `k` different ids. Raises ValueError when `k` is below 1."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    return list(islice(dict.fromkeys(ranked), k))


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
