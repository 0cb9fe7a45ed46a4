"""One request through one release or engine: what went in, what came out, what it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rungwise.core.content import Usage

TRACE_ID_DIGITS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One step inside a request. `kind` is retrieval, model, guard, tool or cache; `start_s` counts from its beginning."""

    name: str
    kind: str
    start_s: float
    seconds: float
    error: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What went in, what came out, what it took, and who answered.

    `id` is 32 hex digits: milliseconds since 1970 in the first 12, chance in the rest (`new_trace_id`), so that ids sort
    by time; it is the W3C trace id as well. `at` is seconds since 1970. `asked` is the model name of the request, `model`
    the provider's own string. `release`, `variant` and `candidate` are None where a plain engine was asked. `request` and
    `response` are JSON text in the shape of OpenAI's bodies, as far as content is captured. `shadow_of` names the live
    trace that a shadow answered beside.
    """

    id: str
    at: float
    seconds: float
    asked: str
    operation: str = "chat"
    release: str | None = None
    variant: str | None = None
    candidate: str | None = None
    engine: str | None = None
    model: str | None = None
    response_id: str | None = None
    key: str | None = None
    tenant: str | None = None
    user: str | None = None
    conversation: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    request: str | None = None
    response: str | None = None
    usage: Usage = field(default_factory=Usage)
    first_token_s: float | None = None
    status: int = 200
    finish: str | None = None
    error: str | None = None
    streamed: bool = False
    cached: bool = False
    shadow_of: str | None = None
    spans: tuple[Span, ...] = ()
    parts_used: tuple[str, ...] = ()


def new_trace_id(at: float, chance: bytes) -> str:
    """A trace id from the time in seconds since 1970 and 10 random bytes. Ids of one millisecond sort by chance."""
    return f"{int(at * 1000):012x}{chance.hex()}"


def began_at(id: str) -> float:
    """When the trace with this id began, in seconds since 1970, to the millisecond; 0.0 where its id was not made here."""
    try:
        return int(id[:12], 16) / 1000.0 if len(id) == 32 else 0.0
    except ValueError:
        return 0.0
