"""What an engine says about its answer: its id, its model, what it used, how it ended. The answer itself is not touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rungwise.engines.wire import TokenCount, WireError, read_json, token_count, write_json


class InputDetails(msgspec.Struct):
    """Of `usage`."""

    cached_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """Of `usage`."""

    reasoning_tokens: int | None = None


class Used(msgspec.Struct):
    """The field `usage`."""

    prompt_tokens: int
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None

    @property
    def count(self) -> TokenCount | None:
        """The tokens, or None where they make no sense. Embeddings have no output."""
        given, made = self.prompt_tokens, self.completion_tokens
        if made is None:
            made = max(0, (self.total_tokens or given) - given)
        if given < 0 or made < 0:
            return None
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details is not None else 0
        reasoning = self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details is not None else 0
        return TokenCount(given, made, min(max(0, cached or 0), given), min(max(0, reasoning or 0), made))


class Choice(msgspec.Struct):
    """One of `choices`."""

    finish_reason: str | None = None


class Said(msgspec.Struct):
    """The few fields of a body or a chunk that are looked at."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    data: msgspec.Raw | None = None  # of embeddings
    usage: Used | None = None
    error: msgspec.Raw | None = None

    @property
    def finish(self) -> str | None:
        """How the answer ended, if this says so."""
        for choice in self.choices or ():
            if choice.finish_reason is not None:
                return choice.finish_reason
        return None


class Reported(Exception):
    """An answer that is an error object."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.error = error
        super().__init__("an error inside an answer")


_DECODE = msgspec.json.Decoder(Said).decode
_NOTHING = (b"null", b"{}", b'""', b"false", b"[]")


def read_answer(json: bytes) -> tuple[Said, bytes]:
    """What a body or a chunk says, and the bytes that may be handed on.

    Text that is not UTF-8 and JSON that only a lenient reader takes (NaN) are mended, so that every client can read them.
    Raises WireError when it is not a JSON object in the shape of OpenAI, Reported when it is an error.
    """
    try:
        if not json.isascii():
            json.decode()  # fields that are passed over are not checked otherwise
        said = _DECODE(json)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _read_slowly(json)
    if said.error is not None and bytes(said.error) not in _NOTHING:
        return _read_slowly(json)
    return said, json


def _read_slowly(json: bytes) -> tuple[Said, bytes]:
    """The same for bodies of unusual shape, and for errors."""
    body = read_json(json)
    if not isinstance(body, Mapping):
        raise WireError(f"a JSON object was expected, not {type(body).__name__}")
    if body.get("error"):
        error = body["error"]
        raise Reported(error if isinstance(error, Mapping) else {"message": str(error)})
    choices = body.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(choice, Mapping) for choice in choices):
        raise WireError("'choices' is not a list of objects")
    finishes = [choice.get("finish_reason") for choice in choices]
    said = Said(
        id=body["id"] if isinstance(body.get("id"), str) else None,
        model=body["model"] if isinstance(body.get("model"), str) else None,
        choices=[Choice(finish if isinstance(finish, str) else None) for finish in finishes],
        data=msgspec.Raw(b"[]") if body.get("data") is not None else None,
        usage=_used(token_count(body.get("usage"))),
    )
    return said, write_json(body)


def _used(count: TokenCount | None) -> Used | None:
    if count is None:
        return None
    return Used(
        count.input,
        count.output,
        prompt_tokens_details=InputDetails(count.cached),
        completion_tokens_details=OutputDetails(count.reasoning),
    )
