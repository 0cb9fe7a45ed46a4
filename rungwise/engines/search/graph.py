"""The neighbour graph of a segment: which of many vectors lie near a query, approximately and fast."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt, MissingExtra

CONNECTIVITY = 16  # links of a node, `M` of Malkov and Yashunin 2018 (arXiv 1603.09320)
EFFORT_OF_BUILD = 128  # candidates looked at for each vector that is added, `efConstruction` there
LARGEST_CODE = 127
MAGIC = b"usearch"


def build_graph(vectors: NDArray[np.float32]) -> bytes:
    """A hierarchical navigable small world over (n, d) float32 vectors; equal vectors give equal bytes.

    Built by one thread in the order of the rows, because the links depend on the order. The graph holds the
    vectors as 8-bit codes. Raises MissingExtra when usearch is not installed.
    """
    index = _usearch().Index(
        ndim=vectors.shape[1], metric="ip", dtype="i8", connectivity=CONNECTIVITY, expansion_add=EFFORT_OF_BUILD
    )
    scale = code_scale(vectors)
    keys = np.arange(len(vectors), dtype=np.uint64)
    index.add(keys, _codes(vectors, scale), threads=1, copy=True)
    return np.float32(scale).tobytes() + bytes(index.save())


class Graph:
    """A graph that was built, opened for search. Safe to search from several threads."""

    def __init__(self, stored: bytes | memoryview, *, rows: int, dimensions: int) -> None:
        """Open what `build_graph` made, without a copy.

        Raises Corrupt when it is not a graph of (rows, dimensions); whoever reads it from a disk checks its
        digest first, for the library behind it trusts the links that it reads. Raises MissingExtra.
        """
        library = _usearch()
        view = memoryview(stored)
        if not _is_graph(view, rows, dimensions):
            raise Corrupt("the neighbour graph of a segment is none, or one of other vectors. Index the documents again")
        self._scale = float(np.frombuffer(view[:4], dtype="<f4")[0])
        self._kept = view[4:]  # the graph reads from these bytes as long as it lives
        self._index: Any = library.Index.restore(self._kept, view=True, expansion_search=1)
        if len(self._index) != rows or self._index.ndim != dimensions:
            raise Corrupt("the neighbour graph of a segment belongs to other vectors. Index the documents again")

    def near(self, vector: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """The rows of up to `count` vectors near one of (d,); as many candidates are followed at a time."""
        found = self._index.search(_codes(vector, self._scale), count, threads=1)
        return np.asarray(found.keys, dtype=np.int64)


def _is_graph(view: memoryview, rows: int, dimensions: int) -> bool:
    """Whether these bytes are laid out as a graph over (rows, dimensions) codes: scale, shape, codes, then the library's own header."""
    header = 4 + 8 + rows * dimensions
    shape = np.frombuffer(view[4:12], dtype="<u4").tolist() if len(view) > header else []
    return shape == [rows, dimensions] and bytes(view[header : header + len(MAGIC)]) == MAGIC


def code_scale(vectors: NDArray[np.float32]) -> float:
    """What the vectors are multiplied by to become 8-bit codes: the largest component uses the whole range."""
    largest = float(np.abs(vectors).max(initial=0.0))
    return LARGEST_CODE / largest if largest > 0 else 1.0


def _codes(vectors: NDArray[np.float32], scale: float) -> NDArray[np.int8]:
    return np.clip(np.rint(vectors * np.float32(scale)), -LARGEST_CODE, LARGEST_CODE).astype(np.int8)


def _usearch() -> ModuleType:
    try:
        import usearch.index
    except ImportError as error:
        raise MissingExtra("approximate search over many vectors", "search") from error
    return usearch.index
