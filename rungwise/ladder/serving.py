"""The chosen candidate of a project, ready to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import TRAIN
from rungwise.core.decision import Decision
from rungwise.core.errors import UsageError
from rungwise.core.types import Clock, Responder
from rungwise.core.usecase import Endpoint, UseCase
from rungwise.data.calls import CallCache
from rungwise.data.commits import Commits
from rungwise.data.datasets import load_dataset
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.engines.prices import project_prices
from rungwise.inference.calling import EndpointModel
from rungwise.inference.respond import Encode, Kit, build_responder
from rungwise.inference.wrappers import with_known


@dataclass
class Serving:
    """A candidate that answers. Ask within `async with`: when the last one leaves, its connections are closed."""

    candidate: Candidate
    responder: Responder
    kit: Kit
    _asking: int = 0

    async def __aenter__(self) -> Responder:
        self._asking += 1
        return self.responder

    async def __aexit__(self, *error: object) -> None:
        self._asking -= 1
        if not self._asking:
            await self.kit.aclose()


def chosen_responder(store: Store, case: UseCase, directory: Path, decision: Decision, *, clock: Clock) -> Serving:
    """Who was chosen, ready to answer. Raises UsageError when no rung was shown to meet the target."""
    if decision.chosen is None:
        raise UsageError(
            f"the last climb ended in '{decision.verdict}': {decision.reason}. Nothing was chosen to answer. "
            "Lower the target or add examples, then climb again"
        )
    candidate = Nouns(store).get(Candidate, decision.chosen)
    return ready(store, case, directory, decision, candidate, clock=clock)


def ready(
    store: Store,
    case: UseCase,
    directory: Path,
    decision: Decision,
    candidate: Candidate,
    *,
    clock: Clock,
    encode: Callable[[str], Encode] | None = None,
    make_model: Callable[[Endpoint], EndpointModel] | None = None,
) -> Serving:
    """A candidate of a decision, ready to answer new questions by the parts that the climb made.

    `encode` gives the encode function of an encoder's name; without one it is loaded for this candidate alone. `make_model`
    gives the client of an endpoint; without one answers are kept, and given again to the same question.
    """
    kit = Kit(
        case=case,
        store=store,
        clock=clock,
        rng=Random(case.seed),
        train=load_dataset(store, decision.dataset).part(TRAIN) if _needs_rows(candidate) else (),
        cache=CallCache(store, Commits(store)),
        prices=project_prices(directory),
        make_model=make_model,
    )
    responder = build_responder(candidate, kit, encode=encode or kit.encoder)
    system = kit.included(candidate)
    return Serving(candidate, with_known(responder, system.name) if system is not None else responder, kit)


def searched(store: Store, decision: Decision) -> frozenset[str]:
    """The ids of the documents that candidates of a decision searched; none where none of them did."""
    found = [Nouns(store).get(Candidate, one.candidate) for one in decision.rungs if one.candidate is not None]
    parts = [one.index for one in found if one.index is not None and one.index.technique == "index"]
    return frozenset(id for part in parts for id in part.inputs)


def answering(store: Store, decision: Decision, case: UseCase) -> dict[str, Candidate]:
    """The rungs' candidates that answer new questions on this machine, by rung and without their thresholds.

    Not among them are those that ask an endpoint, which costs, recorded systems, which know recorded
    questions only, and the floor, which says the same to everything.
    """
    nouns = Nouns(store)
    endpoints = {f"{one.name}/{one.model}" for one in case.endpoints}
    found = {one.rung: nouns.get(Candidate, one.candidate) for one in decision.rungs if one.candidate is not None}
    return {
        rung: candidate.but(threshold=None)
        for rung, candidate in found.items()
        if candidate.model not in ("recorded", "majority") and candidate.model not in endpoints
    }


def _needs_rows(candidate: Candidate) -> bool:
    """Whether the training rows themselves are shown in the prompt."""
    return candidate.index is not None and candidate.index.technique == "shots"
