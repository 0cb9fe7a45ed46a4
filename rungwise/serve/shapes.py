"""The bodies of OpenAI's API as Rungwise writes them, and what it reads in those that it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rungwise.core.content import Request, Text, Turn, Usage
from rungwise.serve.failure import BadRequest

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter"})


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises BadRequest for anything else."""
    try:
        data = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(data, dict):
        raise BadRequest("the body must be a JSON object")
    return data


def text_of(content: Any, *, where: str) -> str:
    """The text of a message: a string, or the text parts of a list. Raises BadRequest for other shapes."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        raise BadRequest(f"{where} must be text or a list of parts", param=where)
    texts = []
    for part in content:
        if not isinstance(part, Mapping):
            raise BadRequest(f"{where} holds a part that is no object", param=where)
        if part.get("type") in ("text", "input_text"):
            texts.append(str(part.get("text", "")))
        elif part.get("type") != "refusal":
            raise BadRequest(f"{where} holds a part of type '{part.get('type')}': this model reads text only", param=where)
    return "\n".join(texts)


def request_of(messages: Any) -> Request:
    """A conversation as a request: the last user message is asked, pairs of messages before it are its turns.

    System messages are left out: a candidate's own instructions are part of what was measured. Raises BadRequest when there
    is no question in it.
    """
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    said: list[tuple[str, str]] = []
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{place}] must be an object with a role", param="messages")
        if message["role"] in ("user", "assistant"):
            said.append((message["role"], text_of(message.get("content"), where=f"messages[{place}].content")))
    if not said or said[-1][0] != "user":
        raise BadRequest("the last message must be the user's question", param="messages")
    return Request((Text(said[-1][1]),), turns=tuple(_turns(said[:-1])))


def _turns(said: Sequence[tuple[str, str]]) -> list[Turn]:
    """Questions with the answers that followed them; of several questions in a row the last was answered."""
    turns, question = [], None
    for role, text in said:
        if role == "user":
            question = text
        elif question is not None:
            turns.append(Turn(question, text))
            question = None
    return turns


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage as OpenAI writes it."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """An error as OpenAI writes it: all four keys are there."""
    return encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def chunk_of_whole(body: bytes) -> bytes:
    """A whole answer as one chunk of a stream, its ending and its usage included."""
    whole = _decode(body)
    choices = []
    for choice in whole.get("choices") or ():
        said = {name: item for name, item in choice.items() if name != "message"}
        message = choice.get("message")
        if isinstance(message, dict):
            delta = {name: item for name, item in message.items() if item is not None}
            if "tool_calls" in delta:
                delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(delta["tool_calls"])]
            said["delta"] = delta
        choices.append(said)
    kind = "text_completion" if whole.get("object") == "text_completion" else "chat.completion.chunk"
    return encode({**whole, "object": kind, "choices": choices})
