"""Costs that no trace tells of: those that people note, the minutes of reviewers, and what is kept on disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import digest, short, to_plain
from rungwise.data.dialect import among, holds, insert
from rungwise.data.splits import FROM_TRACE
from rungwise.data.store import Store

LARGEST_USD = 1e12
_LONGEST = {"kind": 40, "note": 1_000}


@dataclass(frozen=True, kw_only=True)
class Noted:
    """A cost that somebody noted: `kind` is labels, people, hardware or whatever it is called, `candidate` whose development it
    was, if anybody's. A negative cost takes back one that was noted too high. `at` is seconds since 1970."""

    kind: str
    usd: float
    note: str
    at: float
    candidate: str | None = None

    @property
    def id(self) -> str:
        """SHA-256 of the content."""
        return digest(to_plain(self))


class Costs:
    """The noted costs of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, noted: Noted) -> str:
        """Keep a cost, the same one once; its id. Raises UsageError for one that makes no sense."""
        from rungwise.data.schema import costs

        _check(noted)
        with self.store.write() as connection:
            connection.execute(insert(connection, costs).values(id=noted.id, **to_plain(noted)).on_conflict_do_nothing())
        return noted.id

    def all(self) -> list[Noted]:
        """Every cost that was noted, oldest first."""
        from sqlalchemy import select

        from rungwise.data.schema import costs

        query = select(costs.c.kind, costs.c.usd, costs.c.note, costs.c.at, costs.c.candidate).order_by(costs.c.at, costs.c.id)
        with self.store.read() as connection:
            return [Noted(**row._mapping) for row in connection.execute(query)]

    def drop(self, prefix: str) -> Noted:
        """Take back a cost by the first digits of its id. Raises UnknownName when none or several begin so."""
        from sqlalchemy import delete

        from rungwise.data.schema import costs

        known = self.all()
        found = [one for one in known if prefix and one.id.startswith(prefix)]
        if len(found) != 1:
            raise UnknownName("noted cost", prefix, [short(one.id) for one in known])
        with self.store.write() as connection:
            connection.execute(delete(costs).where(costs.c.id == found[0].id))
        return found[0]


def review_seconds(store: Store, since: float, until: float) -> float:
    """The seconds that reviewers took in a window, those of verdicts that they took back included: the time was spent."""
    from sqlalchemy import func, select

    from rungwise.data.schema import review_verdicts as table

    query = select(func.coalesce(func.sum(table.c.seconds), 0.0)).where(table.c.at >= since, table.c.at < until)
    with store.read() as connection:
        return float(connection.execute(query).scalar_one())


def labelled_rows(store: Store, datasets: Sequence[str]) -> int:
    """How many different rows these datasets have. Rows that came from traces are left out: their labels are reviewers' minutes,
    or were given by users."""
    from sqlalchemy import distinct, func, select

    from rungwise.data.schema import members, rows

    if not datasets:
        return 0
    with store.read() as connection:
        own = among(connection, members.c.dataset, datasets)
        joined = members.join(rows, members.c.row == rows.c.id)
        query = (
            select(func.count(distinct(rows.c.input_id)))
            .select_from(joined)
            .where(own, ~holds(connection, rows.c.body, f'"{FROM_TRACE}"'))
        )
        return int(connection.execute(query).scalar_one())


def kept_bytes(store: Store) -> int:
    """What a project keeps: the files of its state and, where the store is on a server, its tables with their indexes."""
    from sqlalchemy import text

    size = 0
    for path in store.directory.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() and not path.is_symlink() else 0
        except OSError:  # removed between the look at the folder and the look at the file
            continue
    if store.is_remote:
        tables = (
            "select coalesce(sum(pg_total_relation_size(c.oid)), 0) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        )
        with store.read() as connection:
            own = text(f"{tables} where n.nspname = current_schema() and c.relkind in ('r', 'm')")
            size += int(connection.execute(own).scalar_one())
    return size


def _check(noted: Noted) -> None:
    if not math.isfinite(noted.usd) or noted.usd == 0 or abs(noted.usd) > LARGEST_USD:
        raise UsageError(
            f"a cost is a number of US dollars, not 0 and at most {LARGEST_USD:g}. Write for instance: --note-cost 120"
        )
    for name, most in _LONGEST.items():
        text = getattr(noted, name)
        if not text.strip() or len(text) > most:
            raise UsageError(
                f"the {name} of a cost must be text of 1 to {most:,} characters. Write for instance: --why 'labels of May'"
            )
