"""Exact nearest neighbours: a cheap first pass whose error is bounded, then every row that could be among the best, exactly."""

from __future__ import annotations

import importlib
import math
import threading
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.search.codes import ROUNDED, Codes, encode, query_codes

CODES_FROM = 16_384  # rows from which a pass over codes is worth its preparation: below, floats take about a millisecond
SEARCHES_BEFORE_CODES = 8  # whoever searches once does not wait for the codes and the compiled pass over them
SHARE_BY_ROWS = 8  # where a filter lets through every eighth row or fewer, only those are read; see benchmarks/dense_search.py
FLOATS_FROM = 256  # candidates from which float32 narrows them before they are summed in float64
ROWS_AT_ONCE = 65_536
LEAST_SUM = -(2**31)

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class Scan:
    """Exact search over (n, d) vectors. The first searches multiply float32, later ones 8-bit codes first; both find the same.

    `codes` are given where they exist already, else made when they are first wanted. Safe to use from several threads.
    """

    def __init__(self, vectors: Floats, codes: Codes | None = None) -> None:
        self._vectors, self._codes = vectors, codes
        self._kernels: ModuleType | None = None
        self._searches_left = SEARCHES_BEFORE_CODES if codes is not None or len(vectors) >= CODES_FROM else math.inf
        self._preparing = threading.Lock()

    def warm(self) -> None:
        """Make now what makes later searches of many rows faster: codes, and, where numba is installed, the pass over them."""
        if self._searches_left == math.inf or self._kernels is not None:
            return
        with self._preparing:
            try:
                kernels = importlib.import_module("rungwise.engines.search.products")
            except ImportError:  # without numba, floats for good
                self._searches_left = math.inf
                return
            self._codes = self._codes or encode(self._vectors)
            self._kernels = kernels

    def best(self, vector: Floats, k: int, rows: Rows | None) -> Rows:
        """All rows, among `rows` or all, whose products with (d,) of length 1 can be among the k largest, and a few more."""
        self._searches_left -= 1
        if self._kernels is None and self._searches_left < 0:
            self.warm()
        if rows is not None and len(rows) <= k:
            return rows
        found = self._by_codes(vector, k, rows) if self._kernels is not None else rows
        if found is not None and len(found) <= max(k, FLOATS_FROM):
            return found
        return self._by_floats(vector, k, found)

    def _by_codes(self, vector: Floats, k: int, rows: Rows | None) -> Rows:
        kernels, codes = self._kernels, self._codes
        assert kernels is not None
        assert codes is not None
        query, unit, error = query_codes(vector, codes)
        if rows is not None and len(rows) * SHARE_BY_ROWS < len(self._vectors):
            sums = kernels.products_of(codes.values, query, rows)
        else:
            sums = kernels.products(codes.values, query)
            sums = sums if rows is None else sums[rows]
        places = _within(sums, k, 2 * error * unit)
        return places if rows is None else rows[places]

    def _by_floats(self, vector: Floats, k: int, rows: Rows | None) -> Rows:
        slack = _rounding(vector)
        if rows is None:
            return _within(self._vectors @ vector, k, slack)
        if len(rows) * SHARE_BY_ROWS >= len(self._vectors):
            return rows[_within((self._vectors @ vector)[rows], k, slack)]
        some = [self._vectors[rows[i : i + ROWS_AT_ONCE]] @ vector for i in range(0, len(rows), ROWS_AT_ONCE)]
        return rows[_within(np.concatenate(some), k, slack)]


def cosines(rows: Floats, vector: Floats) -> Floats:
    """Products summed in float64, row by row: a row's score does not depend on how it was found."""
    return np.asarray((rows * vector.astype(np.float64)).sum(axis=1), dtype=np.float32)


def _within(scores: NDArray[np.float32] | NDArray[np.int32], k: int, slack: float) -> Rows:
    """Places of the scores not more than `slack` below the k-th largest."""
    if k >= len(scores):
        return np.arange(len(scores))
    least = float(np.partition(scores, len(scores) - k)[len(scores) - k]) - slack
    if scores.dtype == np.int32:  # compared with an integer: as floats, all of them would be copied first
        return np.flatnonzero(scores >= np.int32(max(math.floor(least), LEAST_SUM)))
    return np.flatnonzero(scores >= np.float32(least))


def _rounding(vector: Floats) -> float:
    """Twice the largest error of a float32 product of d terms, d u |x| |y| (Higham 2002, section 3.1), and of its score."""
    return 2 * (len(vector) * float(np.finfo(np.float32).eps) * 1.01 + ROUNDED)
