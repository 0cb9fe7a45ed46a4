"""The compiled counting gives what the plain one gives."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.engines.search import postings, vocabulary
from rungwise.engines.search.postings import index_terms
from rungwise.engines.search.terms import Words, word_kinds
from rungwise.engines.search.vocabulary import _spell_compiled, _spell_plain

pytest.importorskip("numba")

odd = st.text(st.sampled_from("ab é_İIß猫が👍🏽🇩🇪🇫ก् ,हिĳ①❶☕\ufe0f\ud800\x00\n") | st.characters(), max_size=30)


@settings(deadline=None)  # the first example loads what is compiled
@given(texts=st.lists(odd, max_size=8), language=st.sampled_from(["en", "tr"]), batch=st.sampled_from([1, 7, 1 << 17]))
def test_words_are_the_same_with_and_without_compiled_loops(texts: list[str], language: str, batch: int) -> None:
    words = Words(language=language)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "_BATCH", batch)
        found = _spell_compiled(texts, words)
    expected = _spell_plain(texts, words)
    assert found.distinct == expected.distinct
    assert found.found.tolist() == expected.found.tolist()
    assert found.sizes.tolist() == expected.sizes.tolist()


@settings(deadline=None)
@given(texts=st.lists(odd, max_size=8))
def test_postings_are_the_same_bytes_with_and_without_compiled_loops(texts: list[str]) -> None:
    files = []
    for compiled in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            for module in (vocabulary, postings):
                patch.setattr(module, "compiled", lambda _, use=compiled: use)
            files.append(index_terms(texts, words=Words(stop=True)).files())
    assert files[0] == files[1]


def test_many_distinct_words_are_told_apart() -> None:
    texts = [
        " ".join(f"w{number % 30_000}x{number // 7}" for number in range(start, start + 500)) for start in range(0, 60_000, 500)
    ]
    found, expected = _spell_compiled(texts, Words()), _spell_plain(texts, Words())
    assert found.distinct == expected.distinct
    assert np.array_equal(found.found, expected.found)


def test_every_character_is_of_the_kind_that_the_words_make_of_it() -> None:
    kinds, words = word_kinds(), Words()
    assert len(kinds) == sys.maxunicode + 1
    for code in range(0, sys.maxunicode + 1, 97):
        letter = chr(code)
        if words.prepared(letter) == letter:
            assert (kinds[code] in (1, 2)) == (words.split(letter) == [letter])


def test_small_inputs_do_not_load_the_compiled_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, vocabulary._KERNELS, raising=False)
    assert not vocabulary.compiled(1000)
    assert vocabulary.compiled(10**9)
    monkeypatch.setattr(vocabulary, "find_spec", lambda _: None)
    assert not vocabulary.compiled(10**9)
