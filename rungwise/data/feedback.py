"""Feedback at rest: judgements on traces in the order in which they came, each kept once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.core.feedback import Feedback
from rungwise.core.record import canonical_json, from_plain, to_plain
from rungwise.data.dialect import insert
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

_AT_ONCE = 1_000
_NAMED_AT_ONCE = 500  # SQLite takes 999 values in one statement on its oldest builds


@dataclass(frozen=True, kw_only=True)
class About:
    """What is kept of the trace beside a judgement on it: whose it is, which variant of which release answered whom (`unit`: the
    conversation, else the user, else the trace), and whether the answer agreed with the label or correction."""

    tenant: str | None = None
    release: str | None = None
    variant: str | None = None
    unit: str | None = None
    correct: float | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A judgement that is kept. `n` counts them in the order in which they came."""

    n: int
    feedback: Feedback
    about: About


@dataclass(frozen=True, slots=True)
class Added:
    """A judgement that was handed in: the id under which it is kept, and whether it is new."""

    id: str
    new: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one judgement says of a variant: `value` by the metric that was asked for."""

    n: int
    release: str
    variant: str
    unit: str
    value: float


class Judgements:
    """The judgements of a store. What is given with `tenant` belongs to that tenant; None means to anybody."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, judged: Iterable[tuple[Feedback, About]], *, dated: bool = True) -> list[Added]:
        """Keep judgements, in one transaction that is committed when it returns; what became of each.

        One that is not `dated` has the time of its arrival: it is the same as the last one of the same source and person on
        the same trace if it says the same, so that a request that is sent twice counts once and a changed mind counts.
        """
        with self.store.write(alone=True) as connection:  # `n` then counts in the order of the commits
            return [_add(connection, feedback, about, dated=dated) for feedback, about in judged]

    def of(self, traces: Sequence[str], *, tenant: str | None = None) -> list[Kept]:
        """The judgements on these traces, in order."""
        from sqlalchemy import select

        from rungwise.data.schema import feedback as table

        found: list[Kept] = []
        with self.store.read() as connection:
            for start in range(0, len(traces), _NAMED_AT_ONCE):
                query = select(table).where(table.c.trace.in_(traces[start : start + _NAMED_AT_ONCE]))
                found += map(_kept, connection.execute(_of_tenant(query, tenant)))
        return sorted(found, key=lambda one: one.n)

    def since(self, n: int = 0, *, tenant: str | None = None) -> Iterator[Kept]:
        """The judgements that came after the n-th, in order, read in batches."""
        from sqlalchemy import select

        from rungwise.data.schema import feedback as table

        while True:
            query = select(table).where(table.c.n > n).order_by(table.c.n).limit(_AT_ONCE)
            with self.store.read() as connection:
                batch = list(map(_kept, connection.execute(_of_tenant(query, tenant))))
            yield from batch
            if len(batch) < _AT_ONCE:
                return
            n = batch[-1].n

    def newest(self, limit: int, *, tenant: str | None = None) -> list[Kept]:
        """The judgements that came last, newest first."""
        from sqlalchemy import select

        from rungwise.data.schema import feedback as table

        query = _of_tenant(select(table).order_by(table.c.n.desc()).limit(limit), tenant)
        with self.store.read() as connection:
            return list(map(_kept, connection.execute(query)))

    def judged(self, *, thumb: bool | None = None, tenant: str | None = None) -> set[str]:
        """The traces that have feedback; with `thumb`, that thumb."""
        from sqlalchemy import select

        from rungwise.data.schema import feedback as table

        query = select(table.c.trace).distinct()
        if thumb is not None:
            query = query.where(table.c.thumb == float(thumb))
        with self.store.read() as connection:
            return set(connection.execute(_of_tenant(query, tenant)).scalars())

    def outcomes(self, releases: Sequence[str], metric: str) -> list[Outcome]:
        """What judgements say of the variants of these releases, in order. `metric`: thumb, score, correct or value_usd."""
        from sqlalchemy import select

        from rungwise.data.schema import feedback as table

        value = table.c[metric]
        query = (
            select(table.c.n, table.c.release, table.c.variant, table.c.unit, value)
            .where(table.c.release.in_(releases), table.c.variant.is_not(None), table.c.unit.is_not(None), value.is_not(None))
            .order_by(table.c.n)
        )
        with self.store.read() as connection:
            return [Outcome(*row) for row in connection.execute(query)]

    def erase(self, traces: Sequence[str]) -> int:
        """Remove every judgement on these traces; how many there were."""
        from sqlalchemy import delete

        from rungwise.data.schema import feedback as table

        gone = 0
        with self.store.write() as connection:
            for start in range(0, len(traces), _NAMED_AT_ONCE):
                statement = delete(table).where(table.c.trace.in_(traces[start : start + _NAMED_AT_ONCE]))
                gone += connection.execute(statement).rowcount
        return gone


def _add(connection: Connection, feedback: Feedback, about: About, *, dated: bool) -> Added:
    from rungwise.data.schema import feedback as table

    last = None if dated else _last(connection, feedback)
    if last is not None and {**to_plain(last), "at": None} == {**to_plain(feedback), "at": None}:
        return Added(last.id, new=False)
    statement = insert(connection, table).values(**_values(feedback, about)).on_conflict_do_nothing()
    return Added(feedback.id, new=connection.execute(statement).rowcount == 1)


def _values(feedback: Feedback, about: About) -> dict[str, Any]:
    return {
        "id": feedback.id,
        "trace": feedback.trace,
        "source": feedback.source,
        "body": canonical_json(to_plain(feedback)),
        "at": feedback.at,
        "thumb": None if feedback.thumb is None else float(feedback.thumb),
        "score": feedback.score,
        "value_usd": feedback.value_usd,
        **to_plain(about),
    }


def _last(connection: Connection, feedback: Feedback) -> Feedback | None:
    """The last judgement of the same source and person on the same trace."""
    from sqlalchemy import select

    from rungwise.data.schema import feedback as table

    query = select(table.c.body).where(table.c.trace == feedback.trace, table.c.source == feedback.source)
    bodies = connection.execute(query.order_by(table.c.n.desc())).scalars()
    found = (from_plain(Feedback, json.loads(body)) for body in bodies)
    return next((one for one in found if one.by == feedback.by), None)


def _kept(row: Row[Any]) -> Kept:
    about = About(tenant=row.tenant, release=row.release, variant=row.variant, unit=row.unit, correct=row.correct)
    return Kept(n=row.n, feedback=from_plain(Feedback, json.loads(row.body)), about=about)


def _of_tenant(query: Select[Any], tenant: str | None) -> Select[Any]:
    from rungwise.data.schema import feedback as table

    return query if tenant is None else query.where(table.c.tenant == tenant)
