"""Answers in the shape of OpenAI told in the shape of Bedrock, whole and in pieces."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.serve.ask import Tape
from rungwise.serve.bedrock.answers import Telling, converse_answer, pick
from rungwise.serve.bedrock.events import event, exception
from rungwise.serve.bedrock.invoke import AnthropicShaped, shaped, token_headers
from rungwise.serve.bedrock.pieces import Began, Blocks, Ended, Grew, blocks_of
from rungwise.serve.failure import EngineDown
from tests.clocks import StillClock
from tests.serve.bedrock.bedrock_rig import chunk, completion


def answer_of(body: bytes, *paths: str) -> dict[str, Any]:
    return json.loads(converse_answer(body, paths, latency_s=1.5))  # type: ignore[no-any-return]


def events_of(data: bytes) -> list[tuple[str, Any]]:
    """What botocore reads."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers[":event-type"], json.loads(message.payload)) for message in buffer]


@settings(max_examples=200, deadline=None)
@given(
    payload=st.binary(max_size=3000), kind=st.sampled_from(["chunk", "messageStart", "contentBlockDelta"]), cut=st.integers(0, 3000)
)
def test_botocore_reads_our_frames_however_they_are_cut(payload: bytes, kind: str, cut: int) -> None:
    frames = event(kind, payload) + exception("throttlingException", b'{"message":"no"}')
    buffer = EventStreamBuffer()
    buffer.add_data(frames[:cut])
    first = list(buffer)
    buffer.add_data(frames[cut:])
    one, two = first + list(buffer)
    assert (one.headers[":event-type"], one.headers[":message-type"], one.payload) == (kind, "event", payload)
    assert two.to_response_dict() == {
        "status_code": 400,
        "headers": {
            ":exception-type": "throttlingException",
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        "body": b'{"message":"no"}',
    }


@pytest.mark.parametrize(
    ("finish", "more", "reason"),
    [
        ("stop", {}, "end_turn"),
        ("length", {}, "max_tokens"),
        ("content_filter", {}, "content_filtered"),
        ("tool_calls", {}, "tool_use"),
        ("function_call", {}, "tool_use"),
        ("eos", {}, "end_turn"),
        ("stop", {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "tool_use"),
        ("tool_calls", {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"a'}}]}, "malformed_tool_use"),
        ("length", {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"a'}}]}, "max_tokens"),
    ],
)
def test_why_an_answer_ended_is_told_in_bedrocks_words(finish: str, more: dict[str, Any], reason: str) -> None:
    assert answer_of(completion("x", finish=finish, **more))["stopReason"] == reason


def test_a_stop_sequence_is_told_where_the_engine_tells_it() -> None:
    body = json.loads(completion("x"))
    body["choices"][0]["stop_reason"] = "END"
    assert answer_of(json.dumps(body).encode())["stopReason"] == "stop_sequence"
    said = json.loads(shaped_anthropic().whole(json.dumps(body).encode(), tape()))
    assert (said["stop_reason"], said["stop_sequence"]) == ("stop_sequence", "END")


def test_tokens_of_a_cache_stand_apart_from_the_others() -> None:
    """Bedrock's input tokens are those that had nothing to do with the cache; OpenAI's hold all."""
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}}
    assert answer_of(completion("x", usage=usage))["usage"] == {
        "inputTokens": 10,
        "cacheReadInputTokens": 60,
        "cacheWriteInputTokens": 30,
        "outputTokens": 7,
        "totalTokens": 107,
    }
    assert token_headers(completion("x", usage=usage))[0] == (b"x-amzn-bedrock-input-token-count", b"10")
    assert answer_of(completion("x", usage=None))["usage"] == {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
    assert token_headers(b"{}") == token_headers(b"no JSON") == ()


def test_thoughts_come_before_what_is_said() -> None:
    content = answer_of(completion("4", reasoning_content="2 and 2"))["output"]["message"]["content"]
    assert content == [{"reasoningContent": {"reasoningText": {"text": "2 and 2"}}}, {"text": "4"}]


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": None, "refusal": "I will not."}, [{"text": "I will not."}]),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, [{"text": "ab"}]),
        ({"content": ""}, []),
        (
            {"content": None, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ""}}]},
            [{"toolUse": {"toolUseId": "a", "name": "f", "input": {}}}],
        ),
        (
            {"content": None, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "oops"}}]},
            [{"toolUse": {"toolUseId": "a", "name": "f", "input": "oops"}}],
        ),
        (
            {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "null"}}]},
            [{"toolUse": {"toolUseId": "call_0", "name": "f", "input": {}}}],
        ),
    ],
)
def test_odd_messages_of_engines_are_understood(message: Any, content: Any) -> None:
    assert answer_of(completion(**message))["output"]["message"]["content"] == content


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"choices": 3}', b'{"choices": [{"message": {"content": 3}}]}', b"\xff\xfe"])
def test_an_answer_that_is_none_is_the_engines_fault(body: bytes) -> None:
    with pytest.raises(EngineDown):
        converse_answer(body, (), latency_s=0)
    with pytest.raises(EngineDown):
        Telling().frames(body)


def test_other_fields_of_the_answer_are_shown_on_request() -> None:
    told = answer_of(completion("x"), "/model", "/choices/0/finish_reason", "/nothing/there", "/choices/9", "", "model")
    assert told["additionalModelResponseFields"] == {"model": "m-2026", "choices": {"0": {"finish_reason": "stop"}}}
    assert pick({"a/b": {"~": 1}}, ["/a~1b/~0"]) == {"a/b": {"~": 1}}
    assert pick({"a": {"b": 1}}, ["/a", "/a/b", "/a/b/c"]) == {"a": {"b": 1}}
    assert pick({"a": 1}, ["/a/b", "/a"]) == {"a": 1}
    assert "additionalModelResponseFields" not in answer_of(completion("x"))


def test_a_pointer_does_not_change_what_it_points_at() -> None:
    answer = {"a": {"b": 1, "c": {"d": 2}}}
    pick(answer, ["/a", "/a/c/d"])
    assert answer == {"a": {"b": 1, "c": {"d": 2}}}


def test_calls_that_all_have_the_number_zero_are_told_apart_by_their_ids() -> None:
    """Ollama numbers every call 0."""
    blocks = Blocks()
    pieces = []
    for id in ("one", "two"):
        call = {"index": 0, "id": id, "function": {"name": "f", "arguments": "{}"}}
        pieces += list(blocks.take(chunk({"tool_calls": [call]})))
    assert [piece for piece in pieces if isinstance(piece, Began)] == [Began(0, "call", "one", "f"), Began(1, "call", "two", "f")]


def test_a_call_that_goes_on_after_its_end_is_the_engines_fault() -> None:
    blocks = Blocks()
    for number in (0, 1):
        list(blocks.take(chunk({"tool_calls": [{"index": number, "id": str(number), "function": {"name": "f"}}]})))
    with pytest.raises(EngineDown):
        list(blocks.take(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})))


def test_only_the_first_of_several_choices_is_told() -> None:
    body = json.loads(chunk({"content": "a"}))
    body["choices"].append({"index": 1, "delta": {"content": "b"}})
    assert [piece.text for piece in Blocks().take(json.dumps(body).encode()) if isinstance(piece, Grew)] == ["a"]


def test_a_whole_answer_given_again_as_one_chunk_is_a_stream() -> None:
    """So a reply that is kept is told again."""
    telling = Telling()
    calls = [{"id": "t", "function": {"name": "f", "arguments": "{}"}}]
    frames = telling.frames(completion("hello", finish="tool_calls", tool_calls=calls)) + telling.last(tape())
    assert [kind for kind, _ in events_of(frames)] == [
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]


def test_a_stream_without_anything_still_ends_well() -> None:
    assert [kind for kind, _ in events_of(Telling().last(tape()))] == ["messageStop", "metadata"]
    frames = shaped_anthropic().last(tape())
    told = [json.loads(base64.b64decode(payload["bytes"])) for _, payload in events_of(frames)]
    assert [one["type"] for one in told] == ["message_start", "message_delta", "message_stop"]


THOUGHTS = st.tuples(st.just("thought"), st.text(min_size=1, max_size=20))
TEXTS = st.tuples(st.just("text"), st.text(min_size=1, max_size=20))
CALLS = st.tuples(st.just("call"), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3).map(json.dumps))


@settings(max_examples=200, deadline=None)
@given(said=st.lists(TEXTS | CALLS, max_size=4), thought=st.none() | THOUGHTS, size=st.integers(1, 7))
def test_pieces_of_any_size_make_the_blocks_of_the_whole(
    said: list[tuple[str, str]], thought: tuple[str, str] | None, size: int
) -> None:
    """Whatever the split, one block after the other is opened, filled and closed, and their texts are those that were said."""
    blocks, pieces, calls = Blocks(), [], 0
    wanted: list[tuple[str, str]] = []
    for kind, words in ([thought] if thought else []) + said:
        if kind != "call" and wanted and wanted[-1][0] == kind:
            wanted[-1] = (kind, wanted[-1][1] + words)
        else:
            wanted.append((kind, words))
        for place in range(0, len(words), size):
            part = words[place : place + size]
            function = {"name": "f", "arguments": part} if place == 0 else {"arguments": part}
            call = {"index": calls, "id": f"id-{calls}" if place == 0 else None, "function": function}
            delta = {"thought": {"reasoning_content": part}, "text": {"content": part}, "call": {"tool_calls": [call]}}[kind]
            pieces += list(blocks.take(chunk(delta)))
        calls += kind == "call"
    pieces += list(blocks.close())
    found: dict[int, str] = {}
    open_block = None
    for piece in pieces:
        if isinstance(piece, Began):
            assert open_block is None
            assert piece.index == len(found)
            open_block, found[piece.index] = piece.index, ""
        elif isinstance(piece, Ended):
            assert open_block == piece.index
            open_block = None
        else:
            assert open_block == piece.index
            found[piece.index] += piece.text
    assert open_block is None
    assert list(found.values()) == [words for _, words in wanted]
    assert blocks.finish == ("tools" if calls else "stop")


def test_a_whole_answer_and_its_stream_say_the_same() -> None:
    calls = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    whole, known = blocks_of(completion("Looking.", finish="tool_calls", tool_calls=calls, reasoning_content="hm"))
    assert [(block.kind, block.text) for block in whole] == [("thought", "hm"), ("text", "Looking."), ("call", '{"a": 1}')]
    assert (whole[2].id, whole[2].name, whole[2].input, known.finish) == ("t1", "f", {"a": 1}, "tools")


def tape() -> Tape:
    return Tape("0" * 32, StillClock())


def shaped_anthropic() -> AnthropicShaped:
    shape = shaped(b'{"anthropic_version": "x", "messages": [{"role": "user", "content": "hi"}]}', id="0")
    assert isinstance(shape, AnthropicShaped)
    return shape
