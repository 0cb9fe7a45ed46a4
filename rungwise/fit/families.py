"""Rows that belong together because they share a source, and folds that keep them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def families(keys: Sequence[Sequence[str]]) -> Rows:
    """(n,) a number for each row; rows that share a key, directly or through others, have the same."""
    parent = list(range(len(keys)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[str, int] = {}
    for row, own in enumerate(keys):
        for key in own:
            parent[root(row)] = root(first.setdefault(key, row))
    return np.array([root(row) for row in range(len(keys))], dtype=np.int64)


def folds_by_family(family: Rows, count: int, *, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """(kept, held out) rows of up to `count` folds: each row is held out once, a family (n,) in one fold; families are shuffled."""
    order = np.random.default_rng(seed).permutation(np.unique(family))
    for fold in range(min(count, len(order))):
        held = np.flatnonzero(np.isin(family, order[fold::count]))
        if len(held) < len(family):
            yield np.setdiff1d(np.arange(len(family)), held), held
