"""The counting of words that Python is slow at, compiled by numba; the same numbers come out without it."""

from __future__ import annotations

import numba
import numpy as np

EMOJI, FLAG = 2, 3
"""Kinds of code points: 0 stands between words, 1 in them, EMOJI alone is a word, and so are two FLAG letters in a row."""

_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a, 64 bits
_SHIFT, _ONE = np.uint64(29), np.uint64(1)
_HIGH, _LOW = np.uint64(0xFFFFFFFF00000000), np.uint64(0xFFFFFFFF)


@numba.njit(cache=True, nogil=True)
def number_words(codes, ends, kinds, slots, heads, hashes, pool, words, found, sizes):  # type: ignore[no-untyped-def]
    """Cut texts into words and give each distinct word a number, in the order in which they are met.

    Text i is the code points `codes[ends[i - 1]:ends[i]]` (uint32), `kinds` (uint8) the kind of each code point.
    `words` are known before; word w is `pool[heads[w]:heads[w + 1]]` and has `hashes[w]`; `slots` (uint64; a power of two, at
    least twice as many as there will be words) holds 0, or a word's number plus 1 below the high half of its hash.
    Fills `found` with the number of each word and `sizes` with how many each text has; returns how many words are known now,
    and how many were found.
    """
    many, begin = 0, 0
    for text in range(len(ends)):
        before, place, end = many, begin, ends[text]
        while place < end:
            kind = kinds[codes[place]]
            first = place
            place += 1
            if kind == 0:
                continue
            if kind == 1:
                while place < end and kinds[codes[place]] == 1:
                    place += 1
            elif kind == FLAG:
                if place == end or kinds[codes[place]] != FLAG:
                    continue
                place += 1
            number = _number(codes, first, place, slots, heads, hashes, pool, words)
            if number == words:
                words += 1
            found[many] = number
            many += 1
        sizes[text] = many - before
        begin = end
    return words, many


@numba.njit(cache=True, nogil=True)
def _number(codes, first, last, slots, heads, hashes, pool, words):  # type: ignore[no-untyped-def]
    """The number of a word, which is entered as number `words` when it is new."""
    mixed = _OFFSET
    for place in range(first, last):
        mixed = (mixed ^ np.uint64(codes[place])) * _PRIME
    mixed ^= mixed >> _SHIFT
    slot, mask, high = mixed & (np.uint64(len(slots)) - _ONE), np.uint64(len(slots)) - _ONE, mixed & _HIGH
    while slots[slot]:
        if slots[slot] & _HIGH == high:
            number = np.int64(slots[slot] & _LOW) - 1
            if _same(codes, first, last, pool, heads[number], heads[number + 1]):
                return number
        slot = (slot + _ONE) & mask
    slots[slot], hashes[words] = high | np.uint64(words + 1), mixed
    head = heads[words]
    for place in range(first, last):
        pool[head + place - first] = codes[place]
    heads[words + 1] = head + last - first
    return words


@numba.njit(cache=True, nogil=True)
def _same(codes, first, last, pool, head, end):  # type: ignore[no-untyped-def]
    if last - first != end - head:
        return False
    for place in range(last - first):  # noqa: SIM110  (a loop compiles to less than a generator)
        if codes[first + place] != pool[head + place]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def enter(slots, hashes, words):  # type: ignore[no-untyped-def]
    """Enter the first `words` hashes into an empty table of slots."""
    for number in range(words):
        slot = hashes[number] & (np.uint64(len(slots)) - _ONE)
        while slots[slot]:
            slot = (slot + _ONE) & (np.uint64(len(slots)) - _ONE)
        slots[slot] = (hashes[number] & _HIGH) | np.uint64(number + 1)


@numba.njit(cache=True, nogil=True)
def write_terms(found, sizes, first, many, flat, terms, lengths):  # type: ignore[no-untyped-def]
    """Replace words by their terms: word w becomes `flat[first[w]:first[w] + many[w]]`.

    `found` are words, `sizes` of each text in a row. Fills `terms` and `lengths` (texts,) likewise.
    """
    place, written = 0, 0
    for text in range(len(sizes)):
        before = written
        for _ in range(sizes[text]):
            word = found[place]
            place += 1
            for term in range(first[word], first[word] + many[word]):
                terms[written] = flat[term]
                written += 1
        lengths[text] = written - before
