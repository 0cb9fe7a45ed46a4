"""The neighbour graph of a segment: which of many vectors lie near a query, approximately and fast."""

from __future__ import annotations

import struct
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.engines.search.codes import Codes, encode, encode_like

CONNECTIVITY = 16  # links of a node, `M` of Malkov and Yashunin 2018 (arXiv 1603.09320)
EFFORT_OF_BUILD = 64  # candidates looked at for each vector that is added, `efConstruction` there; twice as many take twice as long

_HEAD = struct.Struct("<ddII")  # scale and residual of the codes; then what the library writes: rows, dimensions, codes, its header
_MAGIC = b"usearch"
_DAMAGED = "the neighbour graph of a segment is none, or one of other vectors. Index the documents again"


def build_graph(vectors: NDArray[np.float32]) -> bytes:
    """A hierarchical navigable small world over (n, d) float32 vectors; equal vectors give equal bytes.

    Built by one thread in the order of the rows, because the links depend on the order. The graph holds the
    vectors as 8-bit codes of one scale. Raises MissingExtra when usearch is not installed.
    """
    codes = encode(vectors)
    index = _usearch().Index(
        ndim=vectors.shape[1], metric="ip", dtype="i8", connectivity=CONNECTIVITY, expansion_add=EFFORT_OF_BUILD
    )
    index.add(np.arange(len(vectors), dtype=np.uint64), codes.values, threads=1)
    return struct.pack("<dd", codes.scale, codes.residual) + bytes(index.save())


class Graph:
    """A graph that was built, opened for search. Safe to search from several threads. `codes` are those it holds."""

    def __init__(self, stored: bytes | memoryview, *, rows: int, dimensions: int) -> None:
        """Open what `build_graph` made, without a copy.

        Raises Corrupt when it is not a graph of (rows, dimensions), and MissingExtra. Whoever reads it from a disk
        checks its digest first, for the library behind it trusts the links that it reads.
        """
        view = memoryview(stored)
        codes_end = _HEAD.size + rows * dimensions
        if len(view) <= codes_end or bytes(view[codes_end : codes_end + len(_MAGIC)]) != _MAGIC:
            raise Corrupt(_DAMAGED)
        scale, residual, *shape = _HEAD.unpack_from(view)
        if shape != [rows, dimensions]:
            raise Corrupt(_DAMAGED)
        values = np.frombuffer(view[_HEAD.size : codes_end], dtype=np.int8).reshape(rows, dimensions)
        self.codes = Codes(values, scale, residual)
        self._bytes = view[_HEAD.size - 8 :]  # the library reads from these as long as the graph lives
        library = _usearch()
        try:
            self._index = library.Index.restore(self._bytes, view=True, enable_key_lookups=False, expansion_search=1)
        except (RuntimeError, ValueError) as error:  # cut off, as the library finds when it adds up the sizes
            raise Corrupt(_DAMAGED) from error
        self._searching = threading.Lock()  # the library frees the interpreter's lock, but its thread 0 has one scratch space
        if len(self._index) != rows or self._index.ndim != dimensions:
            raise Corrupt(_DAMAGED)

    def near(self, vector: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """The rows of up to `count` vectors near one of (d,); as many candidates are followed at a time (`ef`)."""
        with self._searching:
            found = self._index.search(encode_like(vector, self.codes.scale), count, threads=1)
        return np.asarray(found.keys, dtype=np.int64)


def _usearch() -> Any:
    try:
        import usearch.index
    except ImportError as error:
        raise MissingExtra("approximate search over many vectors", "search") from error
    return usearch.index
