"""The wire format of chat completions: server-sent events and JSON in, completions out; nothing here touches a network."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rungwise.core.content import Token, ToolCall

LINE_LIMIT_BYTES = 10_000_000
DONE = "[DONE]"
UNLIKELY = -9999.0  # what OpenAI writes for "not among the likely tokens"
_LINE_END = re.compile(rb"\r\n|\n|\r")


class WireError(Exception):
    """Bytes that are not the agreed protocol; `text` is what came instead. It becomes an `EngineAnswer` that says where."""

    def __init__(self, what: str, text: str = "") -> None:
        self.text = text
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens as the provider counts them; `input` includes `cached`, `output` includes `reasoning`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event adds to an answer. `count` is None until the provider says what was used."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: tuple[Token, ...] = ()
    finish: str | None = None
    model: str | None = None
    count: TokenCount | None = None
    error: Mapping[str, Any] | None = None
    choices: int = 0

    @property
    def says_something(self) -> bool:
        """Whether it carries content, so that a timer for silence starts anew."""
        return bool(self.text or self.tool_calls or self.finish or self.error or self.choices)


@dataclass(slots=True)
class Completion:
    """A whole answer as gathered from one body or from the events of a stream."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: tuple[Token, ...] = ()
    finish: str | None = None
    model: str | None = None
    count: TokenCount | None = None
    choices: int = 0
    _texts: list[str] = field(default_factory=list)
    _calls: dict[str, ToolCall] = field(default_factory=dict)
    _tokens: list[Token] = field(default_factory=list)

    def add(self, delta: Delta) -> None:
        """Take in one delta. Pieces of one tool call have the same id."""
        if delta.text:
            self._texts.append(delta.text)
        self._tokens.extend(delta.tokens)
        for call in delta.tool_calls:
            had = self._calls.get(call.id)
            self._calls[call.id] = (
                ToolCall(call.id, had.name + call.name, had.arguments + call.arguments) if had is not None else call
            )
        self.choices += delta.choices
        self.finish = delta.finish or self.finish
        self.model = delta.model or self.model
        self.count = delta.count or self.count

    def whole(self) -> Completion:
        """Itself with the pieces put together."""
        self.text, self.tokens = "".join(self._texts), tuple(self._tokens)
        self.tool_calls = tuple(self._calls.values())
        return self

    @property
    def length(self) -> int:
        """Characters received so far."""
        return sum(map(len, self._texts))


class EventReader:
    """Server-sent events out of bytes: any split of the same bytes gives the same events.

    Follows the WHATWG parsing rules (CR, LF or CRLF ends a line, `:` starts a
    comment, `data` lines of one event are joined by LF, a leading byte-order mark
    is dropped) with one leniency: `close` hands out a last event without its blank line.
    Lines are decoded whole, so a UTF-8 character cut by a packet is never broken.
    """

    def __init__(self, *, limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended yet
        self._pending_bytes = 0
        self._data: list[str] = []  # data lines of the event that has not ended yet
        self._skip_lf = False  # the last byte was CR: a LF right after it belongs to the same line end
        self._first = True

    def feed(self, data: bytes) -> list[str]:
        """The data of every event that these bytes complete. Raises WireError on a line or event over the limit."""
        if self._skip_lf and data:
            data = data[1:] if data.startswith(b"\n") else data
            self._skip_lf = False
        if not data:
            return []
        lines = _LINE_END.split(data)
        self._skip_lf = data.endswith(b"\r")
        events: list[str] = []
        for piece in lines[:-1]:
            self._take(piece)
            self._end_line(events)
        if lines[-1]:
            self._take(lines[-1])
        return events

    def close(self) -> list[str]:
        """What is left when the bytes have ended: a last event whose blank line never came."""
        events: list[str] = []
        if self._pieces:
            self._end_line(events)
        self._end_event(events)
        return events

    def _take(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._pending_bytes += len(piece)
        if self._pending_bytes > self._limit_bytes:
            raise WireError(f"one event is longer than {self._limit_bytes:,} bytes")

    def _end_line(self, events: list[str]) -> None:
        line = b"".join(self._pieces)
        self._pieces.clear()
        if self._first:
            self._first, line = False, line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            self._end_event(events)
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" ").decode("utf-8", "replace"))
            return  # its bytes count until the event ends
        elif line == b"data":
            self._data.append("")
            return
        self._pending_bytes = sum(map(len, self._data)) if self._data else 0

    def _end_event(self, events: list[str]) -> None:
        if self._data:
            events.append("\n".join(self._data))
            self._data.clear()
        self._pending_bytes = 0


def read_json(text: str | bytes) -> Any:
    """Plain data from JSON text. Raises WireError when it is not JSON."""
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # msgspec refuses what some servers write (NaN, lone surrogates): the slower reader has the last word
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise WireError("not JSON", text if isinstance(text, str) else text.decode("utf-8", "replace")) from None


def write_json(value: Any) -> bytes:
    """JSON bytes of plain data, lone surrogates escaped."""
    import msgspec

    try:
        return msgspec.json.encode(value)
    except UnicodeError:
        return json.dumps(value).encode()


def delta_of(body: Any) -> Delta:
    """What a `chat.completion` or a `chat.completion.chunk` says. Raises WireError when it has neither shape."""
    if not isinstance(body, Mapping):
        raise WireError(f"a JSON object was expected, not {type(body).__name__}")
    if body.get("error"):
        error = body["error"]
        return Delta(error=error if isinstance(error, Mapping) else {"message": str(error)})
    choices = body.get("choices")
    if choices is None:
        choices = []
    if not isinstance(choices, Sequence) or isinstance(choices, str):
        raise WireError(f"'choices' is {type(choices).__name__}, not a list")
    model = body.get("model")
    count = token_count(body.get("usage"))
    model = clean(model) if isinstance(model, str) else None
    if not choices:
        return Delta(model=model, count=count)
    choice = choices[0]
    if not isinstance(choice, Mapping):
        raise WireError("'choices[0]' is not an object")
    message = choice.get("delta") if "delta" in choice else choice.get("message")
    if message is None:
        message = {}
    if not isinstance(message, Mapping):
        raise WireError("the message of 'choices[0]' is not an object")
    finish = choice.get("finish_reason")
    return Delta(
        text=_text(message),
        tool_calls=_tool_calls(message.get("tool_calls")),
        tokens=_tokens(choice.get("logprobs")),
        finish=finish if isinstance(finish, str) else None,
        model=model,
        count=count,
        choices=1,
    )


def token_count(usage: Any) -> TokenCount | None:
    """The provider's own count, or None when it gives none that makes sense."""
    if not isinstance(usage, Mapping):
        return None
    details_in, details_out = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    given = _whole(usage.get("prompt_tokens"))
    total = _whole(usage.get("total_tokens"))
    made = _whole(usage.get("completion_tokens"))
    if made is None and given is not None and total is not None:
        made = max(0, total - given)
    if given is None or made is None:
        return None
    cached = _whole(details_in.get("cached_tokens")) if isinstance(details_in, Mapping) else None
    if cached is None:
        cached = _whole(usage.get("prompt_cache_hit_tokens"))  # DeepSeek's name for it
    reasoning = _whole(details_out.get("reasoning_tokens")) if isinstance(details_out, Mapping) else None
    return TokenCount(given, made, min(cached or 0, given), min(reasoning or 0, made))


def clean(text: str) -> str:
    """The text with lone surrogates replaced: it must fit into UTF-8 to be stored."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        return None
    return int(value)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return clean(content)
    if isinstance(content, Sequence):  # a list of parts, as some servers send it
        return clean("".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping)))
    if content is not None:
        raise WireError(f"'content' is {type(content).__name__}, not text")
    refusal = message.get("refusal")
    return clean(refusal) if isinstance(refusal, str) else ""


def _tool_calls(calls: Any) -> tuple[ToolCall, ...]:
    found = []
    for position, call in enumerate(calls if isinstance(calls, Sequence) else ()):
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            # in a stream only the first piece has an id: the index is what all of them share
            name = str(call.get("index", position))
            found.append(ToolCall(name, clean(str(function.get("name") or "")), clean(str(function.get("arguments") or ""))))
    return tuple(found)


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    found = []
    for token in content if isinstance(content, Sequence) else ():
        if not isinstance(token, Mapping) or (logprob := _logprob(token)) is None:
            return ()
        others = token.get("top_logprobs")
        likely = tuple(
            (clean(str(other.get("token", ""))), value)
            for other in (others if isinstance(others, Sequence) else ())
            if isinstance(other, Mapping) and (value := _logprob(other)) is not None
        )
        found.append(Token(clean(str(token.get("token", ""))), logprob, likely))
    return tuple(found)


def _logprob(token: Mapping[str, Any]) -> float | None:
    """A log-probability, at most 0 and at least `UNLIKELY`; None for what is not a number."""
    value = token.get("logprob")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        return None
    return float(min(0.0, max(UNLIKELY, value)))
