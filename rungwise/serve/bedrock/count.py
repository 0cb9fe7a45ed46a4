"""CountTokens: a guess from the text alone, since every model splits text in its own way; the answer says that it is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rungwise.engines.prices import guess_tokens
from rungwise.serve.bedrock import converse, invoke
from rungwise.serve.bedrock.blocks import CountTokens
from rungwise.serve.exchange import Header
from rungwise.serve.failure import BadRequest
from rungwise.serve.shapes import encode

ESTIMATED: Header = (b"x-rungwise-token-count", b"estimated")
"""Bedrock's answer has no place for it, so a header says that the figure is a guess."""

MESSAGE_TOKENS = 4
"""What a message costs beside its text; OpenAI's chat format uses 3 to 4."""
MEDIA_TOKENS = 1_000
"""A picture, a page or a sound. Providers ask from 85 to some 1,600 for a picture."""


def count_body(asked: CountTokens) -> dict[str, Any]:
    """The body, in the shape of OpenAI, whose tokens are asked for. Raises BadRequest."""
    if asked.input.converse is not None:
        return converse.chat_body(asked.input.converse)
    if asked.input.invoke_model is not None:
        return invoke.shaped(asked.input.invoke_model.body, id="").body
    raise BadRequest("input must hold converse or invokeModel", param="input")


def guess(body: Mapping[str, Any]) -> int:
    """About how many tokens go in."""
    texts: list[str] = []
    extra = 0
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        extra += MESSAGE_TOKENS
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, list):
            shown = [part for part in content if isinstance(part, Mapping)]
            texts.extend(str(part["text"]) for part in shown if "text" in part)
            extra += MEDIA_TOKENS * sum("text" not in part for part in shown)
        elif isinstance(content, str):
            texts.append(content)
        if isinstance(message, Mapping) and message.get("tool_calls"):
            texts.append(encode(message["tool_calls"]).decode())
    texts.extend(_strings(body.get("prompt")))
    texts.extend(_strings(body.get("input")))
    if body.get("tools"):
        texts.append(encode(body["tools"]).decode())
    return guess_tokens(texts) + extra


def count_answer(tokens: int) -> bytes:
    """The body of CountTokens."""
    return encode({"inputTokens": tokens})


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (one for one in value if isinstance(one, str))
