"""What a chunk is, and the settings by which documents are cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Span = tuple[int, int]
"""(start, end) offsets of characters in a document."""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a document: `text` is exactly its characters `start` to `end`.

    `headings` lead to it from the title down; `page` is counted from 1 where the document has pages; `parent` is the span
    of the larger piece that is read where this one was found.
    """

    document: str
    start: int
    end: int
    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None
    parent: Span | None = None

    @property
    def searched(self) -> str:
        """Headings are searched with the text: they often hold the word that the text takes for granted."""
        return "\n".join((*self.headings, self.text))


@dataclass(frozen=True, kw_only=True)
class Chunking:
    """How documents are cut. `method`: structure, tokens, sentences, hierarchy or pages.

    `size` is the largest chunk, in characters (structure, sentences, hierarchy, pages) or tokens (tokens); `overlap` in
    the same unit is what neighbours share; `parent` the size of the piece that is read in a hierarchy.
    """

    method: str = "structure"
    size: int = 1_000
    overlap: int = 0
    parent: int = 0

    def plain(self) -> Mapping[str, Any]:
        """As the recipe of a fitted part holds it."""
        return {"method": self.method, "size": self.size, "overlap": self.overlap, "parent": self.parent}
