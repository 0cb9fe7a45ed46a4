"""Sends a request to the engine that should answer it, and to those that stand in for it when it fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Any

from rungwise.core.errors import UnknownName
from rungwise.core.serving import Serving
from rungwise.core.types import Clock
from rungwise.core.usecase import Endpoint
from rungwise.engines.prices import Listed
from rungwise.engines.resilience import Failed, Failure
from rungwise.serve.ask import EMBEDDINGS, Tape
from rungwise.serve.failure import NotThere, Refused
from rungwise.serve.routing.allowance import Allowance
from rungwise.serve.routing.attempt import Attempt
from rungwise.serve.routing.engine import Engine, EngineState, Target
from rungwise.serve.routing.refusing import about_the_request, refusal, resting

FIRST_DELAY_S, LONGEST_DELAY_S = 0.05, 1.0  # between rounds; somebody waits for the answer
LONGEST_REST_S = 60.0  # for which an engine that asks for rest is passed over while others can answer


class Router:
    """The engines of a project and the state of each. One instance serves all requests of a worker; close it when done.

    An engine is named `ENGINE`, which means its own model, or `ENGINE/MODEL`. When it fails, those that `serve.fallback` names
    for it are asked in their order, at once; when all have failed for a reason that may pass, they are asked again after a
    short wait, at most `serve.retries` times and within the budget for retries. A limit of an engine that ran out is final for
    that engine. What the engine says about the request itself (400, 404, 422 ...) is the answer. Vectors come from another
    engine only where it has the same model.
    Raises UsageError for an address that cannot be one, UnknownName for a fallback that is no engine.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        serving: Serving,
        *,
        clock: Clock,
        rng: Random,
        environ: Mapping[str, str] | None = None,
        prices: Sequence[Sequence[Listed]] = (),
    ) -> None:
        environ = os.environ if environ is None else environ
        self.clock, self._serving, self._rng = clock, serving, rng
        self._engines = {one.name: Engine(one, serving, clock=clock, environ=environ, prices=prices) for one in endpoints}
        self._allowance = Allowance(serving.retry_share)
        for name, others in serving.fallback.items():
            for one in (name, *others):
                if self._target(one) is None:
                    raise UnknownName("engine", one, self._engines, where="serve.fallback of rungwise.yaml")

    async def whole(self, engine: str, operation: str, body: Mapping[str, Any], tape: Tape) -> bytes:
        """The body of the answer, as the engine wrote it. Raises Refused. Cancelled, it ends the call upstream at once."""
        route = self._route(engine, operation)
        while True:
            attempt = route.attempt(operation, body, tape)
            try:
                return await attempt.whole()
            except Failed as failed:
                failure = failed.failure
            await route.failed(attempt, failure)

    async def stream(self, engine: str, operation: str, body: Mapping[str, Any], tape: Tape) -> AsyncGenerator[bytes, None]:
        """The JSON of one chunk after another, the usage last where the client asked for it.

        Raises Refused: before the first chunk when no engine can answer, after it when the one that answers breaks off.
        Closing it ends the call upstream at once.
        """
        route = self._route(engine, operation)
        while True:
            attempt = route.attempt(operation, body, tape)
            try:
                async with aclosing(attempt.stream()) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except Failed as failed:
                failure = failed.failure
            await route.failed(attempt, failure)

    def states(self) -> tuple[EngineState, ...]:
        """How each engine does."""
        return tuple(engine.state() for engine in self._engines.values())

    async def aclose(self) -> None:
        """Close all connections."""
        for engine in self._engines.values():
            await engine.upstream.aclose()

    def _route(self, name: str, operation: str) -> Route:
        first = self._target(name)
        if first is None:
            raise NotThere(f"there is no engine '{name}'")
        self._allowance.asked()
        targets = [first]
        if (fallback := self._serving.fallback) and (others := fallback.get(name) or fallback.get(first.engine.name)):
            targets += [target for one in others if (target := self._target(one)) is not None and target != first]
            if operation == EMBEDDINGS:  # vectors of another model are of another space
                targets = [target for target in targets if target.model == first.model]
        return Route(targets, self._serving.retries, self._allowance, clock=self.clock, rng=self._rng)

    def _target(self, name: str) -> Target | None:
        engine = self._engines.get(name)
        if engine is not None:
            return engine.target
        name, _, model = name.partition("/")
        engine = self._engines.get(name)
        return Target(engine, model) if engine is not None and model else None


class Route:
    """The way of one request through the engines that may answer it."""

    def __init__(self, targets: Sequence[Target], retries: int, allowance: Allowance, *, clock: Clock, rng: Random) -> None:
        self._targets = self._left = list(targets)
        self._name = targets[0].engine.name
        self._retries, self._allowance, self._clock, self._rng = retries, allowance, clock, rng
        self._rounds = 0
        self._last: Refused | None = None
        self._until: dict[str, float] = {}  # loop time at which an engine's total for this request runs out

    def attempt(self, operation: str, body: Mapping[str, Any], tape: Tape) -> Attempt:
        """The next attempt. Raises the refusal when no engine may be asked."""
        target = self._next()
        if target is None:
            raise self._last or resting(self._name, min(one.engine.circuit.rests_s for one in self._targets))
        timeouts = target.engine.timeouts
        if self._until and (until := self._until.get(target.engine.name)) is not None:  # it was asked before
            timeouts = replace(timeouts, total_s=max(0.0, until - asyncio.get_running_loop().time()))
        return Attempt(target, operation, body, tape, clock=self._clock, timeouts=timeouts)

    async def failed(self, attempt: Attempt, failure: Failure) -> None:
        """An attempt has failed: returns when there may be another. Raises what the client is told when there is none."""
        target = attempt.target
        name = target.engine.name
        refused = attempt.late or refusal(name, failure)
        if attempt.told or about_the_request(failure.status):
            raise refused
        self._last = refused
        self._until.setdefault(name, attempt.until)
        if failure.retry_after_s:
            target.engine.rest_until = self._clock.tick() + min(LONGEST_REST_S, failure.retry_after_s)
        if attempt.late is not None or not failure.retry:
            self._targets = [one for one in self._targets if one.engine is not target.engine]
        self._left = [one for one in self._left if one is not target and one in self._targets]
        if any(one.engine.circuit.ready for one in self._left):
            return
        if not self._targets or self._rounds >= self._retries or not self._allowance.take():
            raise refused
        self._rounds += 1
        await self._pause(failure, refused)
        self._left = list(self._targets)

    async def _pause(self, failure: Failure, refused: Refused) -> None:
        """Wait before the next round: full jitter, and as long as the engine asks. Raises the refusal when that is too long."""
        wait_s = self._rng.uniform(0.0, min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0**self._rounds))
        if failure.retry_after_s is not None:
            wait_s = max(wait_s, failure.retry_after_s)
        now = asyncio.get_running_loop().time()
        if wait_s > LONGEST_DELAY_S or any(now + wait_s >= until for until in self._until.values()):
            raise refused
        await asyncio.sleep(wait_s)

    def _next(self) -> Target | None:
        """The first that is not resting; one that asked for rest comes after the others."""
        left = self._left
        if len(left) == 1:
            return left[0] if left[0].engine.circuit.admits() else None
        if left:
            now = self._clock.tick()
            left = sorted(left, key=lambda one: one.engine.rest_until > now)
        return next((one for one in left if one.engine.circuit.admits()), None)
