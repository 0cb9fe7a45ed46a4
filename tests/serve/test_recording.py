"""A tape becomes a trace, and of what was said it keeps what the project wants."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Usage
from rungwise.core.trace import Trace
from rungwise.data.traces.rows import cleaned, row_of, trace_of
from rungwise.serve.ask import Ask, Caller, Tape
from rungwise.serve.masking import masked
from rungwise.serve.recording import make_trace
from tests.clocks import StillClock

EMAIL, CARD = "ann.smith@example.com", "4111 1111 1111 1111"
ANSWER = json.dumps({"id": "c1", "choices": [{"message": {"role": "assistant", "content": f"Wrote to {EMAIL}"}}]}).encode()


@pytest.fixture
def tape(clock: StillClock) -> Tape:
    tape = Tape("0" * 32, clock)
    tape.asked, tape.release, tape.variant, tape.candidate = "support", "r" * 64, "plain", "c" * 64
    tape.engine, tape.model, tape.response_id, tape.finish = "local", "tiny-1", "c1", "stop"
    clock.advance(0.5)
    tape.heard()
    tape.add(Usage(10, 5, calls=1, usd=0.001))
    with tape.span("local", "model", engine="local") as details:
        details["prompt"] = f"{EMAIL} asks " * 20
        clock.advance(0.25)
    return tape


def an_ask(body: dict[str, Any] | None = None) -> Ask:
    return Ask(
        operation="chat",
        model="support",
        body=body or {"model": "support", "messages": [{"role": "user", "content": f"I am {EMAIL}"}]},
        caller=Caller("k1", frozenset({"infer"}), tenant="north", user="key-owner"),
        user="ann",
        conversation="talk-1",
        tags={"team": "blue"},
        stream=True,
    )


def test_everything_on_the_tape_is_in_the_trace(tape: Tape) -> None:
    trace = make_trace(tape, an_ask(), ANSWER, "full")
    assert (trace.id, trace.at, trace.seconds, trace.first_token_s) == (tape.id, tape.at, 0.75, 0.5)
    assert (trace.asked, trace.release, trace.variant, trace.candidate) == ("support", "r" * 64, "plain", "c" * 64)
    assert (trace.engine, trace.model, trace.response_id, trace.finish) == ("local", "tiny-1", "c1", "stop")
    assert (trace.key, trace.tenant, trace.user, trace.conversation) == ("k1", "north", "ann", "talk-1")
    assert (trace.tags, trace.streamed, trace.cached, trace.shadow_of) == ({"team": "blue"}, True, False, None)
    assert trace.usage == Usage(10, 5, calls=1, usd=0.001)
    assert (trace.spans[0].kind, trace.spans[0].seconds) == ("model", 0.25)
    assert json.loads(trace.request or "") == an_ask().body
    assert trace.response == ANSWER.decode()
    assert trace_of(row_of(trace)) == trace


def test_without_capture_nothing_that_was_said_is_kept(tape: Tape) -> None:
    trace = make_trace(tape, an_ask(), ANSWER, "off", shadow_of="1" * 32)
    assert (trace.request, trace.response, trace.shadow_of) == (None, None, "1" * 32)
    assert trace.spans[0].details == {"engine": "local"}
    assert EMAIL not in repr(trace)
    assert trace.usage.usd == 0.001


def test_masked_capture_keeps_the_sense_and_not_the_data(tape: Tape) -> None:
    tape.error = f"the engine did not like {EMAIL}"
    ask = an_ask()
    trace = make_trace(tape, ask, ANSWER, "masked")
    assert EMAIL not in repr(trace)
    assert json.loads(trace.request or "")["messages"] == [{"role": "user", "content": "I am [EMAIL]"}]
    assert json.loads(trace.response or "")["choices"][0]["message"]["content"] == "Wrote to [EMAIL]"
    assert ask.body["messages"][0]["content"] == f"I am {EMAIL}"  # what is sent stays


def test_an_answer_that_is_no_json_is_masked_as_text(tape: Tape) -> None:
    assert make_trace(tape, an_ask(), f"oh, {EMAIL}".encode(), "masked").response == "oh, [EMAIL]"


def test_texts_in_parts_and_tool_arguments_are_masked() -> None:
    arguments = json.dumps({"to": EMAIL, "card": CARD, "password": "hunter2!x", "n": 3, "deep": [{"also": EMAIL}]})
    body = masked(
        {
            "model": EMAIL,  # the protocol's own words stay, whatever they are
            "temperature": 0.5,
            "metadata": {"mail": EMAIL},
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": f"card {CARD}"}]},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
                {"role": "assistant", "tool_calls": [{"id": "t1", "function": {"name": "send", "arguments": arguments}}]},
            ],
            "logprobs": {"content": [{"token": "ann"}]},
        }
    )
    assert body["model"] == EMAIL
    assert body["temperature"] == 0.5
    assert body["metadata"] == {"mail": "[EMAIL]"}
    assert body["messages"][0]["content"][0]["text"] == "card [CREDIT_DEBIT_CARD_NUMBER]"
    assert body["messages"][1]["content"][0]["image_url"]["url"] == "data:image/png;base64,[MASKED]"
    called = json.loads(body["messages"][2]["tool_calls"][0]["function"]["arguments"])
    assert called["to"] == called["deep"][0]["also"] == "[EMAIL]"
    assert called["card"] == "[CREDIT_DEBIT_CARD_NUMBER]"
    assert called["password"] == "[PASSWORD]"
    assert called["n"] == 3
    assert body["logprobs"] is None


def test_arguments_that_are_no_json_are_masked_as_text() -> None:
    body = masked({"function": {"name": "send", "arguments": f'{{"to": "{EMAIL}"'}})
    assert body["function"]["arguments"] == '{"to": "[EMAIL]"'


def test_numbers_that_say_who_somebody_is_are_masked_in_arguments_alone() -> None:
    arguments = json.dumps({"card_number": 4111111111111111, "pages": 12})
    body = masked({"seed": 4111111111111111, "arguments": arguments})
    assert body["seed"] == 4111111111111111
    assert json.loads(body["arguments"]) == {"card_number": "[CREDIT_DEBIT_CARD_NUMBER]", "pages": 12}


def test_what_is_nested_too_deeply_is_cut(tape: Tape) -> None:
    deep: Any = EMAIL
    for _ in range(200):
        deep = [deep]
    assert EMAIL not in json.dumps(masked({"messages": deep}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
PLACES = st.sampled_from(["content", "text", "arguments", "input", "x"])


@given(st.dictionaries(PLACES, JSON, max_size=4), PLACES, st.sampled_from(["plain", "in arguments"]))
def test_an_address_never_comes_through_wherever_it_stands(body: dict[str, Any], place: str, how: str) -> None:
    said = f"write to {EMAIL} now"
    body[place] = said if how == "plain" else [{"arguments": json.dumps({"a": {"b": [said]}})}]
    assert EMAIL not in json.dumps(masked(body))


@pytest.mark.parametrize("capture", ["off", "masked", "full"])
@pytest.mark.parametrize(
    "body", [{"model": "m", "messages": "\ud800"}, {"n": 10**40}, {"n": float("nan")}, {"x": b"raw"}, {"s": {1, 2}}]
)
def test_odd_bodies_are_traced_all_the_same(tape: Tape, body: dict[str, Any], capture: str) -> None:
    trace = make_trace(tape, an_ask(body), b"\xff\xfe", capture)
    assert isinstance(trace_of(cleaned(row_of(trace))), Trace)
