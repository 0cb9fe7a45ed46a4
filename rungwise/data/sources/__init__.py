"""Where rows come from: tables, folders of documents, dataset folders, web pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from rungwise.data.readers import Quarantined, Read


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a source that is read, and remembered, by itself: a table, one file of a folder, one page.

    `name` is what places in it begin with ("tickets.csv", "guides/refund.pdf", a URL); `path` is where its bytes lie;
    `fingerprint` is the SHA-256 of them and of whatever else its rows depend on (the encoding, the split that its folder
    says, the edition of the reader), so that an unchanged piece is not read again.
    """

    name: str
    path: Path
    fingerprint: str


class Extracted(NamedTuple):
    """The text of a document, the title that it says it has, and where its pages begin in the text, if it has pages."""

    text: str
    title: str | None = None
    pages: tuple[int, ...] = ()


class Source(Protocol):
    """A place that rows come from. The kinds stand in the entry-point group `rungwise.sources`."""

    @property
    def kind(self) -> str:
        """table, folder, hub or web."""
        ...

    @property
    def location(self) -> str:
        """How it is recorded: an absolute path or a URL, without passwords."""
        ...

    @property
    def licence(self) -> str | None:
        """The licence that the source says it has, as it names it ("cc-by-4.0"); None where it says nothing."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the source says it is in ("en", "pt"); empty where it says nothing."""
        ...

    def pieces(self) -> Iterator[Piece | Quarantined]:
        """Its pieces in the order of their names; what cannot be opened at all comes as Quarantined."""
        ...

    def read(self, piece: Piece) -> Read:
        """The rows of a piece, their cells plain JSON values. Never raises for what the bytes are.

        Damage in the middle ends it with an entry in the quarantine; the rows before it stand. MissingExtra where a package
        is needed to read it.
        """
        ...


@runtime_checkable
class Library(Source, Protocol):
    """A source whose pieces are documents: files of a folder, a page of the web."""

    def extract(self, piece: Piece) -> Extracted:
        """The text of a piece. Raises BadData where it has none, MissingExtra where a package is needed to read it."""
        ...
