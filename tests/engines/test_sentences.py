"""Sentences and their exact offsets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.engines.sentences import split_sentences


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("Dr. Smith paid $5.90 to J. Doe Ltd. in the U.S. market.", ["Dr. Smith paid $5.90 to J. Doe Ltd. in the U.S. market."]),
        ("Use e.g. version 2.1. It works.", ["Use e.g. version 2.1.", "It works."]),
        ("It costs 5. You pay 6.", ["It costs 5.", "You pay 6."]),
        ("wait ... what? yes", ["wait ... what? yes"]),
        ("Steps:\n1. Open it.\n2. Close it.\n- Done", ["Steps:", "1. Open it.", "2. Close it.", "- Done"]),
        ("A heading\n\nA text over\ntwo lines. More.", ["A heading", "A text over\ntwo lines.", "More."]),
        ("# Title\nText here.", ["# Title", "Text here."]),
        ("今日は。元気ですか？はい", ["今日は。", "元気ですか？", "はい"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_readers_say_they_do(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(alphabet="aB1 .!?\n\t\"')-#。", max_size=120))
def test_offsets_are_exact_and_between_sentences_is_only_space(text: str) -> None:
    spans = split_sentences(text)
    last = 0
    for start, end in spans:
        assert text[last:start].strip() == ""
        assert text[start:end] == text[start:end].strip() != ""
        last = end
    assert text[last:].strip() == ""
    assert re.sub(r"\s", "", "".join(text[start:end] for start, end in spans)) == re.sub(r"\s", "", text)
