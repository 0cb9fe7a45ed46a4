"""Vectors of texts, computed once: kept under the encoder that made them and the digest of the text."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rungwise.core.errors import StoreError
from rungwise.data.journal import WAIT_S, write_ahead
from rungwise.data.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

FILE = "vectors.db"
_KEYS = 500  # of one query
_TABLE = """create table if not exists vectors (
    encoder text not null, text blob not null, vector blob not null, checksum integer not null, primary key (encoder, text)
) without rowid"""


class VectorCache:
    """Vectors in a SQLite file of their own beside the store.

    A file of its own, since it can be deleted at any time at the price of computing again: it is not in the way of copies
    of the store, whose ledger cannot be replaced, and a damaged one is no reason to stop. For any number of
    threads and processes; each call opens the file for itself.
    """

    def __init__(self, store: Store) -> None:
        self.path = store.directory / FILE

    def get(self, encoder: str, texts: Sequence[str]) -> list[Vectors | None]:
        """The vector of each text, (d,) float32, or None where it is not kept or its bytes are damaged."""
        import numpy as np

        keys = [_key(text) for text in texts]
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, Vectors] = {}
        with self._open() as connection:
            for start in range(0, len(wanted), _KEYS):
                some = wanted[start : start + _KEYS]
                query = f"select text, vector, checksum from vectors where encoder = ? and text in ({','.join('?' * len(some))})"
                for key, vector, checksum in connection.execute(query, (encoder, *some)):
                    if isinstance(vector, bytes) and len(vector) % 4 == 0 and _checksum(key, vector) == checksum:
                        found[key] = np.frombuffer(vector, dtype="<f4")
        return [found.get(key) for key in keys]

    def put(self, encoder: str, texts: Sequence[str], vectors: Vectors) -> None:
        """Keep the vectors (n, d) of n texts; returns once they are committed. A vector that is there already is replaced."""
        rows = []
        for text, vector in zip(texts, vectors, strict=True):
            key, data = _key(text), vector.astype("<f4").tobytes()
            rows.append((encoder, key, data, _checksum(key, data)))
        with self._open() as connection, connection:
            connection.executemany("insert or replace into vectors values (?, ?, ?, ?)", rows)

    def clear(self) -> int:
        """Delete all of them; give how many bytes that freed."""
        files = [path for ending in ("", "-wal", "-shm") if (path := self.path.with_name(self.path.name + ending)).exists()]
        freed = sum(path.stat().st_size for path in files)
        self._begin_anew()
        return freed

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file, made at the first use; one that is no database any more is put aside and begun anew. Raises StoreError."""
        try:
            connection = self._connected()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._unusable(error) from error
            self._begin_anew()
            connection = self._connected()
        try:
            yield connection
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        finally:
            connection.close()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=WAIT_S)
        try:
            # Without the fsync of each commit a power cut may lose the newest vectors, which are computed again; a kill loses none.
            write_ahead(connection, sync="normal")
            connection.execute(_TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _begin_anew(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def _unusable(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"cannot use {self.path}: {error}. It holds only what can be computed again: rm {self.path}* and go on")


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _checksum(key: bytes, vector: bytes) -> int:
    """CRC-32 of key and vector together: a vector that stands under the wrong text is found as well as a flipped bit."""
    return zlib.crc32(vector, zlib.crc32(key))
