"""The variants whose users can be compared, and what each of their users asked, cost and brought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rungwise.core.reading import DAY_S
from rungwise.core.release import Release
from rungwise.core.watching import Money
from rungwise.data.judging import traces_by_id
from rungwise.data.outcomes import Event, events
from rungwise.data.store import Store
from rungwise.data.traces.door import TraceArchive, archive_of
from rungwise.data.traces.query import Query
from rungwise.release.registry import Releases
from rungwise.watch.money.days import window

Doubles: TypeAlias = NDArray[np.float64]

_LOOKED_UP = 500
ALL = "all"
"""The name of the only arm where nothing is released: every request."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A variant of the live release, and the ids of the releases under which it was given to the same users."""

    name: str
    candidate: str | None = None
    releases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Happened:
    """An outcome with what its trace says: whose it was, when it was asked, which variant of which release answered."""

    event: Event
    unit: str
    asked_at: float
    release: str | None
    variant: str | None
    shadow: bool


@dataclass(frozen=True, kw_only=True)
class Units:
    """The n units that an arm answered: users, else conversations, else single requests. `requests`, `usd` and `revenue` are (n,).

    `hits` counts the units, `answers` the requests that had each outcome. `named` users asked on `returning` of them on two days
    or more. `revenue_usd` is what outcomes brought in all.
    """

    requests: Doubles
    usd: Doubles
    revenue: Doubles
    hits: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    named: int = 0
    returning: int = 0


def arms_of(store: Store) -> list[Arm]:
    """The variants that users meet now, and since when they met the same ones; one arm for all where nothing is released."""
    releases = Releases(store)
    live = releases.live()
    if live is None:
        return [Arm(name=ALL)]
    known: dict[str, Release] = {}
    for move in releases.history():
        known.setdefault(move.release, releases.get(move.release))
    same = [(id, one) for id, one in known.items() if one.salt == live.salt]
    return [
        Arm(
            name=own.name,
            candidate=own.candidate,
            releases=tuple(id for id, one in same if any((v.name, v.candidate) == (own.name, own.candidate) for v in one.variants)),
        )
        for own in live.variants
        if own.weight > 0
    ]


def happened(store: Store, since: float, until: float) -> tuple[list[Happened], int]:
    """Outcomes of what was asked in [since, until), and how many more are of traces that are gone (erased, or too old).

    An outcome that is dated before its question is a clock that jumped, and counts.
    """
    found: list[Happened] = []
    gone = 0
    for some in _portions(events(store)):
        traces = traces_by_id(store, [one.trace for one in some])
        for one in some:
            trace = traces.get(one.trace)
            if trace is None:
                gone += since <= one.at < until
            elif since <= trace.at < until:
                unit = trace.user or trace.conversation or trace.id
                found.append(Happened(one, unit, trace.at, trace.release, trace.variant, trace.shadow_of is not None))
    return found, gone


def worth_usd(event: Event, money: Money) -> float:
    """What an outcome brought: as it says, else as the settings say. Negative for what was given back."""
    if event.value_usd is not None:
        return event.value_usd
    return money.outcomes.get(event.outcome or "", 0.0)


def days_of_users(store: Store, since: float, until: float) -> Counter[str]:
    """On how many days of a window each user with a name asked something."""
    archive, came = archive_of(store), Counter[str]()
    for day in range(int(since // DAY_S), int(-(-until // DAY_S))):
        query = window(max(since, float(day * DAY_S)), min(until, float((day + 1) * DAY_S)))
        came.update(one.value for one in archive.sums(query, by="user") if one.value is not None)
    return came


def units_of(
    store: Store, arm: Arm, events_of: Sequence[Happened], came: Mapping[str, int], money: Money, *, since: float, until: float
) -> Units:
    """The units of an arm in a window; `came` is on how many days each user did."""
    asked, alone = _asked(archive_of(store), arm, since, until)
    named = [unit for unit in asked if unit in came]
    mine = [one for one in events_of if _is_of(one, arm)]
    for one in mine:
        if one.unit not in asked:  # one of the requests of nobody
            asked[one.unit] = (1.0, alone[1] / alone[0] if alone[0] else 0.0)
            alone = (max(0, alone[0] - 1), alone[1] - asked[one.unit][1])
    places = {unit: place for place, unit in enumerate(asked)}
    n = len(asked) + alone[0]
    requests, usd, revenue = np.ones(n), np.full(n, alone[1] / alone[0] if alone[0] else 0.0), np.zeros(n)
    for unit, place in places.items():
        requests[place], usd[place] = asked[unit]
    hits: dict[str, set[str]] = {}
    answers: dict[str, set[str]] = {}
    for one in mine:
        revenue[places[one.unit]] += worth_usd(one.event, money)
        if one.event.outcome is not None:
            hits.setdefault(one.event.outcome, set()).add(one.unit)
            answers.setdefault(one.event.outcome, set()).add(one.event.trace)
    return Units(
        requests=requests,
        usd=usd,
        revenue=revenue,
        hits={name: len(units) for name, units in sorted(hits.items())},
        answers={name: len(traces) for name, traces in sorted(answers.items())},
        named=len(named),
        returning=sum(came[user] > 1 for user in named),
    )


def _asked(archive: TraceArchive, arm: Arm, since: float, until: float) -> tuple[dict[str, tuple[float, float]], tuple[int, float]]:
    """({unit: (requests, USD)}, (requests that are of nobody, what they cost))."""
    asked: dict[str, tuple[float, float]] = {}
    alone = (0, 0.0)
    for query in _queries(arm, window(since, until)):
        nameless = False
        for one in archive.sums(query, by="user"):
            if one.value is None:
                nameless = True
            else:
                _add(asked, one.value, one.traces, one.usd)
        for one in archive.sums(query.where("user", "=", None), by="conversation") if nameless else ():
            if one.value is None:
                alone = (alone[0] + one.traces, alone[1] + one.usd)
            else:
                _add(asked, one.value, one.traces, one.usd)
    return asked, alone


def _queries(arm: Arm, query: Query) -> list[Query]:
    if arm.candidate is None:
        return [query]
    return [query.where("release", "=", id).where("variant", "=", arm.name) for id in arm.releases]


def _is_of(one: Happened, arm: Arm) -> bool:
    if one.shadow:
        return False
    return arm.candidate is None or (one.variant == arm.name and one.release in arm.releases)


def _add(asked: dict[str, tuple[float, float]], unit: str, requests: int, usd: float) -> None:
    before = asked.get(unit, (0.0, 0.0))
    asked[unit] = (before[0] + requests, before[1] + usd)


def _portions(found: Iterator[Event]) -> Iterator[list[Event]]:
    some: list[Event] = []
    for one in found:
        some.append(one)
        if len(some) == _LOOKED_UP:
            yield some
            some = []
    if some:
        yield some
