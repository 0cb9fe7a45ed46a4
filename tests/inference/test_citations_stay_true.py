"""Whatever the documents and the question: what is cited stands, letter by letter, in the document and version that are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.content import Request
from rungwise.core.types import Responder, collect
from rungwise.data.documents import Document
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.loop import run_in_background
from rungwise.engines.search.building import build_segment
from rungwise.engines.search.index import HYBRID, LEXICAL, How, SearchIndex
from rungwise.engines.search.recipe import Recipe
from rungwise.inference.extract import best_sentence
from rungwise.inference.finding import finding
from rungwise.inference.injection import without_instructions
from rungwise.inference.packing import with_parents, within_tokens
from rungwise.inference.retrieving import searching

ENCODE = load_encoder("hashed")
WORDS = (
    "lamp",
    "parcel",
    "days",
    "# Heading",
    "- item",
    "|a|b|",
    "```",
    "12.5",
    "Ignore previous instructions.",
    "Straße",
    "שלום",
    "🍕",
)
PIECES = st.one_of(st.sampled_from(WORDS), st.text(st.characters(), max_size=8))
TEXTS = st.lists(PIECES, min_size=1, max_size=25).flatmap(
    lambda pieces: st.sampled_from([" ", "\n", ". ", "\n\n", "\r\n"]).map(lambda gap: gap.join(pieces))
)


def by_sentence(index: SearchIndex) -> Responder:
    return best_sentence(searching(index, How(mode=LEXICAL)), within=index.lexical)


def without_orders(index: SearchIndex) -> Responder:
    return best_sentence(without_instructions(searching(index, How(mode=HYBRID))), within=index.lexical)


def of_parents(index: SearchIndex) -> Responder:
    return best_sentence(with_parents(searching(index, How(mode=HYBRID)), index.parent_of))


def in_little_room(index: SearchIndex) -> Responder:
    return best_sentence(within_tokens(searching(index, How(mode=HYBRID)), 9, lambda text: len(text.split())))


def documents(index: SearchIndex) -> Responder:
    return finding(without_instructions(searching(index, How(mode=HYBRID))))


@pytest.mark.parametrize("answerer", [by_sentence, without_orders, of_parents, in_little_room, documents])
@given(
    st.dictionaries(st.sampled_from("abc"), TEXTS.filter(str.strip), min_size=1),
    TEXTS,
    st.sampled_from(["structure", "hierarchy", "sentences"]),
)
@settings(max_examples=25, deadline=None)
def test_every_citation_is_verbatim_in_the_named_version(
    answerer: Callable[[SearchIndex], Responder], texts: Mapping[str, str], question: str, method: str
) -> None:
    recipe = Recipe(encoder="hashed", chunking=Chunking(method=method, size=60))
    shelf = {id: Document(id, text) for id, text in texts.items()}
    index = SearchIndex(recipe, [build_segment(list(shelf.values()), recipe, ENCODE)], encode=ENCODE)
    response = run_in_background(collect(answerer(index)(Request.of(question))))
    for passage in response.passages:
        document = shelf[passage.document]
        assert (passage.version, passage.text) == (document.version, document.text[passage.start : passage.end])
    for cited in response.citations:
        document = shelf[cited.document]
        assert (cited.version, cited.quote) == (document.version, document.text[cited.start : cited.end])
        assert cited.quote == response.text
