"""Conditions as people write them: `user=ann and usd>0.01 and text~"refund" and at>=2026-11-01`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Set
from datetime import UTC, datetime
from typing import TypeAlias

from rungwise.core.errors import UsageError
from rungwise.data.traces.query import FLAGS, JUDGED, NUMBERS, Query, Wanted

EXAMPLE = 'user=ann and usd>0.01 and text~"refund" and at>=2026-11-01'

Judged: TypeAlias = "Callable[[bool | None], Set[str]]"
"""The ids of traces that have feedback: any, or a thumb that points up or down."""

NOTHING = "none"
"""The value, without quotes, of a text that is not there."""

_TOKEN = re.compile(r"\s*(?:(?P<quoted>\"(?:[^\"\\]|\\.)*\")|(?P<operator>!=|>=|<=|=|>|<|~)|(?P<word>[^\s\"=!<>~]+))", re.DOTALL)
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse_where(text: str, *, now: float, judged: Judged | None = None) -> Query:
    """The query that a text stands for. Raises UsageError or UnknownName, which say where.

    Moments are dates, times (UTC unless they say otherwise), seconds since 1970, or how long before `now`: 30m, 6h, 7d.
    With `judged`, thumb=up, thumb=down and feedback=yes are understood too.
    """
    query = Query()
    tokens = list(_tokens(text))
    place = 0
    while place < len(tokens):
        if place:
            kind, word, start = tokens[place]
            if kind != "word" or word.lower() != "and":
                raise _wrong(text, start, "here 'and' and another condition, or the end, is expected")
            place += 1
        name, operator, value = _three(text, tokens[place : place + 3])
        place += 3
        if name in JUDGED and judged is not None:
            query = query.among(frozenset(judged(_thumb(name, operator, value[1]))))
        else:
            query = query.where(name, operator, _value(name, value, now=now))
    return query


def quoted(value: str) -> str:
    """A text as it may stand behind an operator."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """The kind, the text and the place of each token."""
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            if not text[place:].strip():
                return
            start = place + len(text[place:]) - len(text[place:].lstrip())
            what = "this quotation mark has no end" if text[start] == '"' else f"'{text[start]}' is no operator"
            raise _wrong(text, start, what)
        yield found.lastgroup, found.group(found.lastgroup), found.start(found.lastgroup)
        place = found.end()


def _three(text: str, tokens: list[tuple[str, str, int]]) -> tuple[str, str, tuple[str, str, int]]:
    """Field, operator and value of a condition."""
    kinds = [kind for kind, _, _ in tokens]
    if kinds[:1] != ["word"]:
        raise _wrong(text, tokens[0][2] if tokens else len(text), "here the name of a field is expected")
    if kinds[1:2] != ["operator"]:
        place = tokens[1][2] if len(tokens) > 1 else len(text)
        raise _wrong(text, place, f"after '{tokens[0][1]}' one of = != > >= < <= ~ is expected")
    if len(kinds) < 3 or kinds[2] == "operator":
        place = tokens[2][2] if len(tokens) > 2 else len(text)
        raise _wrong(text, place, f"after '{tokens[0][1]}{tokens[1][1]}' a value is expected")
    return tokens[0][1], tokens[1][1], tokens[2]


def _value(name: str, token: tuple[str, str, int], *, now: float) -> Wanted:
    kind, word, _ = token
    if kind == "quoted":
        word = re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL)
    if name == "at":
        return moment(word, now=now)
    if name in NUMBERS:
        return _number(name, word)
    if name in FLAGS:
        return _flag(name, word)
    return None if kind == "word" and word == NOTHING else word


def _thumb(name: str, operator: str, word: str) -> bool | None:
    """Which thumb is wanted; None for any feedback."""
    thumbs: dict[str, bool | None] = {"up": True, "down": False}
    answers = thumbs if name == "thumb" else {"yes": None, "true": None}
    if operator != "=" or word.lower() not in answers:
        raise UsageError(f"'{name}{operator}{word}' is not understood. Write {' or '.join(f'{name}={one}' for one in answers)}")
    return answers[word.lower()]


def moment(word: str, *, now: float) -> float:
    """Seconds since 1970 of a date, a time (UTC unless it says otherwise), such seconds, or how long before `now`: 30m, 6h, 7d, 2w.

    Raises UsageError for anything else.
    """
    if ago := _AGO.fullmatch(word):
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return _finite(word)
    except ValueError:
        pass
    try:
        read = datetime.fromisoformat(word)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"'{word}' is no moment. Write at>=2026-11-01, at>=2026-11-01T12:30, or how long ago: at>=7d (30m, 6h, 2w)"
        ) from None


def _number(name: str, word: str) -> float:
    try:
        return _finite(word)
    except ValueError:
        raise UsageError(f"'{name}' is compared with a number, not with '{word}'. Write for instance {name}>0.5") from None


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(word)
    return value


def _flag(name: str, word: str) -> bool:
    answers = {"true": True, "yes": True, "false": False, "no": False}
    if word.lower() not in answers:
        raise UsageError(f"'{name}' is true or false, not '{word}'. Write {name}=true")
    return answers[word.lower()]


def _wrong(text: str, place: int, what: str) -> UsageError:
    shown = f"{text[:place]}>>>{text[place:]}"
    return UsageError(f"the condition cannot be read: {what} ({shown}). Write for instance {EXAMPLE}")
