"""Cutting in two sizes: small chunks are found, and the larger piece around each is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rungwise.engines.chunking.blocks import Block
from rungwise.engines.chunking.chunk import Chunking, Span
from rungwise.engines.chunking.packing import packed
from rungwise.engines.chunking.structure import pieces_of, sections


def hierarchy_spans(text: str, found: Iterable[Block], chunking: Chunking) -> Iterator[tuple[Span, Span]]:
    """Each chunk with the span of its parent. Parents are whole sections, as many as fit; chunks never reach over a heading."""
    held: list[list[Block]] = []
    for section in sections(found):
        if held and section[-1].end - held[0][0].start > chunking.parent_size:
            yield from _family(text, held, chunking)
            held = []
        held.append(section)
    if held:
        yield from _family(text, held, chunking)


def _family(text: str, together: list[list[Block]], chunking: Chunking) -> Iterator[tuple[Span, Span]]:
    """The chunks of sections that are one parent, or of one section that is several."""
    whole = together[0][0].start, together[-1][-1].end
    if whole[1] - whole[0] <= chunking.parent_size:
        for section in together:
            for span in packed(pieces_of(text, section, chunking.size), chunking.size, chunking.overlap):
                yield span, whole
        return
    (section,) = together
    parent: list[Span] = []
    for span in packed(pieces_of(text, section, chunking.size), chunking.size, chunking.overlap):
        if parent and span[1] - parent[0][0] > chunking.parent_size:
            yield from ((own, (parent[0][0], parent[-1][1])) for own in parent)
            parent = []
        parent.append(span)
    yield from ((own, (parent[0][0], parent[-1][1])) for own in parent)
