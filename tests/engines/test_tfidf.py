"""TF-IDF against scikit-learn's, and on texts that are odd."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from rungwise.engines import tfidf as module
from rungwise.engines.tfidf import Tfidf, TfidfSettings, fit_tfidf

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

MESSAGES = (
    "where is my parcel? it was due on Monday",
    "Where is my PARCEL",
    "my parcel is a box, a big big box",
    "i want my money back",
    "the money is not back yet, is it?",
    "order 66 is not here & i want it now",
    "É tarde: não chegou a encomenda",
    "não chegou, não chegou!",
)

everything = TfidfSettings(min_df=1)


def peers(min_df: int, *, characters: tuple[int, int] = (2, 5)) -> tuple[TfidfVectorizer, TfidfVectorizer]:
    """What our two blocks mean, in scikit-learn's words.

    Its default pattern drops words of one letter; ours keeps them, so the pattern is given.
    """
    words = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), sublinear_tf=True, min_df=min_df)
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=characters, sublinear_tf=True, min_df=min_df)
    return words, grams


def blocks(fitted: Tfidf, x: csr_matrix) -> tuple[csr_matrix, csr_matrix]:
    """The word columns and the character columns of our vectors."""
    words = len(fitted.blocks[0].buckets)
    return x[:, :words], x[:, words:]


def cosines(x: csr_matrix) -> np.ndarray:
    """All products of two rows: they do not depend on the order of the columns, which hashing changes."""
    return (x @ x.T).toarray()


def clinc150(count: int) -> list[str]:
    path = DATA / "clinc150" / "train.jsonl.gz"
    if not path.exists():
        pytest.skip("needs the shared data set clinc150")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return texts[:: len(texts) // count][:count]


@pytest.mark.parametrize("min_df", [1, 2])
def test_both_blocks_equal_scikit_learn(min_df: int) -> None:
    fitted = fit_tfidf(MESSAGES, TfidfSettings(min_df=min_df))
    for ours, peer in zip(blocks(fitted, fitted.transform(MESSAGES)), peers(min_df), strict=True):
        theirs = peer.fit_transform(MESSAGES)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(cosines(ours), cosines(theirs), atol=2e-6)  # float32 against float64


@pytest.mark.parametrize("min_df", [1, 2])
def test_unseen_texts_get_the_vectors_that_scikit_learn_gives(min_df: int) -> None:
    texts = clinc150(120)
    seen, unseen = texts[:80], texts[80:]
    fitted = fit_tfidf(seen, TfidfSettings(min_df=min_df))
    for ours, peer in zip(blocks(fitted, fitted.transform(unseen)), peers(min_df), strict=True):
        theirs = peer.fit(seen).transform(unseen)
        assert ours.shape == theirs.shape  # 80 texts: no two n-grams share a number
        np.testing.assert_allclose(cosines(ours), cosines(theirs), atol=2e-6)


def test_thousands_of_texts_differ_from_scikit_learn_only_by_n_grams_that_share_a_number() -> None:
    texts = clinc150(5_000)
    fitted = fit_tfidf(texts)
    shown = texts[::25]
    for ours, peer in zip(blocks(fitted, fitted.transform(shown)), peers(2), strict=True):
        theirs = peer.fit(texts).transform(shown)
        assert abs(ours.shape[1] - theirs.shape[1]) < 0.01 * theirs.shape[1]  # 22 bits for some 100,000 n-grams
        error = np.abs(cosines(ours) - cosines(theirs))
        assert np.quantile(error, 0.999) < 0.02  # a text of two words with a shared number is off by more
        assert error.mean() < 1e-4


def test_short_words_are_not_given_once_more_for_the_sizes_that_they_are_too_short_for() -> None:
    """The one difference of definition: with grams of 4 to 5 characters ' a ' (3) counts for scikit-learn, not for us."""
    texts = ["a bird", "a bird sings"]
    fitted = fit_tfidf(texts, TfidfSettings(min_df=1, characters=(4, 5)))
    _, grams = peers(1, characters=(4, 5))
    grams.fit(texts)
    assert [gram for gram in grams.vocabulary_ if len(gram) < 4] == [" a "]
    assert len(fitted.blocks[1].buckets) == len(grams.vocabulary_) - 1


def test_compatibility_forms_are_one_word_here_and_two_in_scikit_learn() -> None:
    fitted = fit_tfidf(["ﬁne", "fine"], everything)
    x = fitted.transform(["ﬁne", "fine"])
    assert (x[0] != x[1]).nnz == 0
    words, _ = peers(1)
    assert len(words.fit(["ﬁne", "fine"]).vocabulary_) == 2


def test_each_block_of_a_row_has_length_one() -> None:
    fitted = fit_tfidf(MESSAGES)
    for block in blocks(fitted, fitted.transform(MESSAGES)):
        np.testing.assert_allclose(np.sqrt(block.multiply(block).sum(axis=1)), 1.0, rtol=1e-6)


def test_texts_without_known_n_grams_are_zero() -> None:
    fitted = fit_tfidf(MESSAGES)
    x = fitted.transform(["", "   ", "\n\t\x00", "☃☃☃", "ქართული"])
    assert x.shape == (5, fitted.features)
    assert x[:3].nnz == 0
    assert np.isfinite(x.data).all()


def test_no_texts_give_no_rows() -> None:
    fitted = fit_tfidf(MESSAGES)
    assert fitted.transform([]).shape == (0, fitted.features)


def test_fitting_on_nothing_but_empty_texts_gives_one_column_of_zeros() -> None:
    fitted = fit_tfidf(["", ""])
    assert fitted.features == 1
    assert fitted.transform(["anything", ""]).nnz == 0


def test_where_nothing_repeats_everything_counts() -> None:
    fitted = fit_tfidf(["alpha"])
    words, grams = fitted.blocks
    assert len(words.buckets) == 1
    assert len(grams.buckets) == 6 + 5 + 4 + 3  # ' alpha ' has 7 characters: 6 pairs, 5 triples, 4 fours, 3 fives


def test_the_most_frequent_n_grams_are_kept() -> None:
    texts = ["often", "often rare", "often rare", "often seldom"]
    fitted = fit_tfidf(texts, TfidfSettings(words=1, min_df=1, max_features=1))
    words, _ = blocks(fitted, fitted.transform(["often", "rare", "seldom"]))
    assert words.toarray().ravel().tolist() == [1.0, 0.0, 0.0]


def test_only_the_beginning_of_a_huge_text_is_read() -> None:
    fitted = fit_tfidf(MESSAGES, TfidfSettings(max_characters=20))
    x = fitted.transform(["my parcel is a box, a" + " parcel" * 100_000, "my parcel is a box, a"])
    assert (x[0] != x[1]).nnz == 0


def test_pieces_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = list(MESSAGES) * 5
    whole = fit_tfidf(texts)
    expected = whole.transform(texts)
    monkeypatch.setattr(module, "_PIECE_CHARACTERS", 100)
    in_pieces = fit_tfidf(texts)
    assert all(np.array_equal(a, b) for a, b in zip(whole.arrays().values(), in_pieces.arrays().values(), strict=True))
    assert (in_pieces.transform(texts) != expected).nnz == 0


def test_reading_its_arrays_gives_the_same_vectors() -> None:
    fitted = fit_tfidf(MESSAGES)
    again = Tfidf.read(fitted.arrays(), fitted.settings)
    assert (again.transform(MESSAGES) != fitted.transform(MESSAGES)).nnz == 0


def test_fitting_twice_gives_the_same_bytes() -> None:
    first, second = fit_tfidf(MESSAGES).arrays(), fit_tfidf(MESSAGES).arrays()
    assert {name: array.tobytes() for name, array in first.items()} == {name: array.tobytes() for name, array in second.items()}


FITTED = fit_tfidf(MESSAGES)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_any_text_gives_the_same_vector_alone_and_in_a_batch(texts: list[str]) -> None:
    """Surrogates, controls, emoji, right-to-left: no text may move its neighbours."""
    x = FITTED.transform(texts)
    assert x.shape == (len(texts), FITTED.features)
    assert x.has_canonical_format
    for row, text in enumerate(texts):
        alone = FITTED.transform([text])
        assert np.array_equal(alone.indices, x[row].indices)
        np.testing.assert_allclose(alone.data, x[row].data, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="abcé ß😀,.-_0٣\u0301\u2003", max_size=20), min_size=1, max_size=6))
def test_fitting_and_reading_back_any_text_is_finite_and_of_length_one_or_zero(texts: list[str]) -> None:
    fitted = fit_tfidf(texts, everything)
    for block in blocks(fitted, fitted.transform(texts)):
        lengths = np.asarray(block.multiply(block).sum(axis=1)).ravel()
        assert np.all(np.isclose(lengths, 1.0, atol=1e-5) | (lengths == 0.0))
