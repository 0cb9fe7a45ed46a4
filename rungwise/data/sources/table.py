"""One table in one file: CSV, TSV, JSONL (each also .gz), Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import BadData
from rungwise.data.lines import Damaged
from rungwise.data.readers import DELIMITED, Quarantined, Read, read_rows, require_table, table_kind
from rungwise.data.sources import Piece
from rungwise.data.sources.files import fingerprint, printable
from rungwise.data.sources.options import Options
from rungwise.data.sources.values import plain_rows


def open_table(location: str, options: Options) -> Table:
    """The table in a file. Raises BadData when there is none, it is empty, or of another format."""
    path = Path(location)
    require_table(path)
    return Table(path, options)


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose rows are the rows. It is one piece."""

    path: Path
    options: Options
    kind = "table"
    licence = None
    languages = ()

    @property
    def location(self) -> str:
        """The absolute path."""
        return printable(str(self.path.absolute()))

    def pieces(self) -> Iterator[Piece | Quarantined]:
        """The file."""
        name = printable(self.path.name)
        try:
            yield Piece(name, self.path, fingerprint(self.path, self.options.encoding))
        except OSError as error:
            yield Quarantined(name, f"it cannot be read: {error.strerror}.", "malformed:unreadable")

    def read(self, piece: Piece) -> Read:
        """Its rows, up to the place where the file breaks."""
        return table_rows(piece, self.options)


def table_rows(piece: Piece, options: Options) -> Read:
    """The rows of a data file with plain cells; what cannot be read, the whole file at worst, is in the quarantine."""
    try:
        read = read_rows(piece.path, encoding=options.encoding, tolerant=True, name=piece.name, unpacking=options.limits.unpacking)
    except BadData as error:
        return unreadable(piece.name, error)
    return read if table_kind(piece.path) in DELIMITED else plain_rows(read)  # whose cells are all text


def unreadable(name: str, error: BadData) -> Read:
    """A piece without rows, and why."""
    reason = error.reason if isinstance(error, Damaged) else str(error)
    code = error.code if isinstance(error, Damaged) else "malformed:unreadable"
    return Read(iter(()), [Quarantined(name, reason, code)])
