"""Numbers: every quantity of a statement must be one of its source, with its unit and in its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from rungwise.evaluate.groundedness.dates import date_tokens
from rungwise.evaluate.groundedness.finding import Finding
from rungwise.evaluate.groundedness.tokens import Reading, likeness, slot
from rungwise.evaluate.groundedness.units import PERCENT, Unit, agree, unit_after, unit_before

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: float(value) for value, word in enumerate(_SMALL.split())} | {
    word: 20.0 + 10 * place for place, word in enumerate(_TENS.split())
}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "bn": 1e9, "dozen": 12.0}
CLOCK = Unit("o'clock", "clock", 1)
_PARTS = {"half": 2.0, "quarter": 4.0, "third": 3.0, "fifth": 5.0, "tenth": 10.0}
_JOINS = frozenset({"to", "-", "–", "and", "or", "±", "/", "through", ",", "(", "by", "x", "×", "between"})
# A number that stands where the source has another one: its surroundings are found there and not at its own place.
ELSEWHERE, AT_HOME = 0.5, 0.6


class Quantity(NamedTuple):
    """A number with its unit: tokens `first` to `last`. A `soft` one ('one of them', 'half way') need not be a number at all."""

    value: float
    unit: Unit | None
    first: int
    last: int
    soft: bool = False

    def equals(self, other: Quantity) -> bool:
        """Whether the values are the same, as written or after changing the unit for one of the same measure."""
        if math.isclose(self.value, other.value, rel_tol=1e-9):
            return True
        if self.unit is None or other.unit is None or self.unit.measure != other.unit.measure:
            return False
        return math.isclose(self.value * self.unit.size, other.value * other.unit.size, rel_tol=1e-9)

    def unit_agrees(self, other: Quantity) -> bool:
        """Whether two equal quantities can have the same unit."""
        if self.unit and other.unit and self.unit.measure == other.unit.measure and self.unit != other.unit:
            return math.isclose(self.value * self.unit.size, other.value * other.unit.size, rel_tol=1e-9)
        return agree(self.unit, other.unit)


@lru_cache(maxsize=16_384)
def quantities(reading: Reading) -> tuple[Quantity, ...]:
    """The numbers of a sentence that are no dates, in order."""
    dates = date_tokens(reading)
    found: list[Quantity] = []
    place = 0
    while place < len(reading.tokens):
        one = None if place in dates else _share(reading, place) or _number(reading, place)
        if one is not None:
            found.append(one)
            place = one.last
        place += 1
    return _with_shared_units(reading, found)


def _share(reading: Reading, place: int) -> Quantity | None:
    """'half', 'a quarter of', 'two thirds': as percent."""
    tokens = reading.tokens
    low = tokens[place].text.lower()
    if low == "half":
        return Quantity(50.0, PERCENT, place, place, soft=True)
    following = tokens[place + 1].text.lower().removesuffix("s") if place + 1 < len(tokens) else ""
    if following in _PARTS and (low == "a" or low in _WORDS):
        return Quantity(100.0 * _WORDS.get(low, 1.0) / _PARTS[following], PERCENT, place, place + 1, soft=True)
    return None


def _number(reading: Reading, place: int) -> Quantity | None:
    tokens = reading.tokens
    token = tokens[place]
    soft = False
    last = place
    if token.kind == "number":
        value = float(token.text.replace(",", "").replace("·", "."))
    elif token.kind == "word" and token.text.lower() in _WORDS:
        value = _WORDS[token.text.lower()]
        soft = value == 1
        if value >= 20 and last + 1 < len(tokens):  # twenty-five
            after = last + 2 if tokens[last + 1].text == "-" else last + 1
            if after < len(tokens) and 1 <= _WORDS.get(tokens[after].text.lower(), 0) <= 9:
                value, last = value + _WORDS[tokens[after].text.lower()], after
    elif token.kind == "clock":
        return _clock(reading, place)
    else:
        return None
    while last + 1 < len(tokens) and tokens[last + 1].text.lower() in _SCALES:
        value, last, soft = value * _SCALES[tokens[last + 1].text.lower()], last + 1, False
    if (hour := _half_day(reading, last + 1)) is not None and 1 <= value <= 12:
        return Quantity(60.0 * (value % 12 + hour[0]), CLOCK, place, hour[1])
    before = unit_before(tokens, place)
    after_unit, taken = unit_after(tokens, last + 1)
    return Quantity(value, before or after_unit, place, last + (0 if before else taken), soft and after_unit is None)


def _half_day(reading: Reading, place: int) -> tuple[int, int] | None:
    """12 for 'p.m.' and 0 for 'a.m.' at `place`, and its last token."""
    word = reading.tokens[place].text.lower().replace(".", "") if place < len(reading.tokens) else ""
    return ((12 if word == "pm" else 0), place) if word in ("am", "pm") else None


def _clock(reading: Reading, place: int) -> Quantity:
    hours, minutes = (int(part) for part in reading.tokens[place].text.split(":"))
    half = _half_day(reading, place + 1)
    if half is not None and 1 <= hours <= 12:
        return Quantity(60.0 * (hours % 12 + half[0]) + minutes, CLOCK, place, half[1])
    return Quantity(60.0 * hours + minutes, CLOCK, place, place)


def _with_shared_units(reading: Reading, found: list[Quantity]) -> tuple[Quantity, ...]:
    """The same, with the unit of '5 %' given to the 3 of '3 to 5 %'."""
    for place in range(len(found) - 2, -1, -1):
        one, other = found[place], found[place + 1]
        between = reading.tokens[one.last + 1 : other.first]
        if one.unit is None and other.unit is not None and len(between) == 1 and between[0].text.lower() in _JOINS - {",", "("}:
            found[place] = one._replace(unit=other.unit)
    return tuple(found)


def check(statement: Reading, sources: Sequence[Reading]) -> Iterator[Finding]:
    """Quantities of the statement that the sources lack, have with another unit, or have in another place."""
    known = [(source, other) for source in sources for other in quantities(source)]
    years = {
        float(token.text) for source in sources for place in date_tokens(source) if (token := source.tokens[place]).kind == "number"
    }
    for own in quantities(statement):
        around = slot(statement, own.first, own.last)
        placed = [(likeness(around, slot(source, other.first, other.last)), source, other) for source, other in known]
        same = [one for one in placed if own.equals(one[2])]
        rival = max((one for one in placed if not own.equals(one[2]) and not one[2].soft), default=None, key=lambda one: one[0])
        if not same:
            if own.value in years or (own.soft and not (rival and rival[0] >= ELSEWHERE)):
                continue
            yield _finding("number", statement, own, rival)
        elif not any(own.unit_agrees(one[2]) or _inch(statement, own, one[2]) for one in same):
            if not (own.soft or all(one[2].soft for one in same)):
                yield _finding("unit", statement, own, max(same, key=lambda one: one[0]))
        elif rival and not own.soft and _displaced(max(one[0] for one in same), rival[0]):
            yield _finding("number", statement, own, rival)


def _displaced(home: float, elsewhere: float) -> bool:
    return elsewhere >= ELSEWHERE and home <= AT_HOME * elsewhere


def _inch(statement: Reading, own: Quantity, other: Quantity) -> bool:
    """Whether 'in' after the number is the unit: only the source can tell."""
    after = statement.tokens[own.last + 1].text if own.last + 1 < len(statement.tokens) else ""
    return own.unit is None and other.unit is not None and other.unit.name == "inch" and after == "in"


def _finding(kind: str, statement: Reading, own: Quantity, placed: tuple[float, Reading, Quantity] | None) -> Finding:
    start, end = statement.tokens[own.first].start, statement.tokens[own.last].end
    evidence = ""
    if placed is not None and (placed[0] > 0 or kind == "unit"):
        _, source, other = placed
        evidence = source.text[source.tokens[other.first].start : source.tokens[other.last].end]
    return Finding("unit" if kind == "unit" else "number", start, end, statement.text[start:end], evidence)
