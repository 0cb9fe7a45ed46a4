"""Which parts of the protocol a server speaks: what it refuses is left out, and that is learned once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rungwise.core.usecase import Endpoint
from rungwise.engines.prompts import Message
from rungwise.engines.wire import WireError, read_json

REFUSED = frozenset({400, 422, 501})
# How servers call a field when they refuse it. Asked in this order; only fields that were sent count.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "stream_options": ("stream_options", "include_usage"),
    "logprobs": ("logprobs",),
    "response_format": ("response_format", "json_schema", "structured output", "guided", "grammar"),
    "seed": ("seed",),
    "temperature": ("temperature",),
    "stop": ("'stop'", '"stop"', "`stop`"),
    "system": ("system role", "system message", "role 'system'", 'role "system"', "system prompt"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to answer. `likely` asks for log-probabilities and that many alternatives a token; `sample` numbers repeated draws."""

    temperature: float | None = 0.0
    max_tokens: int | None = None
    schema: Mapping[str, Any] | None = None
    seed: int | None = None
    likely: int = 0
    stop: tuple[str, ...] = ()
    sample: int = 0


@dataclass(frozen=True)
class Dialect:
    """What to leave out for this server. Starts empty; `without` gives the next one after a refusal."""

    omitted: frozenset[str] = field(default_factory=frozenset)
    limit_name: str = "max_tokens"

    def body(self, endpoint: Endpoint, messages: Sequence[Message], options: Options, *, max_tokens: int) -> dict[str, Any]:
        """The JSON body of a call."""
        body: dict[str, Any] = {"model": endpoint.model, "messages": list(messages), self.limit_name: max_tokens}
        if endpoint.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if options.temperature is not None:
            body["temperature"] = options.temperature
        if options.seed is not None:
            body["seed"] = options.seed
        if options.stop:
            body["stop"] = list(options.stop)
        if options.likely and endpoint.logprobs:
            body |= {"logprobs": True, "top_logprobs": options.likely}
        if options.schema is not None and endpoint.json_schema:
            described = {"name": "answer", "schema": options.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        for name in self.omitted:
            body.pop(name, None)
        if "logprobs" in self.omitted:
            body.pop("top_logprobs", None)
        if "system" in self.omitted:
            body["messages"] = _without_system(messages)
        return body

    def without(self, body: Mapping[str, Any], status: int, text: str) -> tuple[Dialect, str] | None:
        """The dialect to try after the server refused `body`, and what changed; None when there is nothing to leave out."""
        if status not in REFUSED:
            return None
        complaint = _complaint(text)
        if "max_completion_tokens" in complaint and "max_tokens" in body:
            return replace(self, limit_name="max_completion_tokens"), "max_tokens is sent as max_completion_tokens"
        sent = {*body, *("system" for message in body["messages"] if message["role"] == "system")}
        for name, words in _NAMES.items():
            if name in sent and any(word in complaint for word in words):
                return self._omit(name)
        return self._omit("response_format") if "response_format" in sent else None

    def _omit(self, name: str) -> tuple[Dialect, str]:
        return replace(self, omitted=self.omitted | {name}), f"{name} is left out"


def _complaint(text: str) -> str:
    """The part of an error body that says what was wrong, in lower case; not an echo of the prompt."""
    try:
        body = read_json(text)
    except WireError:
        return text[:500].lower()
    error = body.get("error", body.get("detail", body)) if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        return f"{error.get('param') or ''} {str(error.get('message') or '')[:500]}".lower()
    return str(error)[:500].lower()


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The same messages with the instructions at the head of the first user turn, for models without a system role."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    rest = [dict(message) for message in messages if message["role"] != "system"]
    if system and rest:
        rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
    return rest
