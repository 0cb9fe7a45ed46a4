"""Documents in memory that come as a folder's do: each is a piece with its fingerprint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rungwise.core.record import digest
from rungwise.data.documents import Document
from rungwise.data.readers import Quarantined
from rungwise.data.sources import Piece


@dataclass
class Shelf:
    """Texts by id, with fields; `read` lists the pieces that were opened."""

    texts: Mapping[str, str]
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def pieces(self) -> Iterator[Piece | Quarantined]:
        """In the order of their ids."""
        for id, text in sorted(self.texts.items()):
            yield Piece(id, Path(id), digest([text, dict(self.fields.get(id, {}))]))

    def documents(self, piece: Piece) -> Iterator[Document | Quarantined]:
        """The one document of a piece."""
        self.read.append(piece.name)
        text = self.texts[piece.name]
        if not text.strip():
            yield Quarantined(piece.name, "the file holds no text", "malformed:no_text")
            return
        yield Document(piece.name, text, self.fields.get(piece.name, {}))
