"""What is asked and what is answered: parts, requests, chunks, whole answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to call a tool; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


Part: TypeAlias = Text | ToolCall


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: `start` and `end` are character offsets in it, `score` the search score.

    `version` is SHA-256 of the document's text, where it is known: the text that the offsets are true of.
    """

    text: str
    document: str = ""
    start: int = 0
    end: int = 0
    score: float = 0.0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a statement of an answer comes from: `quote` is exactly the characters `start` to `end` of `document`.

    `version` is SHA-256 of that document's text; `claim` is the span of the statement in the answer.
    """

    document: str
    start: int
    end: int
    quote: str
    version: str = ""
    claim: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Shot:
    """A solved example that a prompt shows."""

    text: str
    answer: str
    passage: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of a conversation and what was answered to it."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question: its parts, what was said before, oldest first, and what wrappers have gathered for it so far."""

    parts: tuple[Part, ...]
    passages: tuple[Passage, ...] = ()
    shots: tuple[Shot, ...] = ()
    turns: tuple[Turn, ...] = ()

    @property
    def text(self) -> str:
        """All text parts in one string."""
        parts = self.parts
        if len(parts) == 1 and isinstance(parts[0], Text):
            return parts[0].text
        return "\n".join(part.text for part in parts if isinstance(part, Text))

    @classmethod
    def of(cls, text: str, *, passage: str | None = None) -> Request:
        """A request of one text, with the passage that came with it."""
        return cls((Text(text),), (Passage(passage),) if passage is not None else ())


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer used: tokens as the provider counts them, and money in US dollars. Retries are included.

    `seconds` is how long the endpoint took when it was asked, retries included and waiting for one's turn left out; an
    answer that comes from the cache keeps the seconds of then.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    calls: int = 0
    usd: float = 0.0
    estimated: bool = False
    seconds: float = field(default=0.0, compare=False)  # a measurement: equal answers take different times

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.calls + other.calls,
            self.usd + other.usd,
            self.estimated or other.estimated,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """How strongly each label is believed: `values[i]`, a probability in [0, 1], belongs to `labels[i]`.

    `labels` is one shared tuple for all answers of a model; `values` may be a row of an array.
    """

    labels: tuple[str, ...]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer with its log-probability in nats, and the likeliest ones at its place with theirs."""

    text: str
    logprob: float
    likely: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. Scores, usage, model and finish come with whichever chunk knows them, as a rule the last."""

    parts: tuple[Part, ...] = ()
    scores: Scores | None = None
    confidence: float | None = None
    passages: tuple[Passage, ...] = ()
    usage: Usage | None = None
    model: str | None = None
    finish: str | None = None
    tokens: tuple[Token, ...] = ()
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. For a single-label task the label is `text`; for several labels they are `labels`."""

    text: str
    parts: tuple[Part, ...] = ()
    scores: Scores | None = None
    confidence: float | None = None
    passages: tuple[Passage, ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    finish: str | None = None
    citations: tuple[Citation, ...] = ()

    @property
    def abstained(self) -> bool:
        """Whether the answer was withheld: not sure enough, or no evidence."""
        return self.finish == "abstained"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a multi-label answer, which is written as one label a line."""
        return tuple(line for line in self.text.split("\n") if line)
