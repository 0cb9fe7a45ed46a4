"""What a request in the shape of OpenAI asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rungwise.serve.ask import CHAT, COMPLETION, EMBEDDINGS, Ask, Caller
from rungwise.serve.exchange import Exchange
from rungwise.serve.failure import BadRequest
from rungwise.serve.shapes import read_object

TAGS, TAG_CHARACTERS = 16, 512
"""As many entries, and so long, as OpenAI allows in `metadata`."""


def ask_of(exchange: Exchange, body: bytes, operation: str, caller: Caller) -> Ask:
    """The request. Fields that nobody here knows are passed on. Raises BadRequest where it makes no sense.

    The user is the key's own, else `safety_identifier` or `user` of the body; the conversation is the header
    `x-rungwise-conversation` or `metadata.conversation`. The rest of `metadata` are tags.
    """
    data = read_object(body)
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model must be the name of a model. GET /v1/models lists them", param="model")
    stream = data.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("stream must be true or false", param="stream")
    _check(data, operation)
    tags = _tags(data.get("metadata"))
    user = caller.user or _name(data, "safety_identifier") or _name(data, "user")
    conversation = _header(exchange, b"x-rungwise-conversation") or tags.pop("conversation", None)
    return Ask(
        operation,
        model,
        data,
        caller,
        bool(stream),
        user,
        conversation,
        tags,
        _header(exchange, b"idempotency-key"),
        raw=body,
    )


def _check(data: Mapping[str, Any], operation: str) -> None:
    if operation == CHAT:
        _check_messages(data.get("messages"))
    if operation == COMPLETION and not isinstance(data.get("prompt"), (str, list)):
        raise BadRequest("prompt must be text or a list of texts", param="prompt")
    if operation == EMBEDDINGS and not isinstance(data.get("input"), (str, list)):
        raise BadRequest("input must be text, a list of texts, or lists of tokens", param="input")
    options = data.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadRequest("stream_options must be an object", param="stream_options")


def _check_messages(messages: Any) -> None:
    """What is no message at all reaches no engine: some answer it as if they were broken, and are then left to rest."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{place}] must be an object with a role", param="messages")


def _tags(metadata: Any) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or len(metadata) > TAGS:
        raise BadRequest(f"metadata must be an object with at most {TAGS} entries", param="metadata")
    for name, value in metadata.items():
        if not isinstance(value, str) or len(value) > TAG_CHARACTERS:
            raise BadRequest(f"metadata.{name} must be text of at most {TAG_CHARACTERS} characters", param="metadata")
    return dict(metadata)


def _name(data: Mapping[str, Any], field: str) -> str | None:
    value = data.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > TAG_CHARACTERS:
        raise BadRequest(f"{field} must be text of at most {TAG_CHARACTERS} characters", param=field)
    return value or None


def _header(exchange: Exchange, name: bytes) -> str | None:
    value = exchange.header(name)
    return value.decode("latin-1")[:TAG_CHARACTERS] if value else None
