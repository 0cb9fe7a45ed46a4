"""A judgement as it is sent: what is taken, what is refused, and when it agrees with an answer."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.feedback import Feedback
from rungwise.data.judging import KNOWN, BadJudgement, agreement, judged_trace, named_trace, read_judgement, traces_by_id
from rungwise.data.said import said
from rungwise.data.store import Store
from tests.data.judged import answered, judgement, write

NOW = 1_700_000_000.0


def test_everything_that_can_be_said_is_read() -> None:
    sent = {
        "trace": "t1",
        "source": "reviewer",
        "at": NOW - 60,
        "thumb": "down",
        "score": 1,
        "label": "refund",
        "correction": "It is refunded.",
        "comment": "rude",
        "outcome": "refunded",
        "value_usd": -3,
        "by": "ann",
    }
    found = read_judgement(sent, trace="t1", now=NOW)
    assert found == Feedback(**{**sent, "thumb": False, "score": 1.0, "value_usd": -3.0})
    assert found.id == read_judgement(sent, trace="t1", now=NOW + 5).id
    assert read_judgement({"thumb": True}, trace="t1", now=NOW) == judgement("t1", thumb=True, at=NOW)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "thumb"),
        ({"by": "ann"}, "thumb"),
        ({"thumb": "sideways"}, "thumb"),
        ({"thumb": 1}, "thumb"),
        ({"thumb": []}, "thumb"),
        ({"score": 1.01}, "score"),
        ({"score": -0.1}, "score"),
        ({"score": math.nan}, "score"),
        ({"score": True}, "score"),
        ({"score": "0.5"}, "score"),
        ({"value_usd": math.inf}, "value_usd"),
        ({"label": ""}, "label"),
        ({"label": "  "}, "label"),
        ({"label": 7}, "label"),
        ({"label": "x" * 1_001}, "label"),
        ({"comment": "half \ud800"}, "comment"),
        ({"thumb": "up", "source": "anybody"}, "source"),
        ({"thumb": "up", "source": ["user"]}, "source"),
        ({"thumb": "up", "at": "yesterday"}, "at"),
        ({"thumb": "up", "at": NOW * 1000}, "at"),
        ({"thumb": "up", "at": -1}, "at"),
        ({"thumb": "up", "at": math.nan}, "at"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(sent: dict[str, Any], field: str) -> None:
    with pytest.raises(BadJudgement) as refused:
        read_judgement(sent, trace="t1", now=NOW)
    assert refused.value.field == field


def test_a_time_may_be_written_as_people_write_it() -> None:
    for text in ("2023-03-31T12:00:00Z", "2023-03-31T12:00:00", "2023-03-31T14:00:00+02:00", "1680264000"):
        assert read_judgement({"thumb": "up", "at": text}, trace="t1", now=NOW).at == 1_680_264_000.0


def test_a_misspelt_field_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'correction'"):
        read_judgement({"corection": "x"}, trace="t1", now=NOW)


_anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=8), _anything, max_size=6))
def test_whatever_is_sent_is_read_or_refused_with_words(sent: dict[str, Any]) -> None:
    try:
        named_trace(sent)
        found = read_judgement(sent, trace="t1", now=NOW)
    except UsageError:
        return
    assert json.loads(json.dumps(vars(found), allow_nan=False))
    assert found.id


@given(st.none() | st.text(max_size=40) | _anything.map(lambda value: json.dumps(value)))
def test_whatever_a_trace_keeps_can_be_read(body: str | None) -> None:
    found = said(answered(1, "q", "a", request=body, response=body))
    assert isinstance(found.question, str)
    assert isinstance(found.answer, str)


def test_what_was_said_is_found_in_every_shape() -> None:
    parts = [{"type": "text", "text": "Where"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "is it?"}]
    chat = said(answered(1, "", "", request=json.dumps({"messages": [{"role": "user", "content": parts}]})))
    assert (chat.question, chat.questions, chat.answer) == ("Where\nis it?", 1, "")
    talk = said(answered(2, "And now?", "Here.", before=[("user", "Where is it?"), ("assistant", "Soon there.")]))
    assert (talk.question, talk.questions, talk.answer) == ("And now?", 2, "Here.")
    bodies = {"request": '{"prompt": "2+2="}', "response": '{"choices": [{"text": " 4"}]}'}
    completion = said(answered(3, "", "", **bodies))
    assert (completion.question, completion.answer) == ("2+2=", " 4")


def test_an_answer_agrees_but_for_case_spacing_and_signs() -> None:
    assert agreement(judgement("t", label="Refund"), " refund.\n") == 1.0
    assert agreement(judgement("t", label="refund"), "delivery") == 0.0
    assert agreement(judgement("t", correction="In Rome."), "in rome") == 1.0
    assert agreement(judgement("t", label="a", correction="b"), "a") == 1.0  # the label comes first
    assert agreement(judgement("t", thumb=True), "a") is None
    assert agreement(judgement("t", label="a"), " ") is None


def test_a_trace_is_found_by_its_id_or_by_the_answers(store: Store) -> None:
    traces = [answered(n, f"question {n}", "yes") for n in range(3)]
    write(store, traces)
    assert judged_trace(store, traces[1].id, None) == traces[1]
    assert judged_trace(store, None, "chatcmpl-2") == traces[2]
    assert judged_trace(store, "f" * 32, None) is None
    assert judged_trace(store, None, None) is None
    assert traces_by_id(store, [traces[0].id, "f" * 32]) == {traces[0].id: traces[0]}
    assert traces_by_id(store, []) == {}


def test_a_judgement_names_what_it_judges() -> None:
    assert named_trace({"trace": "t1"}) == ("t1", None)
    assert named_trace({"response_id": "chatcmpl-1"}) == (None, "chatcmpl-1")
    for sent in ({}, {"trace": 3}, {"trace": ""}, {"trace": "x" * 201}, {"trace": "\0"}, {"response_id": {}}):
        with pytest.raises(BadJudgement):
            named_trace(sent)
