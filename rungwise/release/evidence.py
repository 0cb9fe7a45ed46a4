"""What speaks for a candidate: the decision that tested it, its rung there, and what was measured of it on dev."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rungwise.core.candidate import Candidate
from rungwise.core.decision import Decision, RungResult
from rungwise.core.errors import StoreError
from rungwise.core.evaluation import Evaluation
from rungwise.core.release import Release
from rungwise.core.usecase import Endpoint, UseCase
from rungwise.data import artefacts
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.ladder.evidence import dev_evaluations

RELAY_PROMPT = "{messages}"
"""The prompt of a candidate that hands the conversation on to an engine as it came."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A candidate with what was found out about it. `decided_at` is seconds since 1970; `decision` is None where no climb
    ever tested it, as for an engine that is relayed to. `missing` names the techniques whose fitted parts are not kept any more.
    """

    candidate: Candidate
    decision: Decision | None = None
    decided_at: float | None = None
    rung: RungResult | None = None
    evaluation: Evaluation | None = None
    missing: tuple[str, ...] = ()


def relay_candidate(endpoint: Endpoint) -> Candidate:
    """The candidate that relays to an engine: its requests go on untouched but for the model's name."""
    return Candidate(task="answer", model=f"{endpoint.name}/{endpoint.model}", prompt=RELAY_PROMPT)


def is_relay(candidate: Candidate) -> bool:
    """Whether a candidate hands conversations on as they came."""
    return candidate.prompt == RELAY_PROMPT


def endpoint_of(candidate: Candidate, case: UseCase) -> Endpoint | None:
    """The endpoint that a candidate asks, or None where it answers on this machine."""
    return next((one for one in case.endpoints if candidate.model == f"{one.name}/{one.model}"), None)


def decisions(store: Store) -> list[Decision]:
    """Every decision of a project, the last one first, then by age, youngest first."""
    from sqlalchemy import select

    from rungwise.data.schema import nouns

    query = select(nouns.c.id).where(nouns.c.kind == "Decision").order_by(nouns.c.at.desc(), nouns.c.id)
    with store.read() as connection:
        ids = [str(id) for id in connection.execute(query).scalars()]
    last = store.setting("decision")
    return [Nouns(store).get(Decision, id) for id in sorted(ids, key=lambda one: one != last)]


def evidence_for(store: Store, candidate: Candidate, known: Sequence[Decision]) -> Evidence:
    """What speaks for a candidate, by the first of the decisions in which it stood for a rung."""
    missing = tuple(part.technique for part in candidate.parts if not artefacts.has(store, part.id))
    for decision in known:
        rung = next((one for one in decision.rungs if one.candidate == candidate.id), None)
        if rung is not None:
            return Evidence(
                candidate=candidate,
                decision=decision,
                decided_at=_decided_at(store, decision),
                rung=rung,
                evaluation=dev_evaluations(store, decision).get(rung.rung),
                missing=missing,
            )
    return Evidence(candidate=candidate, missing=missing)


def decision_of(store: Store, release: Release, candidate: str) -> Decision | None:
    """The decision among a release's evidence that tested one of its candidates; None for a relayed engine."""
    found = (Nouns(store).get(Decision, id) for id in release.evidence)
    return next((one for one in found if any(rung.candidate == candidate for rung in one.rungs)), None)


def _decided_at(store: Store, decision: Decision) -> float:
    from sqlalchemy import select

    from rungwise.data.schema import nouns

    with store.read() as connection:
        at = connection.execute(select(nouns.c.at).where(nouns.c.id == decision.id)).scalar()
    if at is None:
        raise StoreError(f"decision {decision.id[:12]} is not in {store.directory}. Climb again")
    return float(at)
