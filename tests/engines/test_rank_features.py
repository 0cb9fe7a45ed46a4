from __future__ import annotations

import numpy as np
import pytest

from rungwise.core.content import Passage
from rungwise.core.errors import UnknownName
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.engines.rank_features import NAMES, FeatureRanker, RankFeatures, ranker_files, usual_ranker
from rungwise.engines.search.lexical import LexicalIndex, index_terms
from rungwise.engines.search.terms import Words

TEXTS = [
    "The parcel takes 3 days. Refunds take longer.",
    "A refund takes 14 days after the parcel came back.",
    "Shoes can be exchanged. The parcel label is enclosed.",
    "",
]
WORDS = Words(stem=True)
INDEX = LexicalIndex.of([index_terms(TEXTS, words=WORDS)])


def _passages(*scores: float) -> tuple[Passage, ...]:
    return tuple(Passage(text, score=score) for text, score in zip(TEXTS, scores, strict=True))


def _features(*, sentences: bool = False) -> RankFeatures:
    return RankFeatures(WORDS, INDEX.rarity, encode_hashed if sentences else None)


def test_features_are_what_their_description_says() -> None:
    rows = _features(sentences=True).of("refund takes 14 days", _passages(2.0, 4.0, 0.0, 1.0))
    named = dict(zip(NAMES[:6], rows.T, strict=True))
    assert named["first"].tolist() == [0.5, 1.0, 0.0, 0.25]
    rare = [INDEX.rarity(term) for term in WORDS.terms("refund takes 14 days")]
    assert named["overlap"] == pytest.approx([(rare[0] + rare[1] + rare[3]) / sum(rare), 1.0, 0.0, 0.0])
    assert named["neighbours"] == pytest.approx(
        [1 / 3, 1.0, 0.0, 0.0]
    )  # of refund-take, take-14, 14-day; "Refunds take" in the first
    assert named["numbers"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert named["length"] == pytest.approx(np.log1p([8, 10, 9, 0]))
    vectors = encode_hashed(["refund takes 14 days", "The parcel takes 3 days.", "Refunds take longer."])
    assert named["sentence"][0] == pytest.approx(max(vectors[1] @ vectors[0], vectors[2] @ vectors[0]), abs=1e-3)
    assert named["sentence"][3] == 0.0


def test_an_empty_query_and_no_passages_have_features_too() -> None:
    assert _features(sentences=True).of("query", ()).shape == (0, 6)
    rows = _features().of("", _passages(0, 0, 0, 0))
    assert rows[:, :4].tolist() == [[0.0] * 4] * 4


def test_the_probability_is_the_weighted_sum_of_features_on_the_logistic_curve() -> None:
    features = _features()
    weights, means = np.array([1.0, 2.0, 0.5, 1.5, -0.1]), np.array([0.5, 0.4, 0.1, 0.1, 2.0])
    ranker = FeatureRanker(ranker_files(features.names, weights, means, slope=2.0, offset=-1.0), features)
    passages = _passages(2.0, 4.0, 0.0, 1.0)
    expected = 1 / (1 + np.exp(-(2.0 * (features.of("refund 14 days", passages) - means) @ weights - 1.0)))
    assert ranker.score("refund 14 days", passages) == pytest.approx(expected, abs=1e-6)
    assert ranker.score("refund", ()).shape == (0,)


def test_what_a_cross_encoder_reads_is_the_last_feature() -> None:
    def read(pairs: list[tuple[str, str]]) -> np.ndarray:
        assert {query for query, _ in pairs} == {"parcel"}
        return np.array([len(passage) for _, passage in pairs], dtype=np.float32)

    features = RankFeatures(WORDS, INDEX.rarity, read=read)
    assert features.names == (*NAMES[:5], "reading")
    assert features.of("parcel", _passages(1, 1, 1, 1))[:, -1].tolist() == [len(text) for text in TEXTS]


def test_features_are_chosen_by_name() -> None:
    some = RankFeatures(WORDS, INDEX.rarity, encode_hashed, names=["numbers", "first"])
    assert some.names == ("first", "numbers")
    whole = _features(sentences=True).of("refund 14", _passages(2, 4, 0, 1))
    assert (some.of("refund 14", _passages(2, 4, 0, 1)) == whole[:, [0, 3]]).all()
    with pytest.raises(UnknownName, match="reading"):
        RankFeatures(WORDS, INDEX.rarity, encode_hashed, names=["reading"])


def test_sentences_are_encoded_once() -> None:
    asked: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return encode_hashed(texts)

    features = RankFeatures(WORDS, INDEX.rarity, encode)
    first = features.of("parcel", _passages(1, 1, 1, 1))
    again = features.of("parcel", _passages(1, 1, 1, 1))
    assert (first == again).all()
    assert len(asked) == 2 + 5  # the query twice, and five sentences


def test_passages_come_back_in_their_new_order_with_their_probabilities() -> None:
    features = _features()
    weights = np.array([0.0, 5.0, 0.0, 0.0, 0.0])  # overlap alone
    ranker = FeatureRanker(ranker_files(features.names, weights, np.zeros(5), slope=1.0, offset=-2.0), features)
    found = _passages(4.0, 3.0, 2.0, 1.0)
    best, second, *rest = ranker.ordered("refund takes 14 days", found)
    assert (best.text, second.text) == (TEXTS[1], TEXTS[0])
    assert best.score == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert [passage.text for passage in rest] == TEXTS[2:]  # neither shares a term: as they stood
    assert ranker.ordered("refund", ()) == ()


@pytest.mark.parametrize("sentences", [False, True])
def test_the_usual_ranker_prefers_what_answers_among_equals(sentences: bool) -> None:
    ranker = usual_ranker(WORDS, INDEX.rarity, encode_hashed if sentences else None)
    best, *_ = ranker.ordered("how many days does a refund take", _passages(0.9, 0.9, 0.9, 0.9))
    assert best.text == TEXTS[1]
    assert 0 < best.score < 1
