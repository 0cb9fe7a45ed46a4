"""Personal data and secrets that have a form: one RE2 pass says where to look, then each candidate is checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any

from rungwise.core.errors import UnknownName
from rungwise.curate.pii.checksums import IBAN_LENGTHS, iban
from rungwise.curate.pii.dates import numeric_dates, written_dates, years
from rungwise.curate.pii.phones import phones
from rungwise.curate.pii.secrets import keys, opens, private_keys, random_strings
from rungwise.curate.pii.span import Proof, Span, merged
from rungwise.curate.pii.table import DOMAINS, Pattern, near, table, words_of
from rungwise.curate.pii.types import TYPES

_GROUP = re.compile(r"[0-9]+")
_EMAIL = re.compile(r"(?<![\w.+%-])[\w+][\w.%+'-]{0,63}@(?:[\w](?:[\w-]{0,61}[\w])?\.)+[^\W\d_]{2,24}(?![\w-]|\.\w)")
_IPV4 = re.compile(r"(?<![\w.])(?<!\d[-/])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-])(?!\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?:%[0-9A-Za-z]{1,15})?(?![\w:])")
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])")
_VERSION = re.compile(r"(?:\bv|version|release|section|chapter|clause|§)[ .:]{0,2}$", re.IGNORECASE)
_AGE = re.compile(
    r"(?<![\w.$])(?:(?P<a>1[01]\d|\d{1,2})[ -](?:years?|yrs?)[ -]olds?\b|(?P<b>1[01]\d|\d{1,2}) ?(?:y/o|yo)\b"
    r"|(?i:aged?|ages|turn(?:ed|s|ing)?|at age|age of|is now)(?: just| about)?[ :,]{1,2}(?P<c>1[01]\d|\d{1,2})(?![\d.:%/-]|,\d))"
)
_LETTERS_BEFORE = re.compile(r"(?<![^\W_])[A-Za-z]{1,2}[ -]$")
_WELL_KNOWN = re.compile(rf"\.(?:{DOMAINS})$", re.IGNORECASE)
_PATH = re.compile(r"(?::\d{2,5})?(?:/[^\s<>\"]*)?")
_TRAILING = ".,;:!?'\"*_>…"
_MOST_DIGITS, _MOST_GROUPS = 19, 7
_NUMBER, _NUMERIC = "number", b"0123456789 .-/()+\xc2\xa0\xe2\x80\x90\x91\x92\x93"  # cues of nothing else are numbers
_CONTINUATIONS = bytes(range(0x80, 0xC0))
_TO_ZERO = dict.fromkeys(map(ord, "123456789"), "0") | {0xA0: " "} | dict.fromkeys(range(0x2010, 0x2014), "-")
_REMEMBERED = 40  # characters of the longest shape that is remembered


@dataclass(frozen=True, slots=True)
class Structured:
    """The detector of personal data and secrets that have a form. `types` are those asked for; none means all.

    Raises UnknownName for a type it does not know, MissingExtra when google-re2 is not installed.
    """

    types: tuple[str, ...] = ()

    def __call__(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of each text, without overlap."""
        for name in self.types:
            if name not in TYPES:
                raise UnknownName("type of personal data", name, TYPES)
        found: list[list[Span]] = [[] for _ in texts]
        for row, family, start, end in cues(texts):
            found[row].extend(_FAMILIES[family](texts[row], start, end))
        kept = [merged(spans) if len(spans) > 1 else spans for spans in found]
        return [[span for span in spans if span.type in self.types] for spans in kept] if self.types else kept


def cues(texts: Sequence[str]) -> Iterator[tuple[int, str, int, int]]:
    """Where to look closer: the text, what for, and the characters. One pass over all texts, joined by NUL that no cue crosses."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = list(accumulate(len(piece) + 1 for piece in raw))
    everything, kind, families = b"\0".join(raw), table().kind, table().families
    row, begin = 0, 0
    byte = char = 0  # the same place of the current text, in both counts
    for found in table().cue.finditer(everything):
        start, end = found.span()
        while start >= ends[row]:
            begin, byte, char = ends[row], 0, 0
            row += 1
        family = _NUMBER
        if everything[start:end].translate(None, _NUMERIC):
            matched = kind.match(everything, start)
            family = families[matched.lastindex - 1] if matched and matched.lastindex else _NUMBER
        start, end = start - begin, end - begin
        if len(raw[row]) != len(texts[row]):
            char += _characters(raw[row][byte:start])
            byte = start
            start, end = char, char + _characters(raw[row][start:end])
        yield row, family, start, end


def _characters(raw: bytes) -> int:
    """How many characters begin in these bytes of UTF-8: all bytes but those of the form 10xxxxxx."""
    return len(raw.translate(None, _CONTINUATIONS))


def _number(text: str, start: int, end: int) -> list[Span]:
    """Everything that a run of digits can be: what counting rules out is not tried, and what explains all of it is the last."""
    run = text[start:end]
    plain = run.isdigit()
    count = end - start if plain else sum(map(str.isdigit, run))
    spans = list(years(text, start, end)) if count == 4 or (4 < count <= 8 and not plain) else []
    if count < end - start:
        spans += numeric_dates(text, start, end)
        if run.count(".") >= 3:
            spans += _ipv4(text, start, end)
        if count == 12 and (found := _MAC.match(text, start)):
            spans.append(Span(found.start(), found.end(), "MAC_ADDRESS", Proof.CHECKSUM))
    if count < 6 or _explained(spans, start, end):
        return spans
    spans += _identifiers(text, start, run)
    if not _explained(spans, start, end):
        spans += phones(text, start, end, count)
    if count <= 8 and (text[end : end + 2].strip("-")[:1].isalpha() or _LETTERS_BEFORE.search(text, max(0, start - 4), start)):
        spans += _tokens(text, start, end)  # 12345678-Z, AB 12 34 56 C
    return spans


def _explained(spans: Sequence[Span], start: int, end: int) -> bool:
    """Whether one span holds by its check digits and takes in the whole run."""
    return any(span.proof == Proof.CHECKSUM and span.start <= start and end <= span.end for span in spans)


def _ipv4(text: str, start: int, end: int) -> Iterator[Span]:
    for found in _IPV4.finditer(text, start, min(len(text), end + 1)):
        if not _VERSION.search(text, max(0, found.start() - 12), found.start()):
            yield Span(found.start(), found.end(), "IP_ADDRESS", Proof.CHECKSUM)


def _identifiers(text: str, start: int, run: str) -> Iterator[Span]:
    """Numbers with check digits: each sequence of groups that stands by itself and has the form of one of them."""
    shape = run.translate(_TO_ZERO)
    held = (0, 0)
    for left, right, patterns in _forms(shape) if len(shape) <= _REMEMBERED else _forms.__wrapped__(shape):
        if held[0] <= left and right <= held[1]:
            continue  # a part of a number that holds
        if _stands_alone(text, start + left - 1, -1) and _stands_alone(text, start + right, 1):
            seen = ""
            for pattern in patterns:
                if pattern.type != seen and (span := pattern.holds(text, start + left, start + right)):
                    held, seen = (left, right), pattern.type
                    yield span


@lru_cache(maxsize=8192)
def _forms(shape: str) -> tuple[tuple[int, int, tuple[Pattern, ...]], ...]:
    """Which parts of a run have the form of which numbers, by its shape (all digits read as 0); the longest first."""
    groups = [found.span() for found in _GROUP.finditer(shape)]
    by_count, forms = table().digits, []
    for first, (start, _) in enumerate(groups):
        count = 0
        for left, end in groups[first : first + _MOST_GROUPS]:
            count += end - left
            if count > _MOST_DIGITS:
                break
            fitting = tuple(one for one in by_count.get(count, ()) if one.form.fullmatch(shape, start, end))
            if fitting:
                forms.append((start, end, fitting))
    return tuple(sorted(forms, key=lambda form: form[0] - form[1]))


def _stands_alone(text: str, place: int, step: int) -> bool:
    """Whether a number may end here: no letter, digit or currency beside it, and no stroke that leads on to another digit."""
    if not 0 <= place < len(text):
        return True
    char = text[place]
    if char.isalnum() or char in "_$€£¥":
        return False
    beyond = place + step
    return char not in ".-/" or not (0 <= beyond < len(text) and text[beyond].isdigit())


def _tokens(text: str, start: int, end: int) -> Iterator[Span]:
    """Identifiers of letters and digits that begin at the start of the token around a cue, or of the short word before it."""
    left = start
    while left > 0 and start - left < 80 and text[left - 1].isascii() and text[left - 1].isalnum():
        left -= 1
    before = _LETTERS_BEFORE.search(text, max(0, left - 4), left)
    for place in (left,) if before is None else (left, before.start()):
        if place and (text[place - 1].isalnum() or text[place - 1] == "_"):
            continue
        account = _iban(text, place)
        if account is not None:
            yield account
            return
        if not table().any_token.match(text, place):
            continue
        for pattern in table().tokens:
            found = pattern.form.match(text, place)
            if found and not text[found.end() : found.end() + 1].isalnum() and (span := pattern.holds(text, place, found.end())):
                yield span


def _iban(text: str, start: int) -> Span | None:
    """An IBAN that begins here: as many letters and digits as its country has, single spaces or hyphens between them left out."""
    length = IBAN_LENGTHS.get(text[start : start + 2].upper())
    if length is None or not text[start + 2 : start + 4].isdigit():
        return None
    end, seen = start, 0
    while seen < length and end < len(text):
        if text[end].isascii() and text[end].isalnum():
            seen += 1
        elif text[end] not in " -" or text[end - 1] in " -":
            return None
        end += 1
    holds = seen == length and not text[end : end + 1].isalnum() and iban(text[start:end])
    return Span(start, end, "INTERNATIONAL_BANK_ACCOUNT_NUMBER", Proof.CHECKSUM) if holds else None


def _email(text: str, start: int, end: int) -> Iterator[Span]:
    found = _EMAIL.search(text, max(start, end - 80), min(len(text), end + 260))
    if found and found.start() < end:
        yield Span(found.start(), found.end(), "EMAIL", Proof.CHECKSUM)


def _url(text: str, start: int, end: int) -> Iterator[Span]:
    """A URL without the punctuation of the sentence around it; one that lets somebody in is a secret."""
    url = text[start:end]
    unopened = {close: url.count(close) - url.count(open) for open, close in ("()", "[]", "{}")}
    stop = end
    while stop > start and (text[stop - 1] in _TRAILING or unopened.get(text[stop - 1], 0) > 0):
        if text[stop - 1] in unopened:
            unopened[text[stop - 1]] -= 1
        stop -= 1
    url = text[start:stop]
    if (not url.endswith("://") and "." in url) or "localhost" in url:
        yield Span(start, stop, "SECRET" if opens(url) else "URL", Proof.CHECKSUM)


def _domain(text: str, start: int, end: int) -> Iterator[Span]:
    """A domain without http:// before it, and the path that follows."""
    if text[end : end + 1] == "@" or (start and text[start - 1] in "@_"):
        return
    if not _WELL_KNOWN.search(text, start, end) and not near(_site_words(), text, start, end):
        return  # "the end.So" and main.rs
    path = _PATH.match(text, end)
    yield from _url(text, start, path.end() if path else end)


@cache
def _site_words() -> Any:
    return words_of("website|web ?site|site|web|page|homepage|domain|url|link|visit|shared|blog|shop|online|host|server")


def _hex(text: str, start: int, end: int) -> Iterator[Span]:
    """IPv6 and MAC addresses; else whatever the digits in it are."""
    import ipaddress

    if found := _MAC.match(text, start):
        yield Span(found.start(), found.end(), "MAC_ADDRESS", Proof.CHECKSUM)
        return
    for address in _IPV6.finditer(text, max(0, start - 1), min(len(text), end + 40)):
        try:
            ipaddress.IPv6Address(address.group())
        except ValueError:
            continue
        if sum(map(str.isalnum, address.group())) >= 4:  # not ::2, which is a slice in a program
            yield Span(address.start(), address.end(), "IP_ADDRESS", Proof.CHECKSUM)
            return
    yield from _number(text, start, end)


def _label(text: str, start: int, end: int) -> Iterator[Span]:
    """The value right after a label such as `cvv` or `password:`; the earlier of two entries with one label is the stricter."""
    for pattern in table().labels:
        found = pattern.form.match(text, start + (text[start] == "_"))
        if found:
            yield Span(found.start("value"), found.end("value"), pattern.type, Proof.PATTERN)
            return


def _long(text: str, start: int, end: int) -> list[Span]:
    """What a long token can be: a bank account, an address on a chain, a key, a random string, the first part of an e-mail."""
    spans = list(_tokens(text, start, end))
    if not _explained(spans, start, end):
        spans += [*keys(text, start, end), *random_strings(text, start, end)]
    if text[end : end + 1] in ("@", "."):
        spans += _email(text, start, end + 1)
    return spans


def _age(text: str, start: int, end: int) -> Iterator[Span]:
    for found in _AGE.finditer(text, max(0, start - 8), min(len(text), end + 16)):
        name = found.lastgroup or "a"
        yield Span(found.start(name), found.end(name), "AGE", Proof.PATTERN)


_FAMILIES: dict[str, Callable[[str, int, int], Iterable[Span]]] = {
    "url": _url,
    "email": _email,
    "block": lambda text, start, end: private_keys(text, start),
    "hex": _hex,
    "age": _age,
    "date": written_dates,
    "label": _label,
    "domain": _domain,
    "company": _tokens,
    "number": _number,
    "long": _long,
    "mixed": _tokens,
}
