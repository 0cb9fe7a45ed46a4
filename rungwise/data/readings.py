"""Readings at rest: what monitors said, one look for each day, and what is kept of days to compare others with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rungwise.core.reading import Reading
from rungwise.core.record import canonical_json, from_plain, to_plain
from rungwise.data.dialect import insert
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Readings:
    """The readings of a store. Days are counted since 1970, in UTC."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def last_day(self) -> int | None:
        """The last day that was looked at; None before the first."""
        from sqlalchemy import func, select

        from rungwise.data.schema import looks

        with self.store.read() as connection:
            return connection.execute(select(func.max(looks.c.day))).scalar()

    def put(self, connection: Connection, day: int, readings: Sequence[Reading], *, at: float) -> bool:
        """Keep what was read on a day, in the transaction of the caller. False, and nothing is kept, where it was read before."""
        from rungwise.data.schema import looks
        from rungwise.data.schema import readings as table

        new = connection.execute(insert(connection, looks).values(day=day, at=at).on_conflict_do_nothing()).rowcount
        if new and readings:
            connection.execute(insert(connection, table).on_conflict_do_nothing(), [_values(day, one) for one in readings])
        return bool(new)

    def of_day(self, day: int) -> list[Reading]:
        """What was read on a day, by the monitor's name."""
        return self.between(day, day)

    def between(self, first: int, last: int, *, monitor: str | None = None) -> list[Reading]:
        """What was read from a day to another, both included, oldest first; with `monitor`, of that one and those below it."""
        from sqlalchemy import or_, select

        from rungwise.data.schema import readings as table

        query = select(table.c.body).where(table.c.day >= first, table.c.day <= last)
        if monitor is not None:
            query = query.where(or_(table.c.monitor == monitor, table.c.monitor.startswith(f"{monitor}.", autoescape=True)))
        query = query.order_by(table.c.day, table.c.monitor, table.c.about, table.c.days)
        with self.store.read() as connection:
            return [from_plain(Reading, json.loads(body)) for body in connection.execute(query).scalars()]

    def monitors(self) -> frozenset[str]:
        """The names of all monitors that ever read something."""
        from sqlalchemy import select

        from rungwise.data.schema import readings as table

        with self.store.read() as connection:
            return frozenset(connection.execute(select(table.c.monitor).distinct()).scalars())


class Sketches:
    """What is kept of single days, as bytes; `kind` names what made them and how."""

    def __init__(self, store: Store, kind: str) -> None:
        self.store, self.kind = store, kind

    def get(self, days: Sequence[int]) -> dict[int, bytes]:
        """Those of these days that are kept."""
        from sqlalchemy import select

        from rungwise.data.schema import sketches as table

        if not days:
            return {}
        query = select(table.c.day, table.c.body).where(
            table.c.kind == self.kind, table.c.day >= min(days), table.c.day <= max(days)
        )
        wanted = frozenset(days)
        with self.store.read() as connection:
            return {day: bytes(body) for day, body in connection.execute(query) if day in wanted}

    def put(self, day: int, body: bytes) -> None:
        """Keep the sketch of a day that is over. One that is there already stands."""
        from rungwise.data.schema import sketches as table

        with self.store.write() as connection:
            connection.execute(insert(connection, table).values(kind=self.kind, day=day, body=body).on_conflict_do_nothing())


def _values(day: int, one: Reading) -> dict[str, object]:
    return {
        "day": day,
        "monitor": one.monitor,
        "about": canonical_json(dict(one.about)),
        "days": one.days,
        "state": one.state,
        "body": canonical_json(to_plain(one)),
    }
