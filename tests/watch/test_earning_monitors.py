"""The monitors of value: shares of users with an outcome, and what a user brings, by variant."""

from __future__ import annotations

from pathlib import Path

import pytest

from rungwise.core.reading import DAY_S
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.store import Store
from rungwise.watch.earning import readings
from rungwise.watch.scene import Scene
from tests.clocks import StillClock
from tests.watch.earning import month, release

LAST = 20_777


def scene(store: Store, clock: StillClock, day: int = LAST, off: tuple[str, ...] = ()) -> Scene:
    return Scene(
        store=store, directory=Path(), case=UseCase(name="p", task="classify"), watching=Watching(off=off), day=day, clock=clock
    )


def test_each_variant_says_what_its_users_came_to_and_brought(store: Store, clock: StillClock) -> None:
    live = release(store, [("plain", "1" * 64), ("rich", "2" * 64)], at=(LAST - 30) * DAY_S)
    month(store, live, first=LAST - 27, days=28, users=60, a_day=30)
    found = {(one.monitor, one.about["variant"]): one for one in readings(scene(store, clock))}
    assert set(found) == {(name, variant) for name in ("value.success", "value.revenue") for variant in ("plain", "rich")}
    success = found["value.success", "rich"]
    assert success.about["outcome"] == "converted"
    assert success.low is not None
    assert success.value is not None
    assert 0 <= success.low <= success.value <= 1
    assert (found["value.revenue", "rich"].value or 0) > (found["value.revenue", "plain"].value or 0)
    assert "users came to 'converted'" in success.why


def test_without_outcomes_nothing_is_said(store: Store, clock: StillClock) -> None:
    release(store, [("plain", "1" * 64)], at=(LAST - 30) * DAY_S)
    assert readings(scene(store, clock)) == []


@pytest.mark.parametrize(("off", "left"), [("value", set()), ("value.revenue", {"value.success"})])
def test_what_is_switched_off_is_not_said(store: Store, clock: StillClock, off: str, left: set[str]) -> None:
    live = release(store, [("plain", "1" * 64)], at=(LAST - 30) * DAY_S)
    month(store, live, first=LAST - 3, days=4, users=20, a_day=30)
    assert {one.monitor for one in readings(scene(store, clock, off=(off,)))} == left
