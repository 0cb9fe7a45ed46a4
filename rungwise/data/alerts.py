"""Alerts at rest, and what is still to be told of them to whom."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.reading import Reading
from rungwise.core.record import canonical_json, from_plain, to_plain
from rungwise.core.watching import WARNING
from rungwise.data.dialect import among, insert
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

OPEN, ACKNOWLEDGED, RESOLVED = STATES = ("open", "acknowledged", "resolved")
STANDING = (OPEN, ACKNOWLEDGED)
OPENED = "opened"
PENDING, SENT, GIVEN_UP = "pending", "sent", "given_up"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that a rule noticed, with the last `reading` for which it held.

    `since` is when the window of the first such reading began, `opened_at` when it was noticed, `changed_at` when its state last
    changed, `by` who changed it (None: nobody, it was the rule). `days` is the longest window for which the rule held,
    `quiet_days` for how many days in a row it has not held since; `heard_until` is the end of the last day on which that could
    be told. `more` is how many others the same look opened that nobody is sent. `note` says why it is resolved. With `reclimb`
    its rule lets it start a re-climb.
    """

    id: str
    rule: str
    reading: Reading
    opened_at: float
    changed_at: float
    since: float
    heard_until: float
    severity: str = WARNING
    state: str = OPEN
    by: str | None = None
    days: int = 1
    quiet_days: int = 0
    more: int = 0
    note: str = ""
    reclimb: bool = False

    @property
    def key(self) -> str:
        """What it is about: of one key one alert stands at most."""
        return key_of(self.rule, self.reading)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event ('opened' or 'resolved') of an alert that is to be told to one sink, and how often that was tried."""

    alert: Alert
    event: str
    sink: str
    state: str = PENDING
    attempts: int = 0
    next_at: float = 0.0
    error: str | None = None

    @property
    def happened_at(self) -> float:
        """When there was something to tell; nothing is over before it began, whatever the clock did in between."""
        return self.alert.opened_at if self.event == OPENED else max(self.alert.opened_at, self.alert.changed_at)


def key_of(rule: str, reading: Reading) -> str:
    """A rule, a monitor and the part of the traffic it is about, as one text. The length of the window is no part of it."""
    return canonical_json([rule, reading.monitor, dict(reading.about)])


class Alerts:
    """The alerts of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def list(self, states: Collection[str] = STANDING, *, limit: int | None = None) -> list[Alert]:
        """Those in one of these states, the newest first."""
        from sqlalchemy import select

        from rungwise.data.schema import alerts as table

        query = select(table.c.body).where(table.c.state.in_(states)).order_by(table.c.opened_at.desc(), table.c.id).limit(limit)
        with self.store.read() as connection:
            return [_alert(body) for body in connection.execute(query).scalars()]

    def count(self) -> Mapping[tuple[str, str, str], int]:
        """How many stand, by (rule, severity, state)."""
        from sqlalchemy import func, select

        from rungwise.data.schema import alerts as table

        what = (table.c.rule, table.c.severity, table.c.state)
        query = select(*what, func.count()).where(table.c.state.in_(STANDING)).group_by(*what)
        with self.store.read() as connection:
            return {(rule, severity, state): n for rule, severity, state, n in connection.execute(query)}

    def get(self, id: str) -> Alert:
        """An alert by its id, of which the first digits are enough. Raises UnknownName, UsageError where several begin so."""
        with self.store.read() as connection:
            return _found(connection, id)

    def acknowledge(self, id: str, *, by: str, at: float) -> Alert:
        """Somebody took it up. Raises what `get` does, and UsageError for one that is resolved."""
        with self.store.write(alone=True) as connection:
            alert = _found(connection, id)
            if alert.state == RESOLVED:
                raise UsageError(
                    f"alert {alert.id[:12]} is resolved already: {alert.note or 'it is over'}. There is nothing to take up"
                )
            if alert.state == ACKNOWLEDGED and alert.by == by:
                return alert
            taken = replace(alert, state=ACKNOWLEDGED, by=by, changed_at=at)
            keep(connection, [taken])
            return taken

    def resolve(self, id: str, *, by: str, at: float, note: str = "") -> Alert:
        """Somebody says that it is over. One that is resolved already stays as it is. Raises what `get` does."""
        with self.store.write(alone=True) as connection:
            alert = _found(connection, id)
            if alert.state == RESOLVED:
                return alert
            over = replace(alert, state=RESOLVED, by=by, changed_at=at, note=note or f"closed by {by}")
            keep(connection, [over])
            queue_resolved(connection, [over])
            return over


class Deliveries:
    """What is to be told, and to whom."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def pending(self) -> list[Delivery]:
        """All that is not told yet, in the order in which it happened; of one alert 'opened' comes first."""
        from sqlalchemy import select

        from rungwise.data.schema import alerts, deliveries

        query = (
            select(deliveries, alerts.c.body)
            .join_from(deliveries, alerts, deliveries.c.alert == alerts.c.id)
            .where(deliveries.c.state == PENDING)
        )
        with self.store.read() as connection:
            found = [_delivery(row) for row in connection.execute(query).mappings()]
        return sorted(found, key=lambda one: (one.happened_at, one.alert.id, one.event))

    def of(self, alert: str) -> list[Delivery]:
        """What was told of an alert, or is to be told, by event and sink."""
        from sqlalchemy import select

        from rungwise.data.schema import alerts, deliveries

        query = select(deliveries, alerts.c.body).join_from(deliveries, alerts, deliveries.c.alert == alerts.c.id)
        query = query.where(deliveries.c.alert == alert).order_by(deliveries.c.event, deliveries.c.sink)
        with self.store.read() as connection:
            return [_delivery(row) for row in connection.execute(query).mappings()]

    def claim(self, one: Delivery, *, until: float) -> Delivery | None:
        """Take a delivery for oneself until then; None where somebody else did so, or it is told already.

        Whoever claims it and is killed leaves it to others from `until` on.
        """
        from sqlalchemy import update

        from rungwise.data.schema import deliveries as table

        unchanged = (table.c.state == PENDING, table.c.attempts == one.attempts, table.c.next_at == one.next_at)
        claimed = update(table).where(*_same(one), *unchanged).values(attempts=one.attempts + 1, next_at=until)
        with self.store.write() as connection:
            ours = connection.execute(claimed).rowcount == 1
        return replace(one, attempts=one.attempts + 1, next_at=until) if ours else None

    def settle(self, one: Delivery, state: str, *, next_at: float = 0.0, error: str | None = None) -> None:
        """Keep what became of a delivery that was claimed. What is told stays told, whoever comes later."""
        from sqlalchemy import update

        from rungwise.data.schema import deliveries as table

        changed = update(table).where(*_same(one), table.c.state == PENDING)
        with self.store.write() as connection:
            connection.execute(changed.values(state=state, next_at=next_at, error=error))


def standing(connection: Connection) -> list[Alert]:
    """The alerts that are open or acknowledged, in the transaction of the caller."""
    from sqlalchemy import select

    from rungwise.data.schema import alerts as table

    query = select(table.c.body).where(table.c.state.in_(STANDING)).order_by(table.c.opened_at, table.c.id)
    return [_alert(body) for body in connection.execute(query).scalars()]


def keep(connection: Connection, alerts: Sequence[Alert]) -> None:
    """Write alerts as they are now, new ones and known ones."""
    from rungwise.data.schema import alerts as table

    if alerts:
        statement = insert(connection, table)
        changed = {name: statement.excluded[name] for name in ("severity", "state", "body", "changed_at", "by")}
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed), [_row(one) for one in alerts])


def queue(connection: Connection, told: Iterable[tuple[Alert, str]], *, event: str = OPENED) -> None:
    """Let an event be told: (alert, sink) for each. What is queued or told already stays as it is."""
    from rungwise.data.schema import deliveries as table

    rows = [
        {"alert": alert.id, "event": event, "sink": sink, "state": PENDING, "attempts": 0, "next_at": 0.0, "error": None}
        for alert, sink in told
    ]
    if rows:
        connection.execute(insert(connection, table).on_conflict_do_nothing(), rows)


def queue_resolved(connection: Connection, alerts: Sequence[Alert]) -> None:
    """Let those who are told that an alert opened be told that it is over."""
    from sqlalchemy import select

    from rungwise.data.schema import deliveries as table

    by_id = {one.id: one for one in alerts}
    if by_id:
        query = select(table.c.alert, table.c.sink).where(table.c.event == OPENED, table.c.state != GIVEN_UP)
        query = query.where(among(connection, table.c.alert, list(by_id)))
        found = sorted((id, sink) for id, sink in connection.execute(query))
        queue(connection, [(by_id[id], sink) for id, sink in found], event=RESOLVED)


def _found(connection: Connection, id: str) -> Alert:
    from sqlalchemy import select

    from rungwise.data.schema import alerts as table

    query = select(table.c.body).where(table.c.id.startswith(id.lower(), autoescape=True)).limit(2)
    found = [_alert(body) for body in connection.execute(query).scalars()] if id else []
    if len(found) > 1:
        raise UsageError(f"several alerts begin with '{id}'. Write more digits of the one that you mean")
    if not found:
        known = connection.execute(select(table.c.id).order_by(table.c.opened_at.desc()).limit(100)).scalars()
        raise UnknownName("alert", id, [one[:12] for one in known])
    return found[0]


def _alert(body: str) -> Alert:
    return from_plain(Alert, json.loads(body))


def _row(one: Alert) -> dict[str, Any]:
    columns = {name: getattr(one, name) for name in ("id", "rule", "key", "severity", "state", "opened_at", "changed_at", "by")}
    return {**columns, "body": canonical_json(to_plain(one))}


def _delivery(row: RowMapping) -> Delivery:
    own = {name: row[name] for name in ("event", "sink", "state", "attempts", "next_at", "error")}
    return Delivery(alert=_alert(row["body"]), **own)


def _same(one: Delivery) -> tuple[Any, ...]:
    from rungwise.data.schema import deliveries as table

    return table.c.alert == one.alert.id, table.c.event == one.event, table.c.sink == one.sink
