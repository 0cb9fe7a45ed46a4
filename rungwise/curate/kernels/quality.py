"""What a text measures by the quality rules: words, lines, paragraphs and repeated n-grams, from its bytes.

A text is scanned once into its words (hash, length, place, marks); everything else is counted from those. Words, lines
and n-grams are compared by 64-bit hashes: two different ones among a million are taken for the same once in 30 million texts.
"""

from __future__ import annotations

import numba
import numpy as np

_NAMES = """
words lines word_length hash_signs ellipses bullet_lines ellipsis_lines alphabetic_words stop_words
duplicate_paragraphs duplicate_paragraph_characters duplicate_lines duplicate_line_characters duplicate_line_text
top_2_gram top_3_gram top_4_gram
duplicate_5_grams duplicate_6_grams duplicate_7_grams duplicate_8_grams duplicate_9_grams duplicate_10_grams
lorem_ipsum curly_brackets sentences terminal_lines short_lines line_breaks
"""
FEATURES = tuple(_NAMES.split())
"""The columns of `measure`; rungwise/curate/quality.py says what each is."""

# Where they stand, line by line as above; the n-grams begin at the 2-grams.
_WORDS, _LINES, _WORD_LENGTH, _HASHES, _DOTS, _BULLETS, _ELLIPSIS_ENDS, _LETTERED, _STOPS = range(9)
_PARAGRAPHS_AGAIN, _PARAGRAPH_SIZE_AGAIN, _LINES_AGAIN, _LINE_SIZE_AGAIN, _LINE_TEXT_AGAIN = range(9, 14)
_N_GRAMS = 14
_HAS_LOREM, _HAS_CURLY, _SENTENCE_COUNT, _TERMINAL_ENDS, _SHORT, _BREAKS_A_WORD = range(23, 29)

# What a character is: bits of the table `kinds`.
LETTER, SPACE, TERMINAL, CLOSING, NOTED = 1, 2, 4, 8, 16

# What a word does: bits of its mark. The lowest two count the line breaks before it: 0, 1, or 2 and more.
_BREAKS, _SENTENCE_END, _TERMINAL, _C4_END, _ELLIPSIS, _BULLET, _LONG, _UNWANTED = 3, 4, 8, 16, 32, 64, 128, 256

# What a whole text has: places in `totals`.
_CHARACTERS, _LINE_BREAKS, _HASH_SIGNS, _ELLIPSES, _ALPHABETIC, _STOP_WORDS, _LOREM, _CURLY = range(8)
_SENTENCES, _BULLET_LINES, _ELLIPSIS_LINES, _TERMINAL_LINES, _SHORT_LINES = range(8, 13)
_TOTALS = 13

NOTED_SIGNS = ".…#{jJ"
"""The characters that are NOTED: those that are counted, and those that begin JavaScript."""

_LOREM_IPSUM, _POLICY = 1, 2

_SEED, _PRIME, _MIX = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)
_ONE = np.uint64(1)


@numba.njit(cache=True, nogil=True)
def measure(data, offsets, kinds):  # type: ignore[no-untyped-def]
    """Features (n, len(FEATURES)), float32, of n texts: text i is the UTF-8 bytes `data[offsets[i]:offsets[i + 1]]`.

    `kinds` is uint8 by code point: the sum of LETTER, SPACE, TERMINAL, CLOSING, NOTED that a character is.
    """
    n = len(offsets) - 1
    longest = 0
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    room = longest // 2 + 2  # words, lines or paragraphs that this many bytes can hold
    features = np.zeros((n, len(FEATURES)), np.float32)
    words, lines, paragraphs = np.empty(room, np.uint64), np.empty(room, np.uint64), np.empty(room, np.uint64)
    starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    line_sizes, paragraph_sizes = np.empty(room, np.int64), np.empty(room, np.int64)
    marks, repeated = np.empty(room, np.int32), np.empty(room, np.uint8)
    slots = np.empty(room, np.int32)
    size = _table_size(room)
    keys, counts = np.empty(size, np.uint64), np.empty(size, np.int32)
    totals = np.empty(_TOTALS, np.int64)
    for i in range(n):
        totals[:] = 0
        found = _scan(data, offsets[i], offsets[i + 1], kinds, words, starts, ends, marks, totals)
        if found == 0:
            continue
        n_lines, n_paragraphs = _lines(found, words, starts, ends, marks, totals, lines, line_sizes, paragraphs, paragraph_sizes)
        row = features[i]
        row[_WORDS], row[_LINES] = found, n_lines
        _shares(row, found, n_lines, starts, ends, totals)
        characters = totals[_CHARACTERS]
        again, size_again = _duplicates(paragraphs, paragraph_sizes, n_paragraphs, keys, counts)
        row[_PARAGRAPHS_AGAIN], row[_PARAGRAPH_SIZE_AGAIN] = again / n_paragraphs, size_again / characters
        again, size_again = _duplicates(lines, line_sizes, n_lines, keys, counts)
        row[_LINES_AGAIN], row[_LINE_SIZE_AGAIN] = again / n_lines, size_again / characters
        row[_LINE_TEXT_AGAIN] = size_again / (characters - totals[_LINE_BREAKS])
        _repetition(row, words, starts, ends, found, characters, slots, repeated, keys, counts)
    return features


@numba.njit(cache=True, nogil=True)
def _scan(data, begin, end, kinds, words, starts, ends, marks, totals):  # type: ignore[no-untyped-def]
    """Split a text at white space; how many words were found. `starts` and `ends` are counted in characters."""
    found, place, breaks, at = 0, 0, 0, begin
    inside, letter = False, False
    word_begin, dots, mark, hashed = 0, 0, 0, _SEED
    last, core, first_kind, last_kind = np.int64(0), np.int64(0), np.uint8(0), np.uint8(0)
    while at <= end:  # the end counts as a space, so that the last word ends too
        code, width = _decode(data, at, end) if at < end else (np.int64(0x20), 1)
        kind = kinds[code] if code < len(kinds) else np.uint8(0)
        if kind & SPACE:
            if inside:
                words[found], ends[found] = _mixed(hashed), place
                length = place - starts[found]
                if last_kind != LETTER or length > 1000:
                    mark |= _end_marks(kinds, last, core, dots, length)
                if length <= 4 or first_kind != LETTER or last_kind != LETTER:
                    totals[_STOP_WORDS] |= _stop_word(data, word_begin, at)
                phrase = _phrase(data, begin, at, end)
                totals[_LOREM] |= phrase == _LOREM_IPSUM
                marks[found] = mark | (_UNWANTED if phrase == _POLICY else 0)
                totals[_ALPHABETIC] += letter
                found += 1
                inside = False
            if code == 0x0A:
                breaks += 1
                totals[_LINE_BREAKS] += 1
        else:
            if not inside:
                starts[found], word_begin, first_kind = place, at, kind
                mark = min(breaks, 2) | (_BULLET if code in (0x2D, 0x2022) else 0)
                inside, letter, breaks, dots, core, hashed = True, False, 0, 0, np.int64(0), _SEED
            hashed = (hashed ^ np.uint64(code)) * _PRIME
            last, last_kind = code, kind
            letter |= (kind & LETTER) != 0
            if not kind & CLOSING:
                core = code
            dots = dots + 1 if code == 0x2E else 0
            if kind & NOTED:
                totals[_ELLIPSES] += code == 0x2026 or (dots > 0 and dots % 3 == 0)
                totals[_HASH_SIGNS] += code == 0x23
                totals[_CURLY] |= code == 0x7B
                if _stands_at(data, at, end, b"javascript"):
                    mark |= _UNWANTED
        place += 1
        at += width
    totals[_CHARACTERS] = place - 1
    return found


@numba.njit(cache=True, nogil=True, inline="always")
def _decode(data, at, end):  # type: ignore[no-untyped-def]
    """The code point at `at` and its width in bytes; lone surrogates too. The bytes are known to be well formed."""
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
def _end_marks(kinds, last, core, dots, length):  # type: ignore[no-untyped-def]
    """What the end of a word says; `core` is its last character before closing quotes and brackets, 0 without one."""
    ellipsis = dots >= 3 or last == 0x2026
    mark = _ELLIPSIS if ellipsis else 0
    if core < len(kinds) and kinds[core] & TERMINAL:
        mark |= _SENTENCE_END
    if last < len(kinds) and kinds[last] & TERMINAL:
        mark |= _TERMINAL
    if last in (0x2E, 0x3F, 0x21, 0x22, 0x27) and dots < 3:
        mark |= _C4_END
    return mark | (_LONG if length > 1000 else 0)


@numba.njit(cache=True, nogil=True)
def _stands_at(data, at, end, phrase):  # type: ignore[no-untyped-def]
    """Whether a phrase of lower-case ASCII letters and spaces stands here, in any case."""
    if at + len(phrase) > end:
        return False
    for j in range(len(phrase)):
        byte = data[at + j]
        if (byte + 32 if 0x41 <= byte <= 0x5A else byte) != phrase[j]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _phrase(data, begin, at, end):  # type: ignore[no-untyped-def]
    """_LOREM_IPSUM, or _POLICY for a phrase of privacy notices, when one stands around the space at `at`; else 0."""
    if at - begin < 3 or at + 6 > end:
        return 0
    # the two letters before the space and the one after it, in lower case: rarely those of a phrase
    near = (np.int64(data[at - 2] | 32) << 16) | (np.int64(data[at - 1] | 32) << 8) | (data[at + 1] | 32)
    if near == 0x656D69:
        return _LOREM_IPSUM * _around(data, begin, at, end, b"lorem", b" ipsum")
    found = False
    if near == 0x6D736F:
        found = _around(data, begin, at, end, b"terms", b" of use")
    elif near == 0x637970:
        found = _around(data, begin, at, end, b"privacy", b" policy")
    elif near == 0x696570:
        found = _around(data, begin, at, end, b"cookie", b" policy")
    elif near == 0x657363:
        found = _around(data, begin, at, end, b"uses", b" cookies")
    elif near == 0x73656F:
        found = _around(data, begin, at, end, b"use", b" of cookies")
    elif near == 0x736563:
        found = _around(data, begin, at, end, b"use", b" cookies")
    return _POLICY * found


@numba.njit(cache=True, nogil=True)
def _around(data, begin, at, end, before, after):  # type: ignore[no-untyped-def]
    """Whether one phrase ends at `at` and another begins there."""
    return at - len(before) >= begin and _stands_at(data, at - len(before), end, before) and _stands_at(data, at, end, after)


@numba.njit(cache=True, nogil=True)
def _stop_word(data, begin, end):  # type: ignore[no-untyped-def]
    """The bit of the stop word that a word is, ASCII signs around it and its case aside; 0 for other words."""
    while begin < end and _is_sign(data[begin]):
        begin += 1
    while begin < end and _is_sign(data[end - 1]):
        end -= 1
    if end - begin < 2 or end - begin > 4:
        return 0
    code = 0
    for j in range(begin, end):
        code = (code << 8) | (data[j] | 32)
    # the, be, to, of, and, that, have, with: their bytes as numbers
    bit = 1
    for stop in (0x746865, 0x6265, 0x746F, 0x6F66, 0x616E64, 0x74686174, 0x68617665, 0x77697468):
        if code == stop:
            return bit
        bit <<= 1
    return 0


@numba.njit(cache=True, nogil=True)
def _is_sign(byte):  # type: ignore[no-untyped-def]
    return byte < 0x80 and not (0x30 <= byte <= 0x39 or 0x41 <= (byte & 0xDF) <= 0x5A)


@numba.njit(cache=True, nogil=True)
def _mixed(hashed):  # type: ignore[no-untyped-def]
    hashed = (hashed ^ (hashed >> _SHIFT)) * _MIX
    return hashed ^ (hashed >> _SHIFT)


@numba.njit(cache=True, nogil=True)
def _joined(left, right):  # type: ignore[no-untyped-def]
    """The hash of a sequence from that of all but its last member and that of the last."""
    return _mixed((left + _ONE) * _MIX ^ right)


@numba.njit(cache=True, nogil=True)
def _lines(found, words, starts, ends, marks, totals, lines, line_sizes, paragraphs, paragraph_sizes):  # type: ignore[no-untyped-def]
    """Gather words into lines and lines into paragraphs; how many there are. Sizes are in characters, ends stripped."""
    n_lines, n_paragraphs, first, opening = 0, 0, 0, 0
    line, paragraph = _SEED, _SEED
    every, sentences = 0, 0
    for w in range(found):
        line = _joined(line, words[w])
        every |= marks[w]
        sentences += (marks[w] & _SENTENCE_END) != 0
        following = marks[w + 1] & _BREAKS if w + 1 < found else 2
        if following == 0:
            continue
        size = ends[w] - starts[first]
        lines[n_lines], line_sizes[n_lines] = line, size
        n_lines += 1
        totals[_BULLET_LINES] += (marks[first] & _BULLET) != 0
        totals[_ELLIPSIS_LINES] += (marks[w] & _ELLIPSIS) != 0
        totals[_TERMINAL_LINES] += (marks[w] & _TERMINAL) != 0
        totals[_SHORT_LINES] += size <= 30
        if marks[w] & _C4_END and not every & (_LONG | _UNWANTED) and w - first >= 2:
            totals[_SENTENCES] += max(1, sentences)
        paragraph = _joined(paragraph, line)
        if following == 2:
            paragraphs[n_paragraphs], paragraph_sizes[n_paragraphs] = paragraph, ends[w] - starts[opening]
            n_paragraphs += 1
            paragraph, opening = _SEED, w + 1
        line, first, every, sentences = _SEED, w + 1, 0, 0
    return n_lines, n_paragraphs


@numba.njit(cache=True, nogil=True)
def _shares(row, found, n_lines, starts, ends, totals):  # type: ignore[no-untyped-def]
    """The features that are plain shares and counts."""
    letters = 0
    for w in range(found):
        letters += ends[w] - starts[w]
    row[_WORD_LENGTH] = letters / found
    row[_HASHES] = totals[_HASH_SIGNS] / found
    row[_DOTS] = totals[_ELLIPSES] / found
    row[_BULLETS] = totals[_BULLET_LINES] / n_lines
    row[_ELLIPSIS_ENDS] = totals[_ELLIPSIS_LINES] / n_lines
    row[_LETTERED] = totals[_ALPHABETIC] / found
    stops, distinct = totals[_STOP_WORDS], 0
    while stops:
        distinct += stops & 1
        stops >>= 1
    row[_STOPS] = distinct
    row[_HAS_LOREM] = totals[_LOREM]
    row[_HAS_CURLY] = totals[_CURLY]
    row[_SENTENCE_COUNT] = totals[_SENTENCES]
    row[_TERMINAL_ENDS] = totals[_TERMINAL_LINES] / n_lines
    row[_SHORT] = totals[_SHORT_LINES] / n_lines
    row[_BREAKS_A_WORD] = totals[_LINE_BREAKS] / found


@numba.njit(cache=True, nogil=True)
def _table_size(n):  # type: ignore[no-untyped-def]
    """The power of two that keeps a table of n keys at most half full."""
    size = 4
    while size < 2 * n:
        size *= 2
    return size


@numba.njit(cache=True, nogil=True)
def _slot(keys, counts, mask, key):  # type: ignore[no-untyped-def]
    """The place of a key in an open table, its own or a free one (count 0)."""
    place = np.int64(key & np.uint64(mask))
    while counts[place] and keys[place] != key:
        place = (place + 1) & mask
    return place


@numba.njit(cache=True, nogil=True)
def _duplicates(hashes, sizes, n, keys, counts):  # type: ignore[no-untyped-def]
    """How many of n pieces have stood before, and their size."""
    again, size_again = 0, 0
    if n < 2:
        return again, size_again
    size = _table_size(n)
    counts[:size] = 0
    for i in range(n):
        place = _slot(keys, counts, size - 1, hashes[i])
        if counts[place]:
            again += 1
            size_again += sizes[i]
        else:
            keys[place], counts[place] = hashes[i], 1
    return again, size_again


@numba.njit(cache=True, nogil=True)
def _repetition(row, words, starts, ends, found, characters, slots, repeated, keys, counts):  # type: ignore[no-untyped-def]
    """The shares of repeated n-grams, n from 2 to 10. `words` is overwritten: it becomes the hashes of the n-grams.

    An n-gram can stand twice only if the two (n-1)-grams in it do, so each n looks at what is left of the one before it.
    """
    own = words[:found].copy()
    repeated[:found] = 1
    for n in range(2, 11):
        last = found - n + 1  # how many n-grams there are
        if last < 1:
            return
        left = _count_ngrams(n, last, own, words, slots, repeated, keys, counts)
        if n <= 4:
            row[_N_GRAMS + n - 2] = _top(n, last, starts, ends, slots, counts) / characters
        elif left:
            row[_N_GRAMS + n - 2] = _greedy(n, last, starts, ends, slots, counts) / characters
        for i in range(last):
            repeated[i] = slots[i] >= 0 and counts[slots[i]] != 1
        if left == 0 and n >= 4:
            return


@numba.njit(cache=True, nogil=True)
def _count_ngrams(n, last, own, ngrams, slots, repeated, keys, counts):  # type: ignore[no-untyped-def]
    """Count the n-grams that may stand twice: `slots` gives the place of each in the table, -1 for the others."""
    left = 0
    for i in range(last):
        may = repeated[i] and repeated[i + 1]
        slots[i] = 0 if may else -1
        left += may
    size = _table_size(left)
    counts[:size] = 0
    for i in range(last):
        if slots[i] == 0:
            ngrams[i] = _joined(ngrams[i], own[i + n - 1])
            place = _slot(keys, counts, size - 1, ngrams[i])
            keys[place] = ngrams[i]
            counts[place] += 1
            slots[i] = place
    return left


@numba.njit(cache=True, nogil=True)
def _letters(i, n, starts, ends):  # type: ignore[no-untyped-def]
    """The characters of the words of an n-gram."""
    total = 0
    for w in range(i, i + n):
        total += ends[w] - starts[w]
    return total


@numba.njit(cache=True, nogil=True)
def _top(n, last, starts, ends, slots, counts):  # type: ignore[no-untyped-def]
    """The characters in all places of the commonest n-gram, the first of equally common ones, with its n-1 spaces."""
    most, place = 1, 0
    for i in range(last):
        if slots[i] >= 0 and counts[slots[i]] > most:
            most, place = counts[slots[i]], i
    return most * (_letters(place, n, starts, ends) + n - 1)


@numba.njit(cache=True, nogil=True)
def _greedy(n, last, starts, ends, slots, counts):  # type: ignore[no-untyped-def]
    """The characters in n-grams that stood before, from left to right without overlap. Marks what was met by a count of -1."""
    total, i = 0, 0
    while i < last:
        place = slots[i]
        if place >= 0 and counts[place] < 0:
            total += _letters(i, n, starts, ends)
            i += n
            continue
        if place >= 0 and counts[place] > 1:
            counts[place] = -1
        i += 1
    return total
