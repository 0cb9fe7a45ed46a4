"""The way of one request through a project: who answers, within which limits, seen by which guards, and where it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from rungwise.core.errors import RungwiseError, StoreError
from rungwise.core.serving import Serving, Timeouts
from rungwise.core.trace import Trace
from rungwise.serve.ask import EMBEDDINGS, Ask, Tape, Whole
from rungwise.serve.failure import CannotTrace, Refused
from rungwise.serve.live import Live
from rungwise.serve.recording import Gathered, make_trace
from rungwise.serve.replies import Questions, once, question_key
from rungwise.serve.routing.deadlines import within
from rungwise.serve.shapes import chunk_of_whole
from rungwise.serve.targets import Names, Target

if TYPE_CHECKING:
    from rungwise.core.types import Clock
    from rungwise.data.replies import Replies
    from rungwise.data.traces.writer import TraceWriter
    from rungwise.serve.limits import Hold, Limits

GONE = 499
"""The status of a request whose client went away, as nginx writes it."""

Observe = Callable[[Trace], None]
Bound = Callable[[Ask, Target], tuple[int, float]]
"""The most tokens and US dollars that a request can take."""


@dataclass
class Answering:
    """What every request of a project goes through. `live` is exchanged whole when another release takes over."""

    serving: Serving
    names: Names
    traces: TraceWriter
    limits: Limits
    replies: Replies
    clock: Clock
    bound: Bound
    live: Live = field(default_factory=Live)
    lost: bool = False
    observers: list[Observe] = field(default_factory=list)
    after: list[Callable[[Ask, Trace, Live], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._questions = Questions(self.clock, self.serving.cache_s) if self.serving.cache_s > 0 else None
        self._timed = self.serving.timeouts != Timeouts()

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        """The whole answer, committed before it is given. Raises Refused, which is committed as well."""
        if ask.idempotency is None:
            return await self._whole(ask, tape)
        async with once(self.replies, ask, tape.id, self.clock) as claim:
            if claim.before is not None:
                tape.id = claim.before.trace  # the client is told the trace that there is
                return Whole(claim.before.body.encode(), claim.before.status, ((b"x-rungwise-first", claim.before.trace.encode()),))
            answer = await self._whole(ask, tape)
            claim.body, claim.status = answer.body, answer.status
        return answer

    async def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        """The answer in pieces; the iterator ends when its trace is committed, so that what follows it tells of a kept answer."""
        if ask.idempotency is None:
            async with aclosing(cast(Any, self._stream(ask, tape, Gathered()))) as pieces:
                async for piece in pieces:
                    yield piece
            return
        async with once(self.replies, ask, tape.id, self.clock) as claim:
            if claim.before is not None:
                tape.id = claim.before.trace
                yield chunk_of_whole(claim.before.body.encode())
                return
            gathered = Gathered()
            async with aclosing(cast(Any, self._stream(ask, tape, gathered))) as pieces:
                async for piece in pieces:
                    yield piece
            claim.body = gathered.whole()

    async def _whole(self, ask: Ask, tape: Tape) -> Whole:
        response: list[bytes] = []
        async with self._recorded(ask, tape, lambda: response[0] if response else None) as target:
            key = self._cache_key(ask, target)
            if key is not None and self._questions is not None and (body := self._questions.get(key)) is not None:
                tape.cached = True
                response.append(body)
                return Whole(body)
            work = target.answerer.whole(ask, tape)
            answer = await (within(work, self.serving.timeouts, "release") if self._timed else work)
            response.append(answer.body)
            if key is not None and self._questions is not None:
                self._questions.put(key, answer.body)
        return answer

    async def _stream(self, ask: Ask, tape: Tape, gathered: Gathered) -> AsyncIterator[bytes]:
        async with self._recorded(ask, tape, gathered.whole) as target:
            key = self._cache_key(ask, target)
            if key is not None and self._questions is not None and (body := self._questions.get(key)) is not None:
                tape.cached = True
                gathered.take_whole(body)
                yield chunk_of_whole(body)
                return
            source = target.answerer.stream(ask, tape)
            if self._timed:
                source = within(source, self.serving.timeouts, "release")
            async with aclosing(cast(Any, source)) as pieces:
                async for piece in pieces:
                    gathered.feed(piece)
                    yield piece
            if key is not None and self._questions is not None and (body := gathered.whole()) is not None:
                self._questions.put(key, body)

    @asynccontextmanager
    async def _recorded(self, ask: Ask, tape: Tape, response: Callable[[], bytes | None]) -> AsyncIterator[Target]:
        """Limits before, exact use after, and the trace whatever happens. Raises CannotTrace when an answer cannot be kept."""
        hold: Hold | None = None
        tape.asked = ask.model
        if self.lost:
            raise CannotTrace("the state of this project is gone, so nothing can be written down. The operator's log says more")
        try:
            target = self.names.find(ask, self.live, tape)
            if self.limits.bind(ask.caller):
                hold = await self.limits.reserve(ask.caller, ask.user, *self.bound(ask, target))
            yield target
        except Refused as refusal:
            tape.status, tape.error = refusal.status, refusal.code
            raise
        except (asyncio.CancelledError, GeneratorExit):
            tape.status, tape.error = GONE, "client_gone"
            raise
        except RungwiseError as error:
            tape.status, tape.error = 500, type(error).__name__
            raise Refused("this model cannot answer now") from error
        except Exception as error:  # boundary: whatever broke is traced, and goes on to whoever logs it
            tape.status, tape.error = 500, type(error).__name__
            raise
        finally:
            if hold is not None:
                usage = tape.usage
                await hold.settle(usage.input_tokens + usage.output_tokens if usage else 0, usage.usd if usage else 0.0)
            await self._keep(ask, tape, response())

    async def _keep(self, ask: Ask, tape: Tape, response: bytes | None) -> None:
        trace = make_trace(tape, ask, response, self.serving.capture)
        for observe in self.observers:
            observe(trace)
        try:
            await self.traces.add(trace)
        except StoreError as error:
            if trace.error is None:
                raise CannotTrace(
                    "the answer could not be written down, so it is not given. The operator's log says why"
                ) from error
        if trace.error is None and self.live.shadows:
            for follow in self.after:
                follow(ask, trace, self.live)

    def _cache_key(self, ask: Ask, target: Target) -> str | None:
        return question_key(ask, target.name) if self._questions is not None and ask.operation != EMBEDDINGS else None
