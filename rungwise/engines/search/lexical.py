"""Search by words: BM25 over the living texts of all segments, exact, as if they had been indexed in one go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import UsageError
from rungwise.engines.search.feedback import FEEDBACK_TERMS, OWN_WEIGHT, mixed, told_terms
from rungwise.engines.search.postings import ARRAYS, SETTINGS, Postings, index_terms, load_postings, merge_postings
from rungwise.engines.search.terms import Words

__all__ = ["ARRAYS", "K1", "SETTINGS", "B", "LexicalIndex", "Postings", "index_terms", "load_postings", "merge_postings"]

K1, B = 1.2, 0.75
"""Lucene's defaults (BM25Similarity): how soon repetitions stop to count, and how much a long text is held back."""

Hits = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Numbers of texts and their scores, best first."""

# Terms in more than this share of the texts are weighed last, and only for the texts that they could still lift among the
# best: a word that common adds at most ln(1 + 0.8 / 0.2) = 1.6, where a rare one adds 5 to 10. Changes no result.
_COMMON = 0.2

_BLOCK = 128  # texts in a group of which only the highest score is compared at first

_LOOKUP = 32  # to look a text up in the postings of a term takes about as long as to add up so many postings


class _Term(NamedTuple):
    """A term of a query: its weight there, the living texts that hold it (ascending), how often, its rarity, the most it adds."""

    weight: np.float32
    documents: NDArray[Any]
    counts: NDArray[Any]
    idf: float
    most: float
    text: str


class LexicalIndex:
    """BM25 as Lucene computes it, over the living texts of segments.

    idf = ln(1 + (n - df + 0.5) / (df + 0.5)) and weight = idf * tf / (tf + k1 * (1 - b + b * length / mean length)):
    Robertson and Zaragoza 2009, section 3, with Lucene's idf, which is never negative, and without the constant factor k1 + 1
    (Kamphuis et al., ECIR 2020, "Lucene (accurate)").

    Opening costs a few numbers for each text; what a term weighs in each text is computed when the term is first asked for
    and kept, up to 4 bytes for each posting (and as many again where there are several segments or deleted texts).
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
        self._least_norm = float(self._norm.min()) if self.size else 0.0
        self._terms: dict[str, _Term] = {}
        self._weighed: dict[str, NDArray[np.float32]] = {}
        self._distinct: NDArray[np.int32] | None = None

    @classmethod
    def of(
        cls, segments: Sequence[Postings], *, alive: Sequence[NDArray[np.bool_] | None] = (), k1: float = K1, b: float = B
    ) -> LexicalIndex:
        """An index over segments; `alive[i]` (texts of segment i,) tells which of its texts live, None that all do.

        Numbers of texts run through the segments: a text's place in its segment plus `offsets` of the segment.
        Raises UsageError for segments that were made with different words, and for masks that do not fit.
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
        return self._term(term).idf

    def search(self, query: str, k: int, *, allowed: NDArray[np.bool_] | None = None) -> Hits:
        """The `k` best texts for a query as (numbers, BM25 scores), best first, equal ones by number.

        `allowed` (size,) tells which texts may be found; rarity is still that among all living ones. Scores are above 0.
        """
        return self.search_weighted(Counter(self.words.terms(query)), k, allowed=allowed)

    def search_weighted(self, terms: Mapping[str, float], k: int, *, allowed: NDArray[np.bool_] | None = None) -> Hits:
        """As `search`, for terms as the index has them, each with its weight in the query; weights of 0 or less are left out."""
        if allowed is not None and allowed.shape != (self.size,):
            raise UsageError(f"the mask of allowed texts has the shape {allowed.shape}, the index {self.size} texts")
        rare, common = self._asked(terms)
        scores = np.zeros(self.size, np.float32)
        self._add(scores, rare)
        for place in range(len(common)):
            hopeful = self._hopeful(scores, k, common[place:], allowed)
            if hopeful is not None:
                self._add_to(scores, hopeful, common[place:])
                return _best(hopeful, scores[hopeful], k)
            self._add(scores, common[place : place + 1])
        return _highest(scores if allowed is None else np.where(allowed, scores, np.float32(0)), k)

    def scores(self, query: str) -> NDArray[np.float32]:
        """The BM25 score of every text (size,): 0 where nothing is shared, and for dead texts."""
        return self.scores_weighted(Counter(self.words.terms(query)))

    def scores_weighted(self, terms: Mapping[str, float]) -> NDArray[np.float32]:
        """As `scores`, for terms with their weights."""
        scores = np.zeros(self.size, np.float32)
        for part in self._asked(terms):
            self._add(scores, part)
        return scores

    def overlap(self, query: str, k: int, *, allowed: NDArray[np.bool_] | None = None) -> Hits:
        """The `k` texts whose sets of terms are most like the query's, as (numbers, Jaccard similarities in (0, 1])."""
        terms = set(self.words.terms(query))
        shared = np.zeros(self.size, np.float32)
        for term in terms:
            shared[self._term(term).documents] += 1
        if self._distinct is None:
            counted = [np.bincount(segment.documents, minlength=segment.size) for segment in self.segments]
            self._distinct = np.concatenate([np.zeros(0, np.int64), *counted]).astype(np.int32)
        shares = shared / np.maximum(1, self._distinct + len(terms) - shared)
        return _highest(shares if allowed is None else np.where(allowed, shares, np.float32(0)), k)

    def expand(
        self, query: str, numbers: Sequence[int] | NDArray[np.int64], *, terms: int = FEEDBACK_TERMS, own: float = OWN_WEIGHT
    ) -> Mapping[str, float]:
        """The query's terms and the `terms` best of the texts `numbers`, with weights that add up to 1, for `search_weighted`.

        Pseudo-relevance feedback by RM3: see `feedback`. Dead texts tell nothing. On SciFact it lowers nDCG@10: measured by
        benchmarks/lexical_search.py.
        """
        places = np.asarray(numbers, np.int64)
        places = places if self._alive is None else places[self._alive[places]]
        asked = Counter(self.words.terms(query))
        told = told_terms(self.segments, places, self.scores_weighted(asked))
        return mixed(asked, told, lambda term: len(self._term(term).documents) / max(1, self.living), terms=terms, own=own)

    def _idf(self, held: int) -> float:
        return float(np.log1p((self.living - held + 0.5) / (held + 0.5)))

    def _asked(self, terms: Mapping[str, float]) -> tuple[list[_Term], list[_Term]]:
        """The terms of a query that some text holds, the rare ones and the common ones.

        The common ones stand in order of how common they are. Scores are always added up in this order, in single precision,
        so that every way to compute one gives the same bits.
        """
        found = [self._term(term)._replace(weight=np.float32(weight)) for term, weight in terms.items() if weight > 0]
        bound = _COMMON * self.living
        rare = [term for term in found if 0 < len(term.documents) <= bound]
        return rare, sorted((term for term in found if len(term.documents) > bound), key=lambda term: len(term.documents))

    def _hopeful(
        self, partial: NDArray[np.float32], k: int, common: Sequence[_Term], allowed: NDArray[np.bool_] | None
    ) -> NDArray[np.int64] | None:
        """The texts that the common terms could still lift among the `k` best; None when they are too many to be worth a choice.

        The bound of MaxScore (Turtle and Flood, Information Processing and Management 31, 1995), widened by what rounding can do.
        """
        partial = partial if allowed is None else np.where(allowed, partial, np.float32(0))
        most = sum(float(term.weight) * term.most for term in common) * (1 + 1e-6)
        least = _kth(partial, k) * (1 - 2.0**-22 * (len(common) + 2)) - most
        if least <= 0:
            return None
        found = np.flatnonzero(partial >= least)
        return found if _LOOKUP * len(found) * len(common) < sum(len(term.documents) for term in common) else None

    def _add(self, scores: NDArray[np.float32], terms: Sequence[_Term]) -> None:
        """Add what each term is worth to all texts that hold it."""
        for term in terms:
            weights = self._weighed.get(term.text)
            if weights is None:
                weights = self._weighed[term.text] = self._worth(term, term.documents, term.counts)
            scores[term.documents] += weights if term.weight == 1 else term.weight * weights

    def _add_to(self, scores: NDArray[np.float32], chosen: NDArray[np.int64], terms: Sequence[_Term]) -> None:
        """Add what each term is worth to those of the `chosen` texts (ascending) that hold it."""
        for term in terms:
            places = np.searchsorted(term.documents, chosen)
            places[places == len(term.documents)] = 0
            held = term.documents[places] == chosen
            own = chosen[held]
            weights = self._worth(term, own, term.counts[places[held]])
            scores[own] += weights if term.weight == 1 else term.weight * weights

    def _worth(self, term: _Term, documents: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float32]:
        tf: NDArray[np.float64] = counts.astype(np.float64)
        worth: NDArray[np.float64] = term.idf * tf / (tf + self._norm[documents])
        return worth.astype(np.float32)

    def _term(self, term: str) -> _Term:
        """A term with the weight 1; kept, since the words of queries come again."""
        found = self._terms.get(term)
        if found is None:
            documents, counts = self._postings(term)
            idf, most = self._idf(len(documents)), float(counts.max()) if len(counts) else 0.0
            bound = idf * most / (most + self._least_norm) if most else 0.0
            found = _Term(np.float32(1), documents, counts, idf, bound, term)
            if len(documents):
                self._terms[term] = found
        return found

    def _postings(self, term: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """The living texts that hold a term, ascending, and how often each does."""
        documents, counts = [], []
        for segment, offset in zip(self.segments, self.offsets.tolist(), strict=False):
            if (number := segment.find(term)) >= 0:
                own = slice(segment.starts[number], segment.starts[number + 1])
                documents.append(segment.documents[own] + np.int64(offset) if offset else segment.documents[own])
                counts.append(segment.counts[own])
        if not documents:
            return np.zeros(0, np.int32), np.zeros(0, np.uint8)
        found, times = (documents[0], counts[0]) if len(documents) == 1 else (np.concatenate(documents), np.concatenate(counts))
        if self._alive is None:
            return found, times
        stays = self._alive[found]
        return found[stays], times[stays]


def _living(segments: Sequence[Postings], alive: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
    """One mask over all segments, or None when every text lives. Raises UsageError for masks that do not fit."""
    if len(alive) > len(segments):
        raise UsageError(f"there are {len(alive)} masks of living texts for {len(segments)} segments")
    masks = [None if mask is None else np.asarray(mask, bool) for mask in alive] + [None] * (len(segments) - len(alive))
    for mask, segment in zip(masks, segments, strict=True):
        if mask is not None and mask.shape != (segment.size,):
            raise UsageError(f"a mask of living texts has the shape {mask.shape}, its segment {segment.size} texts")
    if all(mask is None or mask.all() for mask in masks):
        return None
    whole = [np.ones(segment.size, bool) if mask is None else mask for mask, segment in zip(masks, segments, strict=True)]
    return np.concatenate(whole)


def _kth(scores: NDArray[np.float32], k: int) -> float:
    """The `k`-th highest score above 0, or 0 where fewer are.

    The k-th highest of the maxima of groups of texts is a lower bound of it, and few scores reach that: most are looked at
    only once.
    """
    if not 0 < k <= len(scores):
        return 0.0
    block = max(1, min(_BLOCK, len(scores) // (4 * k)))
    whole = len(scores) - len(scores) % block
    highs = np.concatenate([scores[:whole].reshape(block, -1).max(axis=0), scores[whole:]])
    bound = np.partition(highs, len(highs) - k)[len(highs) - k] if k <= len(highs) else np.float32(0)
    reached = scores[scores >= bound] if bound > 0 else scores[scores > 0]
    return float(np.partition(reached, len(reached) - k)[len(reached) - k]) if k <= len(reached) else 0.0


def _highest(scores: NDArray[np.float32], k: int) -> Hits:
    """The `k` highest scores above 0 with their places, best first, equal ones by number."""
    kth = _kth(scores, k)
    # All that tie with the k-th are chosen, so that the choice among equals is by number on every machine.
    chosen = np.flatnonzero(scores >= kth if kth > 0 else scores > 0)
    return _best(chosen, scores[chosen], k)


def _best(numbers: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Hits:
    """The `k` highest of the scores, which belong to `numbers` (ascending): best first, equal ones by number."""
    order = np.argsort(-scores, kind="stable")[: max(k, 0)]
    return numbers[order], scores[order]
