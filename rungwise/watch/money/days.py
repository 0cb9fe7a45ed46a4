"""What each day cost. A day that is over is written down, so that its cost outlives its traces."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from rungwise.core.reading import DAY_S
from rungwise.data.readings import Sketches
from rungwise.data.store import Store
from rungwise.data.traces.door import TraceArchive, archive_of
from rungwise.data.traces.query import Query
from rungwise.data.traces.sums import DAY, Sum

KIND = "cost-1"
LOOKED_AT_AGAIN = 62
"""So many days back the traces are asked even where a day is written down: some may have come late."""
FIRST_DAY, LAST_DAY = 0, 2_932_896  # 31 December 9999


@dataclass(frozen=True, kw_only=True)
class DayCost:
    """A day (counted since 1970, in UTC): how many requests users made, what answering them cost, and what shadows cost."""

    day: int
    requests: int = 0
    usd: float = 0.0
    shadow_usd: float = 0.0


def day_costs(store: Store, first: int, last: int, *, today: int) -> list[DayCost]:
    """Each day from `first` to `last`, both included. Days before `today` are over, and are written down.

    Of what was written down and what the traces say now, the one with more requests counts: traces are erased and expire, but
    what was spent stays spent.
    """
    days = list(range(max(first, FIRST_DAY), min(last, LAST_DAY) + 1))
    sketches = Sketches(store, KIND)
    known = {day: DayCost(**json.loads(body)) for day, body in sketches.get(days).items()}
    asked = [day for day in days if day not in known or day >= today - LOOKED_AT_AGAIN]
    found = _of_traces(archive_of(store), asked[0], asked[-1]) if asked else {}
    for day in asked:
        if day < today and day in found and day not in known:
            sketches.put(day, json.dumps(asdict(found[day])).encode())
    nothing = {day: DayCost(day=day) for day in days}
    return [max((one.get(day, nothing[day]) for one in (known, found)), key=lambda one: one.requests) for day in days]


def window(since: float, until: float) -> Query:
    """The live requests of [since, until)."""
    return between(since, until).where("shadow", "=", False)


def between(since: float, until: float) -> Query:
    """The traces of [since, until), those of shadows included."""
    return Query().where("at", ">=", since).where("at", "<", until)


def month_of(day: int) -> tuple[int, int]:
    """The first and the last day of the calendar month (UTC) that a day is in."""
    start = date_of(day).replace(day=1)
    after = (start + timedelta(days=32)).replace(day=1)
    return int(start.timestamp() // DAY_S), int(after.timestamp() // DAY_S) - 1


def date_of(day: int) -> datetime:
    """The first moment of a day, in UTC."""
    return datetime.fromtimestamp(min(max(day, FIRST_DAY), LAST_DAY - 31) * DAY_S, UTC)


def written(day: int) -> str:
    """A day as people write it: 2026-11-22."""
    return date_of(day).strftime("%Y-%m-%d")


def since_first(days: Iterable[DayCost]) -> list[DayCost]:
    """The days from the first that had a request on."""
    all_days = list(days)
    start = next((place for place, one in enumerate(all_days) if one.requests), len(all_days))
    return all_days[start:]


def _of_traces(archive: TraceArchive, first: int, last: int) -> dict[int, DayCost]:
    """Those of the days that have traces."""
    query = between(float(first * DAY_S), float((last + 1) * DAY_S))
    live, shadows = (
        {int(one.value or 0): one for one in archive.sums(query.where("shadow", "=", wanted), by=DAY)} for wanted in (False, True)
    )
    nothing = Sum()
    return {
        day: DayCost(
            day=day,
            requests=live.get(day, nothing).traces,
            usd=live.get(day, nothing).usd,
            shadow_usd=shadows.get(day, nothing).usd,
        )
        for day in live.keys() | shadows.keys()
    }
