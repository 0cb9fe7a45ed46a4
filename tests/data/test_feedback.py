"""Judgements are kept once, in the order in which they came, with what an A/B comparison needs of the trace."""

from __future__ import annotations

import threading

import pytest

from rungwise.core.errors import StoreError
from rungwise.data.feedback import Judgements, Outcome
from rungwise.data.store import Store
from tests.data.judged import answered, judge, judgement, unrelated


def test_the_same_judgement_twice_is_one(store: Store) -> None:
    own = Judgements(store)
    one = judgement("t1", thumb=True)
    first, second = own.add([(one, unrelated()), (one, unrelated())])
    assert (first.new, second.new, first.id) == (True, False, second.id)
    assert [kept.feedback for kept in own.of(["t1"])] == [one]


def test_a_request_that_is_sent_again_later_counts_once_and_a_changed_mind_counts(store: Store) -> None:
    own = Judgements(store)
    said = [True, True, False, False, True]
    kept = [own.add([(judgement("t1", thumb=up, at=1e9 + n), unrelated())], dated=False)[0] for n, up in enumerate(said)]
    assert [one.new for one in kept] == [True, False, True, False, True]
    assert kept[1].id == kept[0].id  # whoever sends again is given the id under which it is kept
    assert own.add([(judgement("t1", thumb=True, by="ann"), unrelated())], dated=False)[0].new  # somebody else
    assert own.add([(judgement("t1", thumb=True, source="judge"), unrelated())], dated=False)[0].new


def test_judgements_come_back_whole_and_in_order(store: Store) -> None:
    own = Judgements(store)
    said = [
        judgement("t2", score=0.25, comment="hm", by="ann", at=5.0),
        judgement("t1", label="refund", source="reviewer", at=9.0),
        judgement("t2", outcome="refunded", value_usd=-4.0, source="business", at=2.0),
    ]
    own.add([(one, unrelated(tenant="north", correct=1.0)) for one in said])
    assert [kept.feedback for kept in own.since()] == said
    assert [kept.feedback.at for kept in own.of(["t2"])] == [5.0, 2.0]
    assert [kept.feedback for kept in own.newest(2)] == [said[2], said[1]]
    second = next(own.since()).n
    assert [kept.feedback for kept in own.since(second)] == said[1:]
    assert next(own.since()).about == unrelated(tenant="north", correct=1.0)


def test_many_are_read_in_batches(store: Store) -> None:
    own = Judgements(store)
    own.add((judgement(f"t{n}", thumb=n % 2 == 0), unrelated()) for n in range(2_500))
    assert len(list(own.since())) == 2_500
    assert len(own.of([f"t{n}" for n in range(2_500)])) == 2_500
    assert own.judged(thumb=False) == {f"t{n}" for n in range(1, 2_500, 2)}
    assert len(own.judged()) == 2_500


def test_tenants_see_their_own_only(store: Store) -> None:
    own = Judgements(store)
    own.add([(judgement("t1", thumb=True), unrelated(tenant="north")), (judgement("t2", thumb=True), unrelated(tenant="south"))])
    assert [kept.feedback.trace for kept in own.since(tenant="north")] == ["t1"]
    assert own.of(["t1", "t2"], tenant="south")[0].feedback.trace == "t2"
    assert own.judged(tenant="west") == set()
    assert [kept.feedback.trace for kept in own.newest(5, tenant="south")] == ["t2"]


def test_outcomes_are_those_of_the_releases_that_say_what_is_asked(store: Store) -> None:
    own = Judgements(store)
    own.add(
        [
            (judgement("t1", thumb=True), unrelated(unit="ann", variant="a")),
            (judgement("t2", score=0.5), unrelated(unit="bob", variant="b")),
            (judgement("t3", thumb=False), unrelated(unit="cid", variant="b", release="r2")),
            (judgement("t4", thumb=True), unrelated(unit="dan", release="other")),
            (judgement("t5", thumb=True), unrelated(release=None, variant=None)),
            (judgement("t6", value_usd=12.5), unrelated(unit="eve")),
            (judgement("t7", label="x"), unrelated(unit="fay", correct=0.0)),
        ]
    )
    assert own.outcomes(["r1", "r2"], "thumb") == [Outcome(1, "r1", "a", "ann", 1.0), Outcome(3, "r2", "b", "cid", 0.0)]
    assert [one.value for one in own.outcomes(["r1"], "value_usd")] == [12.5]
    assert [one.value for one in own.outcomes(["r1"], "correct")] == [0.0]
    assert own.outcomes([], "score") == []


def test_what_is_kept_beside_a_judgement_is_of_the_trace(store: Store) -> None:
    kept = judge(store, answered(1, "Where is it?", "On its way", conversation="c7"), label="on its way!")
    assert (kept.about.release, kept.about.variant, kept.about.unit, kept.about.correct) == ("r1", "plain", "c7", 1.0)
    lonely = judge(store, answered(2, "?", "", user=None, response=None), correction="Yes")
    assert (lonely.about.unit, lonely.about.correct) == (lonely.feedback.trace, None)


def test_a_variant_that_was_asked_for_by_name_is_no_part_of_a_comparison(store: Store) -> None:
    judge(store, answered(1, "q", "a", asked="support:plain"), thumb=True)
    judge(store, answered(2, "q", "a", asked="support"), thumb=True)
    assert [one.unit for one in Judgements(store).outcomes(["r1"], "thumb")] == ["user2"]


def test_erasure_takes_every_judgement_on_a_trace(store: Store) -> None:
    own = Judgements(store)
    own.add([(judgement(f"t{n % 3}", comment=str(n)), unrelated()) for n in range(9)])
    assert own.erase(["t0", "t1"]) == 6
    assert {kept.feedback.trace for kept in own.since()} == {"t2"}
    assert own.erase([]) == 0


def test_threads_that_judge_at_once_lose_nothing_and_double_nothing(store: Store) -> None:
    own, failed = Judgements(store), []

    def send() -> None:
        try:
            for n in range(20):
                own.add([(judgement("t", comment=f"{n}"), unrelated())])
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert [kept.n for kept in own.since()] == sorted(kept.n for kept in own.since())
    assert sorted(kept.feedback.comment or "" for kept in own.since()) == sorted(map(str, range(20)))


def test_a_store_that_cannot_be_written_says_so(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("drop table feedback")
    with pytest.raises(StoreError):
        Judgements(store).add([(judgement("t", thumb=True), unrelated())])
