"""Texts become one stream of tokens, whose tail is held out, and blocks of it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import BadData, CannotFit
from rungwise.engines.fitted.models import load_tokenizer
from rungwise.fit.corpus import Blocks, corpus, cut_blocks, cut_tail, read_text
from rungwise.fit.tokenizer import END, train_tokenizer

pytest.importorskip("transformers")

TEXTS = ["to be or not to be " * 10, "that is the question " * 10]


def test_the_tail_is_the_last_part_of_all_characters() -> None:
    before, after = cut_tail(["a" * 60, "b" * 40], 0.1)
    assert (before, after) == (["a" * 60, "b" * 30], ["b" * 10])
    assert cut_tail(["a" * 90, "b" * 10], 0.1) == (["a" * 90], ["b" * 10])


def test_every_text_is_followed_by_the_end_but_the_one_that_is_cut() -> None:
    files = train_tokenizer(TEXTS, characters=True)
    end = load_tokenizer(files).eos_token_id
    data = corpus(TEXTS, files, context=8)
    assert np.flatnonzero(data.train == end).tolist() == [len(TEXTS[0])]
    assert np.flatnonzero(data.held == end).tolist() == [len(data.held) - 1]
    assert len(data.train) + len(data.held) == sum(map(len, TEXTS)) + 2
    assert data.held_characters == len(data.held) - 1


def test_a_mark_that_a_text_spells_is_read_as_its_characters() -> None:
    texts = [f"before {END} after " * 20]
    files = train_tokenizer(texts, vocabulary=300)
    data = corpus(texts, files, context=8)
    assert not (data.train == load_tokenizer(files).eos_token_id).any()


def test_characters_that_only_the_tail_has_are_counted() -> None:
    files = train_tokenizer(["abc"], characters=True)
    assert corpus(["abc" * 30 + "zzabcabcab"], files, context=4).unknown == 2


def test_the_digest_is_that_of_the_texts_and_how_they_were_cut() -> None:
    files = train_tokenizer(TEXTS, characters=True)
    one = corpus(TEXTS, files, context=8)
    assert one.digest == corpus(TEXTS, files, context=16).digest
    assert one.digest != corpus(TEXTS, files, context=8, held_out=0.2).digest
    assert one.digest != corpus(TEXTS[::-1], files, context=8).digest


def test_a_pass_shows_every_block_once_whatever_the_batch() -> None:
    starts = np.concatenate(Blocks(1001, 10).take(7, np.random.default_rng(0), steps=14))
    assert len(starts) == 98
    assert len(set(starts.tolist())) == 98
    assert {int(start) % 10 for start in starts} == {int(starts[0]) % 10}
    assert starts.max() + 11 <= 1001


def test_every_block_comes_once_before_any_comes_again_however_the_steps_are_parted() -> None:
    blocks, rng = Blocks(1001, 10), np.random.default_rng(0)
    starts = np.concatenate([start for steps in (3, 5, 6) for start in blocks.take(7, rng, steps=steps)])
    assert len(set(starts.tolist())) == 98


@pytest.mark.parametrize("length", [11, 12, 15, 20, 21, 35])
def test_no_block_reaches_beyond_a_short_stream(length: int) -> None:
    stream = np.arange(length, dtype=np.int32)
    for starts in Blocks(length, 10).take(4, np.random.default_rng(1), steps=20):
        blocks = cut_blocks(stream, starts, 10)
        assert blocks.shape == (4, 11)
        assert (np.diff(blocks, axis=1) == 1).all()


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_at_all_is_told(texts: list[str]) -> None:
    with pytest.raises(CannotFit, match="no text"):
        corpus(texts, train_tokenizer(["abc"], characters=True), context=8)


def test_a_text_shorter_than_a_block_is_told_with_its_size() -> None:
    with pytest.raises(CannotFit, match="the held-out part has 11 tokens and a block needs 65"):
        corpus(["ab" * 50], train_tokenizer(["ab"], characters=True), context=64)


def test_bytes_that_are_not_utf8_are_told_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"first line\nsecond caf\xe9\n")
    with pytest.raises(BadData, match=r"latin.txt:2: byte 0xe9 \(number 22 of the file\) is not UTF-8"):
        read_text(path)


def test_a_packed_text_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress("olá\n".encode()))
    assert read_text(path) == "olá\n"


def test_a_text_with_half_a_surrogate_pair_is_told() -> None:
    with pytest.raises(BadData, match="text 1: character 2"):
        corpus(["a\udfff" * 50], train_tokenizer(["a"], characters=True), context=8)
