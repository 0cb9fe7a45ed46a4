from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rungwise.core.content import Passage
from rungwise.core.errors import Corrupt, UsageError
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.engines.rank_features import FILE, FeatureRanker, RankFeatures
from rungwise.engines.search.lexical import LexicalIndex, index_terms
from rungwise.engines.search.terms import Words
from rungwise.fit.rank_features import Found, fit_rank_features, softmax_loss

TEXTS = [
    "The parcel takes 3 days. Refunds take longer.",
    "A refund takes 14 days after the parcel came back.",
    "Shoes can be exchanged. The parcel label is enclosed.",
    "",
]
WORDS = Words(stem=True)
INDEX = LexicalIndex.of([index_terms(TEXTS, words=WORDS)])


def _features(*, sentences: bool = False) -> RankFeatures:
    return RankFeatures(WORDS, INDEX.rarity, encode_hashed if sentences else None)


def _solved(count: int, *, seed: int = 0) -> list[Found]:
    """Queries for a word and a number; only the passage with the number is relevant, and the search does not see that."""
    rng = np.random.default_rng(seed)
    words = ["parcel", "refund", "shoe", "label"]
    found = []
    for place in range(count):
        word, number = rng.choice(words), int(rng.integers(10, 99))
        texts = [f"the {word} of {number + step}" for step in (0, 100, 200, 300, 400)]
        order = rng.permutation(5)
        passages = tuple(Passage(texts[row], score=float(rng.uniform(0.9, 1.0))) for row in order)
        found.append(Found(f"{word} {number}", passages, tuple(bool(row == 0) for row in order), (f"d{place}",)))
    return found


def test_the_fit_finds_the_feature_that_tells() -> None:
    files = fit_rank_features(_solved(60), _features())
    ranker = FeatureRanker(files, _features())
    best = probability = 0.0
    fresh = _solved(40, seed=1)
    for one in fresh:
        scores = ranker.score(one.query, one.passages)
        best += one.relevant[int(scores.argmax())]
        probability += float(scores[one.relevant.index(True)])
    assert best == len(fresh)
    assert probability / len(fresh) > 0.9
    assert scores.dtype == np.float32


def test_probabilities_are_calibrated_when_nothing_tells() -> None:
    """One in five is relevant and no feature knows which: each has about 0.2."""
    rng = np.random.default_rng(0)
    blind = [replace(one, relevant=tuple(np.arange(5) == rng.integers(5))) for one in _solved(200)]
    ranker = FeatureRanker(fit_rank_features(blind, _features()), _features())
    scores = np.concatenate([ranker.score(one.query, one.passages) for one in blind])
    assert scores.mean() == pytest.approx(0.2, abs=0.02)
    assert scores.max() < 0.4


def test_equal_queries_give_equal_bytes() -> None:
    assert fit_rank_features(_solved(20), _features()) == fit_rank_features(_solved(20), _features())


def test_queries_that_teach_nothing_do_not_count() -> None:
    found = _solved(12)
    without = [replace(one, relevant=(False,) * 5) for one in found]
    with pytest.raises(UsageError, match="there are 4"):
        fit_rank_features([*found[:4], *without], _features())
    assert fit_rank_features([*found, *without], _features()) == fit_rank_features(found, _features())


def test_a_ranker_wants_the_features_that_it_was_fitted_on() -> None:
    files = fit_rank_features(_solved(12), _features())
    with pytest.raises(UsageError, match="sentence"):
        FeatureRanker(files, _features(sentences=True))
    with pytest.raises(Corrupt, match=FILE):
        FeatureRanker({FILE: files[FILE].replace(b'"means":[', b'"means":[0.5,')}, _features())
    with pytest.raises(Corrupt, match=FILE):
        FeatureRanker({}, _features())


def test_the_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    margins, relevant = rng.normal(size=9), np.array([1, 0, 0, 0, 1, 1, 0, 0, 1], dtype=bool)
    starts, owner = np.array([0, 4]), np.array([0] * 4 + [1] * 5)
    value, gradient = softmax_loss(margins, relevant, starts, owner)
    mass = np.exp(margins)
    assert value == pytest.approx(-np.log(mass[0] / mass[:4].sum()) - np.log(mass[[4, 5, 8]].sum() / mass[4:].sum()))
    for place in range(9):
        moved = margins.copy()
        moved[place] += 1e-6
        assert (softmax_loss(moved, relevant, starts, owner)[0] - value) / 1e-6 == pytest.approx(gradient[place], abs=1e-4)
