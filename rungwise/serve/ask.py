"""A request as the gateway understands it, the answer it gives, and the tape on which its trace is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rungwise.core.content import Usage
from rungwise.core.trace import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rungwise.core.types import Clock

CHAT, COMPLETION, EMBEDDINGS = "chat", "text_completion", "embeddings"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key's id, its scopes, and whose it is. `tenant` bounds everything that the caller can see.

    `meter` is the key on whose meter its use is counted: the first of those that replaced one another.
    """

    key: str | None
    scopes: frozenset[str]
    tenant: str | None = None
    user: str | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    meter: str | None = None


@dataclass(slots=True)
class Ask:
    """One request, in the shape of OpenAI whichever protocol it came in. `body` is the JSON object of `operation`.

    `model` is what was asked for by name; `user` and `conversation` decide which variant answers; `idempotency` makes two
    sendings of it one. `raw` is the body as it came, where it came in this shape. `protocol` is openai or bedrock.
    """

    operation: str
    model: str
    body: dict[str, Any]
    caller: Caller
    stream: bool = False
    user: str | None = None
    conversation: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    idempotency: str | None = None
    protocol: str = "openai"
    raw: bytes | None = None


@dataclass(slots=True)
class Whole:
    """A whole answer: the JSON body in the shape of OpenAI, as bytes."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Tape:
    """What is known of a request while it is answered; it becomes the trace. One request writes on it, from one task at a time."""

    __slots__ = (
        "asked",
        "at",
        "cached",
        "candidate",
        "clock",
        "engine",
        "error",
        "finish",
        "first_token_s",
        "id",
        "model",
        "parts_used",
        "release",
        "response_id",
        "spans",
        "started",
        "status",
        "usage",
        "variant",
    )

    def __init__(self, id: str, clock: Clock) -> None:
        self.id, self.clock = id, clock
        self.at, self.started = clock.now(), clock.tick()
        self.asked = ""
        self.release: str | None = None
        self.variant: str | None = None
        self.candidate: str | None = None
        self.engine: str | None = None
        self.model: str | None = None
        self.response_id: str | None = None
        self.usage: Usage | None = None
        self.first_token_s: float | None = None
        self.finish: str | None = None
        self.error: str | None = None
        self.status = 200
        self.cached = False
        self.spans: list[Span] = []
        self.parts_used: tuple[str, ...] = ()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request came."""
        return self.clock.tick() - self.started

    def heard(self) -> None:
        """The first content has come; later calls change nothing."""
        if self.first_token_s is None:
            self.first_token_s = self.clock.tick() - self.started

    def add(self, usage: Usage) -> None:
        """Count what an engine used, failed attempts included."""
        self.usage = usage if self.usage is None else self.usage + usage

    @contextmanager
    def span(self, name: str, kind: str, **details: Any) -> Iterator[dict[str, Any]]:
        """Time a step. The mapping that is given may be filled with details until the step ends; an exception is its error."""
        begun = self.elapsed_s
        error: str | None = None
        try:
            yield details
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            self.spans.append(
                Span(name=name, kind=kind, start_s=begun, seconds=self.elapsed_s - begun, error=error, details=details)
            )
