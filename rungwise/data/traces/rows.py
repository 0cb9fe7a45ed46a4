"""A trace as a row, and back: what is searched by has a column of its own, the rest is one JSON text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from rungwise.core.content import Usage
from rungwise.core.trace import Span, Trace

Value: TypeAlias = "str | float | int | None"
Row: TypeAlias = "tuple[Value, ...]"

COLUMNS = (
    "id",
    "at",
    "seconds",
    "status",
    "usd",
    "input_tokens",
    "output_tokens",
    "user",
    "tenant",
    "key",
    "conversation",
    "release",
    "variant",
    "candidate",
    "engine",
    "model",
    "response_id",
    "shadow_of",
    "tags",
    "details",
    "request",
    "response",
)
"""The columns of a row, in their order. `tags` is a JSON object or NULL, `details` a JSON object, the last two are texts."""

FACTS = COLUMNS[: COLUMNS.index("tags") + 1]
"""The columns that are small: what a trace is searched by."""

_LARGEST = 2**63 - 1

_DETAILS = {
    "operation": "chat",
    "first_token_s": None,
    "finish": None,
    "error": None,
    "streamed": False,
    "cached": False,
}
"""Fields of a trace that stand in `details`, unless they have this value."""


def row_of(trace: Trace) -> Row:
    """The row of a trace."""
    usage, tags = trace.usage, trace.tags
    return (
        trace.id,
        trace.at,
        trace.seconds,
        trace.status,
        usage.usd,
        usage.input_tokens,
        usage.output_tokens,
        trace.user,
        trace.tenant,
        trace.key,
        trace.conversation,
        trace.release,
        trace.variant,
        trace.candidate,
        trace.engine,
        trace.model,
        trace.response_id,
        trace.shadow_of,
        _json(tags) if tags else None,
        _json(_details(trace)),
        trace.request,
        trace.response,
    )


def trace_of(row: Sequence[Any]) -> Trace:
    """The trace of a row. Fields that a newer version wrote and this one does not know are left out."""
    import msgspec

    own: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    details: dict[str, Any] = msgspec.json.decode(own.pop("details"))
    used: dict[str, Any] = {name: own.pop(name) or 0 for name in ("input_tokens", "output_tokens", "usd")}
    tags = own.pop("tags")
    more: dict[str, Any] = {name: details.get(name, usual) for name, usual in _DETAILS.items()}
    return Trace(
        **own,
        **more,
        asked=details["asked"],
        tags=msgspec.json.decode(tags) if tags else {},
        usage=Usage(**used, **details.get("usage", {})),
        spans=tuple(Span(**span) for span in details.get("spans", ())),
        parts_used=tuple(details.get("parts_used", ())),
    )


def cleaned(row: Row) -> Row:
    """A row that every database takes: half characters, NULs and numbers beyond 64 bits are replaced."""
    return tuple(_clean(value) for value in row)


def tag_words(tags: Mapping[str, str]) -> list[str]:
    """Each tag as one word, name=value."""
    return [f"{name}={value}" for name, value in tags.items()]


def _details(trace: Trace) -> dict[str, Any]:
    usage = trace.usage
    details: dict[str, Any] = {"asked": trace.asked}
    if trace.operation != "chat":
        details["operation"] = trace.operation
    if trace.first_token_s is not None:
        details["first_token_s"] = trace.first_token_s
    if trace.finish is not None:
        details["finish"] = trace.finish
    if trace.error is not None:
        details["error"] = trace.error
    if trace.streamed:
        details["streamed"] = True
    if trace.cached:
        details["cached"] = True
    if trace.spans:
        details["spans"] = trace.spans
    if trace.parts_used:
        details["parts_used"] = trace.parts_used
    if usage.calls:
        details["usage"] = {
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "calls": usage.calls,
            "estimated": usage.estimated,
            "seconds": usage.seconds,
        }
    return details


def _json(value: Any) -> str:
    import json

    import msgspec

    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except (ValueError, TypeError, OverflowError):  # half a character, or a number that is too large for JSON in 64 bits
        plain = msgspec.to_builtins(value, enc_hook=str)
        return json.dumps(plain, default=str, ensure_ascii=False).encode("utf-8", "replace").decode()


def _clean(value: Value) -> Value:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, int):
        return max(-_LARGEST, min(_LARGEST, value))
    return value
