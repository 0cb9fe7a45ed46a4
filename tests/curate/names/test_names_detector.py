"""What the shipped tagger finds, that its offsets are exact, and that damaged weights are refused."""

from __future__ import annotations

import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the extra 'curation' is not installed")

from rungwise.core.errors import Corrupt
from rungwise.curate.names.tagger import DIGEST, TYPES, WEIGHTS, names_detector, tokenise, unpack

SENTENCES = [
    (
        "Dear Mr. Kowalski, your parcel was sent to 25 Church Street, Leeds.",
        {"NAME": ["Kowalski"], "ADDRESS": ["25 Church Street, Leeds"]},
    ),
    ("My name is Aino Virtanen and I live in Helsinki.", {"NAME": ["Aino Virtanen"], "LOCATION": ["Helsinki"]}),
    ("Siemens AG opened a plant in Portugal.", {"ORGANIZATION": ["Siemens AG"], "LOCATION": ["Portugal"]}),
    ("Please ship it to Hauptstraße 12, 10115 Berlin.", {"ADDRESS": ["Hauptstraße 12, 10115 Berlin"]}),
    ("hi this is maria gonzález, can you call me back?", {"NAME": ["maria gonzález"]}),
    ("CUSTOMER: JOHN SMITH", {"NAME": ["JOHN SMITH"]}),
    ("How do I reset my password before Monday?", {}),
    ("The new iPhone update in March was slow on my laptop.", {}),
]


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_plain_sentences_are_read_as_people_read_them(text: str, expected: dict[str, list[str]]) -> None:
    found: dict[str, list[str]] = {}
    for span in names_detector()([text])[0]:
        found.setdefault(span.type, []).append(text[span.start : span.end])
    assert found == expected


def test_a_name_that_no_list_holds_is_found_by_its_context() -> None:
    text = "Hello, my name is Zquorla Vembrikson and I cannot log in."
    assert [text[span.start : span.end] for span in names_detector()([text])[0] if span.type == "NAME"] == ["Zquorla Vembrikson"]


def test_offsets_count_characters_where_signs_take_several_bytes() -> None:
    text = "😀🏳️‍🌈 e\u0301 — my name is Jürgen Müller 😀"
    spans = names_detector()([text])[0]
    assert [text[span.start : span.end] for span in spans] == ["Jürgen Müller"]


@given(st.text(max_size=300))
def test_spans_lie_in_the_text_in_order_and_do_not_touch_white_space(text: str) -> None:
    end = 0
    for span in names_detector()([text])[0]:
        assert span.type in TYPES
        assert end <= span.start < span.end <= len(text)
        piece = text[span.start : span.end]
        assert piece == piece.strip()
        end = span.end


@given(st.text(max_size=300))
def test_tokens_cover_every_letter_and_digit_once(text: str) -> None:
    tokens = tokenise(text)
    covered = [at for start, end in zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True) for at in range(start, end)]
    assert covered == sorted(set(covered))
    assert {at for at, sign in enumerate(text) if sign.isalnum() and ord(sign) < 65536} <= set(covered)


@given(st.lists(st.text(max_size=60), max_size=6))
def test_what_is_found_in_a_text_does_not_depend_on_its_neighbours(texts: list[str]) -> None:
    detect = names_detector()
    assert detect(texts) == [detect([text])[0] for text in texts]


def test_a_long_text_is_read_in_stretches_and_to_its_end() -> None:
    line = "The old table is not for sale and the chair is broken again.\n"
    text = line * 4_000 + "My name is Aino Virtanen."
    spans = names_detector()([text])[0]
    assert text[spans[-1].start : spans[-1].end] == "Aino Virtanen"


@pytest.mark.timeout(60)  # looking ahead from every token to the end of the run would take hours
def test_a_long_run_without_spaces_takes_linear_time() -> None:
    assert tokenise("ab1" * 200_000).starts.size == 400_000
    assert tokenise("a.b-" * 200_000).starts.size == 800_000


def test_german_nouns_are_no_names() -> None:
    text = "Die Frau hat dem Lehrer gestern einen Brief und das Buch gegeben, weil der Unterricht nicht gut war."
    assert names_detector()([text]) == [[]]


def test_text_that_names_nobody_gives_nothing() -> None:
    assert names_detector()(["", " \n\t", "\ud800", "12345"]) == [[], [], [], []]


def test_the_detector_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(names_detector())) == names_detector()  # noqa: S301 - bytes of our own


@given(st.integers(0, WEIGHTS.stat().st_size - 1), st.integers(0, 7))
def test_one_flipped_bit_in_the_weights_is_refused(at: int, bit: int) -> None:
    data = bytearray(WEIGHTS.read_bytes())
    data[at] ^= 1 << bit
    with pytest.raises(Corrupt, match="damaged"):
        unpack(bytes(data), DIGEST.read_text(encoding="ascii").strip(), where="weights")


def test_the_shipped_weights_are_small_and_have_their_digest_beside_them() -> None:
    data = WEIGHTS.read_bytes()
    assert len(data) < 3_200_000
    assert hashlib.sha256(data).hexdigest() == DIGEST.read_text(encoding="ascii").strip()
