"""Candidates that answer beside the live one, unseen: never waited for, never billed to anybody, traced like the rest."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rungwise.core.errors import StoreError
from rungwise.core.trace import Trace, new_trace_id
from rungwise.core.types import Clock
from rungwise.serve.answerer import Answerer
from rungwise.serve.answering import Observe
from rungwise.serve.ask import Ask, Tape
from rungwise.serve.failure import Refused
from rungwise.serve.live import Live
from rungwise.serve.recording import make_trace

if TYPE_CHECKING:
    from rungwise.data.traces.writer import TraceWriter

AT_ONCE = 64
"""How many shadows answer at once; a request that comes when all are busy has no shadow, and is counted."""
CLOSING_S = 5.0
_log = logging.getLogger(__name__)


class Shadows:
    """Runs the shadows of a project."""

    def __init__(
        self, traces: TraceWriter, clock: Clock, *, capture: str, observers: Sequence[Observe] = (), at_once: int = AT_ONCE
    ) -> None:
        self._traces, self._clock, self._capture, self._at_once = traces, clock, capture, at_once
        self._observers = observers
        self._running: set[asyncio.Task[None]] = set()  # the loop keeps only weak references to tasks
        self.skipped = 0

    def follow(self, ask: Ask, live: Trace, release: Live) -> None:
        """Ask every shadow what was just answered live."""
        if live.cached or live.release is None:
            return
        for candidate, answerer in release.shadows.items():
            if len(self._running) >= self._at_once:
                self.skipped += 1
                continue
            task = asyncio.create_task(self._answer(ask, live, candidate, answerer))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Wait a little for those that are at it, then stop them."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=CLOSING_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _answer(self, ask: Ask, live: Trace, candidate: str, answerer: Answerer) -> None:
        tape = Tape(new_trace_id(self._clock.now(), os.urandom(10)), self._clock)
        tape.asked, tape.release, tape.variant, tape.candidate = ask.model, live.release, "shadow", candidate
        body: bytes | None = None
        try:
            body = (await answerer.whole(_unstreamed(ask), tape)).body
        except Refused as refusal:
            tape.status, tape.error = refusal.status, refusal.code
        except asyncio.CancelledError:  # the server ends, and waits for nobody's shadow
            tape.status, tape.error = 503, "stopped"
        except Exception as error:  # noqa: BLE001 - boundary: a shadow may never hurt the live path
            tape.status, tape.error = 500, type(error).__name__
        trace = make_trace(tape, ask, body, self._capture, shadow_of=live.id)
        for observe in self._observers:
            observe(trace)
        try:
            await self._traces.add(trace)
        except StoreError as error:
            _log.error("a shadow's answer could not be traced: %s", error)


def _unstreamed(ask: Ask) -> Ask:
    body = {name: value for name, value in ask.body.items() if name not in ("stream", "stream_options")}
    return Ask(ask.operation, ask.model, body, ask.caller, False, ask.user, ask.conversation, ask.tags, None, ask.protocol)
