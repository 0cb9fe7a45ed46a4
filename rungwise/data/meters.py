"""What was used of limits: leased to the processes that serve, and exact once they have given back what they did not use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rungwise.data.dialect import insert, write_first
from rungwise.data.keys import LIMITS, USER
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

NANO = 1_000_000_000
"""Money is counted in thousand-millionths of a US dollar, as a whole number: sums come out exact in any order."""

REQUESTS, TOKENS, USD_DAY, USD_MONTH = LIMITS
_MINUTE_S, _DAY_S = 60, 86_400
# A lease takes at most this share of what is left, and nothing beyond the need once few requests would fit.
_SHARE, _FEW = 16, 64
_KEPT = {REQUESTS: 60, TOKENS: 60, USD_DAY: 92, USD_MONTH: 36}
"""How many windows are kept, for people to look at."""


class Meter(NamedTuple):
    """What is counted together: a subject (key:ID, user:TENANT/NAME, tenant:NAME), a limit's name, and a window of time."""

    subject: str
    measure: str
    window: int


@dataclass(frozen=True, slots=True)
class Want:
    """A process asks for a share of a limit: `needs` each whole or not at all, and `spare` besides if there is plenty.

    `debt` is what it used beyond what it had leased; that is written down whatever the limit is.
    """

    meter: Meter
    limit: int
    needs: Sequence[int]
    spare: int = 0
    debt: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """What it got: which of the needs, how much to spare, and how much was left after them."""

    granted: Sequence[bool]
    spare: int
    left: int


class Meters:
    """The table `meters`. What is leased counts as used from the commit on, so that a kill can only leave too much counted."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def lease(self, wants: Sequence[Want]) -> list[Lease]:
        """Answer several wants in one transaction."""
        with self.store.write() as connection:
            write_first(connection)
            return [_lease(connection, want) for want in wants]

    def give_back(self, amounts: Sequence[tuple[Meter, int]]) -> None:
        """Take off what was leased and not used; a negative amount was used and not leased."""
        if not amounts:
            return
        with self.store.write() as connection:
            write_first(connection)
            for meter, amount in amounts:
                _add(connection, meter, -amount)

    def used(self, subject: str, now: float) -> dict[str, float]:
        """What a subject has used in the windows of a time, by limit; money in US dollars. What is leased counts."""
        from sqlalchemy import select

        from rungwise.data.schema import meters

        query = select(meters.c.measure, meters.c.window, meters.c.used).where(meters.c.subject == subject)
        with self.store.read() as connection:
            rows = connection.execute(query).all()
        return {row.measure: from_units(row.measure, row.used) for row in rows if row.window == window_of(row.measure, now)}

    def prune(self, now: float) -> None:
        """Forget windows that are long past."""
        from sqlalchemy import delete

        from rungwise.data.schema import meters

        with self.store.write() as connection:
            write_first(connection)
            for measure, kept in _KEPT.items():
                old = window_of(measure, now) - kept
                connection.execute(delete(meters).where((meters.c.measure == measure) & (meters.c.window < old)))


def subject_of(kind: str, name: str, *, tenant: str = "") -> str:
    """The subject of a key, user or tenant. A user's name comes from outside: whatever no database can keep is escaped."""
    plain = name.encode("unicode_escape").decode("ascii")
    return f"{kind}:{tenant}/{plain}" if kind == USER else f"{kind}:{plain}"


def window_of(measure: str, now: float) -> int:
    """The number of the window that a time is in: minutes and days since 1970, months since the year 0; all in UTC."""
    if measure == USD_MONTH:
        today = time.gmtime(now)
        return today.tm_year * 12 + today.tm_mon - 1
    return int(now // (_DAY_S if measure == USD_DAY else _MINUTE_S))


def window_ends(measure: str, now: float) -> float:
    """Seconds until the next window begins."""
    if measure == USD_MONTH:
        import calendar

        year, month = divmod(window_of(measure, now) + 1, 12)
        return calendar.timegm((year, month + 1, 1, 0, 0, 0)) - now
    length = _DAY_S if measure == USD_DAY else _MINUTE_S
    return length - now % length


def to_units(measure: str, amount: float) -> int:
    """Requests and tokens as they are, money in thousand-millionths."""
    return round(amount * NANO) if measure in (USD_DAY, USD_MONTH) else int(amount)


def from_units(measure: str, units: int) -> float:
    """The other way round."""
    return units / NANO if measure in (USD_DAY, USD_MONTH) else float(units)


def _lease(connection: Connection, want: Want) -> Lease:
    left = want.limit - _used(connection, want.meter) - want.debt
    granted: list[bool] = []
    taken = 0
    for need in want.needs:
        granted.append(need <= left - taken)
        taken += need if granted[-1] else 0
    left -= taken
    spare = min(want.spare, left // _SHARE) if all(granted) and left > _FEW * max(want.needs, default=0) else 0
    spare = max(spare, 0)
    if taken + spare + want.debt:
        _add(connection, want.meter, taken + spare + want.debt)
    return Lease(granted, spare, left - spare)


def _same(meter: Meter) -> Any:
    from rungwise.data.schema import meters

    return (meters.c.subject == meter.subject) & (meters.c.measure == meter.measure) & (meters.c.window == meter.window)


def _used(connection: Connection, meter: Meter) -> int:
    from sqlalchemy import select

    from rungwise.data.schema import meters

    return int(connection.execute(select(meters.c.used).where(_same(meter))).scalar() or 0)


def _add(connection: Connection, meter: Meter, amount: int) -> None:
    from rungwise.data.schema import meters

    statement = insert(connection, meters).values(subject=meter.subject, measure=meter.measure, window=meter.window, used=amount)
    more = meters.c.used + amount
    connection.execute(statement.on_conflict_do_update(index_elements=["subject", "measure", "window"], set_={"used": more}))
