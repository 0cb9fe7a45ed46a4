"""Feedback at rest: judgements on traces in the order in which they came, each kept once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rungwise.core.feedback import Feedback
from rungwise.core.record import canonical_json, to_plain
from rungwise.data.dialect import holds, insert
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Select

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
        from rungwise.data.schema import feedback as table

        handed_in, added, new = list(judged), list[Added](), list[dict[str, Any]]()
        with self.store.write(alone=True) as connection:  # `n` then counts in the order of the commits
            known = _Known(connection, [one for one, _ in handed_in], dated=dated)
            for feedback, about in handed_in:
                same = known.same(feedback)
                added.append(Added(same or feedback.id, new=same is None))
                if same is None:
                    known.note(feedback)
                    new.append(_values(feedback, about))
            if new:
                connection.execute(insert(connection, table), new)
        return added

    def of(self, traces: Sequence[str], *, tenant: str | None = None) -> list[Kept]:
        """The judgements on these traces, in order."""
        from sqlalchemy import select

        from rungwise.data.schema import feedback as table

        found: list[Kept] = []
        with self.store.read() as connection:
            for some in _portions(traces):
                query = select(table).where(table.c.trace.in_(some))
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

    def corrected(self, since: float, until: float) -> Iterator[Kept]:
        """The judgements made in the window [since, until) that say what would have been right, in order, read in batches."""
        from rungwise.data.schema import feedback as table

        return self._within(since, until, lambda _: table.c.correct.is_not(None))

    def commented(self, since: float, until: float) -> Iterator[Kept]:
        """The judgements of users in the window [since, until) that have a comment, in order, read in batches."""
        from sqlalchemy import and_

        from rungwise.data.schema import feedback as table

        return self._within(since, until, lambda one: and_(table.c.source == "user", holds(one, table.c.body, '"comment":"')))

    def blamed(self, since: float, until: float) -> Iterator[Kept]:
        """The judgements in the window [since, until) that call an answer bad, in order, read in batches: a thumb down, a score
        below a half, or another label or answer that would have been right."""
        from sqlalchemy import or_

        from rungwise.data.schema import feedback as table

        return self._within(since, until, lambda _: or_(table.c.thumb == 0, table.c.score < 0.5, table.c.correct == 0))

    def _within(self, since: float, until: float, which: Callable[[Connection], ColumnElement[bool]]) -> Iterator[Kept]:
        from sqlalchemy import select

        from rungwise.data.schema import feedback as table

        n = 0
        while True:
            with self.store.read() as connection:
                known = (table.c.n > n, table.c.at >= since, table.c.at < until, which(connection))
                query = select(table).where(*known).order_by(table.c.n).limit(_AT_ONCE)
                batch = list(map(_kept, connection.execute(query)))
            yield from batch
            if len(batch) < _AT_ONCE:
                return
            n = batch[-1].n

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
            for some in _portions(traces):
                gone += connection.execute(delete(table).where(table.c.trace.in_(some))).rowcount
        return gone


class _Known:
    """What is kept already of some judgements: their ids or, for those without a date, the last of the same people."""

    def __init__(self, connection: Connection, judged: Sequence[Feedback], *, dated: bool) -> None:
        from sqlalchemy import select

        from rungwise.data.schema import feedback as table

        self._ids: set[str] = set()
        self._last: dict[tuple[str, str, str | None], Feedback] | None = None if dated else {}
        for some in _portions([one.id for one in judged]):
            self._ids.update(connection.execute(select(table.c.id).where(table.c.id.in_(some))).scalars())
        if self._last is None:
            return
        for some in _portions(list(dict.fromkeys(one.trace for one in judged))):
            bodies = connection.execute(select(table.c.body).where(table.c.trace.in_(some)).order_by(table.c.n)).scalars()
            for body in bodies:
                self.note(_read(body))

    def same(self, feedback: Feedback) -> str | None:
        """The id of the judgement that says the same, whenever it was made where that is not told."""
        last = self._last.get(_who(feedback)) if self._last is not None else None
        if last is not None and replace(last, at=feedback.at) == feedback:
            return last.id
        return feedback.id if feedback.id in self._ids else None

    def note(self, feedback: Feedback) -> None:
        """This one is kept now."""
        self._ids.add(feedback.id)
        if self._last is not None:
            self._last[_who(feedback)] = feedback


def _who(feedback: Feedback) -> tuple[str, str, str | None]:
    return feedback.trace, feedback.source, feedback.by


def _portions(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _NAMED_AT_ONCE):
        yield items[start : start + _NAMED_AT_ONCE]


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
        **vars(about),
    }


def _kept(row: Row[Any]) -> Kept:
    about = About(tenant=row.tenant, release=row.release, variant=row.variant, unit=row.unit, correct=row.correct)
    return Kept(n=row.n, feedback=_read(row.body), about=about)


def _read(body: str) -> Feedback:
    """A judgement is flat, so that its fields need no reading by their types: a look at a month reads thousands."""
    return Feedback(**json.loads(body))


def _of_tenant(query: Select[Any], tenant: str | None) -> Select[Any]:
    from rungwise.data.schema import feedback as table

    return query if tenant is None else query.where(table.c.tenant == tenant)
