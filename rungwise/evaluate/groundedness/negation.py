"""Negation and opposites: what the source denies must be denied, and what it raises must not fall."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import cast

from rungwise.evaluate.groundedness.finding import Finding, Wrong
from rungwise.evaluate.groundedness.tokens import STOP, Reading, likeness, slot, stem

_DENIALS = frozenset(
    {"not", "never", "no", "none", "without", "cannot", "neither", "nor", "nobody", "nothing", "nowhere", "hardly"}
)
# Words that deny without being denials: 'did not show' may be said of what 'failed to show'.
_NEAR_DENIALS = ("fail", "lack", "unabl", "absen", "refus", "deni", "deny", "prevent", "exclud", "avoid")
SAME_PLACE, OWN_PLACE = 0.35, 0.6


@cache
def opposites() -> Mapping[str, tuple[tuple[str, Wrong], ...]]:
    """For the stem of a word, the stems of those that cannot be true in its place, with the check that they belong to."""
    groups = json.loads((files("rungwise.evaluate.groundedness") / "opposites.json").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Wrong]] = {}
    for kind, rows in groups.items():
        for row in rows:
            sides = [{stem(word) for word in side.split()} for side in row]
            for place, side in enumerate(sides):
                others = set().union(*(one for at, one in enumerate(sides) if at != place)) - side
                for word in side:
                    found.setdefault(word, {}).update(dict.fromkeys(others, cast(Wrong, kind)))
    return {word: tuple(others.items()) for word, others in found.items()}


@lru_cache(maxsize=16_384)
def denials(reading: Reading) -> tuple[int, ...]:
    """The places of words that deny; a 'no' that is spoken of or means number does not."""
    found = []
    for place, token in enumerate(reading.tokens):
        low = token.text.lower().replace("’", "'")
        if (low in _DENIALS or low.endswith("n't")) and not (low == "no" and _is_said_of(reading, place)):
            found.append(place)
    return tuple(found)


def _is_said_of(reading: Reading, place: int) -> bool:
    """Whether a 'no' is the short form of number ('the no. of') or a word that is spoken of ('yes or no.'): a mark follows it."""
    return place + 1 < len(reading.tokens) and reading.tokens[place + 1].kind == "mark"


def check(statement: Reading, sources: Sequence[Reading]) -> Iterator[Finding]:
    """Denials that came or went, and words that stand where a source has their opposite."""
    yield from _denied(statement, sources)
    yield from _turned(statement, sources)


def _denied(statement: Reading, sources: Sequence[Reading]) -> Iterator[Finding]:
    """Denials of the statement and of the sources are paired, the likest first; what is left over came or went."""
    own, theirs = denials(statement), [(source, place) for source in sources for place in denials(source)]
    near = [
        (source, place)
        for source in sources
        for place, token in enumerate(source.tokens)
        if token.kind == "word" and token.stem.startswith(_NEAR_DENIALS) and token.stem not in statement.stems
    ]
    pairs = sorted(
        (
            (-_overlap(_content(statement, place), _content(source, other)), place, number)
            for place in own
            for number, (source, other) in enumerate([*theirs, *near])
        ),
    )
    paired: dict[int, int] = {}
    for overlap, place, number in pairs:
        if -overlap >= SAME_PLACE and place not in paired and number not in paired.values():
            paired[place] = number
    for place in own:
        if place not in paired:
            token = statement.tokens[place]
            yield Finding("negation", token.start, token.end, token.text)
    for number, (source, place) in enumerate(theirs):
        if (
            number not in paired.values()
            and (at := _bare_place(statement, source, place, strict=source is not sources[0])) is not None
        ):
            token = statement.tokens[at]
            denial = source.tokens[place].text
            yield Finding("negation", token.start, token.end, token.text, f"{denial} {source.tokens[place + 1].text}")


def _content(reading: Reading, place: int) -> dict[tuple[int, str], float]:
    """The content words near a denial: two before it, three after, the nearest heaviest."""
    found: dict[tuple[int, str], float] = {}
    for side, most in ((1, 3), (-1, 2)):
        at, count = place + side, 0
        while 0 <= at < len(reading.tokens) and count < most:
            token = reading.tokens[at]
            if token.kind in ("word", "code") and len(token.stem) > 1 and token.stem not in STOP:
                count += 1
                found.setdefault((side, token.stem), 1.0 / count)
            at += side
    return found


def _overlap(one: Mapping[tuple[int, str], float], other: Mapping[tuple[int, str], float]) -> float:
    """How much of the smaller surroundings is found in the other, on the same side."""
    if not one and not other:
        return 1.0
    smaller, larger = (one, other) if sum(one.values()) <= sum(other.values()) else (other, one)
    total = sum(smaller.values())
    return sum(weight for key, weight in smaller.items() if key in larger) / total if total else 0.0


def _bare_place(statement: Reading, source: Reading, place: int, *, strict: bool) -> int | None:
    """The word of the statement that says, without denying it, what the source denies at `place`; None if there is none.

    Of the other words around the denial two must be there as well; all of them if `strict`.
    """
    around = _content(source, place)
    after = [word for side, word in around if side > 0]
    others = len(around) - 1
    if not after:
        return None
    for at in statement.stems.get(after[0], ()):
        found = _content(statement, at)
        rest = sum((1, word) in found for word in after[1:]) + sum(side < 0 and (side, word) in found for side, word in around)
        if rest >= (others if strict else min(2, others)):
            return at
    return None


def _turned(statement: Reading, sources: Sequence[Reading]) -> Iterator[Finding]:
    table = opposites()
    for word, places in statement.stems.items():
        if word not in table:
            continue
        against = [(other, kind, source) for other, kind in table[word] for source in sources if other in source.stems]
        if not against:
            continue
        for place in places:
            around = slot(statement, place, place)
            home = max((_best(around, source, word)[0] for source in sources), default=0.0)
            there, at, kind, source = max(
                ((*_best(around, source, other), kind, source) for other, kind, source in against), key=lambda one: one[0]
            )
            said = home > 0 or any(word in one.stems for one in sources)
            if there >= (0.5 if said else SAME_PLACE) and home <= OWN_PLACE * there:
                token = statement.tokens[place]
                yield Finding(kind, token.start, token.end, token.text, source.tokens[at].text)


def _best(around: Mapping[tuple[int, str], float], source: Reading, word: str) -> tuple[float, int]:
    """How alike the surroundings of the word in the source are at best, and where; 0 where it does not stand."""
    return max(((likeness(dict(around), slot(source, at, at)), at) for at in source.stems.get(word, ())), default=(0.0, 0))
