"""Where sentences begin and end in a text, to the character."""

from __future__ import annotations

import re
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""(start, end) offsets of a piece of text."""

_TITLES = "mr mrs ms dr prof sr jr st gen col sgt capt lt rev hon gov sen rep inc ltd co corp dept"
_MONTHS = "jan feb mar apr jun jul aug sep sept oct nov dec"
_OTHERS = "vs etc no nos vol fig figs eq sec ch pp ed eds al approx est e.g i.e a.m p.m u.s u.k"
_ABBREVIATIONS = frozenset(f"{_TITLES} {_MONTHS} {_OTHERS}".split())
# A sentence ends at . ! ? … (and what closes it) before space; at the full stops of Chinese and Japanese;
# at a blank line; before a list item or a heading; after a heading.
_END = re.compile(
    r"""(?P<stop>(?<![.!?…])[.!?…]++)["'”’»)\]]*+(?=\s|$)"""  # one try for a run of stops: thousands take no longer
    r"""|(?P<wide>[。！？]["”’」』）]*)"""
    r"""|(?P<line>\n(?=[ \t]*(?:\n|[-*+•][ \t]|\d{1,3}[.)][ \t]|\#{1,6}[ \t]|\||>)))"""
    r"""|(?P<heading>(?<![^\n])[ \t]*\#{1,6}[ \t][^\n]*)""",
)
_NEXT = re.compile(r"[ \t\n]*+([^ \t\n])")
_LAST_WORD = re.compile(r"[\w.]+$")


def split_sentences(text: str) -> tuple[Span, ...]:
    """The sentences of a text in order, without the space around them; between them is nothing but space.

    Rules, not a model: a full stop after an abbreviation, an initial or the number of a list item, or before a small
    letter, does not end one.
    """
    spans: list[Span] = []
    start = 0
    for match in _END.finditer(text):
        if match["stop"] and not _ends(text, match.start(), match.end(), match["stop"], start):
            continue
        _add(spans, text, start, match.end())
        start = match.end()
    _add(spans, text, start, len(text))
    return tuple(spans)


def _ends(text: str, at: int, end: int, stop: str, start: int) -> bool:
    """Whether a run of stops ends a sentence."""
    after = _NEXT.match(text, end)
    following = after[1] if after else ""
    if following.islower():
        return False
    if stop != ".":
        return True
    found = _LAST_WORD.search(text, max(start, at - 20), at)
    word = found[0] if found else ""
    if word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word.isupper()):
        return not following or following == "\n"
    # "3. Return the item" is one item of a list and not two sentences.
    return not (word.isdigit() and text[start:at].strip() == word and bool(following))


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    kept = piece.strip()
    if kept:
        begin = start + piece.index(kept)
        spans.append((begin, begin + len(kept)))
