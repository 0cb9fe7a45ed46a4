"""Texts with their personal data taken out, and brought back where a vault kept it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Protocol, TypeAlias

from rungwise.curate.pii.span import Span
from rungwise.curate.pii.surrogates import Surrogates
from rungwise.curate.pii.types import SECRETS

Replacement: TypeAlias = "Callable[[str, str], str]"
"""What stands in the text for a value: (type, value) -> replacement."""

_NUMBERED = re.compile(r"\[[A-Z][A-Z_]*:[A-Z2-7]{16}\]")
KEPT = "PLACEHOLDER"
"""The type of characters that only look like a numbered placeholder: they are sealed too, so that unmasking is exact."""


class Sealed(Protocol):
    """Where values are kept under what stands for them."""

    def keep(self, token: str, type: str, value: str) -> None:
        """Remember what a token stands for."""
        ...

    def value(self, token: str) -> str | None:
        """What it stands for; None where it stands for nothing."""
        ...


def placeholder(type: str, value: str) -> str:
    """`[EMAIL]`: the type and nothing of the value."""
    return f"[{type}]"


def pseudonyms(surrogates: Surrogates) -> Replacement:
    """Surrogates for everything but secrets, which are only masked: a made-up key would be taken for a real one again."""

    @lru_cache(maxsize=100_000)
    def replacement(type: str, value: str) -> str:
        return placeholder(type, value) if type in SECRETS else surrogates(type, value)

    return replacement


def reversible(surrogates: Surrogates, vault: Sealed, *, pseudonymous: bool = False) -> Replacement:
    """Numbered placeholders, or surrogates, that the vault brings back. Equal values get equal ones."""

    @lru_cache(maxsize=100_000)
    def replacement(type: str, value: str) -> str:
        plain = not pseudonymous or type in SECRETS or type == KEPT
        token = f"[{type}:{surrogates.token(type, value)}]" if plain else surrogates(type, value)
        vault.keep(token, type, value)
        return token

    return replacement


def rewritten(text: str, spans: Iterable[Span], replacement: Replacement) -> str:
    """The text with each span replaced; spans are in order and do not overlap, and nothing outside them changes."""
    pieces, place = [], 0
    for span in spans:
        pieces += [text[place : span.start], replacement(span.type, text[span.start : span.end])]
        place = span.end
    return "".join(pieces) + text[place:]


def with_lookalikes(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans, and every place outside them that looks like a numbered placeholder already."""
    if "[" not in text:
        return list(spans)
    found = [Span(one.start(), one.end(), KEPT) for one in _NUMBERED.finditer(text)]
    free = [one for one in found if all(one.end <= span.start or span.end <= one.start for span in spans)]
    return sorted([*spans, *free], key=lambda span: span.start)
