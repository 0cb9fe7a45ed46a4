"""Where a text may be cut: between words, and never within what a reader sees as one character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from rungwise.engines.chunking.chunk import Span

_SOLID = re.compile(r"\S")
_SPACE = re.compile(r"\s")
_JOINER = "\u200d"


def joined(text: str, at: int, start: int = 0) -> bool:
    """Whether the characters before and after a place belong together, in a text that is looked at from `start` on.

    Extending and spacing marks, joiners, emoji modifiers, flags, Hangul, CR LF and the two halves of a surrogate pair: the
    rules GB3 and GB6 to GB13 of Unicode Standard Annex 29, without prepended marks (GB9b) and Indic conjuncts (GB9c).
    """
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if after < "\u0300":
        return before == "\r" and after == "\n"
    if before == _JOINER or after in (_JOINER, "\u200c") or unicodedata.category(after) in ("Mn", "Me", "Mc"):
        return not before.isspace()
    if "\U0001f3fb" <= after <= "\U0001f3ff":
        return not before.isspace()
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        return _flags_before(text, at, start) % 2 == 1
    if "\udc00" <= after <= "\udfff":
        return "\ud800" <= before <= "\udbff"
    return _hangul(before) < _hangul(after) and _hangul(before) > 0


_FLAGS = "".join(map(chr, range(0x1F1E6, 0x1F200)))


def _flags_before(text: str, at: int, start: int) -> int:
    """How many letters of flags stand directly before a place; flags come in pairs of them."""
    window = text[start:at]
    return len(window) - len(window.rstrip(_FLAGS))


def _hangul(sign: str) -> int:
    """1 for the first, 2 for the middle, 3 for the last part of a Hangul syllable; 0 for anything else."""
    if "\uac00" <= sign <= "\ud7a3":  # a whole one: with its middle, and perhaps with its last part
        return 2
    if "\u1100" <= sign <= "\u115f":
        return 1
    return 2 if "\u1160" <= sign <= "\u11a7" else 3 if "\u11a8" <= sign <= "\u11ff" else 0


def cut_before(text: str, at: int, start: int) -> int:
    """The last place up to `at`, and after `start`, that parts no character; `at` where there is none."""
    place = at
    while place > start and joined(text, place, start):
        place -= 1
    return place if place > start else at


def trimmed(text: str, start: int, end: int) -> Span:
    """The span without the white space at its ends; (end, end) or (start, start) where there is nothing else."""
    found = _SOLID.search(text, start, end)
    if found is None:
        return end, end
    begin = found.start()
    return begin, begin + len(text[begin:end].rstrip())


def next_sign(text: str, start: int) -> int:
    """The first place from `start` on that is not white space; the end of the text where there is none."""
    found = _SOLID.search(text, start)
    return len(text) if found is None else found.start()


def wrapped(text: str, start: int, end: int, size: int) -> Iterator[Span]:
    """A long piece in parts of at most `size`: at the end of a line in their second half, else at a space, else anywhere."""
    while end - start > size:
        stop = start + size
        at = text.rfind("\n", start + size // 2, stop + 1)
        if at <= start:
            at = _last_space(text, start, stop)
        at = at if at > start else cut_before(text, stop, start)
        own = trimmed(text, start, at)
        if own[0] < own[1]:
            yield own
        found = _SOLID.search(text, at, end)
        start = end if found is None else found.start()
    own = trimmed(text, start, end)
    if own[0] < own[1]:
        yield own


def _last_space(text: str, start: int, stop: int) -> int:
    """The last white space after `start` and not after `stop`; -1 where there is none."""
    if stop < len(text) and text[stop].isspace():
        return stop
    at = text.rfind(" ", start + 1, stop)
    if at >= 0:
        return at
    return max((found.start() for found in _SPACE.finditer(text, start + 1, stop)), default=-1)
