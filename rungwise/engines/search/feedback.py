"""Pseudo-relevance feedback: the terms of the first hits join the query (RM3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.search.postings import Postings

FEEDBACK_TERMS, OWN_WEIGHT, FREQUENT = 10, 0.5, 0.1
"""Anserini's defaults of RM3: terms that are added, the share of the query's own, the share of texts that may hold an added one."""


def told_terms(segments: Sequence[Postings], numbers: NDArray[np.int64], scores: NDArray[np.float32]) -> dict[str, float]:
    """What some texts tell: each term's share of a text times the text's share of their `scores` (all texts,), summed.

    The relevance model RM1 (Lavrenko and Croft, SIGIR 2001) with BM25 scores for the likelihood of the query, as Anserini
    has it. Texts that all have the score 0 count alike. Goes once through the postings: about 10 ms for 100,000 texts.
    """
    share = np.zeros(len(scores))
    share[numbers] = scores[numbers] if scores[numbers].any() else 1.0
    share /= max(float(share.sum()), 1e-12)
    told: dict[str, float] = {}
    offset = 0
    for segment in segments:
        part = share[offset : offset + segment.size] / np.maximum(1, segment.lengths)
        offset += segment.size
        if not part.any():
            continue
        places = np.flatnonzero((part > 0)[segment.documents])
        terms, inverse = np.unique(np.searchsorted(segment.starts, places, side="right") - 1, return_inverse=True)
        weights = np.bincount(inverse, part[segment.documents[places]] * segment.counts[places], minlength=len(terms))
        for number, weight in zip(terms.tolist(), weights.tolist(), strict=True):
            term = segment.term(number)
            told[term] = told.get(term, 0.0) + weight
    return told


def mixed(
    asked: Mapping[str, int], told: Mapping[str, float], frequency: Callable[[str], float], *, terms: int, own: float
) -> dict[str, float]:
    """A query's terms with the share `own`, and the `terms` best that were told with the rest: weights that add up to 1.

    RM3 (Abdul-Jaleel et al., TREC 2004). Terms that stand in more than a tenth of the texts (`frequency`) are not added.
    """
    total = sum(asked.values())
    weights = {term: count / total for term, count in asked.items()}
    best: list[str] = []
    for term in sorted(told, key=lambda term: (-told[term], term)):
        if len(best) == terms:
            break
        if frequency(term) <= FREQUENT:
            best.append(term)
    added = sum(told[term] for term in best)
    if not weights or not added:
        return weights
    found = {term: own * weight for term, weight in weights.items()}
    for term in best:
        found[term] = found.get(term, 0.0) + (1 - own) * told[term] / added
    return found
