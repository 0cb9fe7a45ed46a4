"""Draws with known chances, the same each time they are made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def simple_random(ids: Sequence[str], n: int, *, salt: str) -> list[str]:
    """`n` of these ids without replacement, each set of so many being equally likely over the choice of `salt`.

    The ids with the least SHA-256 are taken, in its order, so that the draw is the same in whatever order the ids come.
    """
    return sorted(set(ids), key=lambda one: (number(one, salt), one))[: max(0, n)]


def proportional(sizes: Mapping[str, float], n: float) -> dict[str, float]:
    """The chance of each id in a Poisson sample of `n` on average, in proportion to sizes >= 0; ids of size 0 have none.

    Chances that would pass 1 are 1, and the others share what is left. Source: C.-E. Särndal, B. Swensson and J. Wretman,
    Model Assisted Survey Sampling (1992), sections 3.5 and 3.6.2.
    """
    ids = sorted(one for one, size in sizes.items() if size > 0)
    size = np.array([sizes[one] for one in ids])
    chances: NDArray[np.float64] = np.zeros(len(ids))
    certain = np.zeros(len(ids), dtype=bool)
    while not certain.all() and n > 0:
        rest = size[~certain]
        chances[~certain] = (n - certain.sum()) * (rest / rest.sum())
        over = (chances >= 1.0) & ~certain
        if not over.any():
            break
        certain |= over
        chances = np.minimum(chances, 1.0)
    return dict(zip(ids, np.clip(chances, 0.0, 1.0).tolist(), strict=True))


def poisson(chances: Mapping[str, float], *, salt: str) -> list[str]:
    """The ids that are drawn, each by itself with its own chance, in the order of their numbers."""
    return sorted((one for one, chance in chances.items() if number(one, salt) < chance), key=lambda one: (number(one, salt), one))


def number(id: str, salt: str) -> float:
    """A number in [0, 1) that an id has under a salt: the first 53 bits of a SHA-256."""
    return (int.from_bytes(hashlib.sha256(f"{salt}\0{id}".encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 11) / 2**53
