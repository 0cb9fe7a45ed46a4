"""An engine behind the gateway as an answerer: the request goes on as it came."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rungwise.serve.ask import Ask, Tape, Whole
from rungwise.serve.routing.router import Router


class Relay:
    """Hands requests to an engine, or to those that stand in for it, and their answers back untouched."""

    def __init__(self, router: Router, engine: str) -> None:
        self._router, self.engine = router, engine

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        """The engine's body as it came."""
        return Whole(await self._router.whole(self.engine, ask.operation, ask.body, tape))

    def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        """The engine's events as they come."""
        return self._router.stream(self.engine, ask.operation, ask.body, tape)
