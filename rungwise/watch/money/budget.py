"""What a month has cost so far, what it will cost, and whether that is more than was meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from rungwise.core.reading import DAY_S
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.watch.money.days import DayCost, day_costs, month_of, since_first, window, written
from rungwise.watch.money.forecast import DAYS_BACK, Foreseen, foresee

WITHIN, WARNING, OVER, CANNOT_TELL = "within", "warning", "over", "cannot_tell"


@dataclass(frozen=True, kw_only=True)
class Month:
    """A calendar month (UTC): `spent_usd` until now, and the forecast of all of it; None where there are too few days for one.

    `state` is within, warning (more likely than not over the budget), over (the lower bound of the forecast is), or cannot_tell.
    Without a budget it is within. Shadows count: they are paid for. `path` is what was spent up to the end of each day so far,
    `fan` what will have been by the end of each day that is still to come, today's first where it is not over.
    """

    first: int
    last: int
    spent_usd: float
    whole: Foreseen | None
    budget_usd: float | None
    state: str
    why: str
    path: tuple[float, ...] = ()
    fan: tuple[Foreseen, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UserBudget:
    """Users over their budget in a month so far, the dearest first, as (user, USD)."""

    budget_usd: float
    users: int
    over: tuple[tuple[str, float], ...] = field(default_factory=tuple)


def spent_of(one: DayCost) -> float:
    """All that a day cost, shadows included."""
    return one.usd + one.shadow_usd


def month_ahead(store: Store, now: float, *, budget_usd: float | None) -> Month:
    """The month of this moment. At the first moment of a day, the day before was the last one: its month is meant."""
    day, share = divmod(now, DAY_S)
    today, left = (int(day), 1.0 - share / DAY_S) if share else (int(day) - 1, 0.0)
    first, last = month_of(today)
    days = day_costs(store, min(first, today - DAYS_BACK), today, today=today + (not share))
    return month_of_days(days, first=first, last=last, left=left, budget_usd=budget_usd)


def month_of_days(days: Sequence[DayCost], *, first: int, last: int, left: float, budget_usd: float | None) -> Month:
    """The same of days that are known, the last of which has `left` (a share of it) to come."""
    today = days[-1].day if days else first
    path = tuple(accumulate(spent_of(one) for one in days if one.day >= first))
    spent = path[-1] if path else 0.0
    coming = [*([left] if left else []), *[1.0] * (last - today)]
    whole = since_first(days[:-1] if left else days)
    values, begin = [spent_of(one) for one in whole], whole[0].day if whole else first
    foreseen = [foresee(values, begin, coming[:more]) for more in range(1, len(coming) + 1)]
    fan = tuple(
        replace(one, mean=spent + one.mean, low=spent + one.low, high=spent + one.high) for one in foreseen if one is not None
    )
    end = fan[-1] if fan else None if coming else Foreseen(mean=spent, low=spent, high=spent, n=len(whole))
    state, why = _judged(spent, end, budget_usd, last)
    return Month(
        first=first, last=last, spent_usd=spent, whole=end, budget_usd=budget_usd, state=state, why=why, path=path, fan=fan
    )


def users_over(store: Store, now: float, budget_usd: float) -> UserBudget:
    """Users whose answers cost more in the month so far than one user's may. Requests without a user are nobody's."""
    day, share = divmod(now, DAY_S)
    first, _ = month_of(int(day) if share else int(day) - 1)
    own = [one for one in archive_of(store).sums(window(float(first * DAY_S), now), by="user") if one.value is not None]
    over = tuple((str(one.value), one.usd) for one in own if one.usd > budget_usd)
    return UserBudget(budget_usd=budget_usd, users=len(own), over=over)


def _judged(spent: float, whole: Foreseen | None, budget: float | None, last: int) -> tuple[str, str]:
    so_far = f"{spent:,.2f} USD were spent this month"
    if whole is not None:
        so_far += f"; by {written(last)} it will be {whole.mean:,.2f} USD ({whole.low:,.2f} to {whole.high:,.2f})"
    if budget is None:
        return WITHIN, f"{so_far}. There is no budget"
    meant = f"of a budget of {budget:,.2f} USD"
    if spent > budget:
        return OVER, f"the budget of {budget:,.2f} USD is spent: {so_far}"
    if whole is None:
        return CANNOT_TELL, f"{so_far}, {meant}; there are too few days to say what the month will cost"
    if whole.low > budget:
        return OVER, f"the budget of {budget:,.2f} USD will not last: {so_far}"
    if whole.mean > budget:
        return WARNING, f"warning: the budget of {budget:,.2f} USD will more likely than not be too small: {so_far}"
    return WITHIN, f"{so_far}, {meant}"
