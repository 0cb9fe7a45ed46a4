"""Telephone numbers: international ones, the written forms of many countries, and plain digits beside a word for a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rungwise.curate.pii.dates import numeric_dates
from rungwise.curate.pii.span import Proof, Span
from rungwise.curate.pii.table import near, words_of

# Assigned country codes: ITU-T E.164 (the list in Operational Bulletin 1114), by length.
_COUNTRIES = (
    {"1", "7"},
    set("20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98".split()),
    set(
        (
            "211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246 247 "
            "248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 "
            "357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 "
            "590 591 592 593 594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 800 808 "
            "850 852 853 855 856 870 878 880 881 882 883 886 888 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 992 993 "
            "994 995 996 998"
        ).split()
    ),
)  # fmt: skip
_EXTENSION = r"(?: ?(?:x|ext\.?|extension|ramal)\.? ?\d{1,6})?"
_SPACE = r"[ \-.\u00a0\u2010-\u2013]"
_EDGE = rf"{_EXTENSION}(?![A-Za-z0-9])(?![-/]\d)(?!\.\d)"
_OPEN = r"(?<![\w.])(?<!\d[-/,:])(?<![$€£¥])"

_INTERNATIONAL = re.compile(rf"(?<![\w+])(?:\+|00){_SPACE}?(?:\(?\d{{1,5}}\)?{_SPACE}{{0,2}}(?:/ ?)?){{1,7}}(?<=\d){_EDGE}")
_STRONG = re.compile(
    rf"{_OPEN}(?:(?:1{_SPACE})?(?:\(\d{{3}}\){_SPACE}?\d{{3}}{_SPACE}?\d{{4}}|\d{{3}}([-./])\d{{3}}[-.]\d{{4}}|[2-9]\d{{2}} [2-9]\d{{2}}[- ]\d{{4}})"
    rf"|\(0?\d{{1,4}}\){_SPACE}?\d{{2,5}}{_SPACE}?\d{{2,5}}(?:{_SPACE}\d{{2,4}})?"
    rf"|0\d{{1,4}}(?:{_SPACE}|/|{_SPACE}?/{_SPACE}?)\d{{2,8}}(?:{_SPACE}\d{{2,5}}){{0,4}}"
    rf"|\d{{2}}([-.])\d{{2}}\2\d{{2}}\2\d{{2}}(?:\2\d{{2}})?){_EDGE}"
)
_WEAK = re.compile(rf"{_OPEN}\(?\d{{1,5}}\)?(?:(?:{_SPACE}{{0,2}}|/)\(?\d{{2,12}}\)?){{0,5}}(?<=\d){_EDGE}")
_WORDS = words_of(
    r"(?:tele)?phones?|tel|telefone?|t[eé]l[eé]phone|telefono|tel[eé]fono|rufnummer|mobiles?|cell(?:ular|phone)?s?|celular|handy|fax|call(?:s|ed|ing|er)?|dial(?:l?ed|l?ing)?|"
    r"ring|rang|texts?|texted|sms|whats ?app|reach(?:ed|ing|able)?|contact(?:s|ed)?|answer(?:s|ing|ed)?|hotline|helpline|toll[- ]free|registered|messages?|"
    r"voice ?mail|pager|desk|extension|landline|switchboard|number"
)
_OTHER = words_of(
    r"isbn|issn|doi|order|invoice|tracking|account|acct|ref(?:erence)?|case|ticket|serial|part|model|version|pages?|pp|vol|section|chapter|card|"
    r"ssn|zip|id|iban|routing|policy|booking|flight|room|box|patent|no|nos|population|zip code|postcode"
)

_LEAST, _LEAST_WITH_TRUNK, _MOST = 7, 9, 13  # digits of a national number; with the 0 that many countries dial first


def phones(text: str, start: int, end: int, count: int) -> Iterator[Span]:
    """Telephone numbers in a run of `count` digits from `start` to `end`."""
    right = min(len(text), end + 18)
    grouped = count < end - start
    if grouped and text.startswith("00", start) or "+" in text[max(0, start - 1) : end]:
        for found in _INTERNATIONAL.finditer(text, max(0, start - 1), right):
            if _country(found.group()) and found.start() < end:
                yield Span(found.start(), found.end(), "PHONE", Proof.PATTERN)
    if grouped and count >= _LEAST:
        for found in _STRONG.finditer(text, start, right):
            least = _LEAST_WITH_TRUNK if found.group()[0] == "0" else _LEAST
            if least <= _count(found.group()) <= _MOST and found.start() < end and _is_no_other(text, found):
                yield Span(found.start(), found.end(), "PHONE", Proof.PATTERN)
    if (grouped or count <= _MOST) and near(_WORDS, text, start, end):
        for found in _WEAK.finditer(text, start, right):
            if 6 <= _count(found.group()) <= _MOST and near(_WORDS, text, found.start(), found.end()) and _is_no_other(text, found):
                yield Span(found.start(), found.end(), "PHONE", Proof.PATTERN)


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
    return 7 <= len(digits) <= 15 and any(digits[: size + 1] in codes for size, codes in enumerate(_COUNTRIES))


def _is_no_other(text: str, found: re.Match[str]) -> bool:
    """Whether it is neither a day nor something that the words right before call another number."""
    start, end = found.span()
    if any(span.start <= start and end <= span.end for span in numeric_dates(text, start, end)):
        return False
    other = None
    for other in _OTHER.finditer(text, max(0, start - 24), start):
        pass
    return other is None or near_between(text, other.end(), start)


def near_between(text: str, left: int, right: int) -> bool:
    """Whether a word for a phone stands between."""
    return _WORDS.search(text, left, right) is not None
