"""Whoever answers a request: the one shape behind every protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from rungwise.serve.ask import Ask, Tape, Whole


class Answerer(Protocol):
    """Answers in the shape of OpenAI, and writes on the tape what it took. Raises `Refused` when it cannot."""

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        """The whole answer."""
        ...

    def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        """The answer in pieces: each the JSON of one `chat.completion.chunk` (or `text_completion`), without framing."""
        ...
