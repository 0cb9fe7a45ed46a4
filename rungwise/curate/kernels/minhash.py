"""MinHash sketches of texts and the exact sets behind them, from bytes to bands in one pass.

The sketch is Dahlgaard, Knudsen and Thorup's "Fast similarity sketching" (FOCS 2017, algorithm 1): bin b of two sets is equal with
a probability of exactly their Jaccard similarity, as with 120 permutations, at the cost of a handful of hashes an element.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rungwise.curate.kernels.words import characters, content, mix, read, room

BANDS, ROWS = 20, 6
"""A pair becomes a candidate when all 6 bins of one of 20 bands agree, with a chance of 1 - (1 - J^6)^20.

That is 0.98 at J = 0.75, 0.79 at 0.65, 0.01 at 0.3.
"""

BINS = BANDS * ROWS
GRAM = 5
"""Words, or characters of short texts, that a shingle has."""

CHARACTERS, WORDS = 1, 2
"""How a text is compared: bits of its kind. Texts of middling length are compared in both ways, so that no pair falls between."""

WORDS_FROM, CHARACTERS_TO = 56, 64
"""Texts of 56 words or more are compared by word shingles, texts of up to 64 words by character shingles.

Two texts whose character shingles have a Jaccard similarity of 0.9 differ in length by at most a tenth, and 56 < 0.9 x 64.
"""

_PRIME, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_HALF, _LOW, _TOP = np.uint64(32), np.uint64(0xFFFFFFFF), np.uint64(63)
_EMPTY, _ONE = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(1)
_BINS = np.uint64(BINS)
_SPACE = np.uint32(32)
_CACHED = 65_536


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def look(data: Any, offsets: Any, folded: Any, folds: Any) -> tuple[Any, Any, Any, Any, Any]:
    """What n texts show, over the arrays of `Packed` and `Folds`.

    content (n, 2) uint64, kinds (n,) uint8 (0: the empty text), and for each way in which a text is compared, text by text:
    bands (m, BANDS) uint32, marks (m, 2) uint64 (one bit a bin), sizes (m,) uint32 (shingles, repeated ones counted).
    """
    n = len(offsets) - 1
    scratch = room(offsets)
    blocks, hashes = scratch[0], scratch[2]
    elements, codes = np.empty(len(hashes), np.uint64), np.empty(len(hashes), np.uint32)
    exact, kinds = np.empty((n, 2), np.uint64), np.zeros(n, np.uint8)
    bands, marks = np.empty((2 * n, BANDS), np.uint32), np.zeros((2 * n, 2), np.uint64)
    sizes = np.empty(2 * n, np.uint32)
    bins = np.empty(BINS, np.uint64)
    m = 0
    for i in range(n):
        size, count = read(data, offsets[i], offsets[i + 1], folded[i], folds, scratch)
        exact[i, 0], exact[i, 1] = content(blocks, size)
        kinds[i] = kind_of(size, count)
        for kind in (CHARACTERS, WORDS):
            if kinds[i] & kind:
                sizes[m] = shingles(kind, blocks, size, hashes, count, codes, elements)
                _sketch(elements, sizes[m], bins)
                _fold_bins(bins, kind, bands[m], marks[m])
                m += 1
    return exact, kinds, bands[:m].copy(), marks[:m].copy(), sizes[:m].copy()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def kind_of(size: int, count: int) -> int:
    """In which ways a text of `size` characters and `count` words is compared."""
    if size <= 1:
        return 0
    return (CHARACTERS if count <= CHARACTERS_TO else 0) | (WORDS if count >= WORDS_FROM else 0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def shingles(kind: int, blocks: Any, size: int, words: Any, count: int, codes: Any, elements: Any) -> Any:
    """Write the hashes of a text's shingles and give how many: 5 words, or 5 characters padded as in curate/shingles.py."""
    if kind == WORDS:
        for j in range(count - GRAM + 1):
            value = words[j]
            for k in range(j + 1, j + GRAM):
                value = value * _PRIME + words[k]
            elements[j] = mix(value)
        return count - GRAM + 1
    found = characters(blocks, size, codes)
    while found < GRAM:
        codes[found] = _SPACE
        found += 1
    for j in range(found - GRAM + 1):
        value = np.uint64(codes[j])
        for k in range(j + 1, j + GRAM):
            value = value * _PRIME + np.uint64(codes[k])
        elements[j] = mix(value)
    return found - GRAM + 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sketch(elements: Any, n: int, bins: Any) -> None:
    """Fill the bins: round after round each element falls into one bin, until none is empty; an earlier round always wins."""
    bins[:] = _EMPTY
    for turn in range(2 * BINS):
        salt, high = mix(np.uint64(turn)), np.uint64(turn) << _HALF
        for j in range(n):
            value = (elements[j] ^ salt) * _MIX_1
            value = (value ^ (value >> _HALF)) * _MIX_2
            place = np.int64((value >> _HALF) * _BINS >> _HALF) if turn < BINS else turn - BINS
            bins[place] = min(bins[place], high | (value & _LOW))
        empty = 0
        for place in range(BINS):
            empty += bins[place] == _EMPTY
        if empty == 0:
            return


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fold_bins(bins: Any, kind: int, bands: Any, marks: Any) -> None:
    """The bins as 32 bits a band, apart for each kind, and as one bit a bin (Li and Koenig, "b-bit minwise hashing", WWW 2010)."""
    for band in range(BANDS):
        value = np.uint64(kind)
        for row in range(ROWS):
            value = mix(value ^ bins[band * ROWS + row])
        bands[band] = np.uint32(value >> _HALF)
    for place in range(BINS):
        bit = bins[place] * _PRIME >> _TOP
        marks[place >> 6] |= bit << np.uint64(place & 63)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sets(data: Any, offsets: Any, folded: Any, folds: Any, kinds: Any) -> tuple[Any, Any]:
    """The distinct shingles of n texts, text i by way `kinds[i]`: values (uint64) and bounds (n + 1,)."""
    n = len(offsets) - 1
    scratch = room(offsets)
    blocks, hashes = scratch[0], scratch[2]
    elements, codes = np.empty(len(hashes), np.uint64), np.empty(len(hashes), np.uint32)
    bounds = np.zeros(n + 1, np.int64)
    values, slots = np.empty(offsets[n] + GRAM * n, np.uint64), np.zeros(64, np.uint64)
    used = 0
    for i in range(n):
        size, count = read(data, offsets[i], offsets[i + 1], folded[i], folds, scratch)
        found = shingles(kinds[i], blocks, size, hashes, count, codes, elements)
        slots = roomy(slots, found)
        own = emptied(slots, found)
        if used + found > len(values):  # folding made the texts longer
            values = np.concatenate((values, np.empty(len(values) + found, np.uint64)))
        for j in range(found):
            if put(own, elements[j]):
                values[used] = elements[j]
                used += 1
        bounds[i + 1] = used
    return values[:used], bounds


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def width(n: int) -> int:
    """A power of two: slots of a hash table of n values, at most half full, or a quarter where it then fits the cache."""
    size = 64
    while size < 2 * n or (size < 4 * n and size < _CACHED):
        size *= 2
    return size


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def roomy(slots: Any, n: int) -> Any:
    """These slots, or more where they are too few for n values."""
    return slots if len(slots) >= width(n) else np.empty(width(n), np.uint64)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def emptied(slots: Any, n: int) -> Any:
    """An empty hash table for n values, on roomy slots."""
    table = slots[: width(n)]
    table[:] = 0
    return table


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def table_of(values: Any) -> Any:
    """A hash table of these values."""
    table = np.zeros(width(len(values)), np.uint64)
    for value in values:
        put(table, value)
    return table


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def put(slots: Any, value: Any) -> Any:
    """Add a value to a hash table; whether it is new."""
    value |= np.uint64(value == np.uint64(0))
    at = np.int64(value & np.uint64(len(slots) - 1))
    while slots[at] != np.uint64(0):
        if slots[at] == value:
            return False
        at = (at + 1) & (len(slots) - 1)
    slots[at] = value
    return True


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def holds(slots: Any, value: Any) -> Any:
    """Whether a value is in a hash table."""
    value |= np.uint64(value == np.uint64(0))
    at = np.int64(value & np.uint64(len(slots) - 1))
    while slots[at] != np.uint64(0):
        if slots[at] == value:
            return True
        at = (at + 1) & (len(slots) - 1)
    return False
