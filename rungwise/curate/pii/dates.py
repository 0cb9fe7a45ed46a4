"""Dates and times of day in text: numeric ones, written-out ones, weekdays, and years that a word before them makes years."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator

from rungwise.curate.pii.span import Proof, Span

FIRST_YEAR, LAST_YEAR = 1000, 2199
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLEAR_MONTHS = tuple(month for month in MONTHS if month != "may")  # which is a verb too

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_PREPOSITION = r"\b(?:in|of|since|until|till|by|during|from|last|next|this|early|late|mid|every|each)"
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_CLOCK = (
    r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,6})?)?(?: ?[ap]\.?m\b\.?)?(?: ?(?:Z\b|UTC\b|GMT\b|[+-]\d{2}:?\d{2}\b))?"
    r"|(?:1[0-2]|0?[1-9]) ?[ap]\.?m\b\.?"
)
_YEAR = r"(?:1\d|20|21)\d{2}"

# Where the RE2 pass looks closer: a month beside a number, a whole weekday, a time of day, a month after a preposition.
DATE_CUE = (
    rf"(?i:\b{_WEEKDAY}s?\b|\b{_MONTH}\.?,?[ \n](?:the )?\d|\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)?[ \-]{_MONTH}\b"
    rf"|{_PREPOSITION} (?:{'|'.join(_CLEAR_MONTHS)})\b|\b\d{{1,2}} ?[ap]\.?m\b|\b\d{{1,2}}:\d{{2}}(?::\d{{2}})? ?[ap]\.?m\b"
    r"|\b(?:at|by|from|until|before|after|around|@) \d{1,2}:\d{2}\b)"
)

_TAIL = rf"(?:,? (?:at |around |by )?(?:{_CLOCK}))?"
_WRITTEN = re.compile(
    rf"(?<![^\W_])(?:(?:{_WEEKDAY}|mon|tues?|wed|thur?s?|fri|sat|sun)\.?,? (?:the )?)?"
    rf"(?:{_MONTH}\.?,?\s(?:the )?{_DAY}(?!\d)(?:,? (?:of )?{_YEAR})?"
    rf"|{_DAY}(?: of)?[ -]{_MONTH}\b\.?(?:[ -]|, ?)?(?:{_YEAR})?|{_MONTH}\.?,? {_YEAR}){_TAIL}(?![^\W_])",
    re.IGNORECASE,
)
_DAY_OR_CLOCK = re.compile(rf"(?<![^\W_])(?:{_WEEKDAY}s?{_TAIL}|(?<![\d:.]){_CLOCK})(?![\w:])", re.IGNORECASE)
_MONTH_AFTER = re.compile(rf"{_PREPOSITION} (?P<value>{'|'.join(_CLEAR_MONTHS)})\b", re.IGNORECASE)
_NUMERIC = re.compile(
    rf"(?<![\w.,/-])(?:(?P<y>{_YEAR})(?P<a>[-/.])(?P<m>\d{{1,2}})(?P=a)(?P<d>\d{{1,2}})"
    rf"|(?P<p>\d{{1,2}})(?P<b>[-/.])(?P<q>\d{{1,2}})(?P=b)(?P<z>{_YEAR}|\d{{2}}))"
    rf"(?:(?:[T ]|, | at )(?:{_CLOCK}))?(?![\w/])(?!-\d)(?!\.\d)"
)
_CLOCK_WITH_SECONDS = re.compile(r"(?<![\w:.])(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?![\w:])")
_YEARS = re.compile(
    rf"(?<![\w.,/$€£#-])(?P<value>{_YEAR})(?:(?:-|–|/)(?:{_YEAR}|\d{{2}}))?(?![\w/-])(?![.,:]\d)(?! \d)"
    r"(?! ?(?:%|°|km|kg|metres|meters|feet|miles|people|years))"
)
_BEFORE_YEAR = re.compile(
    r"(?:\b(?:in|during|since|by|from|until|till|of|before|after|circa|ca\.|around|between|early|late|mid|year|years|born|class|through|to"
    r"|and|spring|summer|autumn|fall|winter|copyright|dated|est\.|established|founded|for|fy)[ ,]+(?:the (?:year )?)?"
    r"|[(©]\s?|\bc\. ?|\d{4} ?(?:-|–|to) ?)$",
    re.IGNORECASE,
)
_WEAK = re.compile(r"\b(?:by|from|of|to|and|for|after|before|through|around|between)[ ,]+(?:the )?$", re.IGNORECASE)


def real_date(year: int, month: int, day: int) -> bool:
    """Whether the calendar has this day; a year of two digits is taken to be of 2000."""
    full = year + 2000 if year < 100 else year
    return FIRST_YEAR <= full <= LAST_YEAR and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(full, month)[1]


def numeric_dates(text: str, start: int, end: int) -> Iterator[Span]:
    """Dates in digits, with a time of day where one follows, in a run of digits from `start` to `end`."""
    for found in _NUMERIC.finditer(text, start, min(len(text), end + 16)):
        if found.start() < end and _is_real(found):
            yield Span(found.start(), found.end(), "DATE_TIME", Proof.CHECKSUM)
    for found in _CLOCK_WITH_SECONDS.finditer(text, start, min(len(text), end + 1)):
        yield Span(found.start(), found.end(), "DATE_TIME", Proof.PATTERN)


def _is_real(found: re.Match[str]) -> bool:
    if found["y"]:
        return real_date(int(found["y"]), int(found["m"]), int(found["d"]))
    first, second, year = int(found["p"]), int(found["q"]), int(found["z"])
    if len(found["z"]) == 2 and found["b"] == ".":
        return False  # 1.2.10 is a section or a version more often than a day
    return real_date(year, first, second) or real_date(year, second, first)


def years(text: str, start: int, end: int) -> Iterator[Span]:
    """Bare years and ranges of years, where the word before them makes them so."""
    for found in _YEARS.finditer(text, start, min(len(text), end + 1)):
        before = text[max(0, found.start() - 24) : found.start()]
        weak = _WEAK.search(before) and not FIRST_YEAR + 700 <= int(found["value"]) <= 2050
        if _BEFORE_YEAR.search(before) and not weak:
            yield Span(found.start(), found.end(), "DATE_TIME", Proof.PATTERN)


def written_dates(text: str, start: int, end: int) -> Iterator[Span]:
    """Written-out dates, weekdays and times of day around a cue from `start` to `end`."""
    left, right = max(0, start - 16), min(len(text), end + 40)
    for pattern in (_WRITTEN, _DAY_OR_CLOCK):
        for found in pattern.finditer(text, left, right):
            if found.start() < end and found.end() > start:
                yield Span(found.start(), found.end(), "DATE_TIME", Proof.PATTERN)
    for found in _MONTH_AFTER.finditer(text, start, right):
        if found.start() < end:
            yield Span(found.start("value"), found.end("value"), "DATE_TIME", Proof.PATTERN)


def is_date(text: str) -> bool:
    """Whether the whole text is a date or a time of day that the calendar has; what surrogates of dates must be."""
    found = _NUMERIC.fullmatch(text)
    if found is not None:
        return _is_real(found)
    if re.fullmatch(_YEAR, text):
        return 1900 <= int(text) <= 2029
    return _WRITTEN.fullmatch(text) is not None or _DAY_OR_CLOCK.fullmatch(text) is not None
