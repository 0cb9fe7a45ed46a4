"""The monitors of money: what a day cost, each request, whether the month's budget lasts, and which users are over theirs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rungwise.core.errors import StoreError
from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S, OK, Reading
from rungwise.release.evidence import decision_of
from rungwise.watch.money import budget
from rungwise.watch.money.days import DayCost, day_costs, month_of, since_first
from rungwise.watch.money.forecast import DAYS_BACK, foresee
from rungwise.watch.scene import Scene
from rungwise.watch.traffic import Traffic
from rungwise.watch.value.intervals import ratio

DAY, REQUEST, MONTH, USERS = "cost.usd", "cost.usd_per_request", "cost.budget", "cost.user_budget"
EXAMPLES = 20


def readings(scene: Scene) -> list[Reading]:
    """What the day says about money. A budget alarms when even the lower bound of the month's forecast is over it."""
    found: list[Reading] = []
    if scene.watching.wants(DAY):
        found.append(_of_day(scene))
    if scene.watching.wants(REQUEST):
        found += _by_request(scene)
    if scene.watching.wants(MONTH) and scene.watching.money.budget_usd_per_month is not None:
        found.append(_of_month(scene))
    if scene.watching.wants(USERS) and scene.watching.money.user_budget_usd_per_month is not None:
        found.append(_of_users(scene, scene.watching.money.user_budget_usd_per_month))
    return found


def _of_day(scene: Scene) -> Reading:
    """What the day cost in all, next to what the days before it let expect. It never alarms by itself: a rule may."""
    days = day_costs(scene.store, scene.day - DAYS_BACK, scene.day, today=scene.day + 1)
    own, before = days[-1], since_first(days[:-1])
    spent = budget.spent_of(own)
    expected = foresee([budget.spent_of(one) for one in before], before[0].day, [1.0]) if before else None
    why = f"{own.requests:,} requests cost {spent:,.4g} USD"
    effect = None
    if expected is not None:
        effect = spent / expected.mean - 1 if expected.mean > 0 else None
        why += f"; {expected.mean:,.4g} USD were to be expected ({expected.low:,.4g} to {expected.high:,.4g})"
    return Reading(
        monitor=DAY,
        **scene.window(),
        value=spent,
        reference=expected.mean if expected is not None else None,
        effect=effect,
        unit="of what was to be expected",
        n=own.requests,
        why=why,
        details=_details(own),
    )


def _by_request(scene: Scene) -> Iterator[Reading]:
    """What a request costs, in all and by variant, next to what was measured before the release. Cached answers are no part."""
    traffic = scene.of_day(scene.day)
    yield _of_requests(scene, traffic, {}, None)
    names = sorted({str(one) for one in traffic.variant if one is not None})
    for name in names if len(names) > 1 else ():
        own = traffic.only(traffic.variant == name)
        yield _of_requests(scene, own, {"variant": name}, _measured(scene, own))


def _of_requests(scene: Scene, traffic: Traffic, about: dict[str, str], measured: float | None) -> Reading:
    if not len(traffic):
        return Reading(monitor=REQUEST, **scene.window(), about=about, state=CANNOT_TELL, why="nothing was asked")
    measured = measured if about else _measured(scene, traffic)
    units, place = np.unique(traffic.unit.astype(str), return_inverse=True)
    usd = np.bincount(place, weights=np.nan_to_num(traffic.usd), minlength=len(units)).astype(np.float64)
    asked = np.bincount(place, minlength=len(units)).astype(np.float64)
    found = ratio(usd, asked)
    assert found is not None  # there is a request
    effect = found.value / measured - 1 if measured else None
    before = f"; {measured:.4g} USD were measured before the release" if measured is not None else ""
    return Reading(
        monitor=REQUEST,
        **scene.window(),
        about=about,
        value=found.value,
        low=found.low,
        high=found.high,
        level=found.level,
        reference=measured,
        effect=effect,
        unit="of what was measured before the release",
        n=len(traffic),
        why=f"a request costs {found.value:.4g} USD{before}",
    )


def _measured(scene: Scene, traffic: Traffic) -> float | None:
    """The price of an answer as the climb measured it, where one candidate answered all of these."""
    candidates = {one for one in traffic.candidate if one is not None}
    if len(candidates) != 1 or scene.release is None:
        return None
    (candidate,) = candidates
    try:
        decision = decision_of(scene.store, scene.release, candidate)
    except StoreError:
        return None
    rung = next((one for one in decision.rungs if one.candidate == candidate), None) if decision is not None else None
    return None if rung is None or rung.usd_per_1k is None else rung.usd_per_1k / 1000


def _of_month(scene: Scene) -> Reading:
    """The month so far and its forecast against the budget."""
    meant = scene.watching.money.budget_usd_per_month
    month = budget.month_ahead(scene.store, float((scene.day + 1) * DAY_S), budget_usd=meant)
    whole = month.whole
    states = {budget.OVER: ALARM, budget.CANNOT_TELL: CANNOT_TELL}
    return Reading(
        monitor=MONTH,
        since=float(month.first * DAY_S),
        until=float((scene.day + 1) * DAY_S),
        state=states.get(month.state, OK),
        why=month.why,
        value=whole.mean if whole is not None else month.spent_usd,
        low=whole.low if whole is not None else None,
        high=whole.high if whole is not None else None,
        level=whole.level if whole is not None else None,
        reference=meant,
        effect=(whole.mean if whole is not None else month.spent_usd) / meant - 1 if meant else None,
        unit="of the budget",
        n=whole.n if whole is not None else 0,
        details={"spent_usd": month.spent_usd, "state": month.state},
    )


def _of_users(scene: Scene, meant: float) -> Reading:
    """Users whose answers cost more this month than they may."""
    until = float((scene.day + 1) * DAY_S)
    found = budget.users_over(scene.store, until, meant)
    first, _ = month_of(scene.day)
    why = f"{len(found.over):,} of {found.users:,} users are over their budget of {meant:,.2f} USD this month"
    if found.over:
        user, usd = found.over[0]
        why += f", {user!r} the furthest with {usd:,.2f} USD"
    return Reading(
        monitor=USERS,
        since=float(first * DAY_S),
        until=until,
        state=ALARM if found.over else OK,
        why=why,
        value=float(len(found.over)),
        reference=meant,
        unit="users",
        n=found.users,
        details={"over": [{"user": user, "usd": usd} for user, usd in found.over[:EXAMPLES]]},
    )


def _details(one: DayCost) -> dict[str, float]:
    return {"live_usd": one.usd, "shadow_usd": one.shadow_usd}
