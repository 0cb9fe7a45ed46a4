"""Chunks put together again are the answer that would have come whole."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rungwise.serve import gathered
from rungwise.serve.gathered import Gathered


def put_together(chunks: list[Any]) -> Any:
    taken = Gathered()
    for chunk in chunks:
        taken.feed(chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())
    body = taken.whole()
    return None if body is None else json.loads(body)


def chunk(delta: dict[str, Any], index: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "tiny",
        "choices": [{"index": index, "delta": delta, **more}],
        "usage": None,
    }


def test_texts_go_on_and_the_usage_comes_last() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    whole = put_together(
        [
            chunk({"role": "assistant", "content": ""}, finish_reason=None),
            chunk({"content": "On its "}, finish_reason=None),
            chunk({"content": "way", "reasoning_content": "hm"}, finish_reason=None),
            chunk({}, finish_reason="stop"),
            {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "tiny", "choices": [], "usage": usage},
        ]
    )
    message = {"role": "assistant", "content": "On its way", "reasoning_content": "hm"}
    assert whole == {
        "id": "c1",
        "object": "chat.completion",
        "created": 7,
        "model": "tiny",
        "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


def test_tool_calls_are_told_apart_by_their_index() -> None:
    def call(index: int, **more: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, **more}]})

    whole = put_together(
        [
            call(0, id="a", type="function", function={"name": "find", "arguments": ""}),
            call(1, id="b", type="function", function={"name": "send", "arguments": "{"}),
            call(0, function={"arguments": '{"x":'}),
            call(1, function={"arguments": "}"}),
            call(0, function={"arguments": "1}"}),
        ]
    )
    calls = whole["choices"][0]["message"]["tool_calls"]
    assert [(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in calls] == [
        ("a", "find", '{"x":1}'),
        ("b", "send", "{}"),
    ]


def test_several_answers_and_their_log_probabilities_stay_apart() -> None:
    def token(text: str) -> dict[str, Any]:
        return {"content": [{"token": text, "logprob": -0.1}]}

    whole = put_together(
        [
            chunk({"content": "b"}, 1, logprobs=token("b")),
            chunk({"content": "a"}, 0, logprobs=token("a")),
            chunk({"content": "c"}, 0, logprobs=token("c")),
        ]
    )
    assert [one["message"]["content"] for one in whole["choices"]] == ["ac", "b"]
    assert [one["token"] for one in whole["choices"][0]["logprobs"]["content"]] == ["a", "c"]


def test_completions_are_put_together_too() -> None:
    pieces = [{"object": "text_completion", "choices": [{"index": 0, "text": text}]} for text in ("On ", "its way")]
    assert put_together(pieces)["choices"] == [{"index": 0, "text": "On its way"}]


def test_a_stream_that_was_cut_off_is_what_came() -> None:
    assert put_together([chunk({"content": "On"})])["choices"][0]["message"] == {"content": "On"}
    assert put_together([]) is None


def test_what_is_no_chunk_is_left_out() -> None:
    odd = [b"{", b"[1]", b"null", b'{"choices": 7}', b'{"choices": [3, {"index": "x", "delta": 1}]}', chunk({"content": "a"})]
    assert put_together(odd)["choices"][0]["message"] == {"content": "a"}


def test_an_answer_that_was_whole_already_stays_as_it_is() -> None:
    taken = Gathered()
    taken.take_whole(b'{"id": "c1"}')
    assert taken.whole() == b'{"id": "c1"}'


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=80), st.data())
def test_any_cut_of_a_text_gives_the_same_answer(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    assert put_together([chunk({"content": piece}) for piece in pieces])["choices"][0]["message"]["content"] == text


def test_a_long_answer_is_folded_on_the_way() -> None:
    taken = Gathered()
    for _ in range(3000):
        taken.feed(json.dumps(chunk({"content": "word "})).encode())
    assert taken._new_bytes < gathered._FOLDED_BYTES
    assert json.loads(taken.whole() or b"")["choices"][0]["message"]["content"] == "word " * 3000
