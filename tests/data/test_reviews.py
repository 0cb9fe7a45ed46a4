"""The review queue keeps each trace once, with the chance of its draw."""

from __future__ import annotations

from rungwise.data.reviews import Item, Reviews, Waiting
from rungwise.data.store import Store


def test_a_trace_is_one_item_and_the_first_stands(store: Store) -> None:
    own = Reviews(store)
    assert own.put([Item(trace="t1", day=9, reason="random", chance=0.25), Item(trace="t2", day=9, reason="flagged")]) == 2
    assert own.put([Item(trace="t1", day=10, reason="flagged"), Item(trace="t3", day=10, reason="random", chance=0.5)]) == 1
    assert {(one.trace, one.day, one.chance) for one in own.drawn(9, 10)} == {("t1", 9, 0.25), ("t2", 9, 0.0), ("t3", 10, 0.5)}
    assert [one.trace for one in own.drawn(10, 10)] == ["t3"]
    assert all(one.correct is None and one.state == "open" and one.reviewers == () for one in own.drawn(0, 99))


def test_what_waits_is_counted_by_its_reason(store: Store) -> None:
    own = Reviews(store)
    assert own.waiting() == Waiting()
    own.put([Item(trace=f"t{n}", day=9, reason="random" if n < 3 else "drifted", at=100.0 + n) for n in range(5)])
    assert own.waiting() == Waiting(open=5, reasons=(("random", 3), ("drifted", 2)), oldest_at=100.0)


def test_tenants_see_their_own_items_only(store: Store) -> None:
    Reviews(store).put([Item(trace=one, day=9, reason="random", tenant=one) for one in ("north", "south")])
    own = Reviews(store, tenant="north")
    assert [one.trace for one in own.drawn(9, 9)] == ["north"]
    assert own.waiting().open == 1
    assert own.get(Item(trace="south", day=9, reason="random").id) is None


def test_erased_traces_take_their_items_along(store: Store) -> None:
    own = Reviews(store)
    own.put([Item(trace="t1", day=9, reason="random", other="t2"), Item(trace="t3", day=9, reason="random")])
    assert own.erase(["t2", "t4"]) == 1
    assert [one.trace for one in own.drawn(9, 9)] == ["t3"]
