"""What a chunk is, and the settings by which documents are cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rungwise.core.content import Passage
from rungwise.core.errors import UnknownName, UsageError

Span = tuple[int, int]
"""(start, end) offsets of characters in a document."""

METHODS = ("structure", "tokens", "sentences", "hierarchy", "pages")
"""The ways of cutting; each is one file beside this one."""

PARENTS = 4
"""How much larger than a chunk the piece is that is read in its place, where nobody says."""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a document: `text` is exactly its characters `start` to `end`.

    `headings` lead to it from the title down; the last `titled` of them stand at the beginning of the text itself. `page` is
    counted from 1 where the document has pages; `parent` is the span of the larger piece that is read where this was found.
    """

    document: str
    start: int
    end: int
    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None
    parent: Span | None = None
    titled: int = 0

    @property
    def searched(self) -> str:
        """The text with the headings above it, each once: they often hold the word that the text takes for granted."""
        return "\n".join((*self.headings[: len(self.headings) - self.titled], self.text))

    @property
    def passage(self) -> Passage:
        """As a passage that a request or an answer carries."""
        return Passage(self.text, self.document, self.start, self.end)


@dataclass(frozen=True, kw_only=True)
class Chunking:
    """How documents are cut. `method`: structure, tokens, sentences, hierarchy or pages.

    `size` is the largest chunk, in characters (structure, sentences, hierarchy, pages) or tokens (tokens); `overlap` in
    the same unit is the most that neighbours share, at most half of the size; `parent` is the size of the piece that is
    read in a hierarchy (0: four times the size). `tokenizer` names the encoder whose tokens are counted; where it is empty
    and none is handed over, tokens are an estimate by words and signs.
    Raises UnknownName for another method, UsageError for sizes that make no sense.
    """

    method: str = "structure"
    size: int = 1_000
    overlap: int = 0
    parent: int = 0
    tokenizer: str = ""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownName("way of cutting documents", self.method, METHODS)
        if self.size < 1:
            raise UsageError(f"a chunk cannot have the size {self.size}. Set size to 1 or more, such as 1000")
        if not 0 <= 2 * self.overlap <= self.size:
            raise UsageError(f"chunks of {self.size} cannot share {self.overlap}. Set overlap between 0 and {self.size // 2}")
        if self.parent and self.parent < self.size:
            raise UsageError(f"a parent of {self.parent} cannot hold chunks of {self.size}. Set parent to {self.size} or more")

    @property
    def parent_size(self) -> int:
        """The largest piece that is read in a hierarchy, in characters."""
        return self.parent or PARENTS * self.size

    def plain(self) -> Mapping[str, Any]:
        """As the recipe of a fitted part holds it."""
        shared = {"method": self.method, "size": self.size, "overlap": self.overlap}
        if self.method == "hierarchy":
            return {**shared, "parent": self.parent_size}
        return {**shared, "tokenizer": self.tokenizer or "estimate"} if self.method == "tokens" else shared
