"""Traces for tests."""

from __future__ import annotations

from typing import Any

from rungwise.core.content import Usage
from rungwise.core.trace import Span, Trace, new_trace_id

BEGIN = 1_790_000_000.0


def a_trace(number: int = 0, **more: Any) -> Trace:
    """A trace of a second of its own."""
    at = more.pop("at", BEGIN + number)
    fields: dict[str, Any] = {
        "id": new_trace_id(at, number.to_bytes(10, "big")),
        "at": at,
        "seconds": 0.25,
        "asked": "support",
        "release": "a" * 64,
        "variant": "plain",
        "candidate": "b" * 64,
        "engine": "local",
        "model": "tiny-2026-11",
        "response_id": f"chatcmpl-{number}",
        "key": "k1",
        "tenant": "north",
        "user": f"user{number % 10}",
        "tags": {"team": "blue" if number % 2 else "red"},
        "usage": Usage(100, 20, calls=1, usd=0.001 * (number % 7), seconds=0.2),
        "spans": (Span(name="answer", kind="model", start_s=0.0, seconds=0.2, details={"engine": "local"}),),
        "request": f'{{"messages":[{{"role":"user","content":"Where is parcel {number}?"}}]}}',
        "response": '{"choices":[{"message":{"content":"On its way"}}]}',
    }
    return Trace(**{**fields, **more})
