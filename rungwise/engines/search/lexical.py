"""Search by words: BM25 over the living texts of all segments, exact, as if they had been indexed in one go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import UsageError
from rungwise.engines.search.postings import ARRAYS, SETTINGS, Postings, index_terms, load_postings, merge_postings
from rungwise.engines.search.terms import Words

__all__ = ["ARRAYS", "K1", "SETTINGS", "B", "LexicalIndex", "Postings", "index_terms", "load_postings", "merge_postings"]

K1, B = 1.2, 0.75
"""Lucene's defaults (BM25Similarity): how soon repetitions stop to count, and how much a long text is held back."""

FEEDBACK_TERMS, OWN_WEIGHT, FREQUENT = 10, 0.5, 0.1
"""Anserini's defaults of RM3: terms that are added, the share of the query's own, and how frequent an added one may be."""

Hits = tuple[NDArray[np.int64], NDArray[np.float32]]


class LexicalIndex:
    """BM25 as Lucene computes it, over the living texts of segments.

    idf = ln(1 + (n - df + 0.5) / (df + 0.5)) and weight = idf * tf / (tf + k1 * (1 - b + b * length / mean length)):
    Robertson and Zaragoza 2009, section 3, with Lucene's idf, which is never negative, and without the constant factor k1 + 1
    (Kamphuis et al., ECIR 2020, "Lucene (accurate)"). A term's weights are computed when it is first asked for.
    """

    def __init__(self, segments: Sequence[Postings], alive: Sequence[NDArray[np.bool_] | None], *, k1: float, b: float) -> None:
        if not k1 >= 0 or not 0 <= b <= 1:
            raise UsageError(f"BM25 needs k1 >= 0 and b from 0 to 1, not {k1} and {b}")
        self.words = segments[0].words if segments else Words()
        if any(segment.words != self.words for segment in segments):
            raise UsageError("the segments were indexed with different words. Index the documents again with one setting")
        self.segments, self.k1, self.b = tuple(segments), k1, b
        self.offsets = np.concatenate([[0], np.cumsum([segment.size for segment in segments])]).astype(np.int64)
        self._alive = _living(segments, alive)
        lengths = np.concatenate([np.zeros(0, np.int32), *(segment.lengths for segment in segments)])
        living = lengths if self._alive is None else lengths[self._alive]
        self.living = len(living)
        mean = living.sum(dtype=np.int64) / self.living if self.living else 0.0
        self._norm = k1 * (1 - b + b * (lengths / mean if mean else lengths.astype(np.float64)))
        self._weighed: dict[str, tuple[NDArray[Any], NDArray[np.float32]]] = {}
        self._rarity: dict[str, float] = {}

    @classmethod
    def of(
        cls, segments: Sequence[Postings], *, alive: Sequence[NDArray[np.bool_] | None] = (), k1: float = K1, b: float = B
    ) -> LexicalIndex:
        """An index over segments; `alive[i]` (texts of segment i,) tells which of its texts live, None that all do.

        Numbers of texts run through the segments: a text's place in its segment plus `offsets` of the segment.
        Raises UsageError for segments that were made with different words.
        """
        return cls(segments, alive, k1=k1, b=b)

    @property
    def size(self) -> int:
        """How many texts the segments have, dead ones too."""
        return int(self.offsets[-1])

    @property
    def unseen(self) -> float:
        """The rarity of a term that no text holds: ln(1 + (n + 0.5) / 0.5)."""
        return self._idf(0)

    def rarity(self, term: str) -> float:
        """The inverse document frequency of a term among the living texts, above 0."""
        if term not in self._rarity:
            self._rarity[term] = self._idf(len(self._postings(term)[0]))
        return self._rarity[term]

    def search(self, query: str, k: int, *, allowed: NDArray[np.bool_] | None = None) -> Hits:
        """The `k` best texts for a query as (numbers, BM25 scores), best first, equal ones by number.

        `allowed` (size,) tells which texts may be found; rarity is still that among all living ones. Scores are above 0.
        """
        return self.search_weighted(Counter(self.words.terms(query)), k, allowed=allowed)

    def search_weighted(self, terms: Mapping[str, float], k: int, *, allowed: NDArray[np.bool_] | None = None) -> Hits:
        """As `search`, for terms as the index has them, each with its weight in the query."""
        return _best(self.scores_weighted(terms), k, allowed)

    def scores(self, query: str) -> NDArray[np.float32]:
        """The BM25 score of every text (size,): 0 where nothing is shared, and for dead texts."""
        return self.scores_weighted(Counter(self.words.terms(query)))

    def scores_weighted(self, terms: Mapping[str, float]) -> NDArray[np.float32]:
        """As `scores`, for terms with their weights."""
        scores = np.zeros(self.size, np.float32)
        for term, weight in terms.items():
            documents, weights = self._weights(term)
            scores[documents] += np.float32(weight) * weights
        return scores

    def overlap(self, query: str, k: int, *, allowed: NDArray[np.bool_] | None = None) -> Hits:
        """The `k` texts whose sets of terms are most like the query's, as (numbers, Jaccard similarities in (0, 1])."""
        terms = set(self.words.terms(query))
        shared = np.zeros(self.size, np.float32)
        for term in terms:
            shared[self._postings(term)[0]] += 1
        return _best(shared / np.maximum(1, self._distinct() + len(terms) - shared), k, allowed)

    def expand(
        self, query: str, numbers: Sequence[int] | NDArray[np.int64], *, terms: int = FEEDBACK_TERMS, own: float = OWN_WEIGHT
    ) -> Mapping[str, float]:
        """The query's terms and the `terms` best of the texts `numbers`, with weights that add up to 1, for `search_weighted`.

        Pseudo-relevance feedback by RM3 (Abdul-Jaleel et al., TREC 2004): a term of the texts weighs the sum over them of its
        share of the text times the text's share of their BM25 scores (Lavrenko and Croft, SIGIR 2001, RM1); the query's own
        terms have the share `own` of the whole. Terms that stand in more than a tenth of the texts are left out, as Anserini
        does. Dead texts tell nothing.
        """
        asked = Counter(self.words.terms(query))
        weights = {term: own * count / asked.total() for term, count in asked.items()}
        told = self._told(np.asarray(numbers, np.int64), self.scores_weighted(asked))
        best = sorted(told, key=lambda term: (-told[term], term))
        best = [term for term in best if len(self._postings(term)[0]) <= FREQUENT * self.living][:terms]
        total = sum(told[term] for term in best)
        if not asked or not best:
            return {term: weight / own for term, weight in weights.items()}
        for term in best:
            weights[term] = weights.get(term, 0.0) + (1 - own) * told[term] / total
        return weights

    def _told(self, numbers: NDArray[np.int64], scores: NDArray[np.float32]) -> dict[str, float]:
        """The weight of each term of some texts: of the text by its score, of the term by its share of the text."""
        if self._alive is not None:
            numbers = numbers[self._alive[numbers]]
        share = np.zeros(self.size)
        share[numbers] = scores[numbers] if scores[numbers].sum() > 0 else 1.0
        share /= max(float(share.sum()), 1e-12)
        told: dict[str, float] = {}
        for segment, offset in zip(self.segments, self.offsets.tolist(), strict=False):
            part = share[offset : offset + segment.size] / np.maximum(1, segment.lengths)
            places = np.flatnonzero((part > 0)[segment.documents])
            weights = part[segment.documents[places]] * segment.counts[places]
            terms = np.searchsorted(segment.starts, places, side="right") - 1
            for number in np.unique(terms).tolist():
                term = segment.term(number)
                told[term] = told.get(term, 0.0) + float(weights[terms == number].sum())
        return told

    def _idf(self, held: int) -> float:
        return float(np.log1p((self.living - held + 0.5) / (held + 0.5)))

    def _weights(self, term: str) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The living texts that hold a term, and what it adds to the score of each."""
        if term not in self._weighed:
            documents, counts = self._postings(term)
            tf = counts.astype(np.float64)
            self._weighed[term] = documents, (self._idf(len(documents)) * tf / (tf + self._norm[documents])).astype(np.float32)
        return self._weighed[term]

    def _postings(self, term: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """The living texts that hold a term, ascending, and how often each does."""
        documents, counts = [], []
        for segment, offset in zip(self.segments, self.offsets.tolist(), strict=False):
            if (number := segment.find(term)) >= 0:
                own = slice(segment.starts[number], segment.starts[number + 1])
                documents.append(segment.documents[own] + offset)
                counts.append(segment.counts[own])
        if not documents:
            return np.zeros(0, np.int64), np.zeros(0, np.uint8)
        found, times = np.concatenate(documents), np.concatenate(counts)
        if self._alive is None:
            return found, times
        stays = self._alive[found]
        return found[stays], times[stays]

    def _distinct(self) -> NDArray[np.int32]:
        """How many distinct terms each text has (size,)."""
        counted = [np.bincount(segment.documents, minlength=segment.size) for segment in self.segments]
        return np.concatenate([np.zeros(0, np.int64), *counted]).astype(np.int32)


def _living(segments: Sequence[Postings], alive: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
    """One mask over all segments, or None when every text lives. Raises UsageError for masks that do not fit."""
    if len(alive) > len(segments):
        raise UsageError(f"there are {len(alive)} masks of living texts for {len(segments)} segments")
    masks = [*alive, *[None] * (len(segments) - len(alive))]
    if all(mask is None for mask in masks):
        return None
    for mask, segment in zip(masks, segments, strict=True):
        if mask is not None and mask.shape != (segment.size,):
            raise UsageError(f"a mask of living texts has the shape {mask.shape}, the segment {segment.size} texts")
    return np.concatenate(
        [
            np.ones(segment.size, bool) if mask is None else np.asarray(mask, bool)
            for mask, segment in zip(masks, segments, strict=True)
        ]
    )


def _best(scores: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None) -> Hits:
    """The `k` highest scores above 0, best first, equal ones by number."""
    if allowed is not None:
        scores = np.where(allowed, scores, np.float32(0))
    chosen = np.flatnonzero(scores > 0)
    if 0 < k < len(chosen):
        # All that tie with the k-th are sorted too, so that the choice among equals is by number on every machine.
        kth = np.partition(scores[chosen], len(chosen) - k)[len(chosen) - k]
        chosen = chosen[scores[chosen] >= kth]
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")][: max(k, 0)]
    return chosen, scores[chosen]
