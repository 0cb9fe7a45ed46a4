"""Vectors as 8-bit codes, with a bound on what the codes can get wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST = 127
LARGEST_OF_QUERY = 32_767
LARGEST_SUM = 2**31 - 1
ROWS_AT_ONCE = 8_192
ROUNDED = 1e-6  # two scores this close may be equal once they are float32

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Codes:
    """`values` (n, d) int8; a vector is its codes / `scale`, up to an error of length `residual` at most."""

    values: NDArray[np.int8]
    scale: float
    residual: float


def encode(vectors: Floats) -> Codes:
    """Round (n, d) vectors to codes of one scale: the largest component of all takes the whole range."""
    largest = max((float(np.abs(some).max()) for some in _blocks(vectors)), default=0.0)
    scale = LARGEST / largest if largest > 0 else 1.0
    values, residual = np.empty(vectors.shape, dtype=np.int8), 0.0
    for start, some in zip(range(0, len(vectors), ROWS_AT_ONCE), _blocks(vectors), strict=True):
        codes = encode_like(some, scale)
        values[start : start + len(some)] = codes
        lost = some.astype(np.float64) - codes / scale
        residual = max(residual, float(np.sqrt((lost * lost).sum(axis=1)).max()))
    values.setflags(write=False)
    return Codes(values, scale, residual)


def encode_like(vectors: Floats, scale: float) -> NDArray[np.int8]:
    """Vectors of any shape in codes of a known scale; what passes the range is cut."""
    return np.asarray(np.clip(np.rint(vectors * np.float64(scale)), -LARGEST, LARGEST), dtype=np.int8)


def query_codes(vector: Floats, codes: Codes) -> tuple[NDArray[np.int16], float, float]:
    """A query (d,) of length 1 as 16-bit codes; what a sum of products with `codes` is divided by to be a cosine; its error.

    Write v = c / s + e for a row, |e| <= r, and q = p / t + f for the query. Then q v = p c / (s t) + f c / s + q e, and by
    Cauchy and Schwarz the last two terms are at most |f| (|v| + r) + r, with |v| <= 1.01. The scale t is such that no sum
    of d products passes 31 bits.
    """
    exact = vector.astype(np.float64)
    scale = min(LARGEST_OF_QUERY / np.abs(exact).max(), (LARGEST_SUM // LARGEST - len(exact)) / np.abs(exact).sum())
    own = np.rint(exact * scale)
    lost = float(np.linalg.norm(exact - own / scale))
    return own.astype(np.int16), scale * codes.scale, lost * (1.01 + codes.residual) + codes.residual * 1.001 + ROUNDED


def _blocks(vectors: Floats) -> list[Floats]:
    return [vectors[start : start + ROWS_AT_ONCE] for start in range(0, len(vectors), ROWS_AT_ONCE)]
