"""The live release of a project answers simulated traffic: its own candidates, its own shares, its shadows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from examples.traffic.answering import Answering, answers_of
from examples.traffic.world import Arm
from rungwise.core.candidate import Candidate
from rungwise.core.content import Request
from rungwise.core.errors import UsageError
from rungwise.core.release import Release
from rungwise.core.types import Clock, Responder, collect
from rungwise.core.usecase import UseCase
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.ladder.serving import ready
from rungwise.release.assign import variant_of
from rungwise.release.evidence import decision_of
from rungwise.release.registry import Releases


@dataclass
class Live:
    """The candidates of a project, loaded once each. A request costs what the climb measured, unless `prices` says what a candidate
    takes for one, in USD, by its id."""

    store: Store
    directory: Path
    clock: Clock
    prices: Mapping[str, float] = field(default_factory=dict)
    _known: dict[str, Answering] = field(default_factory=dict)
    _measured: dict[str, float] = field(default_factory=dict)

    def arms(self) -> tuple[tuple[Arm, ...], Callable[[str], str]]:
        """Who answers now, with the shadows, and which variant a conversation gets. Raises UsageError before the first release."""
        live = Releases(self.store).live()
        if live is None:
            raise UsageError("nothing is released. Release what was decided first")
        arms = [self._arm(live, one.name, one.candidate, one.weight) for one in live.variants]
        shadows = [self._arm(live, "shadow", candidate, 0.0, shadow=True) for candidate in live.shadow]
        return (*arms, *shadows), lambda unit: variant_of(live, unit).name

    def _arm(self, live: Release, name: str, candidate: str, weight: float, *, shadow: bool = False) -> Arm:
        answering = self.answering(live, candidate)
        return Arm(
            variant=name,
            weight=weight,
            candidate=candidate,
            release=live.id,
            answering=answering,
            usd=self.prices.get(candidate, self._measured.get(candidate, 0.0)),
            shadow=shadow,
        )

    def answering(self, live: Release, candidate: str) -> Answering:
        """What a candidate of a release answers, ready to be asked."""
        if candidate not in self._known:
            decision = decision_of(self.store, live, candidate)
            if decision is None:
                raise UsageError(f"no decision of the release names the candidate {candidate[:12]}")
            rung = next(one for one in decision.rungs if one.candidate == candidate)
            self._measured[candidate] = (rung.usd_per_1k or 0.0) / 1_000
            nouns = Nouns(self.store)
            serving = ready(
                self.store,
                nouns.get(UseCase, decision.use_case),
                self.directory,
                decision,
                nouns.get(Candidate, candidate),
                clock=self.clock,
            )
            self._known[candidate] = answers_of(lambda texts: predicted(serving.responder, texts))
        return self._known[candidate]


def predicted(responder: Responder, texts: Sequence[str]) -> tuple[list[str], list[float]]:
    """What a responder says to each text, '' where it abstains, and how sure it is, NaN where it does not tell."""

    async def ask() -> tuple[list[str], list[float]]:
        found = [await collect(responder(Request.of(text))) for text in texts]
        sure = [float("nan") if one.confidence is None else one.confidence for one in found]
        return ["" if one.abstained else one.text for one in found], sure

    return asyncio.run(ask())
