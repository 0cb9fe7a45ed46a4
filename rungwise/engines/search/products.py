"""Products of one vector with many vectors of 8-bit codes: the first pass of exact search, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_ZERO = np.int32(0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def products(codes: Any, query: Any) -> Any:
    """(n, d) int8 times (d,) int16 as (n,) int32. The caller sees to it that no sum passes 2^31."""
    found = np.empty(len(codes), np.int32)
    for row in range(len(codes)):
        total = _ZERO
        for place in range(codes.shape[1]):
            total += np.int32(codes[row, place]) * np.int32(query[place])
        found[row] = total
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def products_of(codes: Any, query: Any, rows: Any) -> Any:
    """`products` of some rows only, in the order in which they are named."""
    found = np.empty(len(rows), np.int32)
    for place in range(len(rows)):
        row = codes[rows[place]]
        total = _ZERO
        for column in range(len(query)):
            total += np.int32(row[column]) * np.int32(query[column])
        found[place] = total
    return found
