"""Timeouts of one variant, around whoever answers for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rungwise.core.serving import Timeouts
from rungwise.serve.answerer import Answerer
from rungwise.serve.ask import Ask, Tape, Whole
from rungwise.serve.routing.deadlines import within


def with_timeouts(answerer: Answerer, timeouts: Timeouts | None) -> Answerer:
    """Wrap an answerer so that it ends in time or raises TimedOut of the level `candidate`."""
    return _Timed(answerer, timeouts) if timeouts is not None else answerer


class _Timed:
    def __init__(self, answerer: Answerer, timeouts: Timeouts) -> None:
        self._answerer, self._timeouts = answerer, timeouts

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        """The whole answer, in time."""
        return await within(self._answerer.whole(ask, tape), self._timeouts, "candidate")

    def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        """The answer in pieces, each in time."""
        return within(self._answerer.stream(ask, tape), self._timeouts, "candidate")
