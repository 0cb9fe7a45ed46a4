"""Names: every name and code of a statement must be one of its source, and stand where the source has it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from rungwise.evaluate.groundedness.dates import date_tokens
from rungwise.evaluate.groundedness.finding import Finding
from rungwise.evaluate.groundedness.numbers import quantities
from rungwise.evaluate.groundedness.tokens import STOP, Reading, Token, likeness, slot, stem

# Short forms that need not be explained in a text, with the words that they stand for.
_LONG = {
    "us": ("unit", "stat", "america"),
    "usa": ("unit", "stat", "america"),
    "uk": ("unit", "kingdom"),
    "eu": ("european", "union"),
    "un": ("unit", "nation"),
    "wwi": ("world", "war", "i"),
    "wwii": ("world", "war", "ii"),
    "st": ("saint", "street"),
    "dr": ("doctor", "drive"),
    "mr": ("mister",),
    "prof": ("professor",),
}
_IGNORED = frozenset({"i", "ii", "am", "pm", "vs", "no", "eg", "ie", "usd", "eur", "gbp"})


@lru_cache(maxsize=16_384)
def names(reading: Reading) -> tuple[int, ...]:
    """The places of words that are written as names: a capital inside a sentence, several capitals, letters with digits."""
    taken = date_tokens(reading) | {place for one in quantities(reading) for place in range(one.first, one.last + 1)}
    found = []
    opening = True
    for place, token in enumerate(reading.tokens):
        if token.kind in ("word", "code"):
            plain = token.stem in _IGNORED or (token.stem in STOP and not token.text.isupper())  # WHO is a name, 'Who' is not
            currency = place + 1 < len(reading.tokens) and reading.tokens[place + 1].text == "$"  # US$5
            if place not in taken and not plain and not currency and _is_name(token, opening=opening):
                found.append(place)
            opening = False
        elif token.text in '.:!?;“"' and not _after_initial(reading, place):
            opening = True
    return tuple(found)


def _is_name(token: Token, *, opening: bool) -> bool:
    capitals = sum(letter.isupper() for letter in token.text)
    if token.kind == "code" or capitals > 1:
        return True
    return capitals == 1 and token.text[0].isupper() and len(token.text) > 1 and not opening


def _after_initial(reading: Reading, place: int) -> bool:
    """Whether the stop at `place` follows a single capital or a title, as in 'J. Smith' and 'St. Paul'."""
    before = reading.tokens[place - 1].text if place else ""
    return reading.tokens[place].text == "." and (
        len(before) == 1 or before.lower() in ("st", "dr", "mr", "mrs", "u", "s", "prof", "vs")
    )


def check(statement: Reading, sources: Sequence[Reading], everywhere: Collection[str]) -> Iterator[Finding]:
    """Names that the sources lack; `everywhere` are the stems of all passages.

    A name of another sentence of the passages is let pass only where the sources have no name that the statement leaves
    out: then it stands for a pronoun ('he') or a description ('the king').
    """
    left_out = [(source, place) for source in sources for place in names(source) if not _has(source.tokens[place], statement.stems)]
    missing = []
    for place in names(statement):
        token = statement.tokens[place]
        if any(_has(token, source.stems) or _stands_for(token, source) or _in_parts(token, source) for source in sources):
            if (rival := _displaced(statement, place, left_out)) is not None:
                yield Finding("entity", token.start, token.end, token.text, rival)
            continue
        missing.append(place)
    for place in missing:
        token = statement.tokens[place]
        rival = _rival(statement, place, sources) or _replaced(statement, place, sources)
        if not _has(token, everywhere) or left_out or rival:
            evidence = rival or (left_out[0][0].tokens[left_out[0][1]].text if left_out else "")
            yield Finding("entity", token.start, token.end, token.text, evidence)


def _has(token: Token, stems: Collection[str]) -> bool:
    if token.stem in stems:
        return True
    if token.stem in _LONG and any(word in stems for word in _LONG[token.stem]):
        return True
    return any(token.stem in words and short in stems for short, words in _LONG.items())


def _stands_for(token: Token, source: Reading) -> bool:
    """Whether the letters of a short form are the initials of words that follow one another in the source, or of parts of one."""
    letters = token.text.lower().rstrip("s") if token.text[-1:] == "s" else token.text.lower()
    if not token.text[0].isupper() or not 3 <= len(letters) <= 6 or token.kind != "word":
        return False
    initials = "".join(one.text[0].lower() for one in source.tokens if one.kind == "word" and one.stem not in ("of", "the", "and"))
    return sum(letter.isupper() for letter in token.text) > 1 and letters in initials


def _in_parts(token: Token, source: Reading) -> bool:
    """Whether 'IL-23' is written in the source as 'IL' and '23', apart: as in 'interleukin (IL)-23'."""
    found = re.fullmatch(r"([^\W\d_]+)-?(\d+)[^\W\d_]?", token.text)
    if token.kind != "code" or found is None or stem(found[1]) not in source.stems:
        return False
    return any(other.text == found[2] for other in source.tokens if other.kind in ("number", "code"))


def _displaced(statement: Reading, place: int, left_out: Sequence[tuple[Reading, int]]) -> str | None:
    """The name that a source has in these surroundings, if the statement leaves it out and has this one twice; None without one."""
    token = statement.tokens[place]
    if not left_out or len(statement.stems.get(token.stem, ())) < 2:
        return None
    around = slot(statement, place, place)
    there, rival = max((likeness(around, slot(source, other, other)), source.tokens[other].text) for source, other in left_out)
    readings = [source for source, _ in left_out]
    home = max((likeness(around, slot(one, at, at)) for one in readings for at in one.stems.get(token.stem, ())), default=0.0)
    return rival if there >= 0.5 and home <= 0.6 * there else None


def _replaced(statement: Reading, place: int, sources: Sequence[Reading]) -> str:
    """The content word that a source has between the same words, and the statement has nowhere; '' without one."""
    around = slot(statement, place, place)
    sides = {side for side, _ in around}
    for source in sources:
        for other, token in enumerate(source.tokens):
            if token.kind in ("word", "code") and token.stem not in STOP and token.stem not in statement.stems:
                theirs = slot(source, other, other)
                if (
                    all(any(key in theirs for key in around if key[0] == side) for side in sides)
                    and likeness(around, theirs) >= 0.7
                ):
                    return token.text
    return ""


def _rival(statement: Reading, place: int, sources: Sequence[Reading]) -> str:
    """The name that a source has in the same surroundings; '' without one."""
    around = slot(statement, place, place)
    placed = [
        (likeness(around, slot(source, other, other)), source.tokens[other].text) for source in sources for other in names(source)
    ]
    best = max(placed, default=(0.0, ""))
    return best[1] if best[0] >= 0.6 else ""
