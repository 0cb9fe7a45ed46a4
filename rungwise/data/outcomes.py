"""Outcomes at rest: the judgements that name a business event or a value, with what they are about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from rungwise.data.dialect import field
from rungwise.data.store import Store

_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened after an answer: `outcome` names it, `value_usd` says what it was worth where it was told."""

    n: int
    trace: str
    at: float
    outcome: str | None
    value_usd: float | None


def events(store: Store) -> Iterator[Event]:
    """Every outcome that was posted as feedback, in the order in which they came."""
    from sqlalchemy import or_, select

    from rungwise.data.schema import feedback as table

    n = 0
    while True:
        with store.read() as connection:
            named = field(connection, table.c.body, "outcome")
            query = (
                select(table.c.n, table.c.trace, table.c.at, table.c.body, table.c.value_usd)
                .where(table.c.n > n, or_(named.is_not(None), table.c.value_usd.is_not(None)))
                .order_by(table.c.n)
                .limit(_AT_ONCE)
            )
            batch = connection.execute(query).all()
        for row in batch:
            yield Event(row.n, row.trace, row.at, json.loads(row.body).get("outcome"), row.value_usd)
        if len(batch) < _AT_ONCE:
            return
        n = batch[-1].n
