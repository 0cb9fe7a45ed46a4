"""Personal data and secrets out of the bodies of requests and answers, before they are written down."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import msgspec

from rungwise.curate.pii.masking import placeholder, rewritten
from rungwise.curate.pii.span import Detector, Span

Place: TypeAlias = "tuple[Any, Any]"
"""A list or an object, and where in it something stands."""

_STRUCTURE = frozenset(
    {
        "role",
        "type",
        "object",
        "model",
        "finish_reason",
        "id",
        "tool_call_id",
        "encoding_format",
        "service_tier",
        "system_fingerprint",
    }
)
"""Fields whose texts are the protocol's own words or names."""
_ARGUMENTS = "arguments"
"""JSON inside of JSON: what a tool is called with."""
_TELLING = frozenset({"logprobs", "embedding"})
"""What says in numbers or pieces what was said in words: it is left out."""
_DATA = re.compile(r"data:([\w./+-]*)[^,]{0,100};base64,", re.ASCII)
_DEEPEST = 60


def masked(body: Any) -> Any:
    """JSON data with a placeholder such as [EMAIL] for each value that is found in its texts; files in it are left out.

    Texts inside of tool arguments are masked as JSON, so that they can be read afterwards; there the name of a field counts
    as the word before its value. Raises MissingExtra where google-re2 is not installed.
    """
    return _masked(body, _detector())


def masked_text(text: str) -> str:
    """The same for one text."""
    return rewritten(text, _detector()([text])[0], placeholder)


@cache
def _detector() -> Detector:
    from rungwise.curate.pii.detect import Structured

    return Structured()


@dataclass(slots=True)
class _Found:
    """The texts of a body: each with the words before it that count for what it is, and where it stands."""

    texts: list[str] = field(default_factory=list)
    befores: list[int] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    nested: list[tuple[Place, Any]] = field(default_factory=list)

    def take(self, value: Any, place: Place, *, name: str = "", inside: bool = False, depth: int = 0) -> None:
        """Note every text in JSON data; `inside` of tool arguments, numbers too."""
        if depth > _DEEPEST:
            _put(place, "[TOO DEEP]")
        elif isinstance(value, dict):
            for key in value:
                self._take_field(value, key, inside=inside, depth=depth)
        elif isinstance(value, list):
            for at, item in enumerate(value):
                self.take(item, (value, at), name=name, inside=inside, depth=depth + 1)
        elif isinstance(value, str) and (file := _DATA.match(value)):
            _put(place, f"{file.group()}[MASKED]")
        elif isinstance(value, str) or (inside and isinstance(value, (int, float)) and not isinstance(value, bool)):
            before = f"{name}: " if inside and name else ""
            self.texts.append(f"{before}{value}")
            self.befores.append(len(before))
            self.places.append(place)

    def _take_field(self, value: dict[str, Any], key: str, *, inside: bool, depth: int) -> None:
        item = value[key]
        if not inside and key in _TELLING and isinstance(item, (dict, list, str)):
            value[key] = None
        elif not inside and key == _ARGUMENTS and (arguments := _json_of(item)) is not None:
            self.nested.append(((value, key), arguments))
            self.take(arguments, (value, key), inside=True, depth=depth + 1)
        elif inside or key not in _STRUCTURE or not isinstance(item, str):
            self.take(item, (value, key), name=key, inside=inside, depth=depth + 1)


def _masked(body: Any, detect: Detector) -> Any:
    """All texts are collected first and looked at in one pass; then JSON inside of JSON is written as text again."""
    whole = [body]
    found = _Found()
    found.take(body, (whole, 0))
    spans = detect(found.texts) if found.texts else []
    for text, before, place, own in zip(found.texts, found.befores, found.places, spans, strict=True):
        inside = [Span(max(0, one.start - before), one.end - before, one.type) for one in own if one.end > before]
        if inside:
            _put(place, rewritten(text[before:], inside, placeholder))
    for place, arguments in reversed(found.nested):
        _put(place, msgspec.json.encode(arguments).decode())
    return whole[0]


def _put(place: Place, value: Any) -> None:
    holder, key = place
    holder[key] = value


def _json_of(value: Any) -> Any:
    """What a text says as JSON, where that is an object or a list."""
    if not isinstance(value, str):
        return None
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, (dict, list)) else None
