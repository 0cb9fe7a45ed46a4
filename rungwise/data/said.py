"""What a trace says was asked and answered, out of the bodies that it keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rungwise.core.trace import Trace

_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
"""Where half a character may stand in JSON."""


@dataclass(frozen=True, slots=True)
class Said:
    """The messages of a request as they came, the last question among them, how many questions there were, and the answer.

    Each is empty where the trace does not keep it.
    """

    messages: tuple[Mapping[str, Any], ...] = ()
    question: str = ""
    questions: int = 0
    answer: str = ""


def said(trace: Trace) -> Said:
    """What was said in a trace; never raises, since a body may be anything that a client sent."""
    request, response = _object(trace.request), _object(trace.response)
    messages = _messages(request)
    asked = [text for one in messages if one.get("role") == "user" and (text := text_of(one.get("content")))]
    return Said(messages, asked[-1] if asked else "", len(asked), _answer(response))


def text_of(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list; '' for anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, Mapping) and part.get("type") in ("text", "input_text")]
    return "\n".join(text for part in parts if isinstance(text := part.get("text"), str))


def _messages(request: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Those of a chat; the prompt of a completion or the input of an embedding counts as one question."""
    found = request.get("messages")
    if isinstance(found, list):
        return tuple(one for one in found if isinstance(one, Mapping))
    asked = next((request[name] for name in ("prompt", "input") if isinstance(request.get(name), str)), None)
    return ({"role": "user", "content": asked},) if asked else ()


def _answer(response: Mapping[str, Any]) -> str:
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, Sequence) and not isinstance(choices, str) and choices else None
    if not isinstance(first, Mapping):
        return ""
    message = first.get("message")
    if isinstance(message, Mapping):
        return text_of(message.get("content"))
    text = first.get("text")
    return text if isinstance(text, str) else ""


def _object(body: str | None) -> Mapping[str, Any]:
    """The JSON object in a body; empty where it keeps none. Half characters, which no table can keep, read as a question mark."""
    try:
        found = json.loads(body) if body else None
        if body and _HALF.search(body):
            found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
