"""InvokeModel: which shape a body has, and how its answer goes back in the same shape, whole or in pieces."""

from __future__ import annotations

import base64
from typing import Any, Protocol

import msgspec

from rungwise.serve.ask import CHAT, COMPLETION, EMBEDDINGS, Tape
from rungwise.serve.bedrock import anthropic
from rungwise.serve.bedrock.events import event
from rungwise.serve.bedrock.pieces import Count
from rungwise.serve.exchange import Header
from rungwise.serve.failure import BadRequest
from rungwise.serve.shapes import encode, read_object

# The field that shows what an OpenAI-shaped body asks for.
_OPERATIONS = {"messages": CHAT, "prompt": COMPLETION, "input": EMBEDDINGS}


class Shape(Protocol):
    """A body of InvokeModel: what it asks in the shape of OpenAI, and the way back."""

    operation: str
    body: dict[str, Any]
    user: str | None
    begun: bytes

    def whole(self, answer: bytes, tape: Tape) -> bytes:
        """The body of the answer."""
        ...

    def frames(self, chunk: bytes) -> bytes:
        """The frames of one chunk."""
        ...

    def last(self, tape: Tape) -> bytes:
        """The frames after the last chunk."""
        ...

    def blocked(self, message: str, tape: Tape) -> bytes | None:
        """The frames after a guard's refusal; None where that is an error like any other."""
        ...


class OpenAIShaped:
    """Goes on and comes back untouched."""

    begun = b""

    def __init__(self, operation: str, body: dict[str, Any]) -> None:
        self.operation, self.body = operation, body
        user = body.get("user")
        self.user = user if isinstance(user, str) else None

    def whole(self, answer: bytes, tape: Tape) -> bytes:
        """As it came."""
        return answer

    def frames(self, chunk: bytes) -> bytes:
        """The chunk as it came, in one frame."""
        return _frame(chunk)

    def last(self, tape: Tape) -> bytes:
        """Nothing more."""
        return b""

    def blocked(self, message: str, tape: Tape) -> None:
        """An error."""


class AnthropicShaped:
    """Messages in the shape of Anthropic."""

    operation = CHAT
    begun = b""

    def __init__(self, asked: anthropic.Messages, *, id: str) -> None:
        self.body = anthropic.chat_body(asked)
        self.user = asked.metadata.user_id if asked.metadata is not None else None
        self._id = f"msg_{id}"
        self._telling = anthropic.Telling(id=self._id)

    def whole(self, answer: bytes, tape: Tape) -> bytes:
        """The message."""
        return anthropic.messages_answer(answer, id=self._id)

    def frames(self, chunk: bytes) -> bytes:
        """A frame for every event."""
        return b"".join(_frame(encode(told)) for told in self._telling.events(chunk))

    def blocked(self, message: str, tape: Tape) -> None:
        """An error."""

    def last(self, tape: Tape) -> bytes:
        """The end of the message with what it took."""
        seconds = tape.elapsed_s
        first_s = tape.first_token_s if tape.first_token_s is not None else seconds
        return b"".join(_frame(encode(told)) for told in self._telling.last(first_s=first_s, seconds=seconds))


def shaped(body: bytes, *, id: str) -> Shape:
    """The shape of a body; `id` names the answer where the engine does not. Raises BadRequest."""
    data = read_object(body)
    if "anthropic_version" in data:
        return AnthropicShaped(anthropic.read_messages(data), id=id)
    for field, operation in _OPERATIONS.items():
        if field in data:
            return OpenAIShaped(operation, data)
    raise BadRequest(
        "the body must have the shape of OpenAI (messages, prompt or input) or of Anthropic (anthropic_version and messages)"
    )


class _Counted(msgspec.Struct, gc=False):
    usage: Count | None = None


_COUNTED = msgspec.json.Decoder(_Counted)


def token_headers(answer: bytes) -> tuple[Header, ...]:
    """The headers in which InvokeModel tells the tokens, where the engine has counted them."""
    try:
        count = _COUNTED.decode(answer).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    if count is None:
        return ()
    return (
        (b"x-amzn-bedrock-input-token-count", str(count.fresh).encode()),
        (b"x-amzn-bedrock-output-token-count", str(count.completion_tokens).encode()),
    )


def _frame(payload: bytes) -> bytes:
    return event("chunk", encode({"bytes": base64.b64encode(payload).decode()}))
