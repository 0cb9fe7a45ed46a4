"""What each variant brought by its users, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rungwise.core.reading import DAY_S
from rungwise.core.watching import Money
from rungwise.data.outcomes import events
from rungwise.data.store import Store
from rungwise.watch.value.arms import Arm, Units, arms_of, days_of_users, happened, units_of, worth_usd
from rungwise.watch.value.intervals import Figure, difference, mean, ratio, share, share_difference


@dataclass(frozen=True, kw_only=True)
class Brought:
    """One variant: users (`units`: users, else conversations, else single requests), what they asked, cost and brought.

    `conversions` is the share of units with an outcome, `answered_with` the share of requests. `against` is by how much a figure is
    above that of the first variant.
    """

    variant: str
    candidate: str | None
    units: int
    requests: int
    usd: float
    revenue_usd: float
    usd_per_request: Figure | None
    requests_per_user: Figure | None
    revenue_per_user: Figure | None
    returning: Figure | None
    conversions: Mapping[str, Figure] = field(default_factory=dict)
    answered_with: Mapping[str, float] = field(default_factory=dict)
    against: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """All variants. `gone` outcomes are of traces that are not kept any more, and count nowhere; `by_day` is what outcomes brought
    by the day of the question; `earns`: at least one outcome has a price."""

    variants: tuple[Brought, ...]
    gone: int
    by_day: Mapping[int, float]
    earns: bool

    @property
    def revenue_usd(self) -> float:
        """What outcomes brought in all."""
        return math.fsum(self.by_day.values())


def outcomes(store: Store, money: Money, *, since: float, until: float) -> Outcomes:
    """What was brought by what was asked in [since, until)."""
    events_of, gone = happened(store, since, until)
    arms = arms_of(store)
    came = days_of_users(store, since, until)
    units = [units_of(store, arm, events_of, came, money, since=since, until=until) for arm in arms]
    by_day: dict[int, list[float]] = {}
    for one in events_of:
        if not one.shadow:
            by_day.setdefault(int(one.asked_at // DAY_S), []).append(worth_usd(one.event, money))
    names = sorted({name for one in units for name in one.hits})
    return Outcomes(
        variants=tuple(_brought(arm, own, units[0], names) for arm, own in zip(arms, units, strict=True)),
        gone=gone,
        by_day={day: math.fsum(values) for day, values in sorted(by_day.items())},
        earns=any(value for values in by_day.values() for value in values),
    )


def revenue_by_day(store: Store, money: Money, *, first: int, last: int) -> dict[int, float]:
    """What outcomes brought by the day on which they came, those of traces that are gone included. What is dated outside of
    these days (a clock that jumped) counts on the nearest of them."""
    by_day: dict[int, list[float]] = {}
    for one in events(store):
        by_day.setdefault(min(max(int(one.at // DAY_S), first), last), []).append(worth_usd(one, money))
    return {day: math.fsum(values) for day, values in sorted(by_day.items())}


def _brought(arm: Arm, own: Units, first: Units, names: Sequence[str]) -> Brought:
    n = len(own.requests)
    conversions = {name: found for name in names if (found := share(own.hits.get(name, 0), n)) is not None}
    requests = int(own.requests.sum())
    return Brought(
        variant=arm.name,
        candidate=arm.candidate,
        units=n,
        requests=requests,
        usd=math.fsum(own.usd),
        revenue_usd=math.fsum(own.revenue),
        usd_per_request=ratio(own.usd, own.requests),
        requests_per_user=mean(own.requests),
        revenue_per_user=mean(own.revenue),
        returning=share(own.returning, own.named),
        conversions=conversions,
        answered_with={name: own.answers.get(name, 0) / requests for name in names} if requests else {},
        against={} if own is first else _against(own, first, names),
    )


def _against(own: Units, first: Units, names: Sequence[str]) -> Mapping[str, Figure]:
    """By how much each figure is above that of the first variant; users of both count in both."""
    sizes = len(own.requests), len(first.requests)
    found = {
        "revenue_per_user": difference(own.revenue, first.revenue),
        "requests_per_user": difference(own.requests, first.requests),
        "returning": share_difference((own.returning, own.named), (first.returning, first.named)),
    }
    for name in names:
        found[f"conversion.{name}"] = share_difference((own.hits.get(name, 0), sizes[0]), (first.hits.get(name, 0), sizes[1]))
    return {name: one for name, one in found.items() if one is not None}
