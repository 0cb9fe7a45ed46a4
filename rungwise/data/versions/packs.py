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

_GROUP_BYTES = 4 * 2**20
_GROUPS = 16
# The names and places of so many packs are held: about 3 MB each.
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
    """The packs among the blobs of a store. Of the cells, the groups that were read last stay in memory: 64 MB at most."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self._checked: set[str] = set()
        # An edited table interleaves the packs of several imports: with room for one, each batch would decode them all again.
        self._last = lru_cache(maxsize=_GROUPS)(self._cells)
        self._ends = lru_cache(maxsize=_NARROW_PACKS)(self._group_ends)
        self._places = lru_cache(maxsize=_NARROW_PACKS)(self._sources)
        self.ids = lru_cache(maxsize=_NARROW_PACKS)(self._ids)

    def write(self, entries: Sequence[Packed]) -> str:
        """Keep records durably as a pack and give its digest. Same records, same bytes."""
        pa, parquet = _arrow()
        columns = zip(_COLUMNS, zip(*entries, strict=True), strict=True)
        table = pa.table({name: pa.array(values, getattr(pa, kind)(*size)) for (name, kind, *size), values in columns})
        out = io.BytesIO()
        size = sum(len(entry.body) for entry in entries)
        parquet.write_table(
            table,
            out,
            row_group_size=max(1, int(len(entries) * _GROUP_BYTES / max(size, _GROUP_BYTES))),
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
        import numpy as np

        pa, _ = _arrow()
        ends = self._ends(pack)
        wanted = np.asarray(rows, np.int64)
        groups = np.searchsorted(ends, wanted, "right")
        found: list[bytes] = [b""] * len(wanted)
        for group in np.unique(groups).tolist():
            own = np.flatnonzero(groups == group)
            start = int(ends[group - 1]) if group else 0
            bodies = self._last(pack, group).take(pa.array(wanted[own] - start, pa.int64())).to_pylist()
            for position, body in zip(own.tolist(), bodies, strict=True):
                found[position] = body
        return found

    def places(self, pack: str, rows: Sequence[int] | NDArray[Any]) -> list[str]:
        """Where these records were read: "tickets.csv:17", or the name alone for whole files."""
        return [f"{piece}:{at}" if at else piece for piece, at in self.sources(pack, rows)]

    def sources(self, pack: str, rows: Sequence[int] | NDArray[Any]) -> list[tuple[str, int]]:
        """The piece and the line of these records."""
        pa, _ = _arrow()
        taken = self._places(pack).take(pa.array(rows, pa.int64()))
        return list(zip(*(taken.column(name).to_pylist() for name in ("piece", "at")), strict=True))

    def row_bytes(self, pack: str) -> float:
        """How many bytes a record of a pack takes on average."""
        about = self._file(pack).metadata
        return float(sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)) / max(1, about.num_rows))

    def _column(self, pack: str, name: str) -> Any:
        return self._file(pack).read(columns=[name]).column(name).combine_chunks()

    def _cells(self, pack: str, group: int) -> Any:
        return self._file(pack).read_row_group(group, columns=["cells"], use_threads=False).column("cells").combine_chunks()

    def _group_ends(self, pack: str) -> NDArray[np.int64]:
        """(groups,): the row after the last of each group."""
        import numpy as np

        about = self._file(pack).metadata
        return np.cumsum([about.row_group(i).num_rows for i in range(about.num_row_groups)])

    def _sources(self, pack: str) -> Any:
        return self._file(pack).read(columns=["piece", "at"]).combine_chunks()

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
