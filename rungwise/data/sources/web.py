"""One page of the web. Links in it are not followed: a crawl or a sitemap is for tools that are made for it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver
from yarl import URL

from rungwise.data.lines import Damaged
from rungwise.data.readers import Quarantined, Read
from rungwise.data.sources import Extracted, Piece
from rungwise.data.sources.addresses import check_url
from rungwise.data.sources.extractor import Extractor
from rungwise.data.sources.fetching import Page, fetch
from rungwise.data.sources.files import fingerprint
from rungwise.data.sources.folder import EDITION, TYPES, document_rows, document_text
from rungwise.data.sources.options import Options

_TYPES = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/plain": "text",
    "application/pdf": "pdf",
}
_ENDINGS = {"html": ".html", "markdown": ".md", "text": ".txt", "pdf": ".pdf"}


def open_web(location: str, options: Options) -> Web:
    """The page at a URL. Raises BadData for a URL that is never fetched."""
    return Web(str(check_url(location)), options)


class Web:
    """A page as one piece and one row: its id (the URL), text, title and type.

    With a folder `options.cache` the page and what the server said of it are kept there, so that the next run asks for it
    only if it changed; without one they are kept for as long as this object lives.
    """

    kind = "web"
    licence = None
    languages = ()

    def __init__(self, location: str, options: Options, resolver: type[AbstractResolver] = ThreadedResolver) -> None:
        self.location, self.options = location, options
        self._resolver = resolver
        self._extractor = Extractor(options.limits.document_seconds, options.limits.document_memory_bytes)
        folder = options.cache
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="rungwise-web-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._kept = folder / hashlib.sha256(location.encode()).hexdigest()[:32]

    def pieces(self) -> Iterator[Piece | Quarantined]:
        """The page, fetched if it changed. A page that is gone or too large comes as Quarantined.

        Raises BadData when it stands in a private network, RungwiseError when it cannot be reached now: what was read from
        it earlier must not be taken for vanished.
        """
        try:
            page = self._fetched()
        except Damaged as error:
            yield Quarantined(self.location, error.reason, error.code)
            return
        type = _type_of(page)
        if type is None:
            reason = f"'{page.type or 'what has no type'}' is no document. Download it and import the file"
            yield Quarantined(self.location, reason, "unsupported:format")
            return
        path = self._kept.with_suffix(_ENDINGS[type])
        yield Piece(self.location, path, fingerprint(path, self._encoding(page), EDITION.get(type)))

    def read(self, piece: Piece) -> Read:
        """Its one row, or why there is none."""
        page = self._known()
        encoding = self._encoding(page) if page is not None else self.options.encoding
        return document_rows(piece, TYPES[piece.path.suffix], encoding, self._extractor)

    def extract(self, piece: Piece) -> Extracted:
        """Its text. Raises BadData where it has none, MissingExtra without the reader of HTML or PDF."""
        page = self._known()
        encoding = self._encoding(page) if page is not None else self.options.encoding
        return document_text(piece, TYPES[piece.path.suffix], encoding, self._extractor)

    def _encoding(self, page: Page) -> str | None:
        return self.options.encoding or page.charset

    def _fetched(self) -> Page:
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        known, limits = self._known(), self.options.limits
        arriving = self._kept.with_suffix(f".{os.getpid()}")
        try:
            with arriving.open("wb") as out:
                page = fetch(
                    self.location,
                    out,
                    known=known,
                    allow=self.options.allow_hosts,
                    limits=limits,
                    resolver=self._resolver,
                )
            if page is None:
                assert known is not None
                return known
            # The bytes first: what is said of them counts only once they are there.
            self._kept.with_suffix(".json").unlink(missing_ok=True)
            arriving.replace(self._kept.with_suffix(_ENDINGS[_type_of(page) or "text"]))
        finally:
            arriving.unlink(missing_ok=True)
        self._kept.with_suffix(".json").write_text(json.dumps(asdict(page)), encoding="utf-8")
        return page

    def _known(self) -> Page | None:
        """What the server said the last time, if the bytes are still there."""
        try:
            page = Page(**json.loads(self._kept.with_suffix(".json").read_bytes()))
            there = self._kept.with_suffix(_ENDINGS[_type_of(page) or "text"]).is_file()
        except (OSError, ValueError, TypeError):
            return None
        return page if there else None


def _type_of(page: Page) -> str | None:
    """The type of a document by what the server says, else by the ending of its URL."""
    if page.type in _TYPES and page.type != "text/plain":
        return _TYPES[page.type]
    ending = TYPES.get(PurePosixPath(URL(page.url).path).suffix.lower())
    if page.type == "text/plain":
        return "markdown" if ending == "markdown" else "text"
    return ending if page.type in ("", "application/octet-stream", "binary/octet-stream") else None
