"""A light reranker: a handful of features of a query and a passage, weighed by a linear model that a few solved queries fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage
from rungwise.core.errors import Corrupt, UnknownName, UsageError
from rungwise.core.record import canonical_json
from rungwise.engines.encoders.encode import Encode
from rungwise.engines.linear import sigmoid
from rungwise.engines.search.terms import Words
from rungwise.engines.sentences import split_sentences

FILE = "rank_features.json"
TECHNIQUE = "rank_features"

NAMES = ("first", "overlap", "neighbours", "numbers", "length", "sentence", "reading")
"""The features that there are; `sentence` only where there is an encoder, `reading` where there is a cross-encoder.

first: the score of the search over the best one of the same query. overlap: the share of the query's terms that the passage
holds, by rarity. neighbours: the share of its pairs of adjacent terms that are adjacent there too. numbers: the share of its
terms with a digit that are there. length: log(1 + terms). sentence: the cosine of the query with the nearest sentence.
reading: the logit of a cross-encoder. What they are worth: benchmarks/scifact.py.
"""

Read = Callable[[Sequence[tuple[str, str]]], NDArray[np.float32]]
"""(query, passage) pairs to one number each, higher is more relevant: `CrossEncoder.logits`."""

_BY_WORDS = NAMES[1:5]
_USUAL: dict[str, Any] = {
    "weights": (23.544, 0.893, 1.684, 0.713, 0.020),
    "means": (0.775, 0.260, 0.054, 0.069, 5.114),
    "slope": 1.147,
    "offset": -6.789,
}
_USUAL_WITH_SENTENCES: dict[str, Any] = {
    "weights": (16.896, 2.016, 1.612, 0.698, -0.062, 5.443),
    "means": (0.775, 0.260, 0.054, 0.069, 5.114, 0.466),
    "slope": 1.021,
    "offset": -6.267,
}
KEPT_PASSAGES = (
    8_192  # whose terms and sentences are remembered: 60 MB with ten sentences of 384 dimensions each, as much again with terms
)


class _Held(NamedTuple):
    """What a passage holds: its terms, those that stand beside each other, and how many there are."""

    terms: frozenset[str]
    neighbours: frozenset[tuple[str, str]]
    length: int


class RankFeatures:
    """The features of passages for a query: numbers that are comparable between queries.

    `rarity` gives the inverse document frequency of a term, as a lexical index has it, with the same `words`. With `encode`,
    the sentences of passages are encoded once and remembered, as their terms are. With `read`, a cross-encoder reads each
    passage; fit the weights on queries that it was not fitted on. `names` chooses among the features (empty: all).
    Raises UnknownName for one that is not there.
    """

    def __init__(
        self,
        words: Words,
        rarity: Callable[[str], float],
        encode: Encode | None = None,
        *,
        read: Read | None = None,
        names: Collection[str] = (),
    ) -> None:
        self._words, self._rarity, self._encode, self._read = words, rarity, encode, read
        self._sentences = lru_cache(maxsize=KEPT_PASSAGES)(self._make_sentences)
        self._held = lru_cache(maxsize=KEPT_PASSAGES)(self._make_held)
        missing = {"sentence": encode is None, "reading": read is None}
        there = [name for name in NAMES if not missing.get(name, False)]
        for name in names:
            if name not in there:
                raise UnknownName("feature of a passage", name, there)
        self.names = tuple(name for name in there if not names or name in names)

    def of(self, query: str, passages: Sequence[Passage]) -> NDArray[np.float64]:
        """(n, features) for the passages that a search found, with the scores that it gave."""
        if not passages:
            return np.zeros((0, len(self.names)))
        scores = np.array([max(passage.score, 0.0) for passage in passages])
        columns = {"first": scores / (scores.max() or 1.0), **self._by_words(query, passages)}
        if self._encode is not None and "sentence" in self.names:
            vector = self._encode([query])[0]
            columns["sentence"] = np.array([self._nearest(vector, passage.text) for passage in passages])
        if self._read is not None and "reading" in self.names:
            columns["reading"] = self._read([(query, passage.text) for passage in passages])
        return np.stack([columns[name] for name in self.names], axis=1).astype(np.float64)

    def _by_words(self, query: str, passages: Sequence[Passage]) -> dict[str, NDArray[np.float64]]:
        asked = self._words.terms(query)
        rarity = {term: self._rarity(term) for term in asked}
        rows = np.array([self._matches(asked, rarity, self._held(passage.text)) for passage in passages])
        return dict(zip(_BY_WORDS, rows.T, strict=True))

    def _matches(self, asked: Sequence[str], rarity: Mapping[str, float], passage: _Held) -> tuple[float, ...]:
        told, neighbours = set(asked), set(pairwise(asked))
        whole = sum(rarity[term] for term in sorted(told))  # in one order, so that equal queries give equal bits
        numbers = {term for term in told if any(map(str.isdigit, term))}
        return (
            sum(rarity[term] for term in sorted(told & passage.terms)) / whole if whole else 0.0,
            len(neighbours & passage.neighbours) / len(neighbours) if neighbours else 0.0,
            len(numbers & passage.terms) / len(numbers) if numbers else 0.0,
            float(np.log1p(passage.length)),
        )

    def _make_held(self, text: str) -> _Held:
        terms = self._words.terms(text)
        return _Held(frozenset(terms), frozenset(pairwise(terms)), len(terms))

    def _nearest(self, vector: NDArray[np.float32], text: str) -> float:
        sentences = self._sentences(text)
        return float((sentences.astype(np.float32) @ vector).max()) if len(sentences) else 0.0

    def _make_sentences(self, text: str) -> NDArray[np.float16]:
        assert self._encode is not None
        return self._encode([text[start:end] for start, end in split_sentences(text)]).astype(np.float16)


class FeatureRanker:
    """A fitted light reranker, from its file and the features that it was fitted on."""

    def __init__(self, files: Mapping[str, bytes], features: RankFeatures) -> None:
        """Raises Corrupt when the file cannot be read, UsageError when it was fitted on other features."""
        try:
            found: dict[str, Any] = json.loads(files[FILE])
            if found["technique"] != TECHNIQUE:
                raise ValueError(f"technique {found['technique']!r}")
            self._names = tuple(found["features"])
            self._weights, self._means = (np.asarray(found[name], np.float64) for name in ("weights", "means"))
            self._slope, self._offset = float(found["slope"]), float(found["offset"])
            if not len(self._names) == len(self._weights) == len(self._means):
                raise ValueError(f"{len(self._names)} features have {len(self._weights)} weights and {len(self._means)} means")
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"{FILE} cannot be read ({error!r}). Fit the reranker again") from error
        if self._names != features.names:
            raise UsageError(
                f"the reranker was fitted on {', '.join(self._names)}, and there are {', '.join(features.names)}. "
                "Give it the encoder it was fitted with, or fit it again"
            )
        self._features = features

    def score(self, query: str, passages: Sequence[Passage]) -> NDArray[np.float32]:
        """(n,) float32: the probability that each passage is relevant, calibrated on queries that the fit had not seen."""
        margins = (self._features.of(query, passages) - self._means) @ self._weights
        return sigmoid((self._slope * margins + self._offset).astype(np.float32))

    def ordered(self, query: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
        """The passages with these probabilities as their scores, best first; equal ones as they stood."""
        scores = self.score(query, passages)
        return tuple(replace(passages[place], score=float(scores[place])) for place in np.argsort(-scores, kind="stable"))


def usual_ranker(words: Words, rarity: Callable[[str], float], encode: Encode | None = None) -> FeatureRanker:
    """The light reranker for those who have no solved queries: with the weights that the 809 claims of SciFact teach.

    They suit the first 50 passages of a hybrid search fused by `convex` with the weight `UNTUNED`; with `encode`, its sentences
    count too. On claims left out it is worth +0.003 nDCG@10 (95 %: -0.003 to 0.009), without `encode` nothing
    (benchmarks/scifact.py): weights fitted on one's own queries are better founded. Its probabilities are SciFact's.
    """
    features = RankFeatures(words, rarity, encode)
    usual = _USUAL if encode is None else _USUAL_WITH_SENTENCES
    weights, means = np.array(usual["weights"]), np.array(usual["means"])
    return FeatureRanker(ranker_files(features.names, weights, means, slope=usual["slope"], offset=usual["offset"]), features)


def ranker_files(
    names: Sequence[str], weights: NDArray[np.float64], means: NDArray[np.float64], *, slope: float, offset: float
) -> dict[str, bytes]:
    """The file of a light reranker: probability = sigmoid(slope * weights . (features - means) + offset)."""
    about = {
        "technique": TECHNIQUE,
        "features": list(names),
        "weights": weights.tolist(),
        "means": means.tolist(),
        "slope": slope,
        "offset": offset,
    }
    return {FILE: canonical_json(about).encode()}
