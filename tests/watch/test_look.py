"""Each day is looked at once, when it is over, in order; one part that breaks blinds no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from clocks import StillClock

from rungwise.core.reading import CANNOT_TELL, DAY_S, Reading
from rungwise.core.release import Release, Variant
from rungwise.core.usecase import Target, UseCase
from rungwise.data.readings import Readings
from rungwise.data.spec import FILE, write_use_case
from rungwise.data.store import Store
from rungwise.release.registry import Releases
from rungwise.watch import spending
from rungwise.watch.look import GRACE_S, Looked, catch_up, days_to_look_at, live_at, look_at
from rungwise.watch.scene import Scene

DAY = 20_000


@pytest.fixture
def clock() -> StillClock:
    return StillClock(DAY * DAY_S + 3_600.0)


@pytest.fixture
def store(tmp_path: Path, clock: StillClock) -> Store:
    write_use_case(tmp_path / FILE, UseCase(name="shop", task="classify", target=Target(metric="accuracy", value=0.9)))
    store = Store.open(tmp_path / "state", clock=clock)
    release(store, "a" * 64, at=clock.now())
    return store


def release(store: Store, candidate: str, *, at: float) -> Release:
    one = Release(use_case="u", variants=(Variant(name="a", candidate=candidate, weight=1.0),), evidence=(), at=at)
    return Releases(store).put(one).live


def looked(store: Store, clock: StillClock, **more: object) -> list[Looked]:
    return list(catch_up(store, store.directory.parent, clock, encoder=lambda: pytest.fail("nothing is encoded"), **more))  # type: ignore[arg-type]


def test_a_day_is_looked_at_when_it_is_over_and_not_before(store: Store, clock: StillClock) -> None:
    assert looked(store, clock) == []
    clock.at = (DAY + 1) * DAY_S + GRACE_S - 1
    assert looked(store, clock) == []
    clock.at += 1
    assert [one.day for one in looked(store, clock)] == [DAY]
    assert looked(store, clock) == []


def test_missed_days_are_caught_up_in_order_and_told(store: Store, clock: StillClock) -> None:
    clock.advance(5 * DAY_S)
    told: list[tuple[int, int]] = []
    found = looked(store, clock, say=lambda done, total: told.append((done, total)))
    assert [one.day for one in found] == list(range(DAY, DAY + 5))
    assert told == [(done, 5) for done in range(6)]
    assert Readings(store).last_day() == DAY + 4


def test_of_two_who_look_at_a_day_one_is_kept(store: Store, clock: StillClock) -> None:
    clock.advance(DAY_S)
    first = look_at(store, store.directory.parent, clock, DAY)
    assert first is not None
    assert look_at(store, store.directory.parent, clock, DAY) is None
    assert len(Readings(store).of_day(DAY)) == len(first.readings)


def test_a_look_that_was_cut_short_goes_on_where_it_was(store: Store, clock: StillClock) -> None:
    clock.advance(4 * DAY_S)
    going = catch_up(store, store.directory.parent, clock)
    next(going)
    going.close()  # as after a kill: what was looked at stays
    assert list(days_to_look_at(store, clock.now())) == [DAY + 1, DAY + 2, DAY + 3]


def test_a_clock_that_jumps_back_looks_at_nothing_again(store: Store, clock: StillClock) -> None:
    clock.advance(3 * DAY_S)
    looked(store, clock)
    clock.advance(-2 * DAY_S)
    assert looked(store, clock) == []


def test_a_part_that_breaks_says_so_and_the_others_read_on(
    store: Store, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(scene: Scene) -> list[Reading]:
        raise ZeroDivisionError

    monkeypatch.setattr(spending, "readings", broken)
    clock.advance(DAY_S)
    (one,) = looked(store, clock)
    found = {reading.monitor: reading for reading in one.readings}
    assert found["watch.cost"].state == CANNOT_TELL
    assert "ZeroDivisionError" in found["watch.cost"].why
    assert len(found) > 1


def test_a_day_without_traffic_alarms_nobody_and_breaks_nothing(store: Store, clock: StillClock) -> None:
    clock.advance(40 * DAY_S)
    for one in looked(store, clock):
        assert not one.alerts
        assert not [reading for reading in one.readings if reading.monitor.startswith("watch.")]


def test_the_release_of_a_day_is_the_one_that_was_live_at_its_end(store: Store, clock: StillClock) -> None:
    before = Releases(store).live()
    clock.advance(DAY_S)
    after = release(store, "b" * 64, at=clock.now())
    assert live_at(store, (DAY + 1) * DAY_S) == before
    assert live_at(store, (DAY + 2) * DAY_S) == after
    assert live_at(store, DAY * DAY_S) is None
