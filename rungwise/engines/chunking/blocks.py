"""The blocks of a text: headings, paragraphs, lists, tables and fenced code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rungwise.data.documents import Document

HEADING, TEXT, LIST, TABLE, CODE = "heading", "text", "list", "table", "code"


class Block(NamedTuple):
    """Characters `start` to `end`, without white space around them; `level` and `name` are those of a heading."""

    start: int
    end: int
    kind: str = TEXT
    level: int = 0
    name: str = ""


# Lines up to the next blank one, from the first sign on.
_RUN = re.compile(r"\S[^\n]*(?:\n[^\S\n]*+\S[^\n]*)*")
_MARK = r"[ \t]*(?:#{1,6}[ \t]|\||(?:[-*+•]|\d{1,9}[.)])[ \t]|(?:=+|-+)[ \t\r]*(?:\n|\Z))"
_FIRST, _LATER = re.compile(_MARK), re.compile("\n" + _MARK)  # a sign to begin with is looked for quickly
_HEADING = re.compile(r"[ \t]{0,3}(#{1,6})[ \t]+(?=\S)")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,9}[.)])[ \t]+\S")
_ITEMS = re.compile(r"^([ \t]*)(?:[-*+•]|\d{1,9}[.)])[ \t]+\S", re.MULTILINE)
_ROW = re.compile(r"[ \t]*\|")
_UNDERLINE = re.compile(r"[ \t]{0,3}(=+|-+)\s*$")
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})([^\n]*)", re.MULTILINE)
_FRONT = re.compile(r"---[ \t\r]*\n(?:(?!---)[^\n]*\n){1,200}---[ \t\r]*(?:\n|\Z)")

PLAIN = (".txt", ".text", ".rst", ".pdf", ".log")
"""The endings of documents in which a # or a fence means nothing."""


def is_markdown(document: Document) -> bool:
    """Whether headings, tables and fences are marked in a document as in Markdown (the text of HTML is)."""
    return not document.id.lower().endswith(PLAIN)


def blocks(text: str, *, markdown: bool) -> Iterator[Block]:
    """The blocks of a text in order; between them stands nothing but white space.

    Headings are those of Markdown, # or underlined. A fence that is never closed is a paragraph like any other.
    """
    at = 0
    if markdown:
        front = _FRONT.match(text)
        if front is not None:
            yield Block(0, front.end() - len(front[0]) + len(front[0].rstrip()), TEXT)
            at = front.end()
        for start, end in _fences(text, at):
            yield from _between(text, at, start, markdown=True)
            yield Block(start, end, CODE)
            at = end
    yield from _between(text, at, len(text), markdown=markdown)


def _fences(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Code between fences. A fence is closed by one of the same sign, no shorter and with nothing after it."""
    found = [(one.start(), one.end(), one[1], one[2].strip()) for one in _FENCE.finditer(text, at)]
    never: dict[str, int] = {}  # the shortest fence of a sign for which the rest of the text has no end
    number = 0
    while number < len(found):
        start, _, sign, _ = found[number]
        number += 1
        if len(sign) >= never.get(sign[0], len(sign) + 1):
            continue
        for later in range(number, len(found)):
            _, end, closing, after = found[later]
            if not after and closing[0] == sign[0] and len(closing) >= len(sign):
                yield start, end - (len(text[start:end]) - len(text[start:end].rstrip()))
                number = later + 1
                break
        else:
            never[sign[0]] = len(sign)


def _between(text: str, start: int, end: int, *, markdown: bool) -> Iterator[Block]:
    for run in _RUN.finditer(text, start, end):
        first, last = run.span()
        line = max(start, text.rfind("\n", start, first) + 1)  # the indent of the first line counts
        if markdown and (_FIRST.match(text, line, last) or _LATER.search(text, first, last) or text.find(" | ", first, last) >= 0):
            yield from _marked(text, line, last)
        else:
            yield Block(first, first + len(run[0].rstrip()))


def _marked(text: str, start: int, end: int) -> Iterator[Block]:
    """The blocks of lines between which no line is blank, where some of them are marked."""
    begin, kind, at, lines = start, TEXT, start, 0
    for line in text[start:end].split("\n"):
        after = at + len(line) + 1
        heading = _heading(text, at, line, begin, lines if kind == TEXT else 0)
        own = LIST if _ITEM.match(line) else TABLE if _ROW.match(line) or " | " in line else TEXT
        if heading is not None:
            if begin < heading.start:
                yield _block(text, begin, heading.start, kind)
            yield heading
            begin, kind, lines = after, TEXT, 0
        else:
            # A line without a mark goes on with the item of the list above it, and not with a table.
            changed = own != kind and not (kind == LIST and own == TEXT)
            if changed and begin < at:
                yield _block(text, begin, at, kind)
                begin, lines = at, 0
            if changed:
                kind = own
            lines += 1
        at = after
    if begin < end:
        yield _block(text, begin, end, kind)


def _heading(text: str, at: int, line: str, begin: int, lines: int) -> Block | None:
    """The heading that a line is, or that it underlines: then `lines`, the paragraph above since `begin`, is one line."""
    found = _HEADING.match(line)
    name = _name(line[found.end() :]) if found is not None else ""
    if found is not None and name:
        return Block(at + found.start(1), at + len(line.rstrip()), HEADING, len(found[1]), name)
    underline = _UNDERLINE.match(line) if lines == 1 else None
    if underline is None:
        return None
    name = text[begin:at].strip()
    start = begin + text[begin:at].index(name)
    return Block(start, at + len(line.rstrip()), HEADING, 1 if underline[1][0] == "=" else 2, name)


def item_starts(text: str, start: int, end: int) -> list[int]:
    """Where the items of the outermost level of a list begin, at least one."""
    found = [(one.start(), len(one[1].expandtabs(4))) for one in _ITEMS.finditer(text, start, end)]
    least = min((indent for _, indent in found), default=0)
    return [at for at, indent in found if indent <= least + 1] or [start]


def _name(rest: str) -> str:
    """A heading without the # that may close it."""
    name = rest.rstrip()
    opened = name.rstrip("#")
    return opened.rstrip() if opened != name and (not opened or opened[-1] in " \t") else name


def _block(text: str, start: int, end: int, kind: str) -> Block:
    piece = text[start:end]
    return Block(start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()), kind)
