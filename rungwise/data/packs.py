"""Packs: immutable files of records, named by the digest of their bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.data.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACK_ROWS = 65_536
PACK_BYTES = 64 * 2**20
"""A pack is closed when it holds this many rows or this many bytes of cells, whichever comes first."""

NO_DIGEST = bytes(16)
NO_PARENT = bytes(32)


@dataclass(slots=True)
class Draft:
    """A pack that is being filled; one entry per record in each list.

    `lines` are digests of the source lines (zeros where a record is not one whole line), `keys` hashes of the user's ids
    (0 for none), `pieces` and `ats` the place, `parents` the record that this one was rewritten from (zeros for none).
    """

    ids: list[bytes] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    ats: list[int] = field(default_factory=list)
    parents: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def full(self) -> bool:
        """Whether it should be closed now."""
        return len(self.ids) >= PACK_ROWS or self.size_bytes >= PACK_BYTES

    def add(
        self, id: bytes, body: bytes, *, piece: str, at: int, key: int = 0, line: bytes = NO_DIGEST, parent: bytes = NO_PARENT
    ) -> None:
        """One more record."""
        self.ids.append(id)
        self.lines.append(line)
        self.keys.append(key)
        self.pieces.append(piece)
        self.ats.append(at)
        self.parents.append(parent)
        self.bodies.append(body)
        self.size_bytes += len(body)


class Packs:
    """The packs of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._last = lru_cache(maxsize=2)(self._table)

    def write(self, draft: Draft) -> str:
        """Keep a draft durably and give its digest. Same records, same bytes."""
        pa, parquet = _arrow()
        table = pa.table(
            {
                "id": pa.array(draft.ids, pa.binary(32)),
                "line": pa.array(draft.lines, pa.binary(16)),
                "key": pa.array(draft.keys, pa.uint64()),
                "piece": pa.array(draft.pieces, pa.string()),
                "at": pa.array(draft.ats, pa.int64()),
                "parent": pa.array(draft.parents, pa.binary(32)),
                "cells": pa.array(draft.bodies, pa.large_binary()),
            }
        )
        out = io.BytesIO()
        parquet.write_table(
            table,
            out,
            compression="zstd",
            use_dictionary=["piece", "parent"],
            column_encoding={"at": "DELTA_BINARY_PACKED"},
            write_statistics=False,
        )
        return self.store.blobs.put(out.getvalue())

    def count(self, pack: str) -> int:
        """How many records a pack holds."""
        _, parquet = _arrow()
        return int(parquet.read_metadata(_buffer(self.store.blobs.get(pack))).num_rows)

    def ids(self, pack: str) -> NDArray[np.uint8]:
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

    def _take(self, pack: str, column: str, rows: Sequence[int] | NDArray[Any]) -> Any:
        pa, _ = _arrow()
        whole = self._last(pack).column(column)
        return whole.take(pa.array(rows, pa.int64())).to_pylist()

    def _column(self, pack: str, name: str) -> Any:
        _, parquet = _arrow()
        table = parquet.read_table(_buffer(self.store.blobs.get(pack)), columns=[name])
        return table.column(name).combine_chunks()

    def _table(self, pack: str) -> Any:
        pa, parquet = _arrow()
        try:
            return parquet.read_table(_buffer(self.store.blobs.get(pack)), columns=["piece", "at", "cells"]).combine_chunks()
        except pa.ArrowException as error:
            raise Corrupt(f"the pack {pack[:12]} of {self.store.directory} cannot be read ({error})") from error


def _buffer(data: bytes) -> Any:
    """Bytes as a file that Arrow reads without a copy."""
    pa, _ = _arrow()
    return pa.BufferReader(data)


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
