"""Search by meaning: the vectors nearest to a query, exact over few, through a graph over many, always scored exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import BadData, Corrupt, UsageError
from rungwise.core.record import canonical_json
from rungwise.engines.search.exact import Scan, cosines
from rungwise.engines.search.graph import Graph, build_graph

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

ARRAYS, SETTINGS, GRAPH = "dense.safetensors", "dense.json", "dense.graph"
"""The files that the vectors of a segment are kept in."""

# The next three: measured by benchmarks/dense_search.py.
EXACT_TO = 200_000  # rows to search among up to which exact search takes some 3 ms, and no graph is worth its build
EFFORT = 192  # candidates that the graph follows at a time at least (`ef`)
EFFORT_PER_HIT = 4  # and for each hit that is wanted
DEEPEST = 4_096  # candidates at most; who wants more hits, or filters more away, is served by exact search
UNIT_SLACK = 1e-2  # how far from 1 the length of a vector may be; half precision stays within 1e-3


@dataclass(frozen=True, eq=False)
class Vectored:
    """The vectors of one segment: (n, d) float32 of unit length (or zero, for a text that says nothing), and maybe a graph."""

    vectors: Floats
    graph: bytes | memoryview | None = None

    def files(self) -> dict[str, bytes]:
        """Its safetensors, its graph, and JSON with their digests. Equal vectors give equal bytes."""
        from safetensors.numpy import save

        files = {ARRAYS: save({"vectors": np.ascontiguousarray(self.vectors)})}
        if self.graph is not None:
            files[GRAPH] = bytes(self.graph)
        digests = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
        rows, dimensions = self.vectors.shape
        settings = {"rows": rows, "dimensions": dimensions, "sha256": digests}
        return files | {SETTINGS: canonical_json(settings).encode()}

    @cached_property
    def opened(self) -> tuple[Graph | None, Scan]:
        """Its two ways of being searched, opened once. Raises Corrupt when the graph is not of these vectors, MissingExtra."""
        rows, dimensions = self.vectors.shape
        graph = None if self.graph is None else Graph(self.graph, rows=rows, dimensions=dimensions)
        return graph, Scan(self.vectors, None if graph is None else graph.codes)


def index_vectors(vectors: Floats, *, approximate_from: int = EXACT_TO + 1) -> Vectored:
    """Make the (n, d) vectors of a segment searchable; from `approximate_from` rows on with a graph.

    Raises BadData for vectors that are not finite or not of unit length, MissingExtra when a graph is needed and
    usearch is not installed.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    _require_unit(vectors)
    return Vectored(vectors, build_graph(vectors) if len(vectors) >= max(approximate_from, 1) else None)


def load_vectored(files: Mapping[str, bytes | memoryview]) -> Vectored:
    """Read what `files()` wrote, without a copy: the bytes may be those of a memory map.

    Raises Corrupt when a file is missing, does not match its digest or does not hold what the settings say.
    """
    try:
        settings = json.loads(bytes(files[SETTINGS]))
        rows, dimensions, digests = int(settings["rows"]), int(settings["dimensions"]), dict(settings["sha256"])
        for name in {ARRAYS, *digests}:
            if hashlib.sha256(files[name]).hexdigest() != digests[name]:
                raise Corrupt(f"the vectors of a segment are damaged: {name} does not match its digest. Index the documents again")
        vectors = _mapped(files[ARRAYS], (rows, dimensions))
        return Vectored(vectors, files[GRAPH] if GRAPH in digests else None)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Corrupt(f"the vectors of a segment cannot be read ({error!r}). Index the documents again") from error


def _mapped(stored: bytes | memoryview, shape: tuple[int, int]) -> Floats:
    """The one array of a safetensors file where it lies: the library's own reader copies. Raises ValueError, KeyError."""
    view = memoryview(stored)
    start = 8 + int.from_bytes(view[:8], "little")
    about = json.loads(bytes(view[8:start]))["vectors"]
    if about["dtype"] != "F32" or tuple(about["shape"]) != shape:
        raise ValueError(f"vectors are {about['dtype']} {about['shape']}, not F32 {list(shape)}")
    begin, end = about["data_offsets"]
    return np.frombuffer(view[start + begin : start + end], dtype="<f4").reshape(shape)


@dataclass(frozen=True, eq=False)
class _Part:
    """One segment inside an index: its rows have the numbers from `start` on; `alive` is None when all rows live."""

    segment: Vectored
    start: int
    alive: Mask | None
    exact_to: int

    def search(self, vector: Floats, k: int, allowed: Mask | None) -> tuple[Numbers, Floats]:
        """The best k of the rows that live and are allowed: numbers and cosines."""
        vectors = self.segment.vectors
        mask = _both(self.alive, None if allowed is None else allowed[self.start : self.start + len(vectors)])
        found = self._through_graph(vector, k, mask)
        if found is None:
            found = self.segment.opened[1].best(vector, k, None if mask is None else np.flatnonzero(mask))
        return best(found + self.start, cosines(vectors[found], vector), k)

    def _through_graph(self, vector: Floats, k: int, mask: Mask | None) -> Numbers | None:
        """Rows near the vector, or None when exact search is called for.

        Where the nearest m rows hold k that are allowed, these are the nearest k allowed ones: a filter costs no more recall.
        """
        graph, size = self.segment.opened[0], len(self.segment.vectors)
        among = size if mask is None else int(np.count_nonzero(mask))
        if graph is None or among <= max(self.exact_to, k):
            return None
        count = max(EFFORT, EFFORT_PER_HIT * k) * size // among
        if count > DEEPEST:
            return None
        rows = graph.near(vector, count)
        rows = rows if mask is None else rows[mask[rows]]
        return rows if len(rows) >= k else None


class DenseIndex:
    """Several segments searched as one; the numbers of their rows run through the segments."""

    def __init__(self, parts: Sequence[_Part], dimensions: int | None, size: int) -> None:
        self._parts, self._dimensions, self._size = tuple(parts), dimensions, size

    @classmethod
    def of(cls, segments: Sequence[Vectored], *, alive: Sequence[Mask | None] = (), exact_to: int = EXACT_TO) -> DenseIndex:
        """An index over segments; `alive` has for each a mask of the rows that are not deleted, or None for all.

        A segment of which at most `exact_to` rows live and are allowed is searched exactly, another through its graph.
        Raises UsageError when segments differ in dimensions or a mask has another length than its segment,
        Corrupt when a graph does not belong to its vectors, MissingExtra.
        """
        masks = list(alive) or [None] * len(segments)
        if len(masks) != len(segments):
            raise UsageError(f"{len(masks)} masks were given for {len(segments)} segments. Give one for each, or none at all")
        dimensions = {segment.vectors.shape[1] for segment in segments}
        if len(dimensions) > 1:
            raise UsageError(f"segments have vectors of {sorted(dimensions)} dimensions. Index all documents with one encoder")
        parts, start = [], 0
        for segment, mask in zip(segments, masks, strict=True):
            _require_mask(mask, len(segment.vectors), "alive")
            assert segment.opened  # a graph of other vectors is found here, not at the first search
            parts.append(_Part(segment, start, None if mask is None or mask.all() else mask, exact_to))
            start += len(segment.vectors)
        return cls(parts, next(iter(dimensions), None), start)

    def __len__(self) -> int:
        """How many rows there are, deleted ones too: one more than the largest number."""
        return self._size

    def warm(self) -> None:
        """Prepare at once what would else be prepared after the first few searches, for programs that search for long."""
        for part in self._parts:
            part.segment.opened[1].warm()

    def search(self, vector: Floats, k: int, *, allowed: Mask | None = None) -> tuple[Numbers, Floats]:
        """Numbers and cosines of the k rows nearest to (d,), nearest first, equal ones by number; fewer where fewer are allowed.

        A zero vector has no hits. Raises UsageError for a vector of other dimensions than the index or a mask of another
        length, BadData for one that is not finite.
        """
        query = self._query(vector)
        _require_mask(allowed, self._size, "allowed")
        if k <= 0 or not self._parts or not query.any():
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        found = [part.search(query, k, allowed) for part in self._parts]
        return best(np.concatenate([numbers for numbers, _ in found]), np.concatenate([scores for _, scores in found]), k)

    def search_many(self, vectors: Floats, k: int) -> tuple[Numbers, Floats]:
        """`search` for each of (q, d): (q, k) numbers and cosines; where there are fewer than k hits, -1 and -inf."""
        numbers = np.full((len(vectors), max(k, 0)), -1, dtype=np.int64)
        scores = np.full((len(vectors), max(k, 0)), -np.inf, dtype=np.float32)
        for row, vector in enumerate(vectors):
            own, near = self.search(vector, k)
            numbers[row, : len(own)], scores[row, : len(own)] = own, near
        return numbers, scores

    def cosines(self, vector: Floats, numbers: Numbers) -> Floats:
        """The cosines of (d,) with the rows of these numbers, as `search` would score them. Raises as `search` does."""
        query = self._query(vector)
        scores = np.empty(len(numbers), dtype=np.float32)
        for part in self._parts:
            own = (numbers >= part.start) & (numbers < part.start + len(part.segment.vectors))
            scores[own] = cosines(part.segment.vectors[numbers[own] - part.start], query)
        return scores

    def _query(self, vector: Floats) -> Floats:
        """The vector, divided by its length where it has one."""
        exact = np.asarray(vector, dtype=np.float64)
        if self._dimensions is not None and exact.shape != (self._dimensions,):
            raise UsageError(
                f"the query vector has shape {exact.shape}, the index {self._dimensions} dimensions: "
                "they come from different encoders. Search with the encoder of the index, or index the documents again"
            )
        length = np.linalg.norm(exact)
        if not np.isfinite(length):
            raise BadData("the query vector holds NaN or infinity.", hint="Check the encoder that made it")
        return np.asarray(exact / length if length > 0 else exact, dtype=np.float32)


def best(numbers: Numbers, scores: Floats, k: int) -> tuple[Numbers, Floats]:
    """The k largest scores, largest first, equal ones by number."""
    order = np.lexsort((numbers, -scores))[:k]
    return numbers[order], scores[order]


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _require_mask(mask: Mask | None, rows: int, name: str) -> None:
    if mask is not None and (mask.shape != (rows,) or mask.dtype != np.bool_):
        raise UsageError(
            f"the mask `{name}` is {mask.dtype} of shape {mask.shape}, not bool of ({rows},). Give one entry for each row"
        )


def _require_unit(vectors: Floats) -> None:
    if vectors.ndim != 2:
        raise BadData(f"vectors have shape {vectors.shape}, not (rows, dimensions).", hint="Give one row for each text")
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    bad = np.flatnonzero(~((np.abs(lengths - 1) <= UNIT_SLACK) | (lengths == 0)))  # NaN is neither
    if len(bad):
        what = f"{len(bad)} of {len(vectors)} vectors are not of unit length; row {bad[0]} has length {lengths[bad[0]]:.4g}."
        raise BadData(what, hint="Divide each vector by its length; NaN means that the encoder failed on the text")
