"""How well the byte n-grams of a text fit each language: the scoring of Nito-ELD, number for number.

Source: github.com/nitotm/efficient-language-detector-py, languageDetector.py, version 1.0.6.

A text becomes words of letters. A word gives its bytes 0-3, 3-6, 6-9 and so on, the first with a space before it, and its
last four bytes with a space after them. Each distinct n-gram adds, to every language whose table has it, how alike its
frequencies are here and there, the more the fewer languages have it.
"""

from __future__ import annotations

import numba
import numpy as np

LEAST, MOST = 350, 380
"""Bytes: a text is cut at the first space from LEAST on, at MOST at the latest."""

_WORD = 70  # bytes of a word that are looked at
_SCALE = 13_200.0  # of the frequencies here, against 15,000 of those in the tables: as published
_KEPT = (0x27, 0x60, 0x20, 0x31, 0x39)  # ' ` space 1 9: the published pattern spells U+2019 so that it means these last three
_GRAMS = 512  # places for the n-grams of a text: more than twice as many as MOST bytes can have
_PRIME, _HIGH = np.uint64(0x9E3779B97F4A7C15), np.uint64(1 << 63)
_EIGHT, _SHIFT = np.uint64(8), np.uint64(40)


@numba.njit(cache=True, nogil=True)
def rank(data, offsets, letters, keys, places, languages, frequencies, best, scores):  # type: ignore[no-untyped-def]
    """For n lower-case texts, text i being UTF-8 bytes `data[offsets[i]:offsets[i + 1]]`: which language fits best, and how well.

    `letters`: bool by code point. `keys`, `places`: the table of `table` below. `languages`, `frequencies`: the languages
    that have n-gram g, and how often, at `places[slot]` to `places[slot] + count`; see `table`.
    Fills `best` (n,), the number of the language or -1, and `scores` (n, 3): of the best, of the second, and the n-grams.
    """
    text = np.empty(MOST + 8, np.uint8)
    found, counted = np.empty(_GRAMS, np.uint64), np.empty(_GRAMS, np.int64)
    order = np.empty(_GRAMS, np.int64)
    fits = np.empty(256, np.float64)
    for i in range(len(offsets) - 1):
        length = _normalise(data, offsets[i], offsets[i + 1], letters, text)
        distinct, total = _grams(text, length, found, counted, order)
        _score(distinct, total, found, counted, order, keys, places, languages, frequencies, fits)
        first, second = -1, -1.0
        top = 0.0
        for language in range(len(fits)):
            if fits[language] > top:
                first, second, top = language, top, fits[language]
            elif fits[language] > second:
                second = fits[language]
        best[i] = first
        if first >= 0:
            scores[i, 0], scores[i, 1] = top / (distinct * 3.2), max(second, 0.0) / (distinct * 3.2)
        scores[i, 2] = distinct


@numba.njit(cache=True, nogil=True)
def table(packed, starts, keys, places):  # type: ignore[no-untyped-def]
    """Enter n-grams into an open table; `packed` (n,) are their bytes as numbers, `starts` (n + 1,) where their languages begin.

    `keys` (a power of two, zeros) and `places` (the same, 2) are filled: from where to where an n-gram's languages stand.
    """
    for i in range(len(packed)):
        slot = _slot(keys, packed[i])
        keys[slot] = packed[i]
        places[slot, 0], places[slot, 1] = starts[i], starts[i + 1]


@numba.njit(cache=True, nogil=True)
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """The place of a key in an open table, its own or a free one (0)."""
    mask = len(keys) - 1
    slot = np.int64((key * _PRIME) >> _SHIFT) & mask
    while keys[slot] and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@numba.njit(cache=True, nogil=True)
def _normalise(data, begin, end, letters, text):  # type: ignore[no-untyped-def]
    """Letters stay, and what of _KEPT stands right before one or at the end; the rest between is one space. Ends at the cut."""
    length, at = 0, begin
    gap, tail, tail_end = False, begin, begin  # the signs of _KEPT that end what stands since the last letter
    while at <= end and length < MOST:
        code, width = _decode(data, at) if at < end else (np.int64(-1), 1)
        if code >= 0 and not (code < len(letters) and letters[code]):
            at += width
            if code not in _KEPT:
                gap, tail = True, at
            tail_end = at
            continue
        if gap and length > 0:
            if length >= LEAST:
                return length
            text[length] = 0x20
            length += 1
        for j in range(tail, at + width if code >= 0 else tail_end):
            if data[j] == 0x20 and length >= LEAST:
                return length
            if length < MOST and (length > 0 or data[j] != 0x20):
                text[length] = data[j]
                length += 1
        at += width
        gap, tail, tail_end = False, at, at
    return length


@numba.njit(cache=True, nogil=True, inline="always")
def _decode(data, at):  # type: ignore[no-untyped-def]
    """The code point at `at` and its width in bytes. The bytes are known to be well formed."""
    byte = np.int64(data[at])
    if byte < 0x80:
        return byte, 1
    if byte < 0xE0:
        return ((byte & 0x1F) << 6) | (data[at + 1] & 0x3F), 2
    if byte < 0xF0:
        return ((byte & 0x0F) << 12) | (np.int64(data[at + 1] & 0x3F) << 6) | (data[at + 2] & 0x3F), 3
    high = ((byte & 0x07) << 18) | (np.int64(data[at + 1] & 0x3F) << 12)
    return high | (np.int64(data[at + 2] & 0x3F) << 6) | (data[at + 3] & 0x3F), 4


@numba.njit(cache=True, nogil=True)
def _grams(text, length, found, counted, order):  # type: ignore[no-untyped-def]
    """Count the n-grams of a text; how many distinct ones there are, and how many. `order` lists their places as they came."""
    found[:] = 0
    distinct, total, begin = 0, 0, 0
    for end in range(length + 1):
        if end < length and text[end] != 0x20:
            continue
        size = min(end - begin, _WORD)
        if end > begin:
            whole = True
            for j in range(begin, begin + size - 4, 3):
                key = _packed(text, j, j + 4, np.uint64(0x20) if whole else np.uint64(0))
                distinct = _counted(key, found, counted, order, distinct)
                total += 1
                whole = False
            last = begin + size - 4 if size > 3 else begin
            key = _packed(text, last, end, np.uint64(0x20) if whole else np.uint64(0))
            distinct = _counted(
                (key << _EIGHT) | np.uint64(0x20) if end - last <= 4 else key | _HIGH, found, counted, order, distinct
            )
            total += 1
        begin = end + 1
    return distinct, total


@numba.njit(cache=True, nogil=True)
def _packed(text, begin, end, key):  # type: ignore[no-untyped-def]
    """Bytes as one number, after those in `key`."""
    for j in range(begin, end):
        key = (key << _EIGHT) | np.uint64(text[j])
    return key


@numba.njit(cache=True, nogil=True)
def _counted(key, found, counted, order, distinct):  # type: ignore[no-untyped-def]
    slot = _slot(found, key)
    if found[slot]:
        counted[slot] += 1
        return distinct
    found[slot], counted[slot], order[distinct] = key, 1, slot
    return distinct + 1


@numba.njit(cache=True, nogil=True)
def _score(distinct, total, found, counted, order, keys, places, languages, frequencies, fits):  # type: ignore[no-untyped-def]
    """Add up what the n-grams say for each language."""
    fits[:] = 0
    for g in range(distinct):
        slot = _slot(keys, found[order[g]])
        if keys[slot] == 0:
            continue
        here = counted[order[g]] / total * _SCALE
        begin, end = places[slot, 0], places[slot, 1]
        shared = end - begin
        weight = 27.0 if shared == 1 else (16 - shared) / 2 + 1 if shared < 16 else 1.0
        for j in range(begin, end):
            there = frequencies[j]
            fits[languages[j]] += (there / here if here > there else here / there) * weight + 2
