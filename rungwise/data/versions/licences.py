"""Licences of data and models: one name for the many ways in which people write each, and what an allow-list lets through."""

from __future__ import annotations

import re
import shlex
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from rungwise.core.errors import UsageError
from rungwise.core.usecase import Limits
from rungwise.data.versions.version import SourceNote, Version

_UNKNOWN = frozenset({"", "unknown", "other", "none", "n a", "na", "null", "not specified", "unspecified", "unclear", "see card"})
_FILLERS = frozenset(
    {"the", "license", "licence", "licensed", "under", "version", "ver", "v", "international", "unported", "generic", "universal"}
)
_ADDRESS = re.compile(r"https?://(?:www\.)?([^/?#\s]+)/([^?#\s]*)")
_LATER = re.compile(r"(?<=\d)\+|,?\s*\bor\s+(?:any\s+)?(?:later|newer)(?:\s+version)?\b")
_BETWEEN = re.compile(r"(?<=[a-z])v?(?=\d)|(?<=\d)(?=[a-z])|(?<=\bcc)(?=by)|(?<=by)(?=nc|nd|sa)")
_CREATIVE = re.compile(r"\bcreative[\s-]?commons\b")
_WORD = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+")
_COMMONS = {
    **dict.fromkeys(("by", "attribution"), "BY"),
    **dict.fromkeys(("nc", "noncommercial", "non", "commercial"), "NC"),
    **dict.fromkeys(("nd", "noderivs", "noderivatives", "no", "derivs", "derivatives"), "ND"),
    **dict.fromkeys(("sa", "sharealike", "share", "alike"), "SA"),
}
_BRACKET = re.compile(r"\(([^()]+)\)\s*$")
_PORTED = re.compile(r"^[a-z]{2,3}$")  # cc-by-3.0-us: the country changes nothing about what is allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """A licence by its SPDX identifier where it has one ("CC-BY-SA-4.0"), else as it is written, in small letters.

    `share_alike`: what is made from it must carry the same licence, as a whole or in part. `non_commercial`: no business
    with it. `no_derivatives`: it may not be passed on changed. `known` is false where nobody said which licence it is.
    Of two licences to choose from ("MIT OR GPL-3.0") the flags are those that both have; of several that all hold
    ("MIT AND CC-BY-SA-4.0"), those that any has.
    """

    name: str
    share_alike: bool = False
    non_commercial: bool = False
    no_derivatives: bool = False
    known: bool = True


UNKNOWN = Licence(name="unknown", known=False)


def read_licence(text: str | None) -> Licence:
    """The licence that people mean by a text: a name, an SPDX expression, or the address of its deed."""
    choices = _choices(text or "")
    if not all(parts and all(part.known for part in parts) for parts in choices):
        return UNKNOWN
    name = " OR ".join(" AND ".join(dict.fromkeys(part.name for part in parts)) for parts in choices)

    def flag(of: str) -> bool:
        return all(any(getattr(part, of) for part in parts) for parts in choices)

    return Licence(
        name=name,
        share_alike=flag("share_alike"),
        non_commercial=flag("non_commercial"),
        no_derivatives=flag("no_derivatives"),
    )


def is_allowed(text: str | None, allowed: Sequence[str]) -> bool:
    """Whether an allow-list lets a licence through. An entry without a number ("cc-by") stands for all its versions.

    Of licences to choose from one must be on the list, of those that all hold every one. An unknown licence never is.
    """
    listed = {part.name for entry in allowed for parts in _choices(entry) for part in parts if part.known}
    return any(all(part.known and _named(part) & listed for part in parts) for parts in _choices(text or ""))


def check_licences(version: Version, limits: Limits, *, directory: str | Path = "DIR") -> None:
    """Hold the licences of a version's sources against `limits.licences`, the list that applies to models too.

    Raises UsageError (exit code 2) that names each source which is not allowed or whose licence is not known, and what to type.
    """
    if limits.licences is None:
        return
    refused = [source for source in version.sources if source.rows and not is_allowed(source.licence, limits.licences)]
    if not refused:
        return
    said = "; ".join(_why(source, directory) for source in refused)
    raise UsageError(
        f"limits: licences allows only {', '.join(limits.licences) or 'nothing'}, and the data has another source: {said}. "
        f"Add the licence to limits: licences: in rungwise.yaml if you may use it, or climb on a version without that source: "
        f"rungwise data log {shlex.quote(str(directory))}"
    )


def _why(source: SourceNote, directory: str | Path) -> str:
    """What is wrong with one source, and how to say its licence where that is all that is missing."""
    licence = read_licence(source.licence)
    if licence.known:
        return f"{source.location} is under {licence.name}"
    place = shlex.quote(source.location)
    return (
        f"the licence of {source.location} is not known. "
        f"Say it: rungwise data import {place} --into {shlex.quote(str(directory))} --licence NAME"
    )


def _choices(text: str) -> list[list[Licence]]:
    """What there is to choose from, each a list of licences that all hold: "MIT OR (Apache-2.0 AND CC0-1.0)".

    Words such as "or" and commas stand in names too ("Apache License, Version 2.0"), so a text that is a name is not divided.
    """
    plain = _LATER.sub(" or-later ", unicodedata.normalize("NFKC", text).casefold())
    whole = _one(plain)
    if whole.known and not _is_named(whole):
        divided = [[_one(part) for part in re.split(r"\band\b|[,;&]", choice)] for choice in re.split(r"\bor\b(?!-)|\|", plain)]
        if all(_is_named(part) for parts in divided for part in parts):
            return divided
    return [[whole]]


def _one(text: str) -> Licence:
    """One licence from its name or address, in small letters; what stands in brackets at the end may be the name too."""
    plain = _ADDRESS.sub(_named_by_address, text)
    words = _words(plain)
    if " ".join(words) in _UNKNOWN:
        return UNKNOWN
    found = _listed(words) or _commons(words)
    if found is None and (bracket := _BRACKET.search(plain)) is not None:
        found = _listed(_words(bracket[1])) or _commons(_words(bracket[1]))
    return found or Licence(name=" ".join(text.split()))


def _listed(words: list[str]) -> Licence | None:
    """A licence of the table."""
    later = words[-2:] == ["or", "later"]
    name = _names().get(" ".join(words[:-2] if later else words))
    if name is None:
        return None
    flags = {flag: True for flag in ("share_alike", "non_commercial") if _table()[name].get(flag)}
    return Licence(name=f"{name}-or-later" if later else name, **flags)


def _words(text: str) -> list[str]:
    """Words and numbers that matter: no fillers, no repetition, 2 for 2.0."""
    found: list[str] = []
    for match in _WORD.findall(_BETWEEN.sub(" ", _CREATIVE.sub("cc", text))):
        word = re.sub(r"(?:\.0)+$", "", match)
        if word not in _FILLERS and word not in found[-1:]:
            found.append(word)
    return found


def _named_by_address(match: re.Match[str]) -> str:
    """The name in the address of a licence: creativecommons.org/licenses/by-sa/4.0/, opensource.org/licenses/MIT."""
    host, path = match[1], match[2].replace("/", " ")
    path = re.sub(r"\b(?:licen[sc]es?|publicdomain|zero|html|txt|php|legalcode|deed(?:\.\w+)?|mark)\b", " ", path)
    if host.endswith("creativecommons.org"):
        return ("cc0" if "zero" in match[2] else "public domain") if "publicdomain" in match[2] else f"cc {path}"
    return f"apache {path}" if host.endswith("apache.org") else path


def _commons(words: list[str]) -> Licence | None:
    """A Creative Commons licence by its parts: cc by nc sa 4, in whatever order and spelling; None for anything else."""
    if words in (["cc", "0"], ["cc", "0", "1"], ["cc", "zero"], ["cc", "zero", "1"]):
        return Licence(name="CC0-1.0")
    rest = words[1:] if words[:1] == ["cc"] else words
    parts = {_COMMONS[word] for word in rest if word in _COMMONS}
    number, *more = [word for word in rest if word not in _COMMONS] or [""]
    named_commons = rest is not words
    foreign = not re.match(r"\d|$", number) or len(more) > 1 or not all(map(_PORTED.match, more))
    if foreign or "BY" not in parts or not (named_commons or len(parts) > 1):
        return None
    name = "-".join(["CC", *(part for part in ("BY", "NC", "ND", "SA") if part in parts)])
    number = f"-{number}" + ".0" * ("." not in number) if number else ""
    flags = {
        flag: True for flag, part in (("share_alike", "SA"), ("non_commercial", "NC"), ("no_derivatives", "ND")) if part in parts
    }
    return Licence(name=name + number, **flags)


def _is_named(licence: Licence) -> bool:
    """Whether it is one that is known by name here."""
    name = licence.name.removesuffix("-or-later")
    return name in _table() or name.startswith("CC-BY") or name == "CC0-1.0"


def _named(licence: Licence) -> set[str]:
    """The names under which an allow-list may have a licence: its own, without its number, and what "or later" includes."""
    if not _is_named(licence):
        return {licence.name}
    name = licence.name.removesuffix("-or-later")
    return {licence.name, name, re.sub(r"-\d+(?:\.\d+)*$", "", name)}


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(files("rungwise.data.versions").joinpath("licences.toml").read_text(encoding="utf-8"))


@cache
def _names() -> Mapping[str, str]:
    """From the words of a name to the identifier."""
    return dict(_pairs())


def _pairs() -> Iterator[tuple[str, str]]:
    for identifier, entry in _table().items():
        for name in (*entry["names"], identifier.casefold()):
            yield " ".join(_words(name)), identifier
