"""Search by meaning: the vectors nearest to a query, exact over few, through a graph over many, always scored exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import BadData, Corrupt, UsageError
from rungwise.core.record import canonical_json
from rungwise.engines.search.graph import Graph, build_graph

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

ARRAYS, SETTINGS, GRAPH = "dense.safetensors", "dense.json", "dense.graph"
"""The files that the vectors of a segment are kept in."""

APPROXIMATE_FROM = 150_000  # rows of a segment from which a graph is built; see benchmarks/dense_search.py
EFFORT = 128  # candidates the graph follows at a time (`ef`); see benchmarks/dense_search.py
DEEPEST = 1_024  # hits that a graph is asked for at most when a filter lets only some through
UNIT_SLACK = 1e-2  # how far from 1 the length of a vector may be; half precision stays within 1e-3
ROWS_AT_ONCE = 65_536
DENSE_FROM = 4  # where a filter lets through every fourth row or more, all are multiplied: copying the rows costs as much


@dataclass(frozen=True, eq=False)
class Vectored:
    """The vectors of one segment: (n, d) float32 of unit length (or zero, for a text that says nothing), and maybe a graph."""

    vectors: Floats
    graph: bytes | memoryview | None = None

    def files(self) -> dict[str, bytes]:
        """Its safetensors, its JSON with digests, and its graph. Equal vectors give equal bytes."""
        from safetensors.numpy import save

        files = {ARRAYS: save({"vectors": np.ascontiguousarray(self.vectors)})}
        if self.graph is not None:
            files[GRAPH] = bytes(self.graph)
        digests = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
        rows, dimensions = self.vectors.shape
        settings = {"rows": rows, "dimensions": dimensions, "sha256": digests}
        return files | {SETTINGS: canonical_json(settings).encode()}


def index_vectors(vectors: Floats, *, approximate_from: int = APPROXIMATE_FROM) -> Vectored:
    """Make the (n, d) vectors of a segment searchable; from `approximate_from` rows on with a graph.

    Raises BadData for vectors that are not finite or not of unit length, MissingExtra when a graph is needed and
    usearch is not installed.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    _require_unit(vectors)
    return Vectored(vectors, build_graph(vectors) if len(vectors) >= max(approximate_from, 1) else None)


def load_vectored(files: Mapping[str, bytes]) -> Vectored:
    """Read what `files()` wrote. Raises Corrupt when a file is missing or does not match its digest."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        settings = json.loads(files[SETTINGS])
        for name, digest in settings["sha256"].items():
            if hashlib.sha256(files[name]).hexdigest() != digest:
                raise Corrupt(f"the vectors of a segment are damaged: {name} does not match its digest. Index the documents again")
        vectors = load(files[ARRAYS])["vectors"]
        if vectors.shape != (settings["rows"], settings["dimensions"]) or vectors.dtype != np.float32:
            raise Corrupt("the vectors of a segment have another shape than its settings say. Index the documents again")
        return Vectored(vectors, files[GRAPH] if GRAPH in settings["sha256"] else None)
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise Corrupt(f"the vectors of a segment cannot be read ({error!r}). Index the documents again") from error


@dataclass(frozen=True, eq=False)
class _Part:
    """One segment inside an index: its rows have the numbers from `start` on; `alive` is None when all rows live."""

    vectors: Floats
    graph: Graph | None
    start: int
    alive: Mask | None

    def search(self, vector: Floats, k: int, allowed: Mask | None) -> tuple[Numbers, Floats]:
        """The best k of the rows that live and are allowed: numbers and cosines."""
        mask = _both(self.alive, None if allowed is None else allowed[self.start : self.start + len(self.vectors)])
        rows = self._through_graph(vector, k, mask)
        if rows is None:
            rows = _candidates(self.vectors, vector, k, mask)
        numbers, scores = _best(rows, _cosines(self.vectors[rows], vector), k)
        return numbers + self.start, scores

    def _through_graph(self, vector: Floats, k: int, mask: Mask | None) -> Numbers | None:
        """Rows near the vector, or None when exact search is called for.

        The nearest m rows of which k are allowed hold the nearest k allowed ones, so a filter costs no recall here.
        """
        if self.graph is None:
            return None
        allowed = len(self.vectors) if mask is None else int(np.count_nonzero(mask))
        count = max(EFFORT, 2 * k * len(self.vectors) // max(allowed, 1))
        if count > DEEPEST or allowed <= k:
            return None
        rows = self.graph.near(vector, count)
        if mask is not None:
            rows = rows[mask[rows]]
        return rows if len(rows) >= k else None


class DenseIndex:
    """Several segments searched as one; the numbers of their rows run through the segments."""

    def __init__(self, parts: Sequence[_Part], dimensions: int | None, size: int) -> None:
        self._parts, self._dimensions, self._size = parts, dimensions, size

    @classmethod
    def of(cls, segments: Sequence[Vectored], *, alive: Sequence[Mask | None] = ()) -> DenseIndex:
        """An index over segments; `alive` has for each a mask of the rows that are not deleted, or None for all.

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
            rows = len(segment.vectors)
            _require_mask(mask, rows, "alive")
            mask = None if mask is None or mask.all() else mask
            graph = None if segment.graph is None else Graph(segment.graph, rows=rows, dimensions=segment.vectors.shape[1])
            parts.append(_Part(segment.vectors, graph, start, mask))
            start += rows
        return cls(parts, next(iter(dimensions), None), start)

    def __len__(self) -> int:
        """How many rows there are, deleted ones too: one more than the largest number."""
        return self._size

    def search(self, vector: Floats, k: int, *, allowed: Mask | None = None) -> tuple[Numbers, Floats]:
        """Numbers and cosines of the k rows nearest to (d,), nearest first, equal ones by number; fewer where fewer are allowed.

        A zero vector has no hits. Raises UsageError for a vector of other dimensions than the index or a mask of another length,
        BadData for one that is not finite.
        """
        vector = self._query(vector)
        _require_mask(allowed, self._size, "allowed")
        if k <= 0 or not self._parts or not vector.any():
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        found = [part.search(vector, k, allowed) for part in self._parts]
        numbers, scores = (np.concatenate(column) for column in zip(*found, strict=True))
        return _best(numbers, scores, k)

    def search_many(self, vectors: Floats, k: int) -> tuple[Numbers, Floats]:
        """`search` for each of (q, d): (q, k) numbers and cosines; where there are fewer than k hits, -1 and -inf."""
        numbers = np.full((len(vectors), max(k, 0)), -1, dtype=np.int64)
        scores = np.full((len(vectors), max(k, 0)), -np.inf, dtype=np.float32)
        for row, vector in enumerate(vectors):
            own, cosines = self.search(vector, k)
            numbers[row, : len(own)], scores[row, : len(own)] = own, cosines
        return numbers, scores

    def cosines(self, vector: Floats, numbers: Numbers) -> Floats:
        """The cosines of (d,) with the rows of these numbers, as `search` would score them. Raises as `search` does."""
        vector = self._query(vector)
        scores = np.empty(len(numbers), dtype=np.float32)
        for part in self._parts:
            own = (numbers >= part.start) & (numbers < part.start + len(part.vectors))
            scores[own] = _cosines(part.vectors[numbers[own] - part.start], vector)
        return scores

    def _query(self, vector: Floats) -> Floats:
        vector = np.ascontiguousarray(vector, dtype=np.float32)
        if self._dimensions is not None and vector.shape != (self._dimensions,):
            raise UsageError(
                f"the query vector has shape {vector.shape}, the index {self._dimensions} dimensions: "
                "they come from different encoders. Search with the encoder of the index, or index the documents again"
            )
        if not np.isfinite(vector).all():
            raise BadData("the query vector holds NaN or infinity.", hint="Check the encoder that made it")
        return vector


def _candidates(vectors: Floats, vector: Floats, k: int, mask: Mask | None) -> Numbers:
    """Rows that certainly hold the best k: all whose float32 product is within rounding of the k-th best."""
    if mask is None:
        return _within(vectors @ vector, k, _slack(vector))
    rows = np.flatnonzero(mask)
    if len(rows) * DENSE_FROM >= len(vectors):
        return rows[_within((vectors @ vector)[rows], k, _slack(vector))]
    few = [vectors[rows[i : i + ROWS_AT_ONCE]] @ vector for i in range(0, len(rows), ROWS_AT_ONCE)]
    return rows[_within(np.concatenate(few), k, _slack(vector))] if few else rows


def _within(scores: Floats, k: int, slack: float) -> Numbers:
    """Places of the scores not more than `slack` below the k-th best."""
    if k >= len(scores):
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= least - slack)


def _slack(vector: Floats) -> float:
    """Twice the largest rounding error of a float32 dot product of d terms: 2 d u |x| |y| (Higham 2002, section 3.1)."""
    return 2 * len(vector) * float(np.finfo(np.float32).eps) * float(np.linalg.norm(vector)) * (1 + UNIT_SLACK)


def _cosines(rows: Floats, vector: Floats) -> Floats:
    """Products summed in float64 and row by row: a row's score does not depend on how it was found."""
    return (rows * vector.astype(np.float64)).sum(axis=1).astype(np.float32)


def _best(numbers: Numbers, scores: Floats, k: int) -> tuple[Numbers, Floats]:
    order = np.lexsort((numbers, -scores))[:k]
    return numbers[order].astype(np.int64), scores[order]


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
