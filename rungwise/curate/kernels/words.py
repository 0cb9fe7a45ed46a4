"""The words of a text: its normalised bytes and one hash a word, from its bytes in one pass.

Words are what `normalise` leaves between spaces, and every character of a script that writes no spaces between words.
All hashes and places are uint64, and so is every constant: numba makes a float of uint64 with int64.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)
_ALL, _0, _1, _2, _3, _4, _7, _8 = (np.uint64(value) for value in (0xFFFFFFFFFFFFFFFF, 0, 1, 2, 3, 4, 7, 8))
_15, _16, _31, _32, _33, _63 = (np.uint64(value) for value in (15, 16, 31, 32, 33, 63))
_SPACE = np.uint8(32)

_GROWTH = 2  # a text that folding makes longer than this is normalised in Python, so that scratch space stays bounded
_PADDING = 40  # zeros after the normalised bytes, since they are read eight at a time


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def mix(value: Any) -> Any:
    """The finaliser of MurmurHash3: every bit of a uint64 moves every other."""
    value = (value ^ (value >> _33)) * _MIX_1
    value = (value ^ (value >> _33)) * _MIX_2
    return value ^ (value >> _33)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def room(offsets: Any) -> tuple[Any, Any, Any, Any]:
    """Space for the longest text: normalised bytes, ends of words, hashes, state. What is not written to takes no memory."""
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    size = _GROWTH * longest + 64
    return np.empty(size // 8 + 8, np.uint64), np.empty(size, np.int64), np.empty(size, np.uint64), np.empty(4, np.int64)


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
def _decode(data: Any, i: Any) -> tuple[Any, Any]:
    """The code point of several bytes at i, and how many they are. The bytes are valid, but for surrogates of three."""
    first = np.uint32(data[i])
    code = np.uint32(data[i + _1] & np.uint32(0x3F))
    if first < 0xE0:
        return np.uint32((first & np.uint32(0x1F)) << np.uint32(6) | code), _2
    code = np.uint32(code << np.uint32(6) | (data[i + _2] & np.uint32(0x3F)))
    if first < 0xF0:
        return np.uint32((first & np.uint32(0x0F)) << np.uint32(12) | code), _3
    return np.uint32((first & np.uint32(0x07)) << np.uint32(18) | code << np.uint32(6) | (data[i + _3] & np.uint32(0x3F))), _4


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def unfoldable(data: Any, offsets: Any, ascii: Any, runs: Any, starts: Any, unstable: Any) -> Any:
    """(n,) bool: texts that the folds cannot fold.

    Those with a character that has none or is not stable, of signs only, or that grow to more than twice their bytes.
    """
    found = np.zeros(len(offsets) - 1, np.bool_)
    for i in range(len(found)):
        at, end, signs, growth = np.uint64(offsets[i]), np.uint64(offsets[i + 1]), True, 0
        while at < end and (signs or not ascii[i]):
            code, width = np.uint32(data[at]), _1
            if code >= 128:
                code, width = _decode(data, at)
                if code >= len(unstable) or unstable[code]:
                    found[i] = True
                    break
                growth += starts[code + 1] - starts[code]
            at += width
            signs = signs and runs[starts[code]] == _SPACE
        found[i] |= (signs and offsets[i] < offsets[i + 1]) or growth > offsets[i + 1] - offsets[i]
    return found


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _append(source: Any, at: Any, stop: Any, out: Any, ends: Any, state: Any) -> None:
    """Append folded bytes. `state`: size, words, whether a space is last, whether a word is open."""
    while at < stop:
        width, alone, space = _1, False, source[at] == _SPACE
        if source[at] >= 128:
            code, width = _decode(source, at)
            alone = _stands_alone(code)
        if state[3] and (space or alone):
            ends[state[1]] = state[0]
            state[1] += 1
        if not (space and state[2]):
            for k in range(width):
                out[state[0]] = source[at + np.uint64(k)]
                state[0] += 1
        at += width
        if alone:
            ends[state[1]] = state[0]
            state[1] += 1
        state[2], state[3] = space, not (space or alone)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read_ascii(
    data: Any, i: Any, stop: Any, ascii: Any, out: Any, ends: Any, size: Any, count: Any, gap: Any, inside: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Fold up to the first byte that is not ASCII; without branches, since the ends of words cannot be predicted."""
    while i < stop and data[i] < 128:
        fold = ascii[data[i]]
        space = np.uint64(fold == _SPACE)
        out[size] = fold
        ends[count] = size
        count += space & inside
        size += _1 - (space & gap)
        gap, inside = space, _1 - space
        i += _1
    return size, count, gap, inside, i


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def read(data: Any, begin: int, end: int, folded: bool, folds: Any, scratch: Any) -> tuple[int, int]:
    """Write a text's normalised bytes, with a space at either end, and the hashes of its words; gives how many of each.

    `folds` is (ascii, runs, starts) of `Folds`, `scratch` what `room` gives: its first holds the bytes, its third the hashes.
    Texts that `unfoldable` names must come normalised, as `folded`. The empty text gives one byte, the space.
    """
    ascii, runs, starts = folds
    blocks, ends, hashes, state = scratch
    out = blocks.view(np.uint8)
    out[0] = _SPACE
    size, count, gap, inside = _1, _0, _1, _0
    i, stop = np.uint64(begin), np.uint64(end)
    while i < stop and not folded:
        size, count, gap, inside, i = _read_ascii(data, i, stop, ascii, out, ends, size, count, gap, inside)
        if i < stop:
            code, width = _decode(data, i)
            i += width
            state[0], state[1], state[2], state[3] = size, count, gap, inside
            _append(runs, np.uint64(starts[code]), np.uint64(starts[code + 1]), out, ends, state)
            size, count, gap, inside = np.uint64(state[0]), np.uint64(state[1]), np.uint64(state[2]), np.uint64(state[3])
    if folded:
        state[0], state[1], state[2], state[3] = 1, 0, 1, 0
        _append(data, i, stop, out, ends, state)
        size, count, gap, inside = np.uint64(state[0]), np.uint64(state[1]), np.uint64(state[2]), np.uint64(state[3])
    ends[count] = size
    count += inside
    out[size] = _SPACE
    size += _1 - gap
    for k in range(_PADDING):
        out[size + np.uint64(k)] = 0
    _hash_words(blocks, ends, count, hashes)
    return int(size), int(count)


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _eight(blocks: Any, at: Any) -> Any:
    """The eight bytes from `at` on, which need not be aligned."""
    block, shift = at >> _3, (at & _7) << _3
    return blocks[block] >> shift | (blocks[block + _1] << _1) << (_63 - shift)


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _first_bytes(n: Any) -> Any:
    """A mask of the first n of eight bytes, 0 to 8; two shifts, since one by 64 is not defined."""
    return _ALL >> (_32 - _4 * n) >> (_32 - _4 * n)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash_words(blocks: Any, ends: Any, count: Any, hashes: Any) -> None:
    """Words of up to 15 bytes are hashed without branches; sixteen bytes at a time before that."""
    out = blocks.view(np.uint8)
    begin = _1
    for word in range(count):
        end = np.uint64(ends[word])
        state, at = _BASIS, begin
        while end - at > _15:
            state = mix(state ^ _eight(blocks, at) ^ _eight(blocks, at + _8) * _PRIME)
            at += _16
        first = min(end - at, _8)
        low = _eight(blocks, at) & _first_bytes(first)
        high = _eight(blocks, at + _8) & _first_bytes(end - at - first)
        value = (state ^ low ^ high * _PRIME) * _MIX_1  # no two words of up to eight bytes have the same hash
        hashes[word] = value ^ value >> _32
        begin = end + np.uint64(out[end] == _SPACE)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def content(blocks: Any, size: int) -> tuple[Any, Any]:
    """128 bits that tell normalised texts apart: four lanes of eight bytes each, as in XXH64, joined in two ways.

    Not for use against someone who wants two texts to be taken for the same.
    """
    a, b, c, d = _BASIS, ~_BASIS, _MIX_1, _MIX_2
    for i in range(0, (size + 7) // 8, 4):  # what follows the text is zeros
        a, b = _lane(a, blocks[i]), _lane(b, blocks[i + 1])
        c, d = _lane(c, blocks[i + 2]), _lane(d, blocks[i + 3])
    one, two = np.uint64(size), ~np.uint64(size)
    for lane in (a, b, c, d):
        one = mix(one * _PRIME ^ lane)
        two = mix((two ^ lane) * _MIX_2 + _PRIME)
    return one, two


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _lane(state: Any, block: Any) -> Any:
    state = (state ^ block) * _PRIME
    return state << _31 | state >> _33


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def characters(blocks: Any, size: int, codes: Any) -> int:
    """Write the code points of normalised bytes and give how many."""
    out = blocks.view(np.uint8)
    at, found = _0, 0
    while at < np.uint64(size):
        code, width = np.uint32(out[at]), _1
        if code >= 128:
            code, width = _decode(out, at)
        codes[found] = code
        found += 1
        at += width
    return found
