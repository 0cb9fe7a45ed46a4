"""Dates: each day, month, year, decade and century of a statement must be one of its source, and its parts belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from rungwise.evaluate.groundedness.finding import Finding
from rungwise.evaluate.groundedness.tokens import Reading, likeness, slot

_NAMES_OF_MONTHS = "january february march april may june july august september october november december"
_NAMES_OF_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_TENS = "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
_ONES = "first second third fourth fifth sixth seventh eighth ninth"
_MONTHS = _NAMES_OF_MONTHS.split()
_MONTH = {name: place + 1 for place, name in enumerate(_MONTHS)}
_SHORT_MONTH = {name[:3]: place + 1 for place, name in enumerate(_MONTHS)} | {"sept": 9}
_WEEKDAY = {name: place for place, name in enumerate(_NAMES_OF_DAYS.split())}
_CENTURY = {word: 1 + place for place, word in enumerate(f"{_ONES} {_TENS}".split())}
_BEFORE_MONTH = frozenset(
    {"in", "of", "since", "until", "during", "by", "from", "to", "between", "and", "early", "late", "mid", "through"}
)


class Date(NamedTuple):
    """What is written of a date: its parts by name, and the tokens `first` to `last`."""

    parts: Mapping[str, int]
    first: int
    last: int

    def fits(self, other: Date) -> int:
        """How many parts are in both and equal; -1 when one differs."""
        shared = [part for part in self.parts if part in other.parts]
        return len(shared) if all(self.parts[part] == other.parts[part] for part in shared) else -1


@lru_cache(maxsize=16_384)
def dates(reading: Reading) -> tuple[Date, ...]:
    """The dates of a sentence, in order."""
    found: list[Date] = []
    taken = -1
    for place in range(len(reading.tokens)):
        if place <= taken:
            continue
        one = _iso(reading, place) or _century(reading, place) or _decade(reading, place) or _calendar(reading, place)
        if one is not None:
            found.append(one)
            taken = one.last
    return tuple(found)


@lru_cache(maxsize=16_384)
def date_tokens(reading: Reading) -> frozenset[int]:
    """The places of the tokens that are parts of dates."""
    return frozenset(place for one in dates(reading) for place in range(one.first, one.last + 1))


def _low(reading: Reading, place: int) -> str:
    return reading.tokens[place].text.lower() if 0 <= place < len(reading.tokens) else ""


def _iso(reading: Reading, place: int) -> Date | None:
    if reading.tokens[place].kind != "iso":
        return None
    year, month, day = (int(part) for part in reading.tokens[place].text.split("-"))
    return Date({"year": year, "month": month, "day": day}, place, place)


def _century(reading: Reading, place: int) -> Date | None:
    """'10th century', 'tenth-century'."""
    low, after = _low(reading, place), place + 1
    if reading.tokens[place].kind == "number" and _low(reading, place + 1) in ("st", "nd", "rd", "th"):
        value, after = int(float(low.replace(",", "").replace("·", "."))), place + 2
    elif low in _CENTURY:
        value = _CENTURY[low]
    else:
        return None
    last = after + 1 if _low(reading, after) == "-" else after
    return Date({"century": value}, place, last) if _low(reading, last).startswith("centur") else None


def _decade(reading: Reading, place: int) -> Date | None:
    token = reading.tokens[place]
    following = [_low(reading, place + step) for step in (1, 2)]
    plural = following[0] == "s" or following == ["'", "s"] or following == ["’", "s"]
    if token.kind != "number" or not plural or not token.text.isdigit() or len(token.text) != 4:
        return None
    return Date({"decade": int(token.text)}, place, place + (1 if following[0] == "s" else 2))


def _is_year(reading: Reading, place: int) -> bool:
    token = reading.tokens[place] if 0 <= place < len(reading.tokens) else None
    return (
        token is not None
        and token.kind == "number"
        and token.text.isdigit()
        and len(token.text) == 4
        and 1000 <= int(token.text) <= 2100
    )


def _is_day(reading: Reading, place: int) -> bool:
    token = reading.tokens[place] if 0 <= place < len(reading.tokens) else None
    return (
        token is not None
        and token.kind == "number"
        and token.text.isdigit()
        and len(token.text) <= 2
        and 1 <= int(token.text) <= 31
    )


def _month_at(reading: Reading, place: int) -> int | None:
    if not 0 <= place < len(reading.tokens) or not reading.tokens[place].text[0].isupper():
        return None
    low = _low(reading, place)
    near_number = _is_day(reading, place - 1) or _is_day(reading, place + 1) or _is_year(reading, place + 1)
    if low in _MONTH and (low not in ("may", "march") or near_number or _low(reading, place - 1) in _BEFORE_MONTH):
        return _MONTH[low]
    return _SHORT_MONTH.get(low) if near_number else None


def _calendar(reading: Reading, place: int) -> Date | None:
    """A weekday, a month with or without day and year, or a year alone."""
    token = reading.tokens[place]
    weekday = _WEEKDAY.get(token.text.lower().removesuffix("s"))
    if weekday is not None:
        return Date({"weekday": weekday}, place, place)
    parts: dict[str, int] = {}
    last = place
    month = _month_at(reading, place)
    if month is not None:
        parts["month"] = month
        if _is_day(reading, place + 1):
            parts["day"], last = int(reading.tokens[place + 1].text), place + 1
    elif _is_day(reading, place) and (month := _month_at(reading, _after_ordinal(reading, place))) is not None:
        last = _after_ordinal(reading, place)
        parts["month"], parts["day"] = month, int(token.text)
    elif _is_year(reading, place) and not _counts_things(reading, place):
        return Date({"year": int(token.text)}, place, place)
    if not parts:
        return None
    if last > place or _is_day(reading, last):
        last = _after_ordinal(reading, last) - 1 if _is_day(reading, last) else last
    year = last + 2 if _low(reading, last + 1) in (",", ".", "of") and _is_year(reading, last + 2) else last + 1
    if _is_year(reading, year):
        parts["year"], last = int(reading.tokens[year].text), year
    return Date(parts, place, last)


def _after_ordinal(reading: Reading, place: int) -> int:
    """The place after '12', '12th' or '12th of'."""
    after = place + 1
    if _low(reading, after) in ("st", "nd", "rd", "th"):
        after += 1
    return after + 1 if _low(reading, after) == "of" and after > place + 1 else after


def _counts_things(reading: Reading, place: int) -> bool:
    """Whether a number in the form of a year has a currency or a unit beside it."""
    return _low(reading, place - 1) in ("$", "€", "£") or _low(reading, place + 1) in (
        "%",
        "km",
        "kg",
        "m",
        "mg",
        "miles",
        "feet",
        "years",
        "people",
    )


def check(statement: Reading, sources: Sequence[Reading]) -> Iterator[Finding]:
    """Dates of the statement that no date of the sources fits, or whose surroundings have another date there."""
    known = [(source, other) for source in sources for other in dates(source)]
    numbers = {token.text.replace(",", "") for source in sources for token in source.tokens if token.kind == "number"}
    for own in dates(statement):
        around = slot(statement, own.first, own.last)
        placed = [(likeness(around, slot(source, other.first, other.last)), source, other) for source, other in known]
        fitting = [one for one in placed if own.fits(one[2]) > 0]
        rivals = [one for one in placed if own.fits(one[2]) < 0]
        rival = max(rivals, default=None, key=lambda one: one[0])
        if not fitting or not _all_parts(own, [one[2] for one in placed], fitting):
            if set(own.parts) == {"year"} and str(own.parts["year"]) in numbers:
                continue
            yield _finding(statement, own, rival)
        elif rival is not None and rival[0] >= 0.5 and max(one[0] for one in fitting) <= 0.5 * rival[0]:
            yield _finding(statement, own, rival)


def _all_parts(own: Date, everywhere: Sequence[Date], fitting: Sequence[tuple[float, Reading, Date]]) -> bool:
    """Whether the parts that the best fitting date lacks stand in other dates of the source."""
    best = max((one[2] for one in fitting), key=own.fits)
    missing = [part for part in own.parts if part not in best.parts]
    return all(any(other.parts.get(part) == own.parts[part] for other in everywhere) for part in missing)


def _finding(statement: Reading, own: Date, placed: tuple[float, Reading, Date] | None) -> Finding:
    start, end = statement.tokens[own.first].start, statement.tokens[own.last].end
    evidence = ""
    if placed is not None:
        _, source, other = placed
        evidence = source.text[source.tokens[other.first].start : source.tokens[other.last].end]
    return Finding("date", start, end, statement.text[start:end], evidence)
