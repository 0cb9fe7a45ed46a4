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
    r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,6})?)?(?: ?(?:[ap]m\b|[ap]\.m\.))?"
    r"(?: ?(?:Z\b|UTC\b|GMT\b|[+-]\d{2}:?\d{2}\b))?"
    r"|(?:1[0-2]|0?[1-9]) ?(?:[ap]m\b|[ap]\.m\.)"
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
_LEADING = re.compile(rf"(?:{_PREPOSITION}|at|before|after|around|@) (?=\S)", re.IGNORECASE)
_MONTH_ALONE = re.compile(rf"(?:{'|'.join(_CLEAR_MONTHS)})\b", re.IGNORECASE)
_NUMERIC = re.compile(
    rf"(?<![\w.,/-])(?:(?P<y>{_YEAR})(?P<a>[-/.])(?P<m>\d{{1,2}})(?P=a)(?P<d>\d{{1,2}})"
    rf"|(?P<p>\d{{1,2}})(?P<b>[-/.])(?P<q>\d{{1,2}})(?P=b)(?P<z>{_YEAR}|\d{{2}}))"
    rf"(?:(?:[T ]|, | at )(?:{_CLOCK}))?(?![\w/])(?!-\d)(?!\.\d)"
)
_MONTH_OR_CLOCK = re.compile(
    r"(?<![\w:.])(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?![\w:])|(?<![\w.,/-])(?:0?[1-9]|1[0-2])/(?:19|20)\d\d(?![\w/-])"
)
_YEARS = re.compile(
    rf"(?<![\w.,/$€£#-])(?P<value>{_YEAR})(?:(?:-|–|/)(?:{_YEAR}|\d{{2}}))?(?![\w/-])(?![.,:]\d)(?! \d)"
    r"(?! ?(?:%|°|km|kg|metres|meters|feet|miles|people|years|pages|units|items|words|members|"
    r"votes|copies|men|women|children|employees|users|points|hours|days|dollars|euros|pounds))"
)
# Words after which a number of four digits is a year; after the weak ones only a recent one. Articles are passed over.
_SKIPPED = frozenset({"the", "year", "years", "early", "late", "mid"})
_YEAR_WORDS = _SKIPPED - {"the"} | {
    "in", "during", "since", "until", "till", "circa", "ca.", "ca", "c.", "between", "born", "class", "spring", "summer", "autumn",
    "fall", "winter", "copyright", "dated", "est.", "established", "founded", "fy", "©",
}  # fmt: skip
_WEAK_YEAR_WORDS = frozenset({"by", "from", "of", "before", "after", "around", "through", "to", "and", "for", "–"})
_RECENT = range(1700, 2051)


def real_date(year: int, month: int, day: int) -> bool:
    """Whether the calendar has this day; a year of two digits is taken to be of 2000."""
    full = year + 2000 if year < 100 else year
    return FIRST_YEAR <= full <= LAST_YEAR and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(full, month)[1]


def numeric_dates(text: str, start: int, end: int) -> Iterator[Span]:
    """Dates in digits, with a time of day where one follows, in a run of digits from `start` to `end`."""
    for found in _NUMERIC.finditer(text, start, min(len(text), end + 16)):
        if found.start() < end and _is_real(found):
            yield Span(found.start(), found.end(), "DATE_TIME", Proof.CHECKSUM)
    for found in _MONTH_OR_CLOCK.finditer(text, start, min(len(text), end + 1)):
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
    for found in _YEARS.finditer(text, start, min(len(text), end + 12)):  # to see the word after it
        if found.start() < end and (_after_a_word(text, found) or _in_brackets(text, found)):
            yield Span(found.start(), found.end(), "DATE_TIME", Proof.PATTERN)


def _after_a_word(text: str, found: re.Match[str]) -> bool:
    """Whether the word before it makes it a year."""
    before = text[max(0, found.start() - 24) : found.start()]
    if not before[-1:].isspace():
        return before.endswith("©")
    words = before.lower().replace(",", " ").replace(":", " ").split()
    while words:
        if words[-1] in _YEAR_WORDS:
            return True
        if words[-1] in _WEAK_YEAR_WORDS:
            return int(found["value"]) in _RECENT
        if words.pop() not in _SKIPPED:
            break
    return False


def _in_brackets(text: str, found: re.Match[str]) -> bool:
    """Whether it stands alone in brackets after a space: (1851). Not f(1851)."""
    return (
        bool(re.search(r"(?:^|\s)\($", text[max(0, found.start() - 2) : found.start()]))
        and text[found.end() : found.end() + 1] == ")"
    )


def written_dates(text: str, start: int, end: int) -> Iterator[Span]:
    """The written-out date, weekday, month or time of day at a cue from `start` to `end`, without the preposition before it."""
    leading = _LEADING.match(text, start)
    place = start if leading is None else leading.end()
    for pattern in (_WRITTEN, _DAY_OR_CLOCK, _MONTH_ALONE) if leading else (_WRITTEN, _DAY_OR_CLOCK):
        found = pattern.match(text, place)
        if found:
            yield Span(found.start(), found.end(), "DATE_TIME", Proof.PATTERN)
            return


def is_date(text: str) -> bool:
    """Whether the whole text is a date or a time of day that the calendar has; what surrogates of dates must be."""
    found = _NUMERIC.fullmatch(text)
    if found is not None:
        return _is_real(found)
    if re.fullmatch(_YEAR, text):
        return 1900 <= int(text) <= 2029
    return _WRITTEN.fullmatch(text) is not None or _DAY_OR_CLOCK.fullmatch(text) is not None
