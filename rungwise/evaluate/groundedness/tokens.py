"""A sentence as tokens with their places, and how alike the surroundings of two tokens are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias, cast

Kind: TypeAlias = Literal["iso", "clock", "half", "code", "number", "word", "mark"]

_GLUED = "st|nd|rd|th|s|h|min|kg|km|mg|g|cm|mm|ml|m|l|kb|mb|gb|hz|khz|mhz|ghz|kd|kda|am|pm|bn|k|x"
_TOKEN = re.compile(
    rf"""(?P<iso>\d{{4}}-\d\d-\d\d)(?!\d)
    |(?P<clock>\d{{1,2}}:\d\d)(?!\d)
    |(?P<half>[ap]\.m\b\.?)
    |(?P<initials>(?:[A-Z]\.){{2,}})
    |(?P<code>[A-Z][A-Za-z]*-\d\w*|[^\W\d_]+\d\w*|\d+-?(?!(?i:{_GLUED})\b)[^\W\d_]+\d\w*)
    |(?P<number>(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:[.·]\d+)?(?=(?i:{_GLUED})?(?![^\W_])))
    |(?P<coded>\d[^\W_]+)
    |(?P<word>[^\W\d_]+(?:['’](?:s|t|re|ve|ll|d|m)\b)?)
    |(?P<mark>[^\w\s]|_)""",
    re.VERBOSE,
)
_FUNCTION_WORDS = """a an the and or but of to in on at by for with from as is are was were be been being am it its this that these
    those he she they we you i his her their our your him them me my who whom whose which what when where while than then there
    here have has had do does did will would can could may might shall should must not no nor so such if also into over under
    about between through during before after because although though since until both each all any some more most other
    only own same too very just s t d ll m re ve yes"""
_SHORT = {"can't": "can", "won't": "will", "cannot": "can", "shan't": "shall"}
_REACH = 4


class Token(NamedTuple):
    """A piece of a sentence: characters `start` to `end`; `stem` is what equal words are known by."""

    text: str
    stem: str
    start: int
    end: int
    kind: Kind


@dataclass(frozen=True, eq=False)
class Reading:
    """A sentence that has been cut; `stems` are its words and codes, each with the places where it stands."""

    text: str
    tokens: tuple[Token, ...]
    stems: dict[str, tuple[int, ...]] = field(default_factory=dict)


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """What an English word is without its commonest endings, in lower case: 'studies' and 'study', 'activated' and 'activate'."""
    word = word.lower().replace("’", "'")
    word = _SHORT.get(word, word).removesuffix("n't")
    word = word.partition("'")[0] or word
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("ses", "xes", "zes", "ches", "shes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if len(word) > 5 and word.endswith("ing"):
        word = word[:-3]
    elif len(word) > 4 and word.endswith("ed"):
        word = word[:-2]
    if len(word) > 4 and word.endswith("ly"):
        word = word[:-2]
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "ls" else word


STOP = frozenset(_FUNCTION_WORDS.split()) | frozenset(stem(word) for word in _FUNCTION_WORDS.split())


@lru_cache(maxsize=16_384)
def read(text: str) -> Reading:
    """Cut a sentence into tokens."""
    tokens: list[Token] = []
    places: dict[str, list[int]] = {}
    for found in _TOKEN.finditer(text):
        name = found.lastgroup or "mark"
        kind = cast(Kind, {"coded": "code", "initials": "word"}.get(name, name))
        piece = found.group()
        known = stem(piece.replace(".", "")) if kind == "word" else piece.lower().replace("-", "") if kind == "code" else piece
        if kind in ("word", "code"):
            places.setdefault(known, []).append(len(tokens))
        tokens.append(Token(piece, known, found.start(), found.end(), kind))
    return Reading(text, tuple(tokens), {known: tuple(found) for known, found in places.items()})


@lru_cache(maxsize=32_768)
def slot(reading: Reading, first: int, last: int) -> dict[tuple[int, str], float]:
    """The words around tokens `first` to `last`, four on each side, heavier the nearer they stand; function words weigh less."""
    around: dict[tuple[int, str], float] = {}
    for side, place in ((-1, first - 1), (1, last + 1)):
        distance = 0
        while 0 <= place < len(reading.tokens) and distance < _REACH:
            token = reading.tokens[place]
            if token.kind in ("word", "code") and len(token.stem) > 1:
                distance += 1
                weight = (0.35 if token.stem in STOP else 1.0) / distance
                around.setdefault((side, token.stem), weight)
            place += side
    return around


def likeness(one: dict[tuple[int, str], float], other: dict[tuple[int, str], float]) -> float:
    """How much of the surroundings `one` is found again in `other`, 0 to 1."""
    total = sum(one.values())
    if not total:
        return 0.0
    return sum(min(weight, other[key]) for key, weight in one.items() if key in other) / total
