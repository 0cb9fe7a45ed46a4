"""The monitors of money on days that are over."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S, OK, Reading
from rungwise.core.release import Release
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Money, Watching
from rungwise.data.store import Store
from rungwise.watch.scene import Scene
from rungwise.watch.spending import readings
from tests.clocks import StillClock
from tests.data.judged import write
from tests.watch.earning import answered, month, release

NOVEMBER_20 = 20_777


@pytest.fixture
def live(store: Store) -> Release:
    return release(store, [("plain", "1" * 64), ("rich", "2" * 64)], at=(NOVEMBER_20 - 30) * DAY_S)


def scene(store: Store, clock: StillClock, *, day: int = NOVEMBER_20, live: Release | None = None, **money: float) -> Scene:
    watching = Watching(money=Money(**money))  # type: ignore[arg-type]
    case = UseCase(name="p", task="classify")
    return Scene(store=store, directory=Path(), case=case, watching=watching, day=day, clock=clock, release=live)


def by_name(found: list[Reading]) -> dict[tuple[str, str], Reading]:
    return {(one.monitor, one.about.get("variant", "")): one for one in found}


def test_a_day_says_its_cost_each_request_and_whether_the_budget_lasts(store: Store, clock: StillClock, live: Release) -> None:
    month(store, live, first=NOVEMBER_20 - 29, days=30, users=30, a_day=40)
    look = scene(store, clock, live=live, budget_usd_per_month=3.0, user_budget_usd_per_month=0.15)
    found = by_name(readings(look))
    own = look.of_day(NOVEMBER_20)
    day = found["cost.usd", ""]
    assert day.details["live_usd"] == pytest.approx(own.usd.sum())
    assert day.reference is not None
    assert abs(day.effect or 9.0) < 0.5
    each = found["cost.usd_per_request", ""]
    assert each.value == pytest.approx(own.usd.sum() / len(own))
    assert each.low is not None
    assert each.high is not None
    assert each.low < each.value < each.high  # type: ignore[operator]
    assert found["cost.usd_per_request", "rich"].value > found["cost.usd_per_request", "plain"].value  # type: ignore[operator]
    budget, users = found["cost.budget", ""], found["cost.user_budget", ""]
    assert budget.state == ALARM
    assert budget.low is not None
    assert budget.low > 3.0
    assert users.state == ALARM
    assert users.details["over"][0]["usd"] > 0.15
    assert len(users.details["over"]) == users.value


def test_without_traffic_nothing_is_raised_and_nothing_alarms(store: Store, clock: StillClock) -> None:
    found = by_name(readings(scene(store, clock, budget_usd_per_month=3.0, user_budget_usd_per_month=0.1)))
    assert found["cost.usd", ""].value == 0.0
    assert {name: one.state for (name, _), one in found.items()} == {
        "cost.usd": OK,
        "cost.usd_per_request": CANNOT_TELL,
        "cost.budget": CANNOT_TELL,
        "cost.user_budget": OK,
    }


def test_what_is_switched_off_or_has_no_budget_is_not_read(store: Store, clock: StillClock) -> None:
    look = scene(store, clock)
    assert {one.monitor for one in readings(look)} == {"cost.usd", "cost.usd_per_request"}
    assert readings(replace(look, watching=Watching(off=("cost",)))) == []


def test_requests_of_nobody_are_over_no_budget(store: Store, clock: StillClock) -> None:
    rng = random.Random(1)
    write(store, [answered(NOVEMBER_20 * DAY_S + n, rng, usd=5.0) for n in range(5)])
    found = by_name(readings(scene(store, clock, user_budget_usd_per_month=0.01)))
    assert found["cost.user_budget", ""].state == OK


def test_the_first_day_of_a_month_begins_a_new_one(store: Store, clock: StillClock, live: Release) -> None:
    first = NOVEMBER_20 - 19
    month(store, live, first=first - 10, days=11, users=10, a_day=40)
    found = by_name(readings(scene(store, clock, day=first, live=live, budget_usd_per_month=100.0)))
    day, budget = found["cost.usd", ""], found["cost.budget", ""]
    assert budget.details["spent_usd"] == pytest.approx(day.value)
    assert budget.state == OK
