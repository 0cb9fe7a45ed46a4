"""A folder of documents (text, Markdown, HTML, PDF), or one of them: each is one row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import BadData
from rungwise.data.lines import CELL_CAP, RAW_CAP, Damaged, Lines, blocks, require_file
from rungwise.data.readers import Quarantined, Read, Row
from rungwise.data.sources import Extracted, Piece
from rungwise.data.sources.extractor import Extractor
from rungwise.data.sources.files import files_of, fingerprint, printable
from rungwise.data.sources.options import Options
from rungwise.data.sources.table import unreadable

TYPES = {
    **dict.fromkeys((".txt", ".text", ".rst"), "text"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".pdf": "pdf",
}
"""The type of a document by the ending of its name."""

COLUMNS = ("id", "text", "title", "type")

EDITION = {"html": 1, "pdf": 1}
"""Raised whenever the same bytes give another text, so that they are read again."""

_HEADING = re.compile(r"#[ \t]+(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"[ \t]{0,3}(```|~~~)")


def open_folder(location: str, options: Options) -> Folder:
    """The documents of a folder, or one document. Raises BadData when there is none."""
    path = Path(location)
    if not path.is_dir():
        require_file(path)
    return Folder(path, options, Extractor(options.limits.document_seconds, options.limits.document_memory_bytes))


@dataclass(frozen=True, slots=True)
class Folder:
    """Documents by their paths in a folder. Each is one piece and one row: its id (that path), text, title and type."""

    path: Path
    options: Options
    extractor: Extractor
    kind = "folder"
    licence = None
    languages = ()

    @property
    def location(self) -> str:
        """The absolute path."""
        return printable(str(self.path.absolute()))

    def pieces(self) -> Iterator[Piece | Quarantined]:
        """Its documents by name; what is no document, or too large, or leads elsewhere, as Quarantined."""
        whole = [(self.path.name, self.path)]
        for found in files_of(self.path) if self.path.is_dir() else whole:
            yield found if isinstance(found, Quarantined) else self._piece(*found)

    def _piece(self, name: str, path: Path) -> Piece | Quarantined:
        kind, limit = TYPES.get(path.suffix.lower()), self.options.limits.document_bytes
        if kind is None:
            known = " ".join(TYPES)
            reason = f"files that end in '{path.suffix}' are no documents (known: {known}). A table is imported by itself"
            return Quarantined(name, reason, "unsupported:format")
        try:
            size = path.stat().st_size
            if size > limit:
                return Quarantined(name, f"the file has {size:,} bytes; the limit is {limit:,}", "refused:size")
            return Piece(name, path, fingerprint(path, self.options.encoding, EDITION.get(kind)))
        except OSError as error:
            return Quarantined(name, f"it cannot be read: {error.strerror}.", "malformed:unreadable")

    def read(self, piece: Piece) -> Read:
        """Its one row, or why there is none."""
        return document_rows(piece, TYPES[piece.path.suffix.lower()], self.options.encoding, self.extractor)

    def extract(self, piece: Piece) -> Extracted:
        """Its text. Raises BadData where it has none, MissingExtra without the reader of HTML or PDF."""
        return document_text(piece, TYPES[piece.path.suffix.lower()], self.options.encoding, self.extractor)


def document_rows(piece: Piece, type: str, encoding: str | None, extractor: Extractor) -> Read:
    """One document as one row."""
    try:
        text, title, _ = document_text(piece, type, encoding, extractor)
    except BadData as error:
        return unreadable(piece.name, error)
    row: Row = (piece.name, {"id": piece.name, "text": text, "title": title, "type": type})
    return Read(iter([row]), columns=list(COLUMNS))


def document_text(piece: Piece, type: str, encoding: str | None, extractor: Extractor) -> Extracted:
    """The text of one document. Raises BadData where it has none, MissingExtra without the reader of HTML or PDF."""
    if type in EDITION:
        return extractor.text(piece.path, type, encoding)
    text = _plain_text(piece, encoding)
    return Extracted(text, markdown_title(text) if type == "markdown" else None)


def markdown_title(text: str) -> str | None:
    """The first heading of the first level: # Title, or Title over a line of =. Code between fences has none."""
    fenced, above = False, ""
    for line in text.split("\n"):
        fenced = fenced != bool(_FENCE.match(line))
        if not fenced and (heading := _HEADING.match(line)) is not None:
            return heading[1]
        if not fenced and above and line.strip() and not line.strip("= \t"):
            return above
        above = line.strip()
    return None


def _plain_text(piece: Piece, encoding: str | None) -> str:
    """The text of a file with \\n between its lines. Raises Damaged where it is none."""
    lines = []
    for line in Lines(blocks(piece.path), piece.name, encoding):
        if line is None:
            raise Damaged("malformed:too_long", "one of its lines is too long to hold.", hint="Cut it into parts")
        lines.append(line.removesuffix("\r"))
    text = "\n".join(lines)
    if len(text) > CELL_CAP:
        raise Damaged("malformed:too_long", f"the text is longer than {CELL_CAP:,} characters.", hint="Cut it into parts")
    if not text.strip():
        raise Damaged("malformed:no_text", "the file holds no text.", hint="Delete it, or write something in it")
    if "\0" in text:
        at = text.index("\0")
        raise Damaged("malformed:nul", f"a NUL byte in line {text.count(chr(10), 0, at) + 1}.", raw=text[:RAW_CAP])
    return text
