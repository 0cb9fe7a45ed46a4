"""One ranking out of two: by ranks alone, or by a weighted sum of scores whose weight is tuned on solved queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]
Ranked = tuple[Numbers, Scores]
"""Numbers of texts, best first, and their scores."""

RANK_OFFSET = 60  # k of Cormack et al. 2009, who found it good on TREC and hardly worth tuning
UNTUNED = (
    0.8  # the share of the dense score where nothing is known (Bruch et al. 2023, section 4.2; also the best on SciFact's claims)
)
WEIGHTS = tuple(step / 20 for step in range(21))


class Candidates(NamedTuple):
    """What the two searches found for one query, n texts in all: numbers, lexical scores (at least 0) and cosines, (n,) each."""

    numbers: Numbers
    lexical: Scores
    dense: Scores


def reciprocal_rank(rankings: Sequence[Numbers], *, offset: int = RANK_OFFSET) -> Ranked:
    """All texts that stand in a ranking, by the sum of 1 / (offset + rank) over the rankings; ranks begin at 1.

    Equal sums stand by number. Source: Cormack, Clarke and Büttcher, SIGIR 2009, section 2.
    """
    found = np.concatenate([np.asarray(ranking, np.int64) for ranking in rankings]) if rankings else np.zeros(0, np.int64)
    numbers, place = np.unique(found, return_inverse=True)
    parts = [1.0 / (offset + 1 + np.arange(len(ranking))) for ranking in rankings]
    sums = np.zeros(len(numbers))
    np.add.at(sums, place, np.concatenate(parts) if parts else np.zeros(0))
    return best_first(numbers, sums)


def convex(numbers: Numbers, lexical: Scores, dense: Scores, *, weight: float) -> Ranked:
    """Texts by (1 - weight) * lexical + weight * dense, each score on a scale from its least possible value to the best one found.

    `lexical` are BM25 scores, at least 0; `dense` are cosines, at least -1; all (n,) and of the texts in `numbers`, in
    any order. The result is in [0, 1] and comparable within one query; equal ones stand by number. Raises ValueError for a weight
    outside [0, 1]. Source: Bruch, Gai and Ingber, ACM TOIS 42, 2023, section 4 ("TM2C2").
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"the share of the dense score is in [0, 1], not {weight}")
    return best_first(numbers, (1 - weight) * _from_least(lexical, 0.0) + weight * _from_least(dense, -1.0))


def tune_weight(
    queries: Sequence[Candidates], score: Callable[[int, Numbers], float], *, weights: Sequence[float] = WEIGHTS
) -> tuple[float, NDArray[np.float64]]:
    """The weight with which `convex` ranks solved queries best, and the mean score with each of the `weights`, which rise.

    `score(query, numbers)` judges a ranking (all candidates, best first) of the query of that position, higher is better. A weight
    counts as good as the mean of itself and its neighbours, so that a lucky peak of a few queries does not win; of equal ones
    the one nearest `UNTUNED` is taken, which is the answer without queries too.
    """
    grid = np.asarray(weights, dtype=np.float64)
    judged = np.zeros((len(grid), len(queries)))
    for column, candidates in enumerate(queries):
        for row, weight in enumerate(grid):
            judged[row, column] = score(column, convex(*candidates, weight=float(weight))[0])
    means = judged.mean(axis=1) if len(queries) else np.zeros(len(grid))
    beside = np.pad(means, 1, mode="edge")
    smooth = (beside[:-2] + beside[1:-1] + beside[2:]) / 3
    good = np.flatnonzero(smooth >= smooth.max() - 1e-12)
    return float(grid[good[np.argmin(np.abs(grid[good] - UNTUNED))]]), means


def best_first(numbers: Numbers, scores: NDArray[np.floating]) -> Ranked:
    """Texts by falling score, equal ones by number."""
    order = np.lexsort((numbers, -scores))
    return numbers[order], scores[order].astype(np.float32)


def _from_least(scores: Scores, least: float) -> NDArray[np.float64]:
    """(n,) in [0, 1]: 0 for the least possible score, 1 for the best one found; all 0 where nothing is above the least."""
    above = np.maximum(np.asarray(scores, np.float64) - least, 0.0)
    top = above.max(initial=0.0)
    return above / top if top > 0 else above
