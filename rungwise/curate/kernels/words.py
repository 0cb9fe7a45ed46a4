"""The words of a text: folded characters and one hash a word, from its bytes in one pass.

Words are what `normalise` leaves between spaces, and every character of a script that writes no spaces between words.
All hashes are 64 bits wide and unsigned: every constant is a uint64, since numba makes a float of uint64 with int64.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_STEP, _BACK = np.uint64(33), np.uint64(31)
_SPACE, _RUN, _UNSTABLE = np.uint32(32), np.uint32(0x110000), np.uint32(0xFFFFFFFF)  # as in curate/folding.py

LONGEST = 6
"""Characters that a byte folds to at most: U+FDFA has three bytes and eighteen characters."""


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def mix(value: Any) -> Any:
    """The finaliser of MurmurHash3: every bit of a uint64 moves every other."""
    value = (value ^ (value >> _STEP)) * _MIX_1
    value = (value ^ (value >> _STEP)) * _MIX_2
    return value ^ (value >> _STEP)


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _stands_alone(code: Any) -> Any:
    """Han, kana, Bopomofo, Thai, Lao, Burmese and Khmer are written without spaces: a character counts as a word.

    So does BERT's tokenizer with Han (google-research/bert, tokenization.py); the others are added for the same reason.
    """
    return (
        0x3040 <= code < 0xA000
        or 0x0E00 <= code < 0x0F00
        or 0x1000 <= code < 0x10A0
        or 0x1780 <= code < 0x1800
        or 0x20000 <= code < 0x32000
    )


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _decode(data: Any, i: int) -> tuple[Any, int]:
    """The code point of several bytes at i, and where the next begins. The bytes are valid, but for surrogates of three."""
    first = np.uint32(data[i])
    if first < 0xE0:
        return np.uint32((first & np.uint32(0x1F)) << np.uint32(6) | (data[i + 1] & np.uint32(0x3F))), i + 2
    code = np.uint32((data[i + 1] & np.uint32(0x3F)) << np.uint32(6) | (data[i + 2] & np.uint32(0x3F)))
    if first < 0xF0:
        return np.uint32((first & np.uint32(0x0F)) << np.uint32(12) | code), i + 3
    return np.uint32((first & np.uint32(0x07)) << np.uint32(18) | code << np.uint32(6) | (data[i + 3] & np.uint32(0x3F))), i + 4


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write(code: Any, characters: Any, size: int, words: Any, count: int, state: Any, inside: bool) -> tuple[int, int, Any, bool]:
    """Take one folded character that is not ASCII."""
    if code == _SPACE:
        if inside:
            words[count] = mix(state)
            count += 1
        if characters[size - 1] != _SPACE:
            characters[size] = _SPACE
            size += 1
        return size, count, _BASIS, False
    characters[size] = code
    size += 1
    if not _stands_alone(code):
        return size, count, (state ^ np.uint64(code)) * _PRIME, True
    if inside:
        words[count] = mix(state)
        count += 1
    words[count] = mix((_BASIS ^ np.uint64(code)) * _PRIME)
    return size, count + 1, _BASIS, False


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def read(
    data: Any, begin: int, end: int, folded: bool, table: Any, runs: Any, starts: Any, characters: Any, words: Any
) -> tuple[int, int]:
    """Write a text's folded characters, with a space at either end, and the hashes of its words; gives how many of each.

    `characters` (uint32) and `words` (uint64) have room for LONGEST characters a byte and 6 more.
    Texts that `unfoldable` names must have been normalised. The empty text gives one character, the space.
    """
    characters[0] = _SPACE
    size, count, state, inside = 1, 0, _BASIS, False
    i = begin
    while i < end:
        byte = data[i]
        if byte < 128:
            i += 1
            code = np.uint32(byte) if folded else table[byte]
            if code != _SPACE:
                characters[size] = code
                size += 1
                state = (state ^ np.uint64(code)) * _PRIME
                inside = True
            elif inside:
                words[count] = mix(state)
                count += 1
                state = _BASIS
                inside = False
                characters[size] = _SPACE
                size += 1
            elif characters[size - 1] != _SPACE:  # after a character that is a word by itself
                characters[size] = _SPACE
                size += 1
            continue
        code, i = _decode(data, i)
        if not folded:
            code = table[code]
            if code >= _RUN:
                run = np.int64(code - _RUN)
                for k in range(starts[run], starts[run + 1]):
                    size, count, state, inside = _write(runs[k], characters, size, words, count, state, inside)
                continue
        size, count, state, inside = _write(code, characters, size, words, count, state, inside)
    if inside:
        words[count] = mix(state)
        count += 1
    if characters[size - 1] != _SPACE:
        characters[size] = _SPACE
        size += 1
    return size, count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def unfoldable(data: Any, offsets: Any, ascii: Any, table: Any) -> Any:
    """(n,) bool: texts that the table cannot fold: with a character that is not in it or not stable, or of signs only."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    for i in range(len(found)):
        at, end, signs = offsets[i], offsets[i + 1], True
        while at < end and (signs or not ascii[i]):
            code = np.uint32(data[at])
            if code < 128:
                at += 1
            else:
                code, at = _decode(data, at)
                if code >= len(table) or table[code] == _UNSTABLE:
                    found[i] = True
                    break
            signs = signs and table[code] == _SPACE
        found[i] |= signs and offsets[i] < end
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def content(characters: Any, size: int) -> tuple[Any, Any]:
    """128 bits that tell folded texts apart: four lanes of two characters each, as in XXH64, joined in two ways.

    Not for use against someone who wants two texts to be taken for the same.
    """
    a, b = _BASIS, ~_BASIS
    c, d = _MIX_1, _MIX_2
    whole = size - size % 8
    for i in range(0, whole, 8):
        a = _lane(a, characters[i], characters[i + 1])
        b = _lane(b, characters[i + 2], characters[i + 3])
        c = _lane(c, characters[i + 4], characters[i + 5])
        d = _lane(d, characters[i + 6], characters[i + 7])
    for i in range(whole, size):
        a = _lane(a, characters[i], np.uint32(size))
        c = _lane(c, characters[i], np.uint32(i))
    one, two = np.uint64(size), ~np.uint64(size)
    for lane in (a, b, c, d):
        one = mix(one * _PRIME ^ lane)
        two = mix((two ^ lane) * _MIX_2 + _PRIME)
    return one, two


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _lane(state: Any, first: Any, second: Any) -> Any:
    state = (state ^ (np.uint64(first) | np.uint64(second) << np.uint64(32))) * _PRIME
    return state << _BACK | state >> _STEP
