"""Re-climbs at rest: one runs at most, and each of its steps is kept once, with what it gave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rungwise.core.record import canonical_json, digest
from rungwise.data.dialect import insert
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

RUNNING, PROMOTED, NOTHING, STOPPED = STATES = ("running", "promoted", "nothing", "stopped")


@dataclass(frozen=True, kw_only=True)
class Reclimb:
    """One re-climb: `about` says why it began and who was live then, `steps` what each step that is done gave, in their order."""

    id: str
    state: str
    at: float
    about: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Reclimbs:
    """The re-climbs of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def running(self) -> Reclimb | None:
        """The one that is not settled, if any."""
        return self._first(RUNNING)

    def last(self) -> Reclimb | None:
        """The one that began last, if any ever did."""
        return self._first(None)

    def get(self, id: str) -> Reclimb | None:
        """A re-climb by its whole id."""
        from sqlalchemy import select

        from rungwise.data.schema import reclimbs

        with self.store.read() as connection:
            found = connection.execute(select(reclimbs).where(reclimbs.c.id == id)).first()
            return None if found is None else _read(connection, found)

    def all(self) -> list[Reclimb]:
        """Every one, the last first."""
        from sqlalchemy import select

        from rungwise.data.schema import reclimbs

        with self.store.read() as connection:
            rows = connection.execute(select(reclimbs).order_by(reclimbs.c.at.desc(), reclimbs.c.id)).all()
            return [_read(connection, row) for row in rows]

    def begin(self, about: Mapping[str, Any]) -> Reclimb:
        """Begin one; where one runs already, that one, whoever began it."""
        from sqlalchemy import select

        from rungwise.data.schema import reclimbs

        at = self.store.clock.now()
        id = digest(["reclimb", dict(about), at])
        with self.store.write(alone=True) as connection:
            running = connection.execute(select(reclimbs).where(reclimbs.c.state == RUNNING)).first()
            if running is not None:
                return _read(connection, running)
            values = {"id": id, "state": RUNNING, "body": canonical_json(dict(about)), "at": at}
            connection.execute(insert(connection, reclimbs).values(**values))
        return Reclimb(id=id, state=RUNNING, at=at, about=about)

    def done(self, id: str, step: str, output: Mapping[str, Any], *, state: str | None = None) -> Mapping[str, Any]:
        """A step is done: keep what it gave and, with `state`, settle the re-climb in the same transaction.

        A step that is kept already stays as it was; what is kept is given back.
        """
        from sqlalchemy import select, update

        from rungwise.data.schema import reclimb_steps, reclimbs

        values = {"reclimb": id, "step": step, "output": canonical_json(dict(output)), "at": self.store.clock.now()}
        with self.store.write() as connection:
            connection.execute(insert(connection, reclimb_steps).values(**values).on_conflict_do_nothing())
            if state is not None:
                settled = update(reclimbs).where(reclimbs.c.id == id, reclimbs.c.state == RUNNING).values(state=state)
                connection.execute(settled)
            own = (reclimb_steps.c.reclimb == id, reclimb_steps.c.step == step)
            kept = connection.execute(select(reclimb_steps.c.output).where(*own)).scalar_one()
        return json.loads(kept)  # type: ignore[no-any-return]

    def at(self, id: str, step: str) -> float:
        """When a step that is kept was done, in seconds since 1970."""
        from sqlalchemy import select

        from rungwise.data.schema import reclimb_steps as table

        with self.store.read() as connection:
            query = select(table.c.at).where(table.c.reclimb == id, table.c.step == step)
            return float(connection.execute(query).scalar_one())

    def _first(self, state: str | None) -> Reclimb | None:
        from sqlalchemy import select

        from rungwise.data.schema import reclimbs

        query = select(reclimbs).order_by(reclimbs.c.at.desc(), reclimbs.c.id).limit(1)
        if state is not None:
            query = query.where(reclimbs.c.state == state)
        with self.store.read() as connection:
            found = connection.execute(query).first()
            return None if found is None else _read(connection, found)


def _read(connection: Connection, row: Any) -> Reclimb:
    from sqlalchemy import select

    from rungwise.data.schema import reclimb_steps as table

    steps = connection.execute(select(table.c.step, table.c.output).where(table.c.reclimb == row.id).order_by(table.c.at))
    found = {step: json.loads(output) for step, output in steps}
    return Reclimb(id=row.id, state=row.state, at=row.at, about=json.loads(row.body), steps=found)
