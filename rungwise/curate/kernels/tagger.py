"""The tagger's first loops: text to tokens, tokens to the rows of weights that they use."""

from __future__ import annotations

import numpy as np
from numba import njit

BITS = 18
"""The weights have 2 ** BITS rows; features are hashed into them."""
SLOTS = 73
"""How many features a token has at most; unused ones point at row 0, whose weights are 0."""

SPACE, LINE, LETTER, DIGIT, SIGN = 0, 1, 2, 3, 4  # classes of characters
_EMAIL_REACH = 64  # characters looked ahead for an @ or ://, so that long runs without spaces stay linear
_U = np.uint64
_PRIME, _BASIS = _U(1099511628211), _U(14695981039346656037)  # FNV-1a, 64 bits
_MIX1, _MIX2 = _U(0xBF58476D1CE4E5B9), _U(0x94D049BB133111EB)  # the finaliser of SplitMix64
_GOLD = _U(0x9E3779B97F4A7C15)
_UNKNOWN = _U(11)  # stands for every word of no list
_EDGE = _U(7)  # stands before the first and after the last token
_SHAPE_LINE, _SHAPE_ADDRESS, _SHAPE_SIGN = 14, 15, 16


@njit(cache=True, nogil=True, inline="always")
def _mix(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> _U(30))) * _MIX1
    value = (value ^ (value >> _U(27))) * _MIX2
    return value ^ (value >> _U(31))


@njit(cache=True, nogil=True, inline="always")
def _pair(a, b):  # type: ignore[no-untyped-def]
    return _mix(a * _PRIME + b + _GOLD)


@njit(cache=True, nogil=True)
def _net_address_end(codes, kinds, start, size):  # type: ignore[no-untyped-def]
    """Where an e-mail or web address that starts here ends; `start` when none does."""
    end, found = start, False
    while end < size and end - start < 4 * _EMAIL_REACH:
        code, kind = codes[end], kinds[end]
        if kind == SIGN:
            if end > start and (code == 64 or (code == 47 and codes[end - 1] == 58)):  # @ or :/ after something
                found = True
            elif code not in (46, 45, 95, 43, 58, 47, 37, 35, 61, 38, 63):  # . - _ + : / % # = & ?
                break
        elif kind != LETTER and kind != DIGIT:
            break
        end += 1
        if not found and end - start >= _EMAIL_REACH:
            return start
        if (
            end - start == 4
            and codes[start] | 32 == 119
            and codes[start + 1] | 32 == 119
            and codes[start + 2] | 32 == 119
            and codes[start + 3] == 46
        ):
            found = True
    if not found:
        return start
    while end > start and kinds[end - 1] == SIGN and codes[end - 1] != 47:
        end -= 1
    return end


@njit(cache=True, nogil=True)
def tokenise(codes, class_of, starts, ends):  # type: ignore[no-untyped-def]
    """Cut code points (n,) into tokens: runs of letters, runs of digits, e-mail and web addresses, line ends, single signs.

    Writes into `starts`, `ends` (n,) and gives the number of tokens.
    """
    size, count, at = codes.size, 0, 0
    kinds = np.empty(size, np.uint8)
    for i in range(size):
        kinds[i] = class_of[min(codes[i], 65535)]
    while at < size:
        kind = kinds[at]
        if kind == SPACE:
            at += 1
            continue
        end = at + 1
        if kind == LINE:
            while end < size and (kinds[end] == LINE or kinds[end] == SPACE):
                end += 1
        elif kind in (LETTER, DIGIT):
            net = _net_address_end(codes, kinds, at, size)
            if net > at:
                end = net
            else:
                while end < size and kinds[end] == kind:
                    end += 1
        starts[count], ends[count] = at, end
        count += 1
        at = end
    return count


@njit(cache=True, nogil=True)
def _shape(codes, kinds, case_of, start, end):  # type: ignore[no-untyped-def]
    """1 lower, 2 Capital, 3 one capital, 4 two or three CAPITALS, 5 more, 6 mIxed, 7-12 digits by number, 13 a script without case,
    14 line end, 15 e-mail or web address, 16 and up a sign."""
    length = end - start
    first = kinds[min(codes[start], 65535)]
    if first == LINE:
        return _SHAPE_LINE
    if first == SIGN:
        return _SHAPE_SIGN + int(codes[start] if codes[start] < 128 else 100)
    if first == DIGIT:
        for i in range(start, end):
            if kinds[min(codes[i], 65535)] != DIGIT:
                return _SHAPE_ADDRESS
        return 6 + min(length, 6)
    upper, lower = 0, 0
    for i in range(start, end):
        code = min(codes[i], 65535)
        if kinds[code] != LETTER:
            return _SHAPE_ADDRESS
        upper += case_of[code] == 1
        lower += case_of[code] == 2
    if upper == 0:
        return 1 if lower else 13
    if lower == 0:
        return 3 if length == 1 else 4 if length < 4 else 5
    return 2 if upper == 1 and case_of[min(codes[start], 65535)] == 1 else 6


@njit(cache=True, nogil=True)
def word_hash(codes, fold, start, end):  # type: ignore[no-untyped-def]
    """FNV-1a of a word without case and diacritics."""
    value = _BASIS
    for i in range(start, end):
        letter = fold[min(codes[i], 65535)]
        if letter:
            value = (value ^ _U(letter)) * _PRIME
    return _mix(value)


@njit(cache=True, nogil=True)
def token_hash(codes, class_of, case_of, fold, start, end):  # type: ignore[no-untyped-def]
    """What a token is known by: a word by its letters, anything else by its shape."""
    shape = _shape(codes, class_of, case_of, start, end)
    return word_hash(codes, fold, start, end) if shape < 7 or shape == 13 else _U(1000 + shape)


@njit(cache=True, nogil=True)
def phrase_keys(codes, starts, ends, class_of, case_of, fold, out):  # type: ignore[no-untyped-def]
    """The keys of the first token, of the first two, and so on, into `out` (n,)."""
    key = _U(0)
    for i in range(starts.size):
        key = _pair(key, token_hash(codes, class_of, case_of, fold, starts[i], ends[i]))
        out[i] = key


@njit(cache=True, nogil=True)
def _find(keys, key):  # type: ignore[no-untyped-def]
    low, high = 0, keys.size
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < keys.size and keys[low] == key else -1


@njit(cache=True, nogil=True)
def look_up(words, keys, masks, longest, out):  # type: ignore[no-untyped-def]
    """Mark each token (n,) with the lists it stands in: alone, or as a part of a phrase of at most `longest` tokens."""
    for i in range(words.size):
        key = _U(0)
        for length in range(longest):
            if i + length == words.size:
                break
            key = _pair(key, words[i + length])
            found = _find(keys, key)
            if found >= 0 and masks[found] & 0xFFFF:
                for j in range(length + 1):
                    out[i + j] |= masks[found] & 0xFFFF
                    if length:
                        out[i + j] |= 1 << 16
            if found < 0 or not masks[found] >> 17:  # no phrase goes on from here
                break


@njit(cache=True, nogil=True)
def _case_contexts(shapes, contexts):  # type: ignore[no-untyped-def]
    """How a line is written: 0 as usual, 1 without capitals, 2 in capitals, 3 as a headline.

    Lines of under four words are judged by the whole text.
    """
    n = shapes.size
    whole = _judge(shapes, 0, n)
    start = 0
    while start < n:
        end, words = start, 0
        while end < n and shapes[end] != _SHAPE_LINE:
            words += shapes[end] <= 6
            end += 1
        context = _judge(shapes, start, end) if words >= 4 else whole
        for i in range(start, min(end + 1, n)):
            contexts[i] = context
        start = end + 1


@njit(cache=True, nogil=True)
def _judge(shapes, start, end):  # type: ignore[no-untyped-def]
    lower, capital, capitals = 0, 0, 0
    for i in range(start, end):
        shape = shapes[i]
        lower += shape == 1
        capital += shape == 2 or shape == 6
        capitals += shape == 4 or shape == 5
    if capital + capitals == 0:
        return 1 if lower else 0
    if capitals >= 2 and capitals >= 4 * (lower + capital):
        return 2
    return 3 if capital >= 4 and capital >= 4 * lower else 0


@njit(cache=True, nogil=True, inline="always")
def _row(slot, value):  # type: ignore[no-untyped-def]
    return np.int32(_mix(value + _U(slot) * _GOLD) >> _U(64 - BITS))


@njit(cache=True, nogil=True)
def _at(values, i):  # type: ignore[no-untyped-def]
    return values[i] if 0 <= i < values.size else _EDGE


@njit(cache=True, nogil=True)
def featurise(codes, starts, ends, class_of, case_of, fold, keys, masks, longest, hidden, rows):  # type: ignore[no-untyped-def]
    """The rows of weights that each of n tokens uses, into `rows` (n, SLOTS).

    `hidden` (n,): 1 where the token's lists and its identity are hidden in training, so that context is learned; 0 elsewhere.
    """
    n = starts.size
    words, lists, shapes, contexts = np.empty(n, np.uint64), np.zeros(n, np.int64), np.empty(n, np.int64), np.zeros(n, np.int64)
    for i in range(n):
        shapes[i] = _shape(codes, class_of, case_of, starts[i], ends[i])
        words[i] = token_hash(codes, class_of, case_of, fold, starts[i], ends[i])
    look_up(words, keys, masks, longest, lists)
    _case_contexts(shapes, contexts)
    known, cased = np.empty(n, np.uint64), np.empty(n, np.uint64)
    shaped, listed = shapes.astype(np.uint64), np.empty(n, np.uint64)
    for i in range(n):
        if hidden[i]:
            lists[i] = 0
        is_word = shapes[i] < 7 or shapes[i] == 13
        known[i] = _UNKNOWN if is_word and lists[i] == 0 else words[i]
        cased[i] = shaped[i] + _U(200) * _U(contexts[i])
        listed[i] = _U(lists[i]) + _U(1 << 20) * _U(min(shapes[i], 20))
    for i in range(n):
        _features_of(i, codes, starts, ends, fold, known, cased, shaped, lists, listed, contexts, rows[i])


@njit(cache=True, nogil=True)
def _features_of(i, codes, starts, ends, fold, w, c, s, lists, g, contexts, out):  # type: ignore[no-untyped-def]
    w0, l1, r1, l2, r2 = w[i], _at(w, i - 1), _at(w, i + 1), _at(w, i - 2), _at(w, i + 2)
    c0, s1, t1, s2, t2 = c[i], _at(s, i - 1), _at(s, i + 1), _at(s, i - 2), _at(s, i + 2)
    g0, g1, h1, g2, h2 = g[i], _at(g, i - 1), _at(g, i + 1), _at(g, i - 2), _at(g, i + 2)
    out[:] = 0
    out[0] = _row(1, _U(contexts[i]))
    out[1] = _row(2, w0)
    out[2] = _row(3, l1)
    out[3] = _row(4, r1)
    out[4] = _row(5, l2)
    out[5] = _row(6, r2)
    out[6] = _row(9, _pair(l1, w0))
    out[7] = _row(10, _pair(w0, r1))
    out[8] = _row(11, _pair(l1, c0))
    out[9] = _row(12, _pair(r1, c0))
    out[10] = _row(16, c0)
    out[11] = _row(17, _pair(s1, c0))
    out[12] = _row(18, _pair(c0, t1))
    out[13] = _row(19, _pair(_pair(s1, c0), t1))
    out[14] = _row(20, _pair(_pair(s2, s1), c0))
    out[15] = _row(21, _pair(_pair(c0, t1), t2))
    out[16] = _row(22, _pair(_pair(_pair(_pair(s2, s1), c0), t1), t2))
    out[17] = _row(23, _pair(g0, _U(contexts[i])))
    out[18] = _row(24, _pair(g1, c0))
    out[19] = _row(25, _pair(h1, c0))
    out[20] = _row(26, _pair(g1, g0))
    out[21] = _row(27, _pair(g0, h1))
    out[22] = _row(28, _pair(_pair(g1, g0), h1))
    out[23] = _row(29, _pair(_pair(g2, g1), g0))
    out[24] = _row(30, _pair(_pair(g0, h1), h2))
    out[25] = _row(31, _pair(g0, l1))
    out[26] = _row(32, _pair(g0, r1))
    out[27] = _row(33, _pair(g0, l2))
    out[28] = _row(34, _pair(g0, r2))
    sentence_start = (
        i == 0
        or s1 == _SHAPE_LINE
        or s1 == _SHAPE_SIGN + 46
        or s1 == _SHAPE_SIGN + 33
        or s1 == _SHAPE_SIGN + 63
        or s1 == _SHAPE_SIGN + 34
    )
    out[29] = _row(35, _pair(g0, _U(1 if sentence_start else 0)))
    out[30] = _row(36, _pair(_pair(c0, _U(1 if sentence_start else 0)), _U(1 if w0 == _UNKNOWN else 0)))
    out[31] = _row(37, _pair(_pair(l2, g1), g0))
    out[32] = _row(38, _pair(_pair(g0, h1), r2))
    out[33] = _row(39, _pair(_pair(_at(g, i - 3), g2), _pair(g1, g0)))
    length = ends[i] - starts[i]
    if s[i] < 7:
        _spelling(codes, starts[i], ends[i], fold, c0, out)
    slot = 57
    for bit in range(17):
        if lists[i] >> bit & 1 and slot < 63:
            out[slot] = _row(60, _U(bit) + _U(32) * c0)
            slot += 1
    slot = 63
    for bit in range(17):
        if i > 0 and lists[i - 1] >> bit & 1 and slot < 68:
            out[slot] = _row(61, _U(bit) + _U(32) * c0)
            slot += 1
    slot = 68
    for bit in range(17):
        if i + 1 < w.size and lists[i + 1] >> bit & 1 and slot < 72:
            out[slot] = _row(62, _U(bit) + _U(32) * c0)
            slot += 1
    out[72] = _row(63, _U(min(length, 12)) + _U(16) * c0)


@njit(cache=True, nogil=True)
def _spelling(codes, start, end, fold, context, out):  # type: ignore[no-untyped-def]
    """Beginnings of 1-4, endings of 2-6 and up to 12 inner threes of a word's letters, without case and diacritics."""
    value = _BASIS
    for k in range(min(4, end - start)):
        value = (value ^ _U(fold[min(codes[start + k], 65535)])) * _PRIME
        out[34 + k] = _row(40 + k, value)
    value = _BASIS
    for k in range(min(6, end - start)):
        value = (value ^ _U(fold[min(codes[end - 1 - k], 65535)])) * _PRIME
        if k:
            out[37 + k] = _row(45 + k, value)
    for k in range(min(12, end - start - 2)):
        value = _BASIS
        for j in range(3):
            value = (value ^ _U(fold[min(codes[start + k + j], 65535)])) * _PRIME
        out[44 + k] = _row(52, value)
    out[43] = _row(53, _pair(value, context))
