"""Feedback becomes rows and pairs: whose word counts, what is left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.trace import Trace
from rungwise.data.feedback import Kept
from rungwise.data.judging import about
from rungwise.watch import harvest as words
from rungwise.watch.harvest import Find, Harvest, Row, harvest_pairs, harvest_rows
from rungwise.watch.masking import masking
from tests.data.judged import answered, judgement


def said(*judged: tuple[Trace, dict[str, Any]]) -> tuple[list[Kept], Find]:
    """Judgements in this order, and where their traces are found."""
    kept = [
        Kept(n=n, feedback=one, about=about(trace, one))
        for n, (trace, given) in enumerate(judged, start=1)
        for one in [judgement(trace, at=float(n), **given)]
    ]
    return kept, among({trace.id: trace for trace, _ in judged})


def among(traces: Mapping[str, Trace]) -> Find:
    return lambda ids: {id: traces[id] for id in ids if id in traces}


def rows(*judged: tuple[Trace, dict[str, Any]], **how: Any) -> Harvest:
    return harvest_rows(*said(*judged), **{"mask": list, "labels": True, **how})


def test_a_label_makes_a_row_and_a_correction_does_where_there_is_none() -> None:
    one, two = answered(1, "Where is it?", "delivery"), answered(2, "Money back!", "delivery")
    found = rows((one, {"label": "tracking"}), (two, {"correction": "refund"}))
    assert found.rows == (
        Row(text="Where is it?", reference="tracking", traces=(one.id,)),
        Row(text="Money back!", reference="refund", traces=(two.id,)),
    )
    assert (found.judged, found.left_out) == (2, {})


def test_for_answers_the_correction_comes_first() -> None:
    one = answered(1, "Where is Rome?", "In France")
    both = {"label": "wrong", "correction": "In Italy"}
    assert rows((one, both), labels=False).rows[0].reference == "In Italy"
    assert rows((one, both), labels=True).rows[0].reference == "wrong"


def test_a_thumb_teaches_only_where_it_is_asked_to() -> None:
    up, down = answered(1, "Where is it?", " tracking "), answered(2, "Money back!", "tracking")
    judged = (up, {"thumb": True}), (down, {"thumb": False})
    assert rows(*judged).left_out == {words.NOT_SAID: 2}
    approved = rows(*judged, approved=True)
    assert [(row.text, row.reference) for row in approved.rows] == [("Where is it?", "tracking")]


def test_a_reviewer_counts_more_than_a_user_and_of_equals_the_last_one() -> None:
    one = answered(1, "Where is it?", "x")
    found = rows(
        (one, {"label": "by user", "source": "user"}),
        (one, {"label": "by reviewer", "source": "reviewer"}),
        (one, {"label": "by another reviewer", "source": "reviewer", "by": "bob"}),
        (one, {"label": "by judge", "source": "judge"}),
        (one, {"label": "by user again", "source": "user"}),
    )
    assert [row.reference for row in found.rows] == ["by another reviewer"]


def test_the_same_question_is_one_row_with_all_its_traces() -> None:
    first, again, other = answered(1, "Where is it?", "x"), answered(2, "where is it", "x"), answered(3, "WHERE is it?", "x")
    found = rows((first, {"label": "tracking"}), (other, {"label": "refund"}), (again, {"label": "Tracking"}))
    assert found.rows == (Row(text="where is it", reference="Tracking", traces=(again.id, first.id)),)
    assert found.left_out == {words.AGAIN: 1, words.OVERRULED: 1}


def test_what_stands_in_the_data_already_is_left_out() -> None:
    one = answered(1, "Where is it?", "x")
    assert rows((one, {"label": "tracking"}), known={"where is it"}).left_out == {words.KNOWN: 1}


def test_questions_that_are_the_same_once_masked_are_one_row_and_known_once_masked() -> None:
    one, two = answered(1, "I am ann@example.com", "x"), answered(2, "I am bo@example.org", "x")
    judged = (one, {"label": "hello"}), (two, {"label": "hello"})
    (row,) = rows(*judged, mask=masking()).rows
    assert (row.text, row.traces) == ("I am [EMAIL]", (two.id, one.id))
    assert rows(*judged, mask=masking(), known={"i am email"}).left_out == {words.KNOWN: 2}
    assert rows(*judged, mask=masking(), known={"i am ann example com"}).left_out == {words.KNOWN: 1}


def test_what_cannot_become_a_row_is_counted_with_the_reason() -> None:
    talk = answered(1, "And now?", "x", before=[("user", "Where is it?"), ("assistant", "On its way")])
    silent = answered(2, "q", "x", request=None, response=None)
    lost = answered(3, "q3", "x")
    kept, _ = said((talk, {"label": "a"}), (silent, {"label": "a"}), (lost, {"label": "a"}))
    found = harvest_rows(kept, among({talk.id: talk, silent.id: silent}), mask=list, labels=True)
    assert found.gone == {lost.id}
    assert found.left_out == {words.FOLLOW_UP: 1, words.NO_TEXT: 1, words.NO_TRACE: 1}
    assert found.judged == 3
    assert found.rows == ()


def test_personal_data_is_masked_in_questions_answers_and_conversations() -> None:
    one = answered(
        1, "I am ann@example.com, where is it?", "Dear ann@example.com, here", before=[("system", "Help bo@example.org")]
    )
    judged = said((one, {"correction": "Write to desk@example.com"}))
    (row,) = harvest_rows(*judged, mask=masking(), labels=False).rows
    assert (row.text, row.reference) == ("I am [EMAIL], where is it?", "Write to [EMAIL]")
    (pair,) = harvest_pairs(*judged, mask=masking()).pairs
    assert "@" not in repr((pair.messages, pair.chosen, pair.rejected))
    assert pair.messages[0] == {"role": "system", "content": "Help [EMAIL]"}


def test_a_correction_is_preferred_to_the_answer_that_was_given() -> None:
    one = answered(1, "Where is Rome?", "In France")
    (pair,) = harvest_pairs(*said((one, {"correction": "In Italy"})), mask=list).pairs
    assert (pair.chosen, pair.rejected, pair.traces) == ("In Italy", "In France", (one.id,))
    assert pair.messages == ({"role": "user", "content": "Where is Rome?"},)


def test_of_two_answers_to_the_same_conversation_the_one_with_the_thumb_up_is_preferred() -> None:
    good, bad, worse = (answered(n, "Where is Rome?", text) for n, text in enumerate(("In Italy", "In France", "On Mars"), start=1))
    elsewhere = answered(4, "Where is Rome?", "No idea", before=[("user", "Hi"), ("assistant", "Hi")])
    found = harvest_pairs(
        *said((bad, {"thumb": False}), (good, {"thumb": True}), (worse, {"thumb": False}), (elsewhere, {"thumb": False})), mask=list
    )
    assert [(pair.chosen, pair.rejected) for pair in found.pairs] == [("In Italy", "In France"), ("In Italy", "On Mars")]
    assert found.pairs[0].traces == (good.id, bad.id)
    assert found.left_out == {words.ALONE: 1}  # it answered another conversation


def test_a_pair_needs_two_answers_that_differ() -> None:
    one, two = answered(1, "Where is Rome?", "In Italy"), answered(2, "Where is Rome?", "in italy.")
    found = harvest_pairs(*said((one, {"thumb": True}), (two, {"thumb": False})), mask=list)
    assert found.pairs == ()
    assert found.left_out == {words.ALONE: 2}


def test_conversations_with_more_than_text_make_no_pairs() -> None:
    seen = answered(
        1, "x", "a", request='{"messages":[{"role":"user","content":[{"type":"text","text":"hm"},{"type":"image_url"}]}]}'
    )
    tool = answered(2, "x", "a", request='{"messages":[{"role":"user","content":"x"},{"role":"tool","content":"7"}]}')
    found = harvest_pairs(*said((seen, {"correction": "b"}), (tool, {"correction": "b"})), mask=list)
    assert found.left_out == {words.NOT_PLAIN: 2}


_judged = st.fixed_dictionaries(
    {},
    optional={
        "label": st.sampled_from(["a", "A", "b"]),
        "correction": st.sampled_from(["yes", "no"]),
        "thumb": st.booleans(),
        "source": st.sampled_from(["user", "reviewer", "judge", "business"]),
    },
)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), _judged), max_size=12), st.booleans())
def test_every_judged_trace_is_in_a_row_or_counted(judged: Sequence[tuple[int, int, dict[str, Any]]], approved: bool) -> None:
    traces = {number: answered(number, f"question {number % 4}", "yes") for number, _, _ in judged}
    kept, find = said(*((traces[number], given) for number, _, given in judged))
    found = harvest_rows(kept, find, mask=list, labels=True, approved=approved)
    in_rows = {id for row in found.rows for id in row.traces}
    left = sum(count for reason, count in found.left_out.items() if reason != words.AGAIN)
    assert len(in_rows) + left == found.judged == len(traces)
    assert len({row.text for row in found.rows}) == len(found.rows)
