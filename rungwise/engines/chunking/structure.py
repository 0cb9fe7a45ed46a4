"""Cutting by structure: sections, then blocks, then items, rows, lines and sentences, then words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from rungwise.engines.chunking.blocks import CODE, HEADING, LIST, TABLE, TEXT, Block, item_starts
from rungwise.engines.chunking.chunk import Chunking, Span
from rungwise.engines.chunking.packing import packed
from rungwise.engines.chunking.places import trimmed, wrapped
from rungwise.engines.sentences import split_sentences


def structure_spans(text: str, found: Iterable[Block], chunking: Chunking) -> Iterator[Span]:
    """Whole blocks under one heading, with the heading, as long as they fit; never over a heading."""
    for section in sections(found):
        yield from packed(pieces_of(text, section, chunking.size), chunking.size, chunking.overlap)


def sections(found: Iterable[Block]) -> Iterator[list[Block]]:
    """Blocks from one heading to the next. Headings one under the other, with nothing between, are of one section."""
    held: list[Block] = []
    for block in found:
        begins = block.kind == HEADING and bool(held)
        if begins and not (held[-1].kind == HEADING and held[-1].level < block.level):
            yield held
            held = []
        held.append(block)
    if held:
        yield held


def pieces_of(text: str, found: Iterable[Block], size: int) -> Iterator[Span]:
    """The largest pieces that fit in `size`: blocks; of longer ones items, rows, lines or sentences; of longer ones words."""
    for block in found:
        if block.end - block.start <= size:
            yield block.start, block.end
        else:
            yield from _parts(text, block.start, block.end, block.kind, size)


def _parts(text: str, start: int, end: int, kind: str, size: int) -> Iterator[Span]:
    if kind == LIST:
        for item in _items(text, start, end):
            yield from _parts(text, *item, TEXT, size) if item[1] - item[0] > size else (item,)
    elif kind in (TABLE, CODE):
        for line in _lines(text, start, end):
            yield from wrapped(text, *line, size) if line[1] - line[0] > size else (line,)
    else:
        for begin, stop in split_sentences(text[start:end]):
            yield from wrapped(text, start + begin, start + stop, size)


def _items(text: str, start: int, end: int) -> Iterator[Span]:
    starts = [*item_starts(text, start, end), end]
    if starts[0] > start:
        yield trimmed(text, start, starts[0])
    for begin, after in itertools.pairwise(starts):
        yield trimmed(text, begin, after)


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    """Lines with their indent, which says something in code and tables; blank ones are left out."""
    at = start
    while at < end:
        newline = text.find("\n", at, end)
        stop = end if newline < 0 else newline
        line = text[at:stop].rstrip()
        if line:
            yield at, at + len(line)
        at = stop + 1
