"""What it took to make candidates: fitting and measuring each, the climbs that chose among them, labels, and what people noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rungwise.core.decision import Decision, RungResult
from rungwise.core.errors import StoreError
from rungwise.core.record import digest
from rungwise.core.usecase import UseCase
from rungwise.data.costs import Noted, labelled_rows
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.release.evidence import decisions

HOUR_S = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Made:
    """A candidate that stood for a rung: `own_usd` is what making and measuring it took, `noted_usd` what people noted for it."""

    candidate: str
    rung: str
    decision: str
    chosen: bool
    own_usd: float
    noted_usd: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Development:
    """All of it: `climbs_usd` is what the climbs took, every candidate that they tried included, so that `made` is a part of it."""

    made: tuple[Made, ...]
    climbs: int
    climbs_usd: float
    labels: int
    labels_usd: float
    noted_usd: float

    @property
    def usd(self) -> float:
        """Climbs, labels and what was noted."""
        return self.climbs_usd + self.labels_usd + self.noted_usd


def development(store: Store, case: UseCase, noted: Sequence[Noted], *, label_usd: float) -> Development:
    """What was spent before anything was answered. Raises nothing for decisions that name what is not kept any more."""
    known = decisions(store)
    cases = {id: _case(store, id, case) for id in {one.use_case for one in known}}
    made: dict[str, Made] = {}
    for decision in known:  # the last one first: a candidate that stood in several was made once
        for rung in decision.rungs:
            if rung.candidate is None or rung.candidate in made:
                continue
            own = sum(one.usd for one in noted if one.candidate == rung.candidate)
            made[rung.candidate] = Made(
                candidate=rung.candidate,
                rung=rung.rung,
                decision=decision.id,
                chosen=rung.candidate == decision.chosen,
                own_usd=making_usd(rung, cases[decision.use_case]),
                noted_usd=own,
            )
    labels = labelled_rows(store, sorted({one.dataset for one in known}))
    return Development(
        made=tuple(made.values()),
        climbs=len(known),
        climbs_usd=sum(_climb_usd(one, cases[one.use_case]) for one in _different(known)),
        labels=labels,
        labels_usd=labels * label_usd,
        noted_usd=sum(one.usd for one in noted),
    )


def first_climb_at(store: Store) -> float | None:
    """When the first decision was made, in seconds since 1970; None before it."""
    from sqlalchemy import func, select

    from rungwise.data.schema import nouns

    with store.read() as connection:
        return connection.execute(select(func.min(nouns.c.at)).where(nouns.c.kind == "Decision")).scalar()


def making_usd(rung: RungResult, case: UseCase) -> float:
    """What making and measuring the candidate of a rung took: the total that the climb forecast, without its answers."""
    if rung.total_usd is not None and rung.usd_per_1k is not None:
        return max(0.0, rung.total_usd - rung.usd_per_1k * case.forecast_volume / 1000)
    return rung.usd + (rung.fit_s or 0.0) * case.machine_usd_per_hour / HOUR_S


def _climb_usd(decision: Decision, case: UseCase) -> float:
    """Paid calls and machine seconds of a climb. What it found stored it did not pay for again."""
    return decision.development.usd + decision.development.seconds * case.machine_usd_per_hour / HOUR_S


def _different(known: Sequence[Decision]) -> list[Decision]:
    """One of those that were made of the same work: a climb that is repeated says again what the first one took."""
    by_work = {digest([one.dataset, sorted(one.evaluations), one.development.seconds, one.development.usd]): one for one in known}
    return list(by_work.values())


def _case(store: Store, id: str, now: UseCase) -> UseCase:
    try:
        return Nouns(store).get(UseCase, id)
    except StoreError:
        return now
