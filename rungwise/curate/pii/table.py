"""The table of patterns, read once from patterns.toml, and the one RE2 expression that finds where to look closer."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from rungwise.core.errors import MissingExtra
from rungwise.curate.pii import checksums, national
from rungwise.curate.pii.dates import DATE_CUE
from rungwise.curate.pii.span import Proof, Span

BEFORE, AFTER = 60, 24  # characters beside a candidate in which a word may stand that says what it is
_SEPARATOR = (
    r"""(?:\s{0,2}(?:\(?(?:number|no\.?|num\.?|nr\.?|code|id|\#)\)?))?\s{0,2}(?:is|was|:|=|,|\#|-|–)?:?[ \t]{0,3}\n?["'(\#]?"""
)
_ASSIGNED = r"""["']?\s{0,2}(?:=>|:=|:|=|\bis:)\s{0,2}["']?"""

# Domains under which people write addresses without http:// in front; after those of other countries a word must say it is one.
DOMAINS = r"com|org|net|edu|gov|info|biz|io|eu|(?:com?|ac|gov|org|net)\.[a-z]{2}"
# Six digits or more with what people write between them, a date or an address of fewer, or four digits that can be a year.
_NUMBER = (
    r"[+(]{0,2}\d(?:(?:[ .\-/():]|\xc2\xa0|\xe2\x80[\x90-\x93]){0,3}\d){5,}|\b\d{1,2}[./\-]\d{1,2}[./\-]\d\d\b"
    r"|\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\b(?:1\d|20|21)\d\d\b"
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One entry of the table: what a value of `type` looks like, and what else must hold for it to be believed."""

    type: str
    form: re.Pattern[str]
    check: Callable[[str], bool] | None = None
    words: Any = None  # an RE2 expression

    def holds(self, text: str, start: int, end: int) -> Span | None:
        """The span, when the check digits hold and a word that is asked for stands near."""
        if self.words is not None and not near(self.words, text, start, end):
            return None
        if self.check is not None and not self.check(text[start:end]):
            return None
        return Span(start, end, self.type, Proof.PATTERN if self.check is None else Proof.CHECKSUM)


@dataclass(frozen=True, slots=True)
class Table:
    """All patterns, by how they are looked for."""

    cue: Any
    """The RE2 expression over UTF-8 bytes that says where to look closer; without groups, which would cost it half its speed."""
    kind: re.Pattern[bytes]
    """The same expression with a group for each family, matched again where a cue begins."""
    families: tuple[str, ...]
    digits: Mapping[int, tuple[Pattern, ...]]
    """By number of digits."""
    tokens: tuple[Pattern, ...]
    any_token: re.Pattern[str]
    """Matches where one of `tokens` does: most places fit none, and are told by this alone."""
    labels: tuple[Pattern, ...]
    """Forms with a group `value`, matched where the label begins."""
    keys: tuple[tuple[str, Any], ...]
    """RE2 expressions whose first group is the key."""
    countries: frozenset[str]


def near(words: Any, text: str, start: int, end: int) -> bool:
    """Whether one of the words stands shortly before, or just after."""
    beside = text[max(0, start - BEFORE) : start] + " \n " + text[end : end + AFTER]
    return words.search(beside.encode("utf-8", "replace")) is not None


def words_of(alternatives: str) -> Any:
    """Any of these words, whole, in any case, as an RE2 expression: a context is read once, however many words there are."""
    return _compiled(rf"(?i:(?:^|[^\pL\pN])(?:{alternatives})(?:$|[^\pL\pN]))")


def _compiled(expression: str | bytes) -> Any:
    """As an RE2 expression; of bytes, byte by byte: then texts come as UTF-8, and lone surrogates do no harm."""
    try:
        import re2
    except ImportError as error:
        raise MissingExtra("finding personal data", "curation") from error
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    if isinstance(expression, bytes):
        options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(expression, options)


@cache
def table() -> Table:
    """The table of the package. Raises MissingExtra when google-re2 is not installed."""
    raw = tomllib.loads(resources.files("rungwise.curate.pii").joinpath("patterns.toml").read_text(encoding="utf-8"))
    digits: dict[int, list[Pattern]] = {}
    for entry in raw["digits"]:
        for count in entry["digits"]:
            digits.setdefault(count, []).append(_pattern(entry))
    parts = _parts(raw)
    return Table(
        cue=_compiled("|".join(parts.values()).encode()),
        kind=re.compile("|".join(f"({part})" for part in parts.values()).encode()),
        families=tuple(parts),
        digits={count: tuple(patterns) for count, patterns in digits.items()},
        tokens=tuple(_pattern(entry) for entry in raw["tokens"]),
        any_token=re.compile("|".join(f"(?:{entry['form']})" for entry in raw["tokens"])),
        labels=tuple(_label(entry, _SEPARATOR) for entry in raw["labels"])
        + tuple(_label(entry, _ASSIGNED) for entry in raw["settings"]),
        keys=tuple((entry["type"], _key(entry["forms"])) for entry in raw["keys"]),
        countries=frozenset(raw["countries"].split()),
    )


def _pattern(entry: Mapping[str, Any]) -> Pattern:
    name = entry.get("check")
    check = None if name is None else getattr(checksums, name, None) or getattr(national, name)
    words = words_of(entry["words"]) if "words" in entry else None
    return Pattern(type=entry["type"], form=re.compile(entry["form"]), check=check, words=words)


def _key(forms: Sequence[str]) -> Any:
    return _compiled(rf"(?:^|[^A-Za-z0-9_])({'|'.join(forms)})")


def _label(entry: Mapping[str, Any], separator: str) -> Pattern:
    form = rf"(?i:{entry['label']}){separator}(?P<value>{entry['form']})(?![A-Za-z0-9])"
    return Pattern(type=entry["type"], form=re.compile(form))


def _parts(raw: Mapping[str, Any]) -> dict[str, str]:
    """What each family looks like from afar. At equal starts the earlier wins: what is longer or says more comes first."""
    labels = "|".join(dict.fromkeys(entry["label"] for part in ("labels", "settings") for entry in raw[part]))
    return {
        "url": r"""(?i:\b[a-z][a-z0-9+.\-]{1,20}://|\bwww\d?\.)[^\s\x00<>"`]+""",
        "email": r"[\w.%+'\-\x80-\xff]+@[A-Za-z0-9\x80-\xff]",
        "block": r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY",
        "hex": r"(?:[0-9A-Fa-f]{2}[:\-]){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{1,4}:){3,7}[0-9A-Fa-f]"
        r"|[0-9A-Fa-f:]{0,30}::[0-9A-Fa-f]{0,4}",
        "age": r"(?i:\b1?\d{1,2}[ -](?:years?|yrs?)[ -]old|\b1?\d{1,2} ?(?:y/o|yo)\b"
        r"|\b(?:aged?|ages|turn(?:ed|s|ing)?|age of|is now)(?: just| about)?[ :,]{1,2}\d)",
        "date": DATE_CUE,
        "label": rf"(?i:(?:\b|_)(?:{labels})(?:\b|_))",
        "domain": rf"(?i:\b[a-z0-9][a-z0-9\-]+(?:\.[a-z0-9\-]+)*\.(?:{DOMAINS}|[a-z]{{2}}))\b",
        "company": r"\b[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\d\d",
        "number": _NUMBER,
        "long": r"[A-Za-z0-9_+/=\-]{20,}",
        "mixed": r"[A-Za-z]\d",
    }
