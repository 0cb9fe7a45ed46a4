"""A tape becomes a trace: what was asked and answered is written down as far as the project wants it to be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from rungwise.core.content import Usage
from rungwise.core.serving import FULL, OFF
from rungwise.core.trace import Trace
from rungwise.serve.ask import Ask, Tape
from rungwise.serve.gathered import Gathered
from rungwise.serve.masking import masked, masked_text

__all__ = ["Gathered", "make_trace"]

_NO_USAGE = Usage()
_ENCODER = msgspec.json.Encoder(enc_hook=str)
_SHORT = 100
"""Characters of a detail of a span that is no content, where content is not captured: a name, a count, a reason."""


def make_trace(tape: Tape, ask: Ask, response: bytes | None, capture: str, *, shadow_of: str | None = None) -> Trace:
    """The trace of a request. `response` is the answer's JSON, None where none was given; `capture` is off, masked or full.

    Masking takes some 20 us for a kilobyte of plain talk, and ten times that where it is full of personal data. Raises
    MissingExtra when google-re2 is not installed.
    """
    caller, error, spans = ask.caller, tape.error, tuple(tape.spans)
    asked = answered = None
    if capture == FULL:
        asked = _text(ask.body) if ask.raw is None else ask.raw.decode("utf-8", "replace")
        answered = None if response is None else response.decode("utf-8", "replace")
    elif capture != OFF:
        asked, answered = _masked_body(ask.body), _masked_answer(response)
        error = None if error is None else masked_text(error)
        spans = tuple(replace(span, details=masked(_copy(span.details))) if span.details else span for span in spans)
    else:
        spans = tuple(replace(span, details=_names(span.details)) if span.details else span for span in spans)
    return Trace(
        id=tape.id,
        at=tape.at,
        seconds=tape.elapsed_s,
        asked=tape.asked or ask.model,
        operation=ask.operation,
        release=tape.release,
        variant=tape.variant,
        candidate=tape.candidate,
        engine=tape.engine,
        model=tape.model,
        response_id=tape.response_id,
        key=caller.key,
        tenant=caller.tenant,
        user=ask.user or caller.user,
        conversation=ask.conversation,
        tags=ask.tags,
        request=asked,
        response=answered,
        usage=tape.usage or _NO_USAGE,
        first_token_s=tape.first_token_s,
        status=tape.status,
        finish=tape.finish,
        error=error,
        streamed=ask.stream,
        cached=tape.cached,
        shadow_of=shadow_of,
        spans=spans,
        parts_used=tape.parts_used,
    )


def _text(body: Mapping[str, Any]) -> str:
    try:
        return _ENCODER.encode(body).decode()
    except (ValueError, TypeError, OverflowError, RecursionError):  # half a character, a number of more than 64 bits
        return json.dumps(body, default=str, ensure_ascii=False).encode("utf-8", "replace").decode()


def _copy(value: Any) -> Any:
    """JSON data of its own: what is masked in a trace stays as it is in the answer."""
    if isinstance(value, Mapping):
        return {str(key): _copy(item) for key, item in value.items()}
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value
    return [_copy(item) for item in value]


def _masked_body(body: Any) -> str:
    return _text(masked(_copy(body)))


def _masked_answer(response: bytes | None) -> str | None:
    if response is None:
        return None
    try:
        return _masked_body(msgspec.json.decode(response))
    except (msgspec.DecodeError, RecursionError):
        return masked_text(response.decode("utf-8", "replace"))


def _names(details: Mapping[str, Any]) -> dict[str, Any]:
    """What is no content among the details of a span: numbers, and short texts."""
    return {
        name: value
        for name, value in details.items()
        if isinstance(value, (int, float)) or value is None or (isinstance(value, str) and len(value) <= _SHORT)
    }
