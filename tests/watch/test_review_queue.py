"""A day's review items: a simple random sample with its chance, and more of what is odd, each with a chance of its own."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.reading import ALARM, DAY_S, Reading
from rungwise.core.trace import Trace
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Review, Watching
from rungwise.data.reviews import Reviews
from rungwise.data.store import Store
from rungwise.watch.review.queue import fill
from rungwise.watch.review.sampling import poisson, proportional, simple_random
from rungwise.watch.scene import Scene
from tests.clocks import StillClock
from tests.data.judged import BEGIN, answered, judge, write

DAY = int(BEGIN // DAY_S)


def scene(store: Store, clock: StillClock, *, day: int = DAY, off: tuple[str, ...] = (), **review: Any) -> Scene:
    watching = Watching(review=Review(**{"per_day": 10, "uncertain_per_day": 0, **review}), off=off)
    return Scene(
        store=store,
        directory=Path(),
        case=UseCase(name="support", task="classify", data=""),
        watching=watching,
        day=day,
        clock=clock,
    )


def traffic(store: Store, count: int, **more: Any) -> list[Trace]:
    traces = [answered(n, f"question {n}", "refund", **more) for n in range(count)]
    write(store, traces)
    return traces


def test_so_many_are_drawn_of_a_day_each_with_its_chance_and_only_once(store: Store, clock: StillClock) -> None:
    traces = traffic(store, 40)
    (reading,) = fill(scene(store, clock))
    assert (reading.monitor, reading.value, reading.state) == ("review.waiting", 10.0, "ok")
    drawn = Reviews(store).drawn(DAY, DAY)
    assert len(drawn) == 10
    assert {(one.chance, one.reason) for one in drawn} == {(0.25, "random")}
    assert {one.trace for one in drawn} < {one.id for one in traces}
    fill(scene(store, clock))
    fill(scene(store, clock, per_day=30))
    assert Reviews(store).drawn(DAY, DAY) == drawn


def test_a_day_with_fewer_is_drawn_whole_and_one_without_text_or_traffic_not_at_all(store: Store, clock: StillClock) -> None:
    write(store, [answered(n, "", "refund") for n in range(5)])
    write(store, [answered(10 + n, f"question {n}", "") for n in range(3)])
    write(store, [answered(20, "in shadow", "a", shadow_of="f" * 32)])
    fill(scene(store, clock))
    assert [one.chance for one in Reviews(store).drawn(DAY, DAY)] == [1.0] * 3
    (reading,) = fill(scene(store, clock, day=DAY + 1))
    assert reading.value == 3.0
    assert Reviews(store).drawn(DAY + 1, DAY + 1) == []


def test_what_is_odd_is_drawn_beside_and_says_why(store: Store, clock: StillClock) -> None:
    traces = traffic(store, 60)
    judge(store, traces[3], thumb=False)
    write(store, [answered(100, "question 4", "tracking", shadow_of=traces[4].id)])
    alarm = Reading(monitor="drift.input.meaning", since=0.0, until=1.0, state=ALARM, traces=(traces[5].id,))
    calm = Reading(monitor="drift.input.length", since=0.0, until=1.0, traces=(traces[6].id,))
    fill(scene(store, clock, per_day=0, uncertain_per_day=10), [alarm, calm])
    drawn = {one.trace: (one.reason, one.chance) for one in Reviews(store).drawn(DAY, DAY)}
    assert drawn == {traces[3].id: ("flagged", 1.0), traces[4].id: ("disagreeing", 1.0), traces[5].id: ("drifted", 1.0)}


def test_what_is_drawn_both_ways_is_random_and_its_chance_is_that_of_either(store: Store, clock: StillClock) -> None:
    traces = traffic(store, 20)
    for one in traces:
        judge(store, one, thumb=False)
    fill(scene(store, clock, per_day=10, uncertain_per_day=5))
    drawn = Reviews(store).drawn(DAY, DAY)
    assert sum(one.reason == "random" for one in drawn) == 10
    assert {round(one.chance, 12) for one in drawn} == {round(1 - (1 - 0.5) * (1 - 0.25), 12)}


def test_two_variants_that_answer_the_same_question_otherwise_are_a_blind_pair(store: Store, clock: StillClock) -> None:
    old, new = answered(1, "Where is it?", "refund", variant="old"), answered(2, "where is it", "tracking", variant="new")
    same = answered(3, "Where is it?", "refund", variant="old", tenant="north")
    write(store, [old, new, same])
    fill(scene(store, clock))
    own = Reviews(store)
    items = {one.trace: own.get(one.id) for one in own.drawn(DAY, DAY)}
    assert {trace: item.other for trace, item in items.items() if item is not None} == {
        old.id: new.id,
        new.id: old.id,
        same.id: new.id,
    }
    assert items[same.id].tenant == "north"  # type: ignore[union-attr]


def test_whoever_wants_no_review_gets_none(store: Store, clock: StillClock) -> None:
    traffic(store, 5)
    assert fill(scene(store, clock, off=("review",))) == []
    assert Reviews(store).drawn(DAY, DAY) == []


def test_the_age_of_the_oldest_is_told(store: Store, clock: StillClock) -> None:
    traffic(store, 5)
    fill(scene(store, clock, per_day=1))
    clock.advance(2.5 * DAY_S)
    (reading,) = fill(scene(store, clock, day=DAY + 1))
    assert "1 answer waits for a reviewer, the oldest for 2.5 days" in reading.why


def test_each_id_is_drawn_equally_often_over_many_salts() -> None:
    ids = [f"{n:032x}" for n in range(20)]
    seen = Counter(one for salt in range(4_000) for one in simple_random(ids, 5, salt=str(salt)))
    expected = 4_000 * 5 / 20
    # chi-squared of 19 degrees of freedom, scaled by (1 - f) for draws without replacement; beyond 60 once in 100,000
    assert sum((seen[one] - expected) ** 2 / (expected * 0.75) for one in ids) < 60


def test_the_simple_draw_ranks_by_sha256() -> None:
    ids = [f"{n:032x}" for n in range(30)]
    ranked = sorted(ids, key=lambda one: hashlib.sha256(f"salt\0{one}".encode()).digest()[:8])
    assert simple_random(reversed(ids), 7, salt="salt") == ranked[:7]  # type: ignore[arg-type]


def test_an_odd_answer_is_drawn_as_often_as_its_chance_says() -> None:
    chances = proportional({"a": 1.0, "b": 2.0, "c": 3.0, "d": 0.0}, 1.5)
    assert chances == pytest.approx({"a": 0.25, "b": 0.5, "c": 0.75})
    seen = Counter(one for salt in range(4_000) for one in poisson(chances, salt=str(salt)))
    for one, chance in chances.items():
        assert abs(seen[one] / 4_000 - chance) < 4.5 * (chance * (1 - chance) / 4_000) ** 0.5


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1e6), max_size=30), st.floats(0, 40))
def test_chances_are_chances_and_add_up(sizes: dict[str, float], n: float) -> None:
    chances = proportional(sizes, n)
    assert all(0.0 <= one <= 1.0 for one in chances.values())
    assert set(chances) == {one for one, size in sizes.items() if size > 0}
    assert sum(chances.values()) == pytest.approx(min(n, len(chances)), rel=1e-6, abs=1e-9)
