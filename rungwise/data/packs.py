"""Packs: immutable files of records, named by the digest of their bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.data.blobs import Blobs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The names of so many packs are held: 2 MB each.
_NARROW_PACKS = 32

PACK_ROWS = 65_536
PACK_BYTES = 32 * 2**20
"""A pack is closed when it holds this many rows or this many bytes of cells, whichever comes first."""

_COLUMNS: tuple[Any, ...] = (
    ("id", "binary", 32),
    ("line", "binary", 16),
    ("key", "uint64"),
    ("piece", "string"),
    ("at", "int64"),
    ("parent", "binary", 32),
    ("cells", "large_binary"),
)

NO_DIGEST = bytes(16)
NO_PARENT = bytes(32)


class Packed(NamedTuple):
    """A record on its way into a pack.

    `line` is the digest of its source line (zeros where it is not one whole line), `key` the hash of the user's id
    (0 for none), `piece` and `at` its place, `parent` the record that it was rewritten from (zeros for none).
    """

    id: bytes
    line: bytes
    key: int
    piece: str
    at: int
    parent: bytes
    body: bytes


class Packs:
    """The packs among the blobs of a store; the `held` ones that were read last stay in memory, about 32 MB each."""

    def __init__(self, blobs: Blobs, *, held: int = 4) -> None:
        self.blobs = blobs
        self._checked: set[str] = set()
        # An edited table interleaves the packs of several imports: with room for one, each batch would decode them all again.
        self._last = lru_cache(maxsize=held)(self._table)
        self.ids = lru_cache(maxsize=_NARROW_PACKS)(self._ids)

    def write(self, entries: Sequence[Packed]) -> str:
        """Keep records durably as a pack and give its digest. Same records, same bytes."""
        pa, parquet = _arrow()
        columns = zip(_COLUMNS, zip(*entries, strict=True), strict=True)
        table = pa.table({name: pa.array(values, getattr(pa, kind)(*size)) for (name, kind, *size), values in columns})
        out = io.BytesIO()
        parquet.write_table(
            table,
            out,
            compression="zstd",
            use_dictionary=["piece", "parent"],
            column_encoding={"at": "DELTA_BINARY_PACKED"},
            write_statistics=False,
        )
        return self.blobs.put(out.getvalue())

    def count(self, pack: str) -> int:
        """How many records a pack holds."""
        return int(self._file(pack).metadata.num_rows)

    def _ids(self, pack: str) -> NDArray[np.uint8]:
        """(n, 32): the names of the records of a pack."""
        return _fixed(self._column(pack, "id"), 32)

    def lines(self, pack: str) -> NDArray[np.uint64]:
        """(n, 2): the digests of their source lines."""
        import numpy as np

        return _fixed(self._column(pack, "line"), 16).view(np.uint64)

    def parents(self, pack: str) -> NDArray[np.uint8]:
        """(n, 32): the records that they were rewritten from; zeros for none."""
        return _fixed(self._column(pack, "parent"), 32)

    def keys(self, pack: str) -> NDArray[np.uint64]:
        """(n,): the hashes of the user's ids; 0 where there is none."""
        found: NDArray[np.uint64] = self._column(pack, "key").to_numpy()
        return found

    def bodies(self, pack: str, rows: Sequence[int] | NDArray[Any]) -> list[bytes]:
        """The records at these rows of a pack, in the order asked for."""
        return self._take(pack, "cells", rows)  # type: ignore[no-any-return]

    def places(self, pack: str, rows: Sequence[int] | NDArray[Any]) -> list[str]:
        """Where these records were read: "tickets.csv:17", or the name alone for whole files."""
        pieces, ats = self._take(pack, "piece", rows), self._take(pack, "at", rows)
        return [f"{piece}:{at}" if at else piece for piece, at in zip(pieces, ats, strict=True)]

    def sources(self, pack: str, rows: Sequence[int] | NDArray[Any]) -> list[tuple[str, int]]:
        """The piece and the line of these records."""
        return list(zip(self._take(pack, "piece", rows), self._take(pack, "at", rows), strict=True))

    def row_bytes(self, pack: str) -> float:
        """How many bytes a record of a pack takes on average."""
        about = self._file(pack).metadata
        return float(sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)) / max(1, about.num_rows))

    def _take(self, pack: str, column: str, rows: Sequence[int] | NDArray[Any]) -> Any:
        pa, _ = _arrow()
        whole = self._last(pack).column(column)
        return whole.take(pa.array(rows, pa.int64())).to_pylist()

    def _column(self, pack: str, name: str) -> Any:
        return self._file(pack).read(columns=[name]).column(name).combine_chunks()

    def _table(self, pack: str) -> Any:
        return self._file(pack).read(columns=["piece", "at", "cells"]).combine_chunks()

    def _file(self, pack: str) -> Any:
        """A pack that is open for reading. Its bytes are checked against its digest the first time."""
        pa, parquet = _arrow()
        if pack not in self._checked:
            self.blobs.get(pack)
            self._checked.add(pack)
        try:
            return parquet.ParquetFile(self.blobs.path(pack), memory_map=True)
        except pa.ArrowException as error:
            raise Corrupt(f"the pack {pack[:12]} of {self.blobs.directory} cannot be read ({error})") from error


def _fixed(column: Any, width: int) -> NDArray[np.uint8]:
    """A column of fixed-size binary as (n, width) bytes."""
    import numpy as np

    column = column.chunk(0) if hasattr(column, "chunk") else column
    if not len(column):
        return np.zeros((0, width), np.uint8)
    found = np.frombuffer(column.buffers()[1], np.uint8)
    return found[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("keeping versions of data", "curation") from error
    return pyarrow, parquet
