"""Which kept row a row is nearly the same as: the buckets of an LSH index walked in the order of preference.

Entries are rows as they are compared in one way (kernels/minhash.py); a row has one or two neighbouring ones. A bucket lists
only leaders: entries of rows that are kept. So a row is compared with kept rows alone, similarity is never passed on
along a chain, and thousands of copies of one text take one comparison each.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rungwise.curate.kernels.minhash import BANDS, BINS, emptied, holds, put, roomy

TRIED = 16
"""With how many leaders a row is compared exactly at most: those whose sketches agree best."""

_2, _4, _56 = np.uint64(2), np.uint64(4), np.uint64(56)
_1 = np.uint64(1)
_SCANNED = 32  # earlier members of a bucket that are looked at; what comes after so many is taken to be like one of them
_PAIRS, _FOURS, _EIGHTS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES, _HALF, _LOW = np.uint64(0x0101010101010101), np.uint64(32), np.uint64(0xFFFFFFFF)


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _ones(value: Any) -> Any:
    """How many bits are set."""
    value = value - ((value >> _1) & _PAIRS)
    value = (value & _FOURS) + ((value >> _2) & _FOURS)
    return np.int64(((value + (value >> _4)) & _EIGHTS) * _BYTES >> _56)


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _agreement(marks: Any, i: int, j: int) -> Any:
    """In how many bins two sketches have the same bit."""
    return BINS - _ones(marks[i, 0] ^ marks[j, 0]) - _ones(marks[i, 1] ^ marks[j, 1])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def buckets(keys: Any, marks: Any, floors: Any) -> tuple[Any, Any, Any]:
    """Entries that share a band hash: `members`, for each the number of its bucket, and whether it may be like an earlier member.

    `keys` ascend: the hash in the upper 32 bits, the entry in the lower. Alike are sketches that agree in `floors` bins or more.
    A bucket in which none are is left out: with many rows, most are chance.
    """
    members, numbers, follows = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32), np.empty(len(keys), np.bool_)
    used = number = begin = 0
    while begin < len(keys):
        end = begin + 1
        while end < len(keys) and keys[end] >> _HALF == keys[begin] >> _HALF:
            end += 1
        kept = False
        for k in range(begin, end):
            entry = np.int64(keys[k] & _LOW)
            like = k - begin > _SCANNED
            for earlier in range(begin, k):
                like = like or _agreement(marks, entry, np.int64(keys[earlier] & _LOW)) >= floors[entry]
                if like:
                    break
            place = used + k - begin
            members[place], numbers[place], follows[place] = entry, number, like
            kept = kept or like
        if kept:
            used += end - begin
            number += 1
        begin = end
    return members[:used].copy(), numbers[:used].copy(), follows[:used].copy()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nearest(entry: int, index: Any, marks: Any, floor: int, seen: Any, best: Any) -> int:
    """Write to `best` (TRIED, 2) the agreement and number of the leaders most like an entry, best first; gives how many."""
    slots, heads, counts, leaders = index
    seen[-1] += 1
    found = 0
    for band in range(BANDS):
        slot = slots[entry, band]
        if slot < 0:
            continue
        for at in range(heads[slot], heads[slot] + counts[slot]):
            other = leaders[at]
            if seen[other] == seen[-1]:
                continue
            seen[other] = seen[-1]
            agreement = _agreement(marks, entry, other)
            if agreement < floor or (found == TRIED and not _before(agreement, other, best, TRIED - 1)):
                continue
            place = min(found, TRIED - 1)
            while place > 0 and _before(agreement, other, best, place - 1):
                best[place] = best[place - 1]
                place -= 1
            best[place, 0], best[place, 1] = agreement, other
            found = min(found + 1, TRIED)
    return found


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _before(agreement: int, other: int, best: Any, place: int) -> Any:
    return agreement > best[place, 0] or (agreement == best[place, 0] and other < best[place, 1])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def enlist(entries: Any, index: Any) -> None:
    """Make leaders of these entries, in the buckets that have room."""
    slots, heads, counts, leaders = index
    for entry in entries:
        for band in range(BANDS):
            slot = slots[entry, band]
            if slot >= 0 and heads[slot] + counts[slot] < heads[slot + 1]:
                leaders[heads[slot] + counts[slot]] = entry
                counts[slot] += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def plan(
    begin: int, open: Any, firsts: Any, index: Any, marks: Any, floors: Any, sizes: Any, leading: bool, seen: Any, budget: int
) -> tuple[int, Any]:
    """How far the rows `open[begin:]` can be settled with the shingles of `budget`, and the entries that this takes.

    Those are their own and those of leaders that stand already; at least one row is taken.
    """
    needed = np.zeros(len(floors), np.bool_)
    best = np.empty((TRIED, 2), np.int64)
    end, spent = begin, np.int64(0)
    while end < len(open) and (end == begin or spent < budget):
        for entry in range(firsts[open[end]], firsts[open[end] + 1]):
            found = _nearest(entry, index, marks, floors[entry], seen, best)
            if found or leading:
                needed[entry] = True
                spent += sizes[entry]
            for place in range(found):
                if not needed[best[place, 1]]:
                    needed[best[place, 1]] = True
                    spent += sizes[best[place, 1]]
        end += 1
    return end, np.flatnonzero(needed)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def settle(
    open: Any,
    firsts: Any,
    index: Any,
    marks: Any,
    floors: Any,
    thresholds: Any,
    leading: bool,
    seen: Any,
    places: Any,
    values: Any,
    bounds: Any,
    matches: Any,
    similarities: Any,
) -> None:
    """Settle rows in order: write the leader's entry and the exact Jaccard similarity of those that reach the threshold.

    The shingles of entry e are `values[bounds[p]:bounds[p + 1]]` at p = `places[e]`. A row that has no such leader
    becomes one, if `leading`.
    """
    best, slots = np.empty((TRIED, 2), np.int64), np.empty(64, np.uint64)
    for row in open:
        for entry in range(firsts[row], firsts[row + 1]):
            found = _nearest(entry, index, marks, floors[entry], seen, best)
            if found == 0 or matches[row] >= 0:
                continue
            own = values[bounds[places[entry]] : bounds[places[entry] + 1]]
            slots = roomy(slots, len(own))
            table = emptied(slots, len(own))
            for value in own:
                put(table, value)
            for place in range(found):
                other = places[best[place, 1]]
                similarity = _jaccard(table, len(own), values[bounds[other] : bounds[other + 1]], thresholds[entry])
                if similarity >= thresholds[entry] - 1e-12:
                    matches[row], similarities[row] = best[place, 1], similarity
                    break
        if leading and matches[row] < 0:
            enlist(np.arange(firsts[row], firsts[row + 1]), index)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _jaccard(table: Any, size: int, others: Any, threshold: float) -> float:
    """Shared over all; 0 without counting where the sizes alone keep it below the threshold."""
    if min(size, len(others)) < (threshold - 1e-12) * max(size, len(others)):
        return 0.0
    shared = 0
    for value in others:
        shared += holds(table, value)
    return shared / max(1, size + len(others) - shared)
