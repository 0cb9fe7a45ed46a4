"""The texts that the tagger learns from: every template can be filled, and its spans are where they say."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.curate.names.lexicon import TEMPLATE_FILES, templates
from rungwise.curate.names.places import address, street
from rungwise.curate.names.sentences import SLOTS, TYPES, corpus, parse


@pytest.mark.parametrize("name", TEMPLATE_FILES)
def test_every_template_parses_and_uses_only_known_slots(name: str) -> None:
    for line in templates(name):
        found = line.replace("}", "{").split("{")[1::2]
        assert set(found) <= set(SLOTS), line
        assert parse(line)


def test_a_template_with_an_open_bracket_is_refused() -> None:
    with pytest.raises(ValueError, match="brackets"):
        parse("Hello] {first}")


def test_the_same_seed_writes_the_same_texts() -> None:
    assert list(corpus(7, 200)) == list(corpus(7, 200))
    assert list(corpus(7, 200)) != list(corpus(8, 200))


def test_held_out_templates_never_meet_the_others() -> None:
    ours = {text.text for text in corpus(1, 300, share=4)}
    theirs = {text.text for text in corpus(1, 300, share=4, held_out=True)}
    assert len(theirs) > 100
    assert len(ours & theirs) < 10  # a bare `{city}` stands on both sides


@given(st.integers(0, 100_000))
def test_spans_hold_text_without_outer_white_space(seed: int) -> None:
    for text in corpus(seed, 5):
        end = 0
        for start, stop, kind in text.spans:
            assert kind in TYPES
            assert end <= start < stop <= len(text.text)
            assert text.text[start:stop].strip()
            end = stop


@given(st.integers(0, 100_000))
def test_an_address_holds_a_number_or_is_a_street_with_one(seed: int) -> None:
    assert any(sign.isdigit() for sign in street(Random(seed)))
    assert address(Random(seed)).strip() == address(Random(seed))
