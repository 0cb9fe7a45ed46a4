"""What was spent: rows written before a call leaves and corrected after it, so that a kill loses no spending."""

from __future__ import annotations

from rungwise.core.decision import Spend
from rungwise.data.commits import Commits
from rungwise.data.store import Store

RESERVED, SETTLED = "reserved", "settled"


class SpendLedger:
    """The table `spend`. A row that is still reserved after a kill counts as spent, at its upper estimate."""

    def __init__(self, store: Store, commits: Commits, *, run: str) -> None:
        from sqlalchemy import bindparam, insert, update

        from rungwise.data.schema import spend

        self._store, self._commits, self.run = store, commits, run
        self._insert = insert(spend)
        self._update = (
            update(spend)
            .where(spend.c.id == bindparam("row"))
            .values(usd=bindparam("paid_usd"), seconds=bindparam("took_s"), calls=bindparam("made"), state=SETTLED)
        )

    async def reserve(self, id: str, kind: str, upper: Spend) -> None:
        """Write down, before it happens, the most that something may cost. Returns once that is committed."""
        values = {"id": id, "run": self.run, "kind": kind, "reserved_usd": upper.usd, "usd": 0.0, "seconds": upper.seconds}
        await self._commits.add(self._insert, {**values, "calls": upper.calls, "state": RESERVED, "at": self._store.clock.now()})

    async def settle(self, id: str, exact: Spend) -> None:
        """Correct a reservation to what it really cost. Returns once that is committed."""
        values = {"row": id, "paid_usd": exact.usd, "took_s": exact.seconds, "made": exact.calls}
        await self._commits.add(self._update, values)


def spent(store: Store, *, run: str | None = None, kind: str | None = None) -> Spend:
    """What a run (or all of them) has spent, of one kind or of all; what is still reserved counts in full."""
    from sqlalchemy import case, func, select

    from rungwise.data.schema import spend

    usd = case((spend.c.state == RESERVED, spend.c.reserved_usd), else_=spend.c.usd)
    query = select(
        func.coalesce(func.sum(spend.c.seconds), 0.0), func.coalesce(func.sum(usd), 0.0), func.coalesce(func.sum(spend.c.calls), 0)
    )
    for column, wanted in ((spend.c.run, run), (spend.c.kind, kind)):
        if wanted is not None:
            query = query.where(column == wanted)
    with store.read() as connection:
        seconds, paid, calls = connection.execute(query).one()
    return Spend(seconds=float(seconds), usd=float(paid), calls=int(calls))
