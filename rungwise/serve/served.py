"""One project that is being served: opened, kept in step with its files, and closed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from rungwise.core.candidate import Candidate
from rungwise.core.errors import UsageError
from rungwise.core.record import short
from rungwise.core.release import Release
from rungwise.core.serving import MASKED
from rungwise.core.trace import new_trace_id
from rungwise.core.types import Clock
from rungwise.core.usecase import UseCase
from rungwise.data.nouns import Nouns
from rungwise.data.replies import Replies
from rungwise.data.spec import FILE, read_serving, read_use_case
from rungwise.data.store import FILE as STORE_FILE
from rungwise.data.store import Store
from rungwise.data.traces.door import open_traces
from rungwise.engines.prices import price_of, project_prices
from rungwise.release.evidence import decision_of, is_relay
from rungwise.release.registry import Releases
from rungwise.serve.access import Access
from rungwise.serve.answerer import Answerer
from rungwise.serve.answering import Answering
from rungwise.serve.ask import CHAT, Ask, Caller, Tape, Whole
from rungwise.serve.bounds import Bounds
from rungwise.serve.embedding import ENCODERS, Embedding
from rungwise.serve.failure import Refused
from rungwise.serve.guarding import with_guards
from rungwise.serve.guards import Placed, load_guards
from rungwise.serve.limits import Limits
from rungwise.serve.live import Live, bring_live
from rungwise.serve.masking import masked
from rungwise.serve.noticed import Noticed
from rungwise.serve.relaying import Relay
from rungwise.serve.responding import Responding
from rungwise.serve.routing.router import Router
from rungwise.serve.shadow import Shadows
from rungwise.serve.targets import Names
from rungwise.serve.upkeep import upkeep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATE = "state"
LOOK_S = 0.5
"""How often the pointer to the live release is looked at: a release or a rollback is live everywhere within that time."""
_log = logging.getLogger(__name__)


@dataclass
class Served:
    """A project behind the endpoint. Open it in the event loop that serves it; close it there."""

    directory: Path
    case: UseCase
    store: Store
    answering: Answering
    access: Access
    router: Router
    shadows: Shadows
    guards: tuple[Placed, ...] = ()
    noticed: Noticed = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.noticed = Noticed(self.store, self.case.name)

    @classmethod
    async def open(
        cls, directory: Path, *, clock: Clock, rng: Random, worker: int = 0, environ: Mapping[str, str] | None = None
    ) -> Served:
        """Open a project. Raises UsageError where there is none, and whatever its live release needs and lacks."""
        environ = os.environ if environ is None else environ
        case, serving = read_use_case(directory / FILE), read_serving(directory / FILE)
        if serving.capture == MASKED:
            masked({"content": ""})  # a missing package is told now, and not to the first user
        store = Store.open(directory / STATE, clock=clock)
        access = Access.load(store)
        try:
            listed = project_prices(directory)
            router = Router(case.endpoints, serving, clock=clock, rng=rng, environ=environ, prices=listed)
            guards = load_guards(serving.guards)
            relays = {one.name: with_guards(Relay(router, one.name), guards) for one in case.endpoints}
            traces = open_traces(store, worker=worker, disk_full=serving.disk_full)
            encoders = {name: Embedding(name, usd_per_hour=case.machine_usd_per_hour) for name in ENCODERS}
            answering = Answering(
                serving=serving,
                names=Names(case.name, case.endpoints, relays, serving.aliases, encoders),
                traces=traces,
                limits=Limits(store, clock=clock),
                replies=Replies(store),
                clock=clock,
                bound=Bounds(case.endpoints, {one.name: price_of(one, listed) for one in case.endpoints}, serving.fallback),
            )
            shadows = Shadows(answering.traces, clock, capture=serving.capture, observers=answering.observers)
            answering.after.append(shadows.follow)
            served = cls(directory, case, store, answering, access, router, shadows, guards)
            await served.refresh()
        except BaseException:
            await access.close()
            store.close()
            raise
        served._tasks.append(asyncio.create_task(served._keep_up()))
        if worker == 0:
            served._tasks += upkeep(store, serving, case.name, directory)
        return served

    @property
    def name(self) -> str:
        """What the project is called: the model name of its live release."""
        return self.case.name

    @property
    def body_limit_bytes(self) -> int:
        """The longest body that is read."""
        return self.answering.serving.body_limit_bytes

    @property
    def clock(self) -> Clock:
        """The clock of everything here."""
        return self.answering.clock

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        """See `Answering.whole`."""
        return await self.answering.whole(ask, tape)

    def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        """See `Answering.stream`."""
        return self.answering.stream(ask, tape)

    def models(self) -> list[str]:
        """Every model name that can be asked for."""
        return self.answering.names.listed(self.answering.live)

    async def refresh(self) -> None:
        """Bring the release live that the pointer names. The one before goes on until the new one is built."""
        release = await asyncio.to_thread(self._next)
        if release is self.answering.live.release:
            return
        live = await asyncio.to_thread(self._bring, release) if release is not None else Live()
        await self._warm(live)
        self.answering.live = live

    async def _warm(self, live: Live) -> None:
        """Ask what runs on this machine once, so that the first user does not wait for libraries and weights to load."""
        engines = {f"{one.name}/{one.model}" for one in self.case.endpoints}
        for name, answerer in live.answerers.items():
            candidate = next(one for one in live.release.variants if one.name == name).candidate if live.release else ""
            if live.candidates[candidate].model in engines:
                continue
            asked = {"model": self.name, "messages": [{"role": "user", "content": "hello"}]}
            with suppress(Refused):
                ask = Ask(CHAT, self.name, asked, Caller(None, frozenset()))
                await answerer.whole(ask, Tape(new_trace_id(self.clock.now(), bytes(10)), self.clock))

    def _next(self) -> Release | None:
        """The release that the pointer names; the live one itself where it still does."""
        releases, live = Releases(self.store), self.answering.live.release
        id = releases.live_id()
        return live if live is not None and live.id == id else releases.live()

    async def close(self) -> None:
        """Let shadows end, write what is left, and let go of everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.shadows.close()
        await self.answering.limits.close()
        await self.router.aclose()
        await self.answering.traces.close()
        await self.access.close()
        self.store.close()

    async def _keep_up(self) -> None:
        """Follow the pointer. A release that cannot be built leaves the one before it in place, and the log says why."""
        told = ""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                self.answering.lost = self._is_lost()
                await self.refresh()
                told = ""
            except Exception as error:  # noqa: BLE001 - boundary: what is live goes on, whatever is wrong with the next
                if str(error) != told:
                    told = str(error)
                    _log.error("the release of %s cannot be brought live: %s", self.name, error)

    def _is_lost(self) -> bool:
        """Whether the state was taken away while it was used: what is written then goes nowhere."""
        lost = not self.store.is_remote and not (self.store.directory / STORE_FILE).exists()
        if lost and not self.answering.lost:
            _log.error("the state of %s in %s is gone: nothing is answered until it is back", self.name, self.store.directory)
        return lost

    def _bring(self, release: Release) -> Live:
        nouns = Nouns(self.store)
        return bring_live(
            release,
            lambda candidate: nouns.get(Candidate, candidate),
            lambda candidate: with_guards(self._answerer(release, candidate), self.guards),
            self.answering.serving.variant_timeouts,
        )

    def _answerer(self, release: Release, candidate: Candidate) -> Answerer:
        """Whoever answers for a candidate of a release."""
        from rungwise.ladder.serving import ready
        from rungwise.serve.routing.model import routed_model

        if is_relay(candidate):
            engine = candidate.model.partition("/")[0]
            if engine not in {endpoint.name for endpoint in self.case.endpoints}:
                raise UsageError(
                    f"the release asks the engine '{engine}', which is not among the endpoints of {self.directory / FILE}"
                )
            return Relay(self.router, candidate.model)
        decision = decision_of(self.store, release, candidate.id)
        if decision is None:
            raise UsageError(f"nothing was ever measured of candidate {short(candidate.id)}. Type: rungwise climb {self.directory}")
        case = Nouns(self.store).get(UseCase, decision.use_case)
        serving = ready(
            self.store,
            case,
            self.directory,
            decision,
            candidate,
            clock=self.clock,
            make_model=lambda endpoint: routed_model(self.router, endpoint),
        )
        return Responding(candidate, serving.responder, name=self.name, usd_per_hour=case.machine_usd_per_hour)
