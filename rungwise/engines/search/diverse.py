"""Hits that do not repeat each other: maximal marginal relevance, and near-duplicates left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import UsageError

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

ROUNDED = 1e-6  # how far below 1 the cosine of two equal unit vectors of float32 may come out


def mmr(relevance: Floats, vectors: Floats, k: int, weight: float) -> Places:
    """The places of at most k hits by maximal marginal relevance, in the order in which they are chosen.

    Each next hit has the largest `weight` * relevance - (1 - `weight`) * (its largest cosine with a chosen one); nothing is
    subtracted from the first. Of equals the earlier is chosen. `relevance` is (n,), on the scale of cosines, `vectors`
    (n, d) of unit length or zero. Source: Carbonell and Goldstein, SIGIR 1998, section 2, where `weight` is lambda.
    Raises UsageError for a weight outside [0, 1] or arrays of different lengths.
    """
    if not 0 <= weight <= 1:
        raise UsageError(f"the weight of relevance is {weight}. Choose one from 0 (only variety) to 1 (only relevance)")
    _require_rows(vectors, len(relevance))
    rows, gain = vectors.astype(np.float64), weight * relevance.astype(np.float64)
    chosen: list[int] = []
    likest = np.full(len(rows), -1.0)  # no cosine is smaller
    left = np.ones(len(rows), dtype=np.bool_)
    for _ in range(min(k, len(rows))):
        worth = gain - (1 - weight) * likest if chosen else gain
        chosen.append(place := int(np.argmax(np.where(left, worth, -np.inf))))
        left[place] = False
        likest = np.maximum(likest, rows @ rows[place])
    return np.asarray(chosen, dtype=np.int64)


def distinct(vectors: Floats, threshold: float) -> Places:
    """The places of those hits, in their order, whose cosine with every earlier one that is kept is below `threshold`.

    `vectors` is (n, d), best hit first, of unit length or zero. A threshold of 1 leaves out copies only. Raises UsageError for
    vectors of another shape.
    """
    _require_rows(vectors, len(vectors))
    rows = vectors.astype(np.float64)
    kept: list[int] = []
    for place, row in enumerate(rows):
        if not kept or float((rows[kept] @ row).max()) < threshold - ROUNDED:
            kept.append(place)
    return np.asarray(kept, dtype=np.int64)


def _require_rows(vectors: Floats, rows: int) -> None:
    if vectors.ndim != 2 or len(vectors) != rows:
        raise UsageError(f"vectors have shape {vectors.shape}, not ({rows}, dimensions). Give one vector for each hit")
