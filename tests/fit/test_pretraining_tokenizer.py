"""A tokenizer of one's own writes every text and reads it back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import BadData, CannotFit
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import TOKENIZER, load_tokenizer
from rungwise.fit.tokenizer import END, PAD, UNKNOWN, train_tokenizer

pytest.importorskip("transformers")

TEXTS = ["The king is dead.\nLong live the king!", "¿Dónde está Tomás? — Aquí.", "x" * 50]


@pytest.fixture(scope="module")
def byte_pairs() -> Files:
    return train_tokenizer(TEXTS, vocabulary=300)


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=200, deadline=None)
def test_every_text_comes_back_as_it_was(byte_pairs: Files, text: str) -> None:
    tokenizer = load_tokenizer(byte_pairs)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_frequent_words_become_tokens_and_no_more_than_asked_for(byte_pairs: Files) -> None:
    tokenizer = load_tokenizer(byte_pairs)
    assert len(tokenizer) == 300
    assert len(tokenizer.encode(" king")) < len(" king")


def test_the_marks_are_known_by_name(byte_pairs: Files) -> None:
    tokenizer = load_tokenizer(byte_pairs)
    assert (tokenizer.eos_token, tokenizer.pad_token) == (END, PAD)
    assert tokenizer.encode("a")[-1] != tokenizer.eos_token_id


def test_an_encoder_decoder_gets_the_end_behind_every_text() -> None:
    tokenizer = load_tokenizer(train_tokenizer(TEXTS, vocabulary=300, ended=True))
    assert tokenizer.encode("king")[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(tokenizer.encode("king"), skip_special_tokens=True) == "king"


def test_equal_texts_give_equal_bytes() -> None:
    assert train_tokenizer(TEXTS, vocabulary=300) == train_tokenizer(TEXTS, vocabulary=300)


@given(text=st.text(alphabet=sorted(set("".join(TEXTS))), max_size=60))
@settings(max_examples=100, deadline=None)
def test_with_characters_each_is_one_token(text: str) -> None:
    tokenizer = load_tokenizer(train_tokenizer(TEXTS, characters=True))
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text


def test_a_character_that_was_never_seen_is_unknown() -> None:
    tokenizer = load_tokenizer(train_tokenizer(TEXTS, characters=True))
    assert tokenizer.unk_token == UNKNOWN
    assert tokenizer.encode("z") == [tokenizer.unk_token_id]


def test_loads_in_plain_transformers(tmp_path: object, byte_pairs: Files) -> None:
    from pathlib import Path

    from transformers import AutoTokenizer

    folder = Path(str(tmp_path))
    for name, data in byte_pairs.items():
        (folder / name).write_bytes(data)
    plain = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert plain.encode("¿Dónde está el rey?") == load_tokenizer(byte_pairs).encode("¿Dónde está el rey?")
    assert plain.eos_token == END


def test_no_text_is_told() -> None:
    with pytest.raises(CannotFit, match="needs text"):
        train_tokenizer(["", ""])


def test_a_vocabulary_without_room_for_the_bytes_is_told() -> None:
    with pytest.raises(CannotFit, match="no room for the 256 bytes"):
        train_tokenizer(TEXTS, vocabulary=200)


def test_half_a_surrogate_pair_is_told_with_its_place() -> None:
    with pytest.raises(BadData, match="text 2: character 3 is half a surrogate pair"):
        train_tokenizer(["fine", "ab\ud800c"], vocabulary=300)


def test_the_files_are_those_that_a_model_folder_has(byte_pairs: Files) -> None:
    assert TOKENIZER in byte_pairs
    assert set(byte_pairs) == {"tokenizer.json", "tokenizer_config.json"}
