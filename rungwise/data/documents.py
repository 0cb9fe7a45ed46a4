"""Documents to be searched: of a folder, a web page or a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rungwise.core.errors import BadData, MissingExtra, UnknownName, UsageError
from rungwise.core.record import digest
from rungwise.data.lines import Damaged
from rungwise.data.readers import Quarantined, Read, cell_text
from rungwise.data.sources import Library, Piece, Source
from rungwise.data.sources.options import Limits

FIELD_CAP = 1_000
"""A cell with more characters is no field to filter by and is left out of a document's fields."""

_IDS = ("id", "_id", "doc_id", "document_id", "docid", "key", "url", "path", "name")
_TEXTS = ("text", "content", "contents", "body", "abstract", "passage", "article", "context", "description", "document")
"""The columns that a table keeps ids and texts in, where nobody says; a column `title` then begins the text."""

_TOLD_BY_TEXT = ("title", "type")
"""What is known of a text or Markdown file by its text and its name alone."""


_BROKEN = "a line break in an id, and found documents are told one a line"


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its id: the path in the folder, with / between folders, the URL, or the id in a table.

    `fields` is what is known of it beside its text (title, type, columns of a table), to filter by; `pages` are the places
    where its pages begin, where it has some.
    """

    id: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)
    pages: tuple[int, ...] = ()

    @property
    def version(self) -> str:
        """SHA-256 in hex of the text, which spans in it are true of."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Documents:
    """The documents of a source in its order, and what of it could not be read."""

    documents: tuple[Document, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()

    @cached_property
    def id(self) -> str:
        """SHA-256 of the ids, texts, and what else is known of them: the input of every index made from them."""
        return digest([_content(document) for document in self.documents])


def _content(document: Document) -> list[Any]:
    plain = document.fields.get("type") in (None, "text", "markdown")
    if plain and not document.pages and set(document.fields) <= set(_TOLD_BY_TEXT):
        return [document.id, document.text]
    return [document.id, document.text, dict(document.fields), document.pages]


class DocumentSource:
    """The documents of a source, piece by piece: a piece with a known fingerprint need not be read again."""

    def __init__(self, source: Source, *, id: str | None = None, text: Sequence[str] = ()) -> None:
        self.source, self._id, self._text = source, id or None, tuple(text)

    @property
    def location(self) -> str:
        """The absolute path or the URL."""
        return self.source.location

    def pieces(self) -> Iterator[Piece | Quarantined]:
        """Its pieces in the order of their names; each file of a folder is one, a whole table is one. No text is read."""
        for piece in self.source.pieces():
            if isinstance(piece, Piece) and (self._id or self._text):
                yield replace(piece, fingerprint=digest([piece.fingerprint, self._id, self._text]))
            else:
                yield piece

    def documents(self, piece: Piece) -> Iterator[Document | Quarantined]:
        """The documents of a piece, one of a file or page, one of each row of a table, and what of it cannot be read.

        HTML and PDF without their readers are quarantined too. Raises UnknownName or UsageError when a table has no such
        columns, MissingExtra for Parquet without its reader.
        """
        if isinstance(self.source, Library):
            yield _extracted(self.source, piece)
        else:
            yield from documents_of(self.source.read(piece), id=self._id, text=self._text, where=piece.name)

    def read(self, piece: Piece) -> Documents:
        """The same, together; of documents with one id the first."""
        documents: dict[str, Document] = {}
        quarantine: list[Quarantined] = []
        for found in self.documents(piece):
            _sort_in(found, documents, quarantine)
        return Documents(tuple(documents.values()), tuple(quarantine))


def open_documents(
    location: str | Path,
    *,
    id: str | None = None,
    text: Sequence[str] = (),
    kind: str | None = None,
    encoding: str | None = None,
    allow_hosts: Sequence[str] = (),
    cache: Path | None = None,
    limits: Limits | None = None,
) -> DocumentSource:
    """The documents at a location: a folder (of text, Markdown, HTML and PDF), one such file, a URL, or a table.

    `id` and `text` name the columns of a table that hold ids and texts, which are joined by an empty line; without them
    they are told by their names. The others are explained at `Options`. Raises BadData when there is nothing there.
    """
    from rungwise.data.sources.door import kind_of, open_source

    if not str(location):
        raise UsageError("which documents? Name a folder, a URL or a table")
    named = bool(id or text)
    local = "://" not in str(location)
    if local and not Path(location).exists():
        hint = "Check the path (in a project: documents: in rungwise.yaml)"
        raise BadData("there is no such folder of documents.", where=str(location), hint=hint)
    if kind is None and local and Path(location).is_dir():
        kind = kind_of(str(location)) if named else "folder"
    source = open_source(location, kind=kind, encoding=encoding, allow_hosts=allow_hosts, cache=cache, limits=limits)
    if named and isinstance(source, Library):
        raise UsageError(f"{source.location} is no table: it has no columns. Leave out --id and --text")
    return DocumentSource(source, id=id, text=text)


def read_documents(
    location: str | Path,
    *,
    id: str | None = None,
    text: Sequence[str] = (),
    kind: str | None = None,
    encoding: str | None = None,
    allow_hosts: Sequence[str] = (),
    cache: Path | None = None,
    limits: Limits | None = None,
) -> Documents:
    """All documents of a location, hidden files aside, in the order of the source. The arguments are those of `open_documents`.

    Raises BadData when it is missing or holds none. A file in another encoding, empty or of another kind, a row without
    text and the second document of one id are quarantined.
    """
    source = open_documents(
        location, id=id, text=text, kind=kind, encoding=encoding, allow_hosts=allow_hosts, cache=cache, limits=limits
    )
    documents: dict[str, Document] = {}
    quarantine: list[Quarantined] = []
    for piece in source.pieces():
        for found in (piece,) if isinstance(piece, Quarantined) else source.documents(piece):
            _sort_in(found, documents, quarantine)
    if not documents:
        first = f" The first that was set aside: {quarantine[0].place}: {quarantine[0].reason.rstrip('.')}." if quarantine else ""
        hint = "Put text, Markdown, HTML or PDF files in it, or name a table"
        raise BadData(f"no document could be read.{first}", where=str(location), hint=hint)
    return Documents(tuple(documents.values()), tuple(quarantine))


def _sort_in(found: Document | Quarantined, documents: dict[str, Document], quarantine: list[Quarantined]) -> None:
    if isinstance(found, Quarantined):
        quarantine.append(found)
    elif found.id in documents:
        quarantine.append(Quarantined(found.id, "its id is that of an earlier document", "refused:twin"))
    else:
        documents[found.id] = found


def documents_of(
    read: Read, *, id: str | None = None, text: Sequence[str] = (), where: str = ""
) -> Iterator[Document | Quarantined]:
    """The documents of a table's rows; columns that hold neither id nor text are fields to filter by.

    A row of a table without a column of ids is called by its place. Raises UnknownName for a column that no row has,
    UsageError where no column is called as those that hold texts are.
    """
    texts: tuple[str, ...] = ()
    for place, cells in read.rows:
        if not texts:
            columns = list(dict.fromkeys([*read.columns, *cells]))
            texts = tuple(text) or _text_columns(columns, where)
            id = id or _called(_IDS, columns)
        yield _row(place, cells, id, texts)
    for name in (id, *texts):
        if name and read.columns and name not in read.columns:
            raise UnknownName("column", name, read.columns, where=where)
    yield from read.quarantine


def _row(place: str, cells: Mapping[str, Any], key: str | None, texts: tuple[str, ...]) -> Document | Quarantined:
    whole = "\n\n".join(filter(None, (_prose(cells.get(column)) for column in texts)))
    if not whole:
        listed = ", ".join(f"'{name}'" for name in texts)
        return Quarantined(place, f"no text: nothing in {listed}", "malformed:no_text")
    own = place if key is None else cell_text(cells.get(key))
    if own is None:
        return Quarantined(place, f"no id: nothing in '{key}'", "malformed:no_id")
    if "\n" in own:
        return Quarantined(place, f"{_BROKEN} in '{key}'", "malformed:no_id")
    return Document(own, whole, _fields(cells, {key, *texts} - {"title"}))


def _text_columns(columns: Sequence[str], where: str) -> tuple[str, ...]:
    """The columns that are called as texts are, with a title before them."""
    found, title = _called(_TEXTS, columns), _called(("title",), columns)
    if found is None:
        raise UsageError(f"{where}: no column is called as texts are. Name them: --text {','.join(columns[:3]) or 'COLUMN'}")
    return (found,) if title is None else (title, found)


def _called(names: Sequence[str], columns: Sequence[str]) -> str | None:
    known = {column.strip().lower(): column for column in reversed(columns)}
    return next((known[name] for name in names if name in known), None)


def _prose(cell: Any) -> str:
    """A cell as text; a list of sentences as one paragraph."""
    if isinstance(cell, list) and all(isinstance(item, str) for item in cell):
        return " ".join(item.strip() for item in cell if item.strip())
    return cell_text(cell) or ""


def _fields(cells: Mapping[str, Any], used: set[str | None]) -> dict[str, str]:
    found = {name: cell_text(cell) for name, cell in cells.items() if name not in used}
    return {name: value for name, value in found.items() if value is not None and len(value) <= FIELD_CAP}


def _extracted(source: Library, piece: Piece) -> Document | Quarantined:
    """The one document of a file or page."""
    from rungwise.data.sources.folder import TYPES

    if "\n" in piece.name:
        return Quarantined(piece.name, f"{_BROKEN}. Rename it", "refused:name")
    try:
        found = source.extract(piece)
    except BadData as error:
        return _set_aside(piece.name, error)
    except MissingExtra as error:
        return Quarantined(piece.name, str(error), "unsupported:extra")
    fields = {"title": found.title, "type": TYPES[piece.path.suffix.lower()]}
    return Document(piece.name, found.text, {name: value for name, value in fields.items() if value}, found.pages)


def _set_aside(name: str, error: BadData) -> Quarantined:
    """A file that cannot be read; the reason tells the line where it is known."""
    if not isinstance(error, Damaged):
        return Quarantined(name, str(error), "malformed:unreadable")
    reason = str(error) if error.where.startswith(f"{name}:") else error.reason
    return Quarantined(name, reason, error.code, error.raw)
