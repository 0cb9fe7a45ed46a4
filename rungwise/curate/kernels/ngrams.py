"""Runs of 13 words that two texts share, found without keeping every run.

A text is remembered by some of its 8-grams: in every window of six neighbouring ones, the one with the least hash. Two texts that
share 13 words share six neighbouring 8-grams, so they remember a common one: nothing is missed. Source: Schleimer,
Wilkerson and Aiken, "Winnowing", SIGMOD 2003, with the guarantee t = 13 and the noise threshold k = 8.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rungwise.curate.kernels.minhash import holds
from rungwise.curate.kernels.words import mix, read, room

RUN = 13
"""Words that a leak has in common: Brown et al. 2020, "Language models are few-shot learners", appendix C."""

_GRAM = 8
_WINDOW = RUN - _GRAM + 1
_PRIME, _ZERO = np.uint64(0x9E3779B97F4A7C15), np.uint64(0)
_KEPT = np.uint64((1 << 40) - 1)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def look(data: Any, offsets: Any, folded: Any, folds: Any) -> tuple[Any, Any]:
    """The remembered 8-grams of n texts, over the arrays of `Packed` and `Folds`: grams uint64, below 2^40, and counts (n,) uint32.

    About two in seven 8-grams are remembered; texts of fewer than 13 words have none. Forty bits are enough to suspect a text:
    with ten million sealed grams, one in 100,000 others is taken for one of them.
    """
    n = len(offsets) - 1
    scratch = room(offsets)
    words, hashes = scratch[2], np.empty(len(scratch[2]), np.uint64)
    counts, used = np.zeros(n, np.uint32), 0
    grams = np.empty(1024, np.uint64)
    for i in range(n):
        _, count = read(data, offsets[i], offsets[i + 1], folded[i], folds, scratch)
        found = _hash_runs(words, count, _GRAM, hashes)
        if used + found > len(grams):
            grams = np.concatenate((grams, np.empty(len(grams) + found, np.uint64)))
        counts[i] = _winnow(hashes, found, grams[used:])
        used += counts[i]
    return grams[:used].copy(), counts


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash_runs(words: Any, count: int, length: int, hashes: Any) -> int:
    """Write the hashes of every run of `length` words and give how many."""
    for j in range(count - length + 1):
        value = words[j]
        for k in range(j + 1, j + length):
            value = value * _PRIME + words[k]
        hashes[j] = mix(value)
    return max(0, count - length + 1)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _winnow(hashes: Any, n: int, kept: Any) -> int:
    """Write the least hash of every window, each place once; the last of equal ones. Gives how many."""
    found, least = 0, -1
    for last in range(_WINDOW - 1, n):
        first = last - _WINDOW + 1
        if least < first:
            least = first
            for j in range(first + 1, last + 1):
                if hashes[j] <= hashes[least]:
                    least = j
        elif hashes[last] <= hashes[least]:
            least = last
        else:
            continue
        kept[found] = hashes[least] & _KEPT
        found += 1
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def touched(grams: Any, counts: Any, slots: Any) -> tuple[Any, Any]:
    """(n,) bool: which texts remember an 8-gram of the hash table `slots`; and those 8-grams."""
    found, hits, used, at = np.zeros(len(counts), np.bool_), np.empty(len(grams), np.uint64), 0, 0
    for i in range(len(counts)):
        for _ in range(counts[i]):
            if holds(slots, grams[at]):
                found[i] = True
                hits[used] = grams[at]
                used += 1
            at += 1
    return found, hits[:used].copy()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def runs_of(data: Any, offsets: Any, folded: Any, folds: Any) -> tuple[Any, Any]:
    """The hashes of all runs of 13 words of n texts, and their bounds (n + 1,)."""
    n = len(offsets) - 1
    scratch = room(offsets)
    words, hashes = scratch[2], np.empty(len(scratch[2]), np.uint64)
    bounds, values = np.zeros(n + 1, np.int64), np.empty(1024, np.uint64)
    for i in range(n):
        _, count = read(data, offsets[i], offsets[i + 1], folded[i], folds, scratch)
        found = _hash_runs(words, count, RUN, hashes)
        bounds[i + 1] = bounds[i] + found
        if bounds[i + 1] > len(values):
            values = np.concatenate((values, np.empty(len(values) + found, np.uint64)))
        values[bounds[i] : bounds[i + 1]] = hashes[:found]
    return values[: bounds[n]].copy(), bounds


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def place(slots: Any, value: Any) -> Any:
    """Where a value stands in a hash table, or else the empty slot where it would; the value 0 is taken for 1."""
    value |= np.uint64(value == _ZERO)
    at = np.int64(value & np.uint64(len(slots) - 1))
    while slots[at] != _ZERO and slots[at] != value:
        at = (at + 1) & (len(slots) - 1)
    return at


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def own(values: Any, bounds: Any, rows: Any, slots: Any, owners: Any) -> None:
    """Enter the runs of texts into a hash table; `owners` keeps the least of `rows` that a run stands in."""
    for i in range(len(rows)):
        for j in range(bounds[i], bounds[i + 1]):
            at = place(slots, values[j])
            if slots[at] == _ZERO:
                slots[at] = values[j] | np.uint64(values[j] == _ZERO)
                owners[at] = rows[i]
            owners[at] = min(owners[at], rows[i])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count(values: Any, bounds: Any, rows: Any, slots: Any, counts: Any, last: Any) -> Any:
    """Count for each run of the table the texts that it stands in, once a text; which texts (n,) have any of them."""
    found = np.zeros(len(rows), np.bool_)
    for i in range(len(rows)):
        for j in range(bounds[i], bounds[i + 1]):
            at = place(slots, values[j])
            if slots[at] != _ZERO and last[at] != rows[i]:
                last[at] = rows[i]
                counts[at] += 1
                found[i] = True
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def first_owner(values: Any, bounds: Any, slots: Any, counts: Any, owners: Any, most: int) -> Any:
    """(n,): the owner of the first run of each text that stands in at most `most` texts; -1 without one."""
    found = np.full(len(bounds) - 1, -1, np.int64)
    for i in range(len(found)):
        for j in range(bounds[i], bounds[i + 1]):
            at = place(slots, values[j])
            if slots[at] != _ZERO and counts[at] <= most:
                found[i] = owners[at]
                break
    return found
