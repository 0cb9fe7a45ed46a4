"""Telephone numbers: international ones, the written forms of many countries, and plain digits beside a word for a phone."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from rungwise.curate.pii.span import Proof, Span
from rungwise.curate.pii.table import near, table, words_of

_EXTENSION = r"(?: ?(?:x|ext\.?|extension|ramal)\.? ?\d{1,6})?"
_SPACE = r"[ \-.\u00a0\u2010-\u2013]"
_EDGE = rf"{_EXTENSION}(?![A-Za-z0-9])(?![-/]\d)(?!\.\d)"
_OPEN = r"(?<![\w.])(?<!\d[-/,:])(?<![$€£¥])"

_INTERNATIONAL = re.compile(rf"(?<![\w+])(?:\+|00){_SPACE}?(?:\(?\d{{1,5}}\)?{_SPACE}{{0,2}}(?:/ ?)?){{1,7}}(?<=\d){_EDGE}")
_STRONG = re.compile(
    rf"{_OPEN}(?:(?:1{_SPACE})?(?:\(\d{{3}}\){_SPACE}?\d{{3}}{_SPACE}?\d{{4}}|\d{{3}}([-./])\d{{3}}[-.]\d{{4}}"
    rf"|[2-9]\d{{2}} [2-9]\d{{2}}[- ]\d{{4}})"
    rf"|\(0?\d{{1,4}}\){_SPACE}?\d{{2,5}}{_SPACE}?\d{{2,5}}(?:{_SPACE}\d{{2,4}})?"
    rf"|0\d{{1,4}}(?:{_SPACE}|/|{_SPACE}?/{_SPACE}?)\d{{2,8}}(?:{_SPACE}\d{{2,5}}){{0,4}}"
    rf"|\d{{2}}([-.])\d{{2}}\2\d{{2}}\2\d{{2}}(?:\2\d{{2}})?){_EDGE}"
)
_WEAK = re.compile(rf"{_OPEN}\(?\d{{1,5}}\)?(?:(?:{_SPACE}{{0,2}}|/)\(?\d{{2,12}}\)?){{0,5}}(?<=\d){_EDGE}")
_STREET = re.compile(r" [^\W\d_a-z][^\W\d_]")  # a capital follows
_DAY = re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{2,4}")
_WORDS = (
    r"(?:tele)?phones?|tel|telefone?|t[eé]l[eé]phone|telefono|tel[eé]fono|rufnummer|mobiles?|cell(?:ular|phone)?s?|celular|handy|fax|"
    r"call(?:s|ed|ing|er)?|dial(?:l?ed|l?ing)?|ring|rang|texts?|texted|sms|whats ?app|reach(?:ed|ing|able)?|contact(?:s|ed)?|"
    r"answer(?:s|ing|ed)?|hotline|helpline|toll[- ]free|registered|messages?|voice ?mail|pager|desk|extension|landline|switchboard|"
    r"(?:my|your|his|her|our|their|the|new|home|work|office|emergency) number|office|direct"
)
_OTHER = re.compile(
    r"\b(?:isbn|issn|doi|order|invoice|tracking|account|acct|ref(?:erence)?|case|ticket|serial|part|model|version|pages?|pp|vol|section|chapter|"
    r"card|ssn|zip|id|iban|routing|policy|booking|flight|room|box|patent|no|nos|population|zip code|postcode)\b",
    re.IGNORECASE,
)


@cache
def _phone_words() -> Any:
    return words_of(_WORDS)


_LEAST, _LEAST_WITH_TRUNK, _MOST = 7, 9, 13  # digits of a national number; with the 0 that many countries dial first


def phones(text: str, start: int, end: int, count: int) -> list[Span]:
    """Telephone numbers in a run of `count` digits from `start` to `end`."""
    right = min(len(text), end + 18)
    found: list[re.Match[str]] = []
    grouped = count < end - start
    if text.startswith("00", start) or "+" in text[max(0, start - 1) : end]:
        found = [
            one for one in _INTERNATIONAL.finditer(text, max(0, start - 1), right) if one.start() < end and _country(one.group())
        ]
    if not found and count >= _LEAST and grouped:
        found = [one for one in _STRONG.finditer(text, start, right) if one.start() < end and _is_national(text, one)]
    if not found and (grouped or count <= _MOST) and near(_phone_words(), text, start, end):
        found = [one for one in _WEAK.finditer(text, start, right) if one.start() < end and 6 <= _count(one.group()) <= _MOST]
    return [Span(one.start(), one.end(), "PHONE", Proof.PATTERN) for one in found if one[0][0] == "+" or _is_no_other(text, one)]


def _is_national(text: str, found: re.Match[str]) -> bool:
    """Whether it has as many digits as national numbers have, and does not stand before the name of a street."""
    if found[0][0] != "0":
        return _LEAST <= _count(found[0]) <= _MOST
    if _STREET.match(text, found.end()) and not near(_phone_words(), text, found.start(), found.start()):
        return False
    return _LEAST_WITH_TRUNK <= _count(found[0]) <= _MOST


def _count(text: str) -> int:
    """Digits of the number itself, without those of the extension."""
    return sum(char.isdigit() for char in re.split(r"[xer]", text, maxsplit=1)[0])


def _country(text: str) -> bool:
    """Whether it begins with an assigned country code and has the 7 to 15 digits of E.164."""
    digits = re.sub(r"\D", "", re.split(r"[xer]", text, maxsplit=1)[0])
    if not text.startswith("+"):
        if len(text) < 3 or not (digits[2:] and re.search(rf"{_SPACE}", text)):
            return False
        digits = digits[2:]
    countries = table().countries
    return 7 <= len(digits) <= 15 and any(digits[:size] in countries for size in (1, 2, 3))


def _is_no_other(text: str, found: re.Match[str]) -> bool:
    """Whether it is neither a day nor something that the words right before call another number."""
    start = found.start()
    if _DAY.fullmatch(found.group()):
        return False
    others = list(_OTHER.finditer(text, max(0, start - 24), start))
    return not others or near(_phone_words(), text[others[-1].end() : start], start, start)
