"""The bill of a window: what answering cost, with its share of storage, reviewing and whatever else was noted, by any field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rungwise.core.candidate import Candidate
from rungwise.core.errors import StoreError
from rungwise.core.reading import DAY_S
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.costs import Noted, kept_bytes, review_seconds
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.query import Query
from rungwise.data.traces.sums import Sum
from rungwise.release.evidence import endpoint_of
from rungwise.watch.money.days import between, window

MONTH_DAYS = 365.25 / 12
GIGABYTE = 1e9
HOUR_S = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """One user, tenant, variant ...: `usd` is what answering it cost, `shared_usd` its share of what belongs to no request
    (storage, reviewing, noted costs), by the number of its requests. `value` is None for those that name none."""

    value: str | None
    requests: int
    failed: int
    usd: float
    shared_usd: float

    @property
    def total_usd(self) -> float:
        """Both."""
        return self.usd + self.shared_usd


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A window [since, until) of live requests. `usd` is what answering users cost, of which `machine_usd` was time of this
    machine or of a rented one, and the rest tokens; shadows answer nobody and stand apart. Each is in `total_usd` once. `sums`
    are what it was added up from, by field.
    """

    since: float
    until: float
    requests: int
    failed: int
    users: int
    usd: float
    machine_usd: float
    shadow_usd: float
    stored_bytes: int
    storage_usd: float
    review_seconds: float
    review_usd: float
    noted_usd: float
    sums: Mapping[str, Sequence[Sum]] = field(default_factory=dict, repr=False)

    @property
    def shared_usd(self) -> float:
        """What belongs to no single request."""
        return math.fsum((self.storage_usd, self.review_usd, self.noted_usd))

    @property
    def total_usd(self) -> float:
        """All of it, shadows included."""
        return math.fsum((self.usd, self.shadow_usd, self.shared_usd))

    @property
    def tokens_usd(self) -> float:
        """What tokens cost; what is left of rounding is nothing."""
        left = self.usd - self.machine_usd
        return left if left > 1e-9 * self.usd else 0.0


def bill(store: Store, case: UseCase, watching: Watching, noted: Sequence[Noted], *, since: float, until: float) -> Bill:
    """The bill of a window. Costs that were noted for a candidate are its development and are left out here."""
    live, archive = window(since, until), archive_of(store)
    known = {name: archive.sums(live, by=name) for name in ("user", "candidate")}
    shadows = archive.sums(between(since, until).where("shadow", "=", True))
    size, seconds = kept_bytes(store), review_seconds(store, since, until)
    months = (until - since) / DAY_S / MONTH_DAYS
    return Bill(
        since=since,
        until=until,
        requests=sum(one.traces for one in known["user"]),
        failed=sum(one.failed for one in known["user"]),
        users=sum(one.value is not None for one in known["user"]),
        usd=math.fsum(one.usd for one in known["user"]),
        machine_usd=_machine_usd(store, case, live, known["candidate"]),
        shadow_usd=math.fsum(one.usd for one in shadows),
        stored_bytes=size,
        storage_usd=size / GIGABYTE * watching.money.storage_usd_per_gb_month * months,
        review_seconds=seconds,
        review_usd=seconds / HOUR_S * watching.review.usd_per_hour,
        noted_usd=math.fsum(one.usd for one in noted if one.candidate is None and since <= one.at < until),
        sums=known,
    )


def lines(store: Store, whole: Bill, by: str) -> list[Line]:
    """The bill by a field of traces (user, tenant, variant, candidate, operation, tag.NAME ...), the dearest first.

    Raises UnknownName for a field that traces cannot be summed by.
    """
    known = whole.sums.get(by)
    found = known if known is not None else archive_of(store).sums(window(whole.since, whole.until), by=by)
    return [_line(one, whole) for one in found]


def _line(one: Sum, whole: Bill) -> Line:
    share = one.traces / whole.requests if whole.requests else 0.0
    return Line(value=one.value, requests=one.traces, failed=one.failed, usd=one.usd, shared_usd=share * whole.shared_usd)


def _machine_usd(store: Store, case: UseCase, live: Query, candidates: Sequence[Sum]) -> float:
    """What of the traces' cost is machine time: all of it where a candidate answers on this machine, or an engine has a price by
    the hour. The server wrote it into the traces already; it is told apart here, not added."""
    hourly = {one.name for one in case.endpoints if one.usd_per_hour}
    found = 0.0
    for one in candidates:
        if one.value is not None and _is_timed(store, case, one.value):
            found += one.usd
    if any(one.value is None for one in candidates):
        for one in archive_of(store).sums(live.where("candidate", "=", None), by="engine"):
            found += one.usd if one.value in hourly else 0.0
    return found


def _is_timed(store: Store, case: UseCase, id: str) -> bool:
    try:
        endpoint = endpoint_of(Nouns(store).get(Candidate, id), case)
    except StoreError:
        return False
    return endpoint is None or bool(endpoint.usd_per_hour)
