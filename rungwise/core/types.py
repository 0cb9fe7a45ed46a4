"""The three shapes that everything else wraps, and where and when a step runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from rungwise.core.candidate import Candidate
from rungwise.core.content import Chunk, Citation, Part, Passage, Request, Response, Scores, Text, Usage
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation

R = TypeVar("R")

Responder: TypeAlias = Callable[[Request], AsyncIterator[Chunk]]
"""Anything that answers. A technique is a wrapper `with_x(responder, ...)`; `collect` makes a whole answer."""

Rung: TypeAlias = Callable[[Candidate, Sequence[Example], Sequence[Evaluation]], Awaitable[Sequence[Candidate]]]
"""Proposes recipes, cheapest first; called again with what was measured until it returns nothing."""

Score: TypeAlias = Callable[[Example, Response], float]
"""The score of one answer. Its name, range and direction are declared beside it, in `evaluate/metric.py`."""


async def collect(chunks: AsyncIterator[Chunk]) -> Response:
    """Read a stream to its end and make one answer of it."""
    parts: list[Part] = []
    usage = Usage()
    scores: Scores | None = None
    confidence: float | None = None
    passages: tuple[Passage, ...] = ()
    citations: tuple[Citation, ...] = ()
    model: str | None = None
    finish: str | None = None
    async for last in chunks:
        parts.extend(last.parts)
        if last.usage is not None:
            usage = usage + last.usage
        scores = last.scores or scores
        confidence = last.confidence if last.confidence is not None else confidence
        passages = last.passages or passages
        citations = last.citations or citations
        model, finish = last.model or model, last.finish or finish
    text = "".join(part.text for part in parts if isinstance(part, Text))
    return Response(text, tuple(parts), scores, confidence, passages, usage, model, finish, citations)


class Executor(Protocol):
    """Where a step runs: in this process, in others, or on a cluster. `function` must be importable by name."""

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        """Run one call and give back its result; errors raised by `function` are raised here."""
        ...


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    def tick(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...
