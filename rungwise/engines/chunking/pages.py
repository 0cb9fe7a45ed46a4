"""Cutting by page: a chunk never reaches over the end of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rungwise.engines.chunking.blocks import Block
from rungwise.engines.chunking.chunk import Chunking, Span
from rungwise.engines.chunking.packing import packed
from rungwise.engines.chunking.places import trimmed
from rungwise.engines.chunking.structure import pieces_of


def page_spans(text: str, found: Sequence[Block], pages: Sequence[int], chunking: Chunking) -> Iterator[Span]:
    """Each page in as few chunks of whole blocks as fit; a document without pages is one page."""
    edges = sorted({0, *(start for start in pages if 0 < start < len(text)), len(text)})
    number = 0
    for start, end in pairwise(edges):
        own: list[Block] = []
        while number < len(found) and found[number].start < end:
            block = found[number]
            begin, stop = trimmed(text, max(block.start, start), min(block.end, end))
            if begin < stop:
                own.append(block._replace(start=begin, end=stop))
            if block.end > end:  # goes on upon the next page
                break
            number += 1
        yield from packed(pieces_of(text, own, chunking.size), chunking.size, chunking.overlap)
