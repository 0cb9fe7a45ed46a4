"""Texts of like length together: token ids in padded blocks, with as little padding as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some of the texts: their places in the call `rows` (B,), token ids (B, T), and a mask (B, T), 1 for tokens, 0 for padding."""

    rows: Ids
    ids: Ids
    mask: Ids


def in_batches(encoded: Sequence[Sequence[int]], *, limit_tokens: int, multiple: int = 1, parts: int = 1) -> list[Batch]:
    """The texts as batches, longest texts first, at most `limit_tokens` padded tokens each.

    Lengths are rounded up to a multiple of `multiple`, so that few different shapes occur. With `parts`
    the limit is lowered so that a small call still gives work to that many threads. A text without any
    token becomes one token 0.
    """
    lengths = np.asarray([-(-max(1, len(ids)) // multiple) * multiple for ids in encoded], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    limit = min(limit_tokens, -(-int(lengths.sum()) // parts))
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end - start + 1) * lengths[order[start]] > limit:
            rows = order[start:end]
            batches.append(_padded(rows, [encoded[row] for row in rows], int(lengths[order[start]])))
            start = end
    return batches


def _padded(rows: Ids, encoded: Sequence[Sequence[int]], length: int) -> Batch:
    ids, mask = np.zeros((len(rows), length), dtype=np.int64), np.zeros((len(rows), length), dtype=np.int64)
    for place, own in enumerate(encoded):
        ids[place, : len(own)] = own
        mask[place, : max(1, len(own))] = 1
    return Batch(rows, ids, mask)
