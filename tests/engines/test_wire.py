"""Bytes to events to deltas: any split of the same bytes means the same."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rungwise.engines.wire import Completion, EventReader, WireError, delta_of, read_json, token_count, write_json


def events_of(data: bytes, cuts: list[int]) -> list[str]:
    reader, events, last = EventReader(), [], 0
    for cut in [*sorted({min(cut, len(data)) for cut in cuts}), len(data)]:
        events += reader.feed(data[last:cut])
        last = cut
    return events + reader.close()


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.one_of(
    st.text(max_size=12).map(lambda text: "data: " + text),
    st.text(max_size=12).map(lambda text: "data:" + text),
    st.text(max_size=6).map(lambda text: ": " + text),
    st.sampled_from(["", "", "event: x", "id: 7", "data", "retry: 5", 'data: {"a": "é😀"}', "data: [DONE]"]),
)
STREAMS = st.lists(st.tuples(LINES, LINE_ENDS), max_size=12).map(lambda lines: "".join(line + end for line, end in lines).encode())


@settings(max_examples=2000, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 200), max_size=12))
@example("data: 😀\r\n\r\n".encode(), [7, 8, 9, 11, 12])
def test_any_split_of_the_bytes_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    assert events_of(data, cuts) == events_of(data, [])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=120), st.lists(st.integers(0, 120), max_size=8))
def test_any_bytes_at_all_split_the_same(data: bytes, cuts: list[int]) -> None:
    assert events_of(data, cuts) == events_of(data, [])


def test_every_byte_alone_gives_the_same_events_with_mixed_line_ends_and_comments() -> None:
    data = b"\xef\xbb\xbf: hello\r\ndata: a\r\n\r\ndata: b1\ndata: b2\n\n:\rdata: \xe2\x82\xac\r\r\ndata: last"
    assert events_of(data, list(range(len(data)))) == ["a", "b1\nb2", "€", "last"]
    assert events_of(data, []) == ["a", "b1\nb2", "€", "last"]


def test_nul_and_broken_utf_8_do_not_stop_the_reader() -> None:
    assert events_of(b"data: a\x00b\n\ndata: \xff\xfe!\n\n", []) == ["a\x00b", "\ufffd\ufffd!"]


def test_a_line_over_the_limit_is_refused_however_it_is_cut() -> None:
    line = b"data: " + b"x" * 300
    for size in (1, 7, 101):
        reader = EventReader(limit_bytes=100)
        with pytest.raises(WireError, match="longer than 100 bytes"):
            [reader.feed(line[start : start + size]) for start in range(0, 300, size)]


def test_an_event_of_many_short_lines_is_limited_too() -> None:
    reader = EventReader(limit_bytes=100)
    with pytest.raises(WireError):
        [reader.feed(b"data: 1234567890\n") for _ in range(100)]


def test_comments_for_ever_take_no_memory() -> None:
    reader = EventReader(limit_bytes=1000)
    for _ in range(10_000):
        assert reader.feed(b": keep-alive\n\n") == []
    assert not reader._pieces


def test_json_that_strict_readers_refuse_is_still_read() -> None:
    assert read_json('{"a": NaN}')["a"] != 0
    assert read_json(b'"\\ud800"') == "\ud800"
    with pytest.raises(WireError, match="not JSON"):
        read_json("<html>")
    with pytest.raises(WireError):
        read_json("[" * 100_000)
    assert json.loads(write_json({"text": "\ud800"})) == {"text": "\ud800"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "message",
                        "content",
                        "tool_calls",
                        "function",
                        "usage",
                        "logprobs",
                        "prompt_tokens",
                        "error",
                        "model",
                        "refusal",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=25,
    )
)
def test_any_json_is_a_delta_or_a_wire_error(body: object) -> None:
    with contextlib.suppress(WireError):
        Completion().add(delta_of(body))


def test_counts_read_cached_and_reasoning_tokens_and_never_exceed_their_whole() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 500},
    }
    count = token_count(usage)
    assert count is not None
    assert (count.input, count.output, count.cached, count.reasoning) == (100, 50, 64, 50)
    assert token_count({"prompt_tokens": 3, "total_tokens": 10}).output == 7  # type: ignore[union-attr]
    assert token_count({"prompt_tokens": 3, "completion_tokens": 1, "prompt_cache_hit_tokens": 2}).cached == 2  # type: ignore[union-attr]
    for useless in (
        None,
        [],
        "many",
        {},
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": "5", "completion_tokens": 1},
    ):
        assert token_count(useless) is None


def test_pieces_of_a_streamed_tool_call_are_joined_by_their_index() -> None:
    whole = Completion()
    first = {"index": 0, "id": "c1", "function": {"name": "look", "arguments": '{"q":'}}
    for call in (first, {"index": 0, "function": {"arguments": ' "x"}'}}):
        whole.add(delta_of({"choices": [{"delta": {"content": None, "tool_calls": [call]}}]}))
    (call_made,) = whole.whole().tool_calls
    assert (call_made.name, call_made.arguments) == ("look", '{"q": "x"}')
