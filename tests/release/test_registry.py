"""Releases are kept for ever; one pointer says which is live, and it moves whole or not at all."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import StoreError, UnknownName, UsageError
from rungwise.core.release import PASSED, GateResult, Release, Variant
from rungwise.data.nouns import Lineage
from rungwise.data.store import Store
from rungwise.release.registry import Releases
from tests.clocks import StillClock


def release_of(name: str, *, at: float = 1.0, **shares: float) -> Release:
    shares = shares or {"a": 1.0}
    variants = tuple(Variant(name=one, candidate=f"{name}-{one}", weight=weight) for one, weight in shares.items())
    return Release(use_case="case", variants=variants, evidence=("decision",), shadow=("shade",), salt="s", at=at)


def test_the_last_release_is_live_and_all_are_kept(store: Store) -> None:
    releases = Releases(store)
    assert releases.live() is None
    one, other = release_of("one"), release_of("two")
    assert releases.put(one, by="ann", why="first").before is None
    assert releases.put(other).before == one.id
    assert releases.live() == other
    assert [(move.release, move.verb, move.by, move.why) for move in releases.history()] == [
        (other.id, "release", None, None),
        (one.id, "release", "ann", "first"),
    ]
    assert releases.get(one.id) == one
    assert releases.find(one.id[:8]) == one


def test_what_is_live_already_is_not_released_again(store: Store) -> None:
    releases = Releases(store)
    gate = GateResult(gate="age", candidate="c", state=PASSED, why="decided 0.1 days ago")
    one = replace(release_of("one"), gates=(gate,))
    later = replace(one, at=9.0, gates=(replace(gate, why="decided 0.2 days ago"),))
    releases.put(one)
    assert not releases.put(later).moved
    assert len(releases.history()) == 1


def test_lineage_joins_a_release_with_its_candidates_and_decisions(store: Store) -> None:
    one = release_of("one", a=0.5, b=0.5)
    Releases(store).put(one)
    assert set(Lineage(store).ancestors(one.id)) == {"one-a", "one-b", "shade", "decision", "case"}
    assert Lineage(store).descendants("one-b") == [one.id]


def test_rollback_goes_to_what_was_live_before_and_never_to_what_was_rolled_back(store: Store) -> None:
    releases = Releases(store)
    a, b, c = release_of("a"), release_of("b"), release_of("c")
    releases.put(a)
    releases.put(b)
    assert releases.rollback().live == a
    releases.put(c)
    assert releases.rollback(by="ann", why="slow").live == a
    with pytest.raises(UsageError, match="first release"):
        releases.rollback()
    assert releases.history()[0].why == "slow"


def test_rollback_to_a_named_release(store: Store) -> None:
    releases = Releases(store)
    a, b, c = release_of("a"), release_of("b"), release_of("c")
    for one in (a, b, c):
        releases.put(one)
    assert releases.rollback(to=a.id[:12]).live == a
    assert not releases.rollback(to=a.id[:12]).moved
    assert releases.rollback(to=b.id).live == b  # it was rolled back, and somebody asked for it by name
    assert releases.rollback().live == a
    with pytest.raises(UnknownName):
        releases.rollback(to="ffffffffffff")


def test_there_is_nothing_to_go_back_to_before_the_first_release(store: Store) -> None:
    with pytest.raises(UsageError, match="nothing was released"):
        Releases(store).rollback()
    with pytest.raises(UsageError, match="nothing was released"):
        Releases(store).reweigh({"a": 1.0})


def test_other_weights_keep_the_salt_and_the_evidence(store: Store) -> None:
    releases = Releases(store)
    releases.put(release_of("one", a=0.9, b=0.1))
    moved = releases.reweigh({"b": 1.0}, by="contest", why="b is shown to be better")
    assert [one.weight for one in moved.live.variants] == [0.0, 1.0]
    assert (moved.live.salt, moved.live.evidence) == ("s", ("decision",))
    assert releases.live() == moved.live
    assert releases.history()[0].verb == "reweigh"
    with pytest.raises(UnknownName, match="'c'"):
        releases.reweigh({"c": 1.0})
    with pytest.raises(UsageError, match="gates"):
        releases.reweigh({"a": 0.5, "b": 0.5})


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.4}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}])
def test_shares_that_do_not_add_up_are_refused(store: Store, shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="share"):
        Releases(store).put(release_of("one", **shares))
    assert Releases(store).live() is None


def test_whoever_decided_on_an_older_release_is_told(store: Store) -> None:
    releases = Releases(store)
    a, b = release_of("a", a=0.5, b=0.5), release_of("b")
    releases.put(a)
    releases.put(b)
    for move in (
        lambda: releases.put(release_of("c"), instead_of=a.id),
        lambda: releases.rollback(instead_of=a.id),
        lambda: releases.reweigh({"a": 1.0}, instead_of=a.id),
    ):
        with pytest.raises(UsageError, match="not live any more"):
            move()
    assert releases.live() == b


def test_of_many_who_move_the_pointer_at_once_one_wins_each_time(tmp_path: Path, clock: StillClock) -> None:
    stores = [Store.open(tmp_path / "state", clock=clock) for _ in range(4)]
    first = Releases(stores[0]).put(release_of("first")).live
    won: list[str] = []

    def race(store: Store, name: str) -> None:
        with suppress(UsageError):
            won.append(Releases(store).put(release_of(name), instead_of=first.id).live.id)

    threads = [threading.Thread(target=race, args=(store, f"racer{place}")) for place, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert Releases(stores[0]).live_id() == won[0]
    assert len(Releases(stores[0]).history()) == 2
    for store in stores:
        store.close()


def test_on_a_full_disk_nothing_is_half_released_and_it_goes_on_when_there_is_room(store: Store) -> None:
    releases = Releases(store)
    first = releases.put(release_of("first")).live
    big = replace(release_of("big"), note="x" * 2_000_000)
    with store.read() as connection:  # the pool gives the same connection to the next transaction
        connection.exec_driver_sql("pragma max_page_count=100")
    with pytest.raises(StoreError, match="full"):
        releases.put(big)
    assert releases.live() == first
    assert len(releases.history()) == 1
    with store.read() as connection:
        connection.exec_driver_sql("pragma max_page_count=1000000")
    assert releases.put(big).moved


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["release", "rollback"]), max_size=12))
def test_any_row_of_moves_ends_where_a_stack_would(tmp_path_factory: pytest.TempPathFactory, verbs: list[str]) -> None:
    store = Store.open(tmp_path_factory.mktemp("moves") / "state", clock=StillClock())
    releases, stack = Releases(store), list[str]()
    for place, verb in enumerate(verbs):
        if verb == "release":
            stack.append(releases.put(release_of(str(place))).live.id)
        elif len(stack) > 1:
            stack.pop()
            releases.rollback()
    assert releases.live_id() == (stack[-1] if stack else None)
    store.close()
