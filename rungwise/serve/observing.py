"""What is seen of a worker from outside while it serves: counts for Prometheus, traces for OpenTelemetry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rungwise.core.trace import Trace
from rungwise.serve.failure import Blocked
from rungwise.serve.metrics import AnswerCounts, Count, Metrics, Spread
from rungwise.serve.telemetry.export import Exporter, exporter_for

if TYPE_CHECKING:
    from rungwise.serve.gateway import Gateway
    from rungwise.serve.seat import Seat
    from rungwise.serve.served import Served

LOOK_S = 1.0


class Observing:
    """Watches every project of a gateway, from `begin` to `close`."""

    def __init__(self, gateway: Gateway, seat: Seat, *, environ: Mapping[str, str]) -> None:
        self._looks: list[Callable[[], None]] = []
        self._exporters: list[Exporter] = []
        for served in gateway.projects:
            exporter = exporter_for(served.answering.serving.otlp_url, name=served.name, environ=environ)
            if exporter is not None:
                self._exporters.append(exporter)
            served.answering.observers.append(observer(seat.metrics, served.name, exporter))
            self._looks.append(_engines(seat.metrics, served))
            self._looks.append(_losses(seat.metrics, served, exporter))
        self._task = asyncio.ensure_future(self._look())

    async def close(self) -> None:
        """Send what is left to send, for a little while, and count for the last time."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await asyncio.gather(*(one.aclose() for one in self._exporters))
        for look in self._looks:
            look()

    async def _look(self) -> None:
        while True:
            for look in self._looks:
                look()
            await asyncio.sleep(LOOK_S)


def observer(metrics: Metrics, deployment: str, exporter: Exporter | None = None) -> Callable[[Trace], None]:
    """Counts a trace, and hands it to the exporter. It is called in the path of every request."""
    counts = AnswerCounts(metrics, deployment)
    cached = metrics.count("rungwise_cached_answers_total", deployment)
    refused = metrics.count("rungwise_refused_by_guards_total", deployment)
    engines: dict[str, Spread] = {}

    def observe(trace: Trace) -> None:
        counts.answered(
            trace.operation, trace.variant, trace.status, trace.seconds, trace.first_token_s if trace.streamed else None
        )
        usage = trace.usage
        if usage.input_tokens or usage.output_tokens or usage.usd:
            counts.used(trace.operation, trace.variant, usage.input_tokens, usage.output_tokens, usage.usd)
        if trace.cached:
            cached.add()
        if trace.error == Blocked.code:
            refused.add()
        for span in trace.spans:
            if span.kind == "model":
                spread = engines.get(span.name)
                if spread is None:
                    spread = engines[span.name] = metrics.spread("rungwise_engine_seconds", deployment, span.name)
                spread.see(span.seconds)
        if exporter is not None:
            exporter.add(trace)

    return observe


def _engines(metrics: Metrics, served: Served) -> Callable[[], None]:
    """Looks at the engines of a project."""
    followed: dict[str, tuple[_Follower, _Follower, Count]] = {}

    def look() -> None:
        for state in served.router.states():
            if state.name not in followed:
                followed[state.name] = (
                    _Follower(metrics.count("rungwise_engine_attempts_total", served.name, state.name)),
                    _Follower(metrics.count("rungwise_engine_failures_total", served.name, state.name)),
                    metrics.count("rungwise_engine_resting", served.name, state.name),
                )
            attempts, failures, resting = followed[state.name]
            attempts.follow(state.attempts)
            failures.follow(state.failures)
            resting.set(float(state.circuit != "closed"))

    return look


def _losses(metrics: Metrics, served: Served, exporter: Exporter | None) -> Callable[[], None]:
    """Looks at what could not be written down or sent."""
    untraced = _Follower(metrics.count("rungwise_untraced_answers_total", served.name))
    skipped = _Follower(metrics.count("rungwise_skipped_shadows_total", served.name))
    sent = _Follower(metrics.count("rungwise_exported_traces_total", served.name, "sent"))
    lost = _Follower(metrics.count("rungwise_exported_traces_total", served.name, "lost"))

    def look() -> None:
        untraced.follow(served.answering.traces.unlogged)
        skipped.follow(served.shadows.skipped)
        if exporter is not None:
            sent.follow(exporter.sent)
            lost.follow(exporter.lost)

    return look


class _Follower:
    """A counter that follows a number which another part of this process counts from 0."""

    def __init__(self, count: Count) -> None:
        self._count, self._known = count, 0

    def follow(self, number: int) -> None:
        self._count.add(number - self._known)
        self._known = number
