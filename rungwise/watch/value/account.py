"""Cost, value and return of a project in one account, as data and as a document."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rungwise.core.reading import DAY_S
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.costs import Costs, Noted, kept_bytes, review_seconds
from rungwise.data.store import Store
from rungwise.ladder.evidence import dev_evaluations
from rungwise.release.registry import Releases
from rungwise.watch.money.bill import GIGABYTE, HOUR_S, MONTH_DAYS, Bill, Line, bill, lines
from rungwise.watch.money.budget import Month, UserBudget, month_ahead, users_over
from rungwise.watch.money.days import DayCost, day_costs, since_first
from rungwise.watch.money.development import Development, development, first_climb_at
from rungwise.watch.value.payback import (
    BreakEven,
    Life,
    against_nothing,
    against_rung,
    life_of,
    neighbours,
    quality_gain,
)
from rungwise.watch.value.success import Success, Worth, live_rung, success, worth
from rungwise.watch.value.variants import Outcomes, outcomes, revenue_by_day

FIELDS = ("user", "tenant", "variant", "candidate")
"""What the bill is broken down by where nothing else is asked for: fields that are quick to sum by."""
LONGEST_LIFE_DAYS = 730
DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Return:
    """From the first day to now. `invested_usd` was spent to make it, `running_usd` to run it, `brought_usd` is what it brought:
    outcomes, and right answers by their worth. `roi` is what remains for each dollar spent, with the bounds that come from how
    often answers are right; None where nothing was spent. `first_value_days` is how long it took from the first climb to the
    first day that brought more than it cost."""

    first: int
    last: int
    requests: int
    invested_usd: float
    running_usd: float
    brought_usd: float
    revenue_usd: float
    roi: float | None
    roi_low: float | None
    roi_high: float | None
    first_value_days: float | None
    success: Success | None
    worth: Worth
    break_even: tuple[BreakEven, ...]


@dataclass(frozen=True, kw_only=True)
class Account:
    """Everything about money. `by` holds the bill by fields, `per_day` the days of the window, `complete_until` the day up to which
    late outcomes are to be expected no more. `life` are all days, None before the first request."""

    bill: Bill
    by: Mapping[str, Sequence[Line]]
    per_day: tuple[DayCost, ...]
    development: Development
    noted: tuple[Noted, ...]
    month: Month
    user_budget: UserBudget | None
    outcomes: Outcomes
    label_days: float
    complete_until: int
    life: Life | None
    returned: Return


def account(
    store: Store, case: UseCase, watching: Watching, now: float, *, days: int = DAYS, fields: Sequence[str] = FIELDS
) -> Account:
    """The account of the last so many days (UTC, today included) and, for the return, of the whole life of the project.

    Raises UnknownName for a field that traces cannot be summed by.
    """
    today = int(now // DAY_S)
    since = float((today - days + 1) * DAY_S)
    noted, money = Costs(store).all(), watching.money
    whole = bill(store, case, watching, noted, since=since, until=now)
    made = development(store, case, noted, label_usd=money.label_usd)
    brought = outcomes(store, money, since=since, until=now)
    life = _life(store, watching, since, today, noted, now)
    return Account(
        bill=whole,
        by={name: lines(store, whole, name) for name in fields},
        per_day=tuple(day_costs(store, today - days + 1, today, today=today)),
        development=made,
        noted=tuple(noted),
        month=month_ahead(store, now, budget_usd=money.budget_usd_per_month),
        user_budget=users_over(store, now, money.user_budget_usd_per_month)
        if money.user_budget_usd_per_month is not None
        else None,
        outcomes=brought,
        label_days=watching.label_days,
        complete_until=int((now - watching.label_days * DAY_S) // DAY_S) - 1,
        life=life,
        returned=_return(store, case, watching, made, noted, life, now),
    )


def _life(store: Store, watching: Watching, since: float, today: int, noted: Sequence[Noted], now: float) -> Life | None:
    """All days from the first release on (without one, those of the window), with what reviewing and storing cost a day."""
    moves = Releases(store).history()
    first = int(min(moves[-1].at, since) // DAY_S) if moves else int(since // DAY_S)
    days = since_first(day_costs(store, max(first, today - LONGEST_LIFE_DAYS + 1), today, today=today))
    if not days:
        return None
    begin = float(days[0].day * DAY_S)
    a_day = kept_bytes(store) / GIGABYTE * watching.money.storage_usd_per_gb_month / MONTH_DAYS
    reviewed = review_seconds(store, begin, now) / HOUR_S * watching.review.usd_per_hour
    other = math.fsum(one.usd for one in noted if one.candidate is None and begin <= one.at < now)
    revenue = revenue_by_day(store, watching.money, first=days[0].day, last=today)
    return life_of(days, revenue, per_day_usd=a_day + (reviewed + other) / len(days))


def _return(
    store: Store, case: UseCase, watching: Watching, made: Development, noted: Sequence[Noted], life: Life | None, now: float
) -> Return:
    right = success(store, now)
    earned = float(life.revenue.sum()) if life is not None else 0.0
    gains = worth(case, watching.money, earns=life is not None and bool(life.revenue.any()))
    requests = float(life.requests.sum()) if life is not None else 0.0
    running = float(life.costs.sum()) if life is not None else 0.0
    spent = made.usd + running

    def brought(share: float) -> float:
        return earned + requests * share * gains.usd

    def roi(share: float) -> float | None:
        return (brought(share) - spent) / spent if spent > 0 else None

    value, low, high = (right.value, right.low, right.high) if right is not None else (0.0, 0.0, 0.0)
    return Return(
        first=life.first if life is not None else int(now // DAY_S),
        last=int(now // DAY_S),
        requests=int(requests),
        invested_usd=made.usd,
        running_usd=running,
        brought_usd=brought(value),
        revenue_usd=earned,
        roi=roi(value),
        roi_low=roi(low),
        roi_high=roi(high),
        first_value_days=_first_value(store, life, value * gains.usd),
        success=right,
        worth=gains,
        break_even=_break_even(store, case, made, life, right, gains),
    )


def _first_value(store: Store, life: Life | None, per_request: float) -> float | None:
    """Days from the first decision to the end of the first day that brought more than it cost; None before there is one."""
    begun = first_climb_at(store)
    if life is None or begun is None:
        return None
    net = life.requests * per_request + life.revenue - life.costs
    good = (net > 0).nonzero()[0]
    return max(0.0, (life.first + int(good[0]) + 1) - begun / DAY_S) if len(good) else None


def _break_even(
    store: Store, case: UseCase, made: Development, life: Life | None, right: Success | None, gains: Worth
) -> tuple[BreakEven, ...]:
    if life is None:
        return ()
    found = [against_nothing(life, made.usd, right, gains)]
    live = live_rung(store)
    if live is None:
        return tuple(found)
    decision, own = live
    evaluations = dev_evaluations(store, decision)
    for other in neighbours(decision, own):
        if other is None or not gains.usd:
            continue
        up, down = (other, own) if decision.rungs.index(other) > decision.rungs.index(own) else (own, other)
        gain = quality_gain(evaluations.get(up.rung), evaluations.get(down.rung), decision.target.metric, (up, down))
        found.append(against_rung(life, own, other, case, gains, up=up, gain=gain))
    return tuple(found)
