"""A stream of text holds whole characters only, and adds up to the text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.engines.fitted.detokenising import Detokeniser
from rungwise.engines.fitted.models import TOKENIZER
from tests.engines.fitted.language_models import VOCABULARY, byte_tokenizer

tokenizers = pytest.importorskip("tokenizers")

BYTES = tokenizers.Tokenizer.from_str(byte_tokenizer()[TOKENIZER].decode())


def decode(ids: list[int]) -> str:
    found: str = BYTES.decode(ids, skip_special_tokens=True)
    return found


def pieces_of(ids: list[int], stop: tuple[str, ...] = ()) -> tuple[list[str], Detokeniser]:
    speaking = Detokeniser(decode, stop)
    pieces = [speaking.add(one) for one in ids]
    return [*pieces, speaking.end()], speaking


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_text_of_any_script_comes_in_whole_characters_that_add_up_to_it(text: str) -> None:
    pieces, speaking = pieces_of(BYTES.encode(text, add_special_tokens=False).ids)
    assert "".join(pieces) == text == speaking.text
    assert all("\ufffd" not in piece or "\ufffd" in text for piece in pieces)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, VOCABULARY - 1), max_size=40))
def test_tokens_that_are_no_text_add_up_to_what_the_whole_decodes_to(ids: list[int]) -> None:
    assert "".join(pieces_of(ids)[0]) == decode(ids)


def test_a_stream_does_not_wait_for_the_end_of_broken_bytes() -> None:
    lone = BYTES.token_to_id("\u0122")  # byte 0x80, which begins no character
    pieces, _ = pieces_of([lone] * 10)
    assert sum(len(piece) for piece in pieces[:-1]) >= 7


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abc€", max_size=30), st.lists(st.text(alphabet="abc€", min_size=1, max_size=4), min_size=1, max_size=3))
def test_an_answer_ends_before_the_first_stop_text_and_no_piece_of_it_is_given(text: str, stop: list[str]) -> None:
    pieces, speaking = pieces_of(BYTES.encode(text, add_special_tokens=False).ids, tuple(stop))
    found = [text.find(one) for one in stop if one in text]
    assert speaking.stopped == bool(found)
    if not found:
        assert "".join(pieces) == text
        return
    given_text = "".join(pieces)
    # The first stop text to be whole ends it; one that begins earlier may still be unfinished then.
    assert given_text == speaking.text
    assert text.startswith(given_text)
    assert any(text[len(given_text) :].startswith(one) for one in stop)
    assert not any(one in given_text for one in stop)
