"""Counts of one segment: what is counted, merged, kept and refused."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import Corrupt, UsageError
from rungwise.engines.search.lexical import LexicalIndex
from rungwise.engines.search.postings import ARRAYS, SETTINGS, Postings, index_terms, load_postings, merge_postings
from rungwise.engines.search.terms import Words

TEXTS = ["the cat sat on the mat", "the dog sat", "a cat and a dog and a cat", "", "snake_case 猫が 👍 café", "?!"]

texts_of_any_script = st.lists(st.text(st.sampled_from("ab é_猫が👍ก ,हि"), max_size=12), max_size=8)


def counted(postings: Postings) -> list[Counter[str]]:
    """The counts of each text, read back from the postings."""
    found: list[Counter[str]] = [Counter() for _ in range(postings.size)]
    for number, term in enumerate(postings.terms()):
        own = slice(postings.starts[number], postings.starts[number + 1])
        for document, count in zip(postings.documents[own].tolist(), postings.counts[own].tolist(), strict=True):
            found[document][term] += count
    return found


@given(texts=texts_of_any_script)
def test_every_term_of_every_text_is_counted_and_nothing_else(texts: list[str]) -> None:
    words = Words()
    postings = index_terms(texts, words=words)
    assert counted(postings) == [Counter(words.terms(text)) for text in texts]
    assert postings.lengths.tolist() == [len(words.terms(text)) for text in texts]
    assert postings.terms() == sorted(postings.terms())
    for number, term in enumerate(postings.terms()):
        assert postings.find(term) == number
        assert postings.term(number) == term
        assert (np.diff(postings.documents[postings.starts[number] : postings.starts[number + 1]]) > 0).all()


@given(parts=st.lists(texts_of_any_script, max_size=4), data=st.data())
def test_merged_segments_are_what_indexing_the_living_texts_gives(parts: list[list[str]], data: st.DataObject) -> None:
    alive = [np.array(data.draw(st.lists(st.booleans(), min_size=len(own), max_size=len(own))), bool) for own in parts]
    merged = merge_postings([index_terms(own, words=Words()) for own in parts], alive)
    living = [text for own, mask in zip(parts, alive, strict=True) for text, lives in zip(own, mask, strict=True) if lives]
    assert merged.files() == index_terms(living, words=Words()).files()


def test_a_term_that_is_not_there_is_not_found() -> None:
    postings = index_terms(TEXTS, words=Words())
    assert [postings.find(term) for term in ("zebra", "", "ca", "cats", "\ud800")] == [-1] * 5
    assert index_terms([], words=Words()).find("cat") == -1


def test_more_repetitions_than_a_byte_holds_are_counted() -> None:
    for many in (255, 256, 70_000):
        postings = index_terms(["word " * many], words=Words())
        assert counted(load_postings(postings.files())) == [Counter(word=many)]


def test_equal_texts_give_equal_bytes_and_come_back_from_them() -> None:
    words = Words(stop=True, stem=True)
    files = index_terms(TEXTS, words=words).files()
    assert index_terms(TEXTS, words=words).files() == files
    again = load_postings(files)
    assert again.files() == files
    assert again.words == words
    assert again.nbytes > 0


@pytest.mark.parametrize("texts", [[], [""], ["", "?!"]])
def test_texts_without_terms_are_kept_as_texts(texts: list[str]) -> None:
    assert load_postings(index_terms(texts, words=Words()).files()).size == len(texts)


def test_segments_of_different_settings_are_not_merged() -> None:
    with pytest.raises(UsageError, match="different words"):
        merge_postings([index_terms(TEXTS, words=Words()), index_terms(TEXTS, words=Words(stem=True))])


def damaged(**arrays: np.ndarray | bytes) -> dict[str, bytes]:
    return replace(index_terms(TEXTS, words=Words()), **arrays).files()


GOOD = index_terms(TEXTS, words=Words())


@pytest.mark.parametrize(
    "files",
    [
        {},
        {ARRAYS: GOOD.files()[ARRAYS]},
        {**GOOD.files(), ARRAYS: b"rubbish"},
        {**GOOD.files(), ARRAYS: GOOD.files()[ARRAYS][:-9]},
        {**GOOD.files(), SETTINGS: b"[1]"},
        {**GOOD.files(), SETTINGS: b"\xff"},
        {**GOOD.files(), SETTINGS: json.dumps({"format": 99, "words": {}}).encode()},
        {**GOOD.files(), SETTINGS: json.dumps({"format": 1, "words": {"language": "xx", "stop": True}}).encode()},
        {**GOOD.files(), SETTINGS: json.dumps({"format": 1, "words": {"colour": "red"}}).encode()},
        damaged(documents=GOOD.documents[:-1]),
        damaged(documents=GOOD.documents + 2),
        damaged(documents=GOOD.documents - 1),
        damaged(documents=GOOD.documents[::-1].copy()),
        damaged(documents=GOOD.documents.astype(np.int64)),
        damaged(starts=GOOD.starts[::-1].copy()),
        damaged(starts=GOOD.starts[:-1]),
        damaged(ends=GOOD.ends * 2),
        damaged(letters=b"\xff" * len(GOOD.letters)),
        damaged(ends=np.zeros(0, np.int64)),
        damaged(counts=GOOD.counts.astype(np.float32)),
        damaged(counts=np.zeros_like(GOOD.counts)),
        damaged(lengths=GOOD.lengths[:2]),
        damaged(lengths=-GOOD.lengths),
    ],
)
def test_damaged_files_are_refused_with_what_to_type(files: dict[str, bytes]) -> None:
    with pytest.raises(Corrupt, match="rungwise index"):
        load_postings(files)


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_the_search_still_answers(place: int, bit: int) -> None:
    files = GOOD.files()
    arrays = bytearray(files[ARRAYS])
    arrays[place % len(arrays)] ^= 1 << bit
    try:
        found = load_postings({**files, ARRAYS: bytes(arrays)})
    except Corrupt:
        return
    index = LexicalIndex.of([found])
    index.expand("the cat", index.search("the cat snake_case", 3)[0])
