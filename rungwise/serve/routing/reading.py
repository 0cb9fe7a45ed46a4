"""What an engine says about its answer: its id, its model, what it used, how it ended. The answer itself is not touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rungwise.engines.wire import TokenCount, WireError, read_json, token_count, write_json


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Used(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    """The few fields of a body or a chunk that are looked at."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    data: msgspec.Raw | None = None  # of embeddings
    usage: _Used | None = None
    error: msgspec.Raw | None = None


@dataclass(slots=True)
class Said:
    """What was read of one body or chunk. `json` is what may be handed on."""

    json: bytes
    id: str | None = None
    model: str | None = None
    choices: int = 0
    finish: str | None = None
    count: TokenCount | None = None
    error: Mapping[str, Any] | None = None
    data: bool = False


_DECODE = msgspec.json.Decoder(_Answer).decode
_NOTHING = (b"null", b"{}", b'""', b"false", b"[]")


def read_answer(json: bytes) -> Said:
    """What a body or a chunk says. Raises WireError when it is not a JSON object in the shape of OpenAI.

    Text that is not UTF-8 and JSON that only a lenient reader takes (NaN) are mended, so that every client can read them.
    """
    try:
        if not json.isascii():
            json.decode()  # fields that are passed over are not checked otherwise
        answer = _DECODE(json)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _read_slowly(json)
    if answer.error is not None and bytes(answer.error) not in _NOTHING:
        return _read_slowly(json)
    choices, used = answer.choices, answer.usage
    finish = None
    for choice in choices or ():
        finish = choice.finish_reason or finish
    count = _count(used) if used is not None else None
    return Said(json, answer.id, answer.model, len(choices or ()), finish, count, None, answer.data is not None)


def _count(used: _Used) -> TokenCount | None:
    given, made = used.prompt_tokens, used.completion_tokens
    if made is None:  # embeddings have none
        made = max(0, (used.total_tokens or given) - given)
    if given < 0 or made < 0:
        return None
    cached = used.prompt_tokens_details.cached_tokens or 0 if used.prompt_tokens_details is not None else 0
    reasoning = used.completion_tokens_details.reasoning_tokens or 0 if used.completion_tokens_details is not None else 0
    return TokenCount(given, made, min(max(0, cached), given), min(max(0, reasoning), made))


def _read_slowly(json: bytes) -> Said:
    """The same for bodies of unusual shape, and for errors."""
    body = read_json(json)
    if not isinstance(body, Mapping):
        raise WireError(f"a JSON object was expected, not {type(body).__name__}")
    if body.get("error"):
        error = body["error"]
        return Said(json, error=error if isinstance(error, Mapping) else {"message": str(error)})
    choices = body.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(choice, Mapping) for choice in choices):
        raise WireError("'choices' is not a list of objects")
    finish = [choice["finish_reason"] for choice in choices if isinstance(choice.get("finish_reason"), str)]
    id, model = body.get("id"), body.get("model")
    return Said(
        write_json(body),
        id if isinstance(id, str) else None,
        model if isinstance(model, str) else None,
        len(choices),
        finish[-1] if finish else None,
        token_count(body.get("usage")),
        None,
        "data" in body,
    )
