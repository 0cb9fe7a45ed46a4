"""Cutting by sentences: as many whole ones as fit."""

from __future__ import annotations

from collections.abc import Iterator

from rungwise.engines.chunking.chunk import Chunking, Span
from rungwise.engines.chunking.packing import packed
from rungwise.engines.chunking.places import wrapped
from rungwise.engines.sentences import split_sentences


def sentence_spans(text: str, chunking: Chunking) -> Iterator[Span]:
    """Whole sentences up to the size; neighbours share whole ones. A sentence that is longer is cut between words."""
    pieces = (part for start, end in split_sentences(text) for part in wrapped(text, start, end, chunking.size))
    return packed(pieces, chunking.size, chunking.overlap)
