"""A reviewer gets items one by one, judges unseen by others, and can take back what is not feedback yet."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UsageError
from rungwise.core.trace import Trace
from rungwise.data.desk import LEASE_S, UNDO_S, Desk, NotWaiting, close, outcome
from rungwise.data.feedback import Judgements
from rungwise.data.reviews import KINDS, Given, Item, Reviews, Verdict
from rungwise.data.store import Store
from tests.clocks import StillClock
from tests.data.judged import answered, write

RIGHT, WRONG, SKIP, FLAG = (Verdict(kind=kind) for kind in ("right", "wrong", "skip", "flag"))


def label(wanted: str) -> Verdict:
    return Verdict(kind="label", wanted=wanted)


def queue(store: Store, count: int, **more: object) -> list[Trace]:
    """So many items drawn by chance, with their traces."""
    traces = [answered(n, f"question {n}", "refund") for n in range(count)]
    write(store, traces)
    Reviews(store).put([Item(trace=one.id, day=7, reason="random", chance=0.5, **more) for one in traces])  # type: ignore[arg-type]
    return traces


def test_every_item_comes_once_and_the_queue_ends(store: Store) -> None:
    queue(store, 5)
    ann, seen = Desk(store, "ann"), list[str]()
    while (task := ann.next()) is not None:
        assert ann.waiting() == 5 - len(seen)
        seen.append(task.item.id)
        ann.judge(task.item.id, RIGHT, seconds=3.0)
    assert len(set(seen)) == 5
    drawn = Reviews(store).drawn(7, 7)
    assert {(one.correct, one.wanted, one.reviewers, one.state) for one in drawn} == {(1.0, "refund", ("ann",), "agreed")}
    assert Reviews(store).random_traces() == {one.trace for one in drawn}
    assert [one.seconds for one in Reviews(store).given()] == [3.0] * 5


def test_an_item_is_kept_for_who_has_it_and_given_on_when_that_takes_too_long(store: Store, clock: StillClock) -> None:
    queue(store, 1)
    ann, bob = Desk(store, "ann"), Desk(store, "bob")
    task = ann.next()
    assert task is not None
    assert bob.next() is None
    with pytest.raises(NotWaiting, match="somebody else"):
        bob.judge(task.item.id, RIGHT)
    again = ann.next()
    assert again is not None
    assert again.item.id == task.item.id  # whoever was interrupted goes on with the same one
    clock.advance(LEASE_S)
    theirs = bob.next()
    assert theirs is not None
    assert theirs.item.id == task.item.id
    bob.judge(task.item.id, WRONG)
    with pytest.raises(NotWaiting, match="decided"):
        ann.judge(task.item.id, RIGHT)


def test_reviewers_who_agree_decide_and_those_who_differ_are_judged_by_a_third(store: Store) -> None:
    queue(store, 2, copies=2)
    for who, said in (("ann", [RIGHT, RIGHT]), ("bob", [RIGHT, label("tracking")])):
        desk = Desk(store, who)
        for verdict in said:
            task = desk.next()
            assert task is not None
            assert task.differ == ()  # nobody sees what others say
            desk.judge(task.item.id, verdict)
        assert desk.next() is None
    drawn = Reviews(store).drawn(7, 7)
    assert sorted((one.state, one.correct) for one in drawn if one.correct is not None) == [("agreed", 1.0)]
    assert Reviews(store).waiting().adjudicate == 1
    third = Desk(store, "cid")
    task = third.next()
    assert task is not None
    assert {one.wanted for one in task.differ} == {"refund", "tracking"}
    third.judge(task.item.id, label("tracking"))
    (decided,) = [one for one in Reviews(store).drawn(7, 7) if one.id == task.item.id]
    assert (decided.correct, decided.wanted, decided.reviewers) == (0.0, "tracking", ("cid",))


def test_a_flag_makes_somebody_else_decide_and_a_skip_nobody(store: Store, clock: StillClock) -> None:
    queue(store, 2)
    ann, bob = Desk(store, "ann"), Desk(store, "bob")
    first = ann.next()
    assert first is not None
    ann.judge(first.item.id, FLAG)
    second = ann.next()
    assert second is not None
    ann.judge(second.item.id, SKIP)
    assert ann.next() is None
    assert bob.waiting() == 2
    bob.judge(first.item.id, RIGHT)
    clock.advance(86_400)
    later = ann.next()
    assert later is not None
    assert later.item.id == second.item.id  # what was skipped comes again another day


def test_the_last_verdict_is_taken_back_and_its_item_comes_again(store: Store, clock: StillClock) -> None:
    queue(store, 3)
    ann, ids = Desk(store, "ann"), []
    for _ in range(3):
        task = ann.next()
        assert task is not None
        ids.append(task.item.id)
        ann.judge(task.item.id, RIGHT)
    for id in reversed(ids):
        back = Desk(store, "ann").undo()  # another session: the desk itself keeps nothing
        assert back is not None
        assert (back.id, back.state) == (id, "open")
        task = ann.next()
        assert task is not None
        assert task.item.id == id
    assert ann.undo() is None
    assert Desk(store, "bob").undo() is None
    assert Reviews(store).given() == []
    assert close(store, by="ann") == 0
    assert list(Judgements(store).since()) == []


def test_what_can_not_be_taken_back_any_more_is_feedback_once(store: Store, clock: StillClock) -> None:
    traces = queue(store, 3)
    ann = Desk(store, "ann")
    for verdict in (RIGHT, label("tracking"), WRONG):
        task = ann.next()
        assert task is not None
        ann.judge(task.item.id, verdict)
    assert close(store) == 0
    clock.advance(UNDO_S)
    assert close(store) == 3
    assert close(store) == 0
    kept = list(Judgements(store).since())
    assert {one.feedback.trace for one in kept} == {one.id for one in traces}
    said = {(one.feedback.source, one.feedback.by, one.feedback.label, one.feedback.thumb, one.about.correct) for one in kept}
    assert said == {
        ("reviewer", "ann", "refund", None, 1.0),
        ("reviewer", "ann", "tracking", None, 0.0),
        ("reviewer", "ann", None, False, 0.0),
    }
    with pytest.raises(NotWaiting, match="for good"):
        ann.undo()


def test_closing_goes_on_where_it_was_killed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(store, 2)
    ann = Desk(store, "ann")
    for _ in range(2):
        task = ann.next()
        assert task is not None
        ann.judge(task.item.id, RIGHT)

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Judgements, "add", kill)
        with pytest.raises(Killed):
            close(store, by="ann")
    with pytest.raises(NotWaiting):
        ann.undo()  # some of it may be feedback already
    assert close(store) == 2
    assert len(list(Judgements(store).since())) == 2


def test_items_of_traces_that_are_gone_are_put_aside(store: Store) -> None:
    write(store, [answered(1, "q", "a")])
    gone, there = answered(2, "q2", "a"), answered(1, "q", "a")
    Reviews(store).put([Item(trace=one.id, day=7, reason="random", chance=1.0) for one in (gone, there)])
    task = Desk(store, "ann").next()
    assert task is not None
    assert task.item.trace == there.id
    Desk(store, "ann").judge(task.item.id, RIGHT)
    assert Desk(store, "ann").next() is None
    assert sorted(one.state for one in Reviews(store).drawn(7, 7)) == ["agreed", "gone"]


def test_of_a_blind_pair_either_or_both_or_none_is_right(store: Store) -> None:
    traces = queue(store, 3)
    shadows = [answered(100 + n, f"question {n}", "tracking", shadow_of=one.id) for n, one in enumerate(traces)]
    write(store, shadows)
    pairs = [answered(200 + n, f"pair {n}", "refund") for n in range(3)]
    write(store, pairs)
    Reviews(store).put([Item(trace=a.id, day=8, reason="disagreeing", other=b.id) for a, b in zip(pairs, shadows, strict=True)])
    desk, found = Desk(store, "ann"), {}
    for kind in ("right", "other", "both"):
        task = desk.next(reason="disagreeing")
        assert task is not None
        assert task.other is not None
        desk.judge(task.item.id, Verdict(kind=kind))
        found[kind] = next((one.correct, one.wanted) for one in Reviews(store).drawn(8, 8) if one.id == task.item.id)
    assert found == {"right": (1.0, "refund"), "other": (0.0, "tracking"), "both": (1.0, "refund")}


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(kind="good"),
        Verdict(kind="label"),
        Verdict(kind="label", wanted="  "),
        Verdict(kind="wrong", wanted="x"),
        Verdict(kind="other"),
        Verdict(kind="both"),
        Verdict(kind="right", comment="x" * 10_001),
    ],
)
def test_a_verdict_that_makes_no_sense_is_refused(store: Store, verdict: Verdict) -> None:
    queue(store, 1)
    task = Desk(store, "ann").next()
    assert task is not None
    with pytest.raises(UsageError):
        Desk(store, "ann").judge(task.item.id, verdict)
    assert Reviews(store).given() == []


def test_the_same_verdict_sent_twice_is_one_and_another_is_refused(store: Store) -> None:
    queue(store, 1, copies=2)
    ann = Desk(store, "ann")
    task = ann.next()
    assert task is not None
    ann.judge(task.item.id, RIGHT)
    ann.judge(task.item.id, RIGHT)
    assert len(Reviews(store).given()) == 1
    with pytest.raises(NotWaiting, match="already"):
        ann.judge(task.item.id, WRONG)


verdicts = st.sampled_from(KINDS).map(lambda kind: Verdict(kind=kind, wanted="x" if kind in ("label", "correction") else None))


@given(st.lists(verdicts, max_size=5), st.integers(1, 3))
def test_the_last_word_needs_enough_reviewers_who_agree(said: Sequence[Verdict], copies: int) -> None:
    given_ = [Given(n=n, review="r", reviewer=f"p{n}", verdict=one, seconds=0.0, at=float(n)) for n, one in enumerate(said)]
    state, final = outcome(given_, copies=copies, labels=True)
    counting = [one for one in said if one.kind != "skip"]
    assert (final is None) == (state != "agreed")
    if any(one.kind == "flag" for one in counting):
        assert state == "adjudicate"
    elif len(counting) < copies:
        assert state == "open"
    else:
        agree = all(a.correct == b.correct for a, b in itertools.pairwise(counting))
        assert state == ("agreed" if agree else "adjudicate")
    if final is not None:
        assert {one.correct for one in counting} == {final["correct"]}


@pytest.mark.parametrize("verdict", [RIGHT, WRONG, label("tracking")])
def test_half_a_character_in_an_answer_holds_nobody_up(store: Store, verdict: Verdict) -> None:
    trace = answered(1, "half \ud800 a question", "half \udfff an answer")
    write(store, [trace])
    assert "\\ud800" in str(trace.request)
    Reviews(store).put([Item(trace=trace.id, day=7, reason="random", chance=0.5)])
    task = Desk(store, "ann").next()
    assert task is not None
    Desk(store, "ann").judge(task.item.id, verdict)
    assert close(store, by="ann") == 1
    assert [one.feedback.by for one in Judgements(store).since()] == ["ann"]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[2J", "half \ud800", "x" * 201])
def test_a_reviewer_has_a_name_that_can_be_kept_and_shown(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="who it is"):
        Desk(store, name)


def test_half_a_character_of_a_reviewer_is_refused(store: Store) -> None:
    queue(store, 1)
    task = Desk(store, "ann").next()
    assert task is not None
    with pytest.raises(UsageError, match="half a character"):
        Desk(store, "ann").judge(task.item.id, label("half \ud800"))
