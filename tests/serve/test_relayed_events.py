"""Events as bytes say what the reference reader says, in any split; what nobody ends fills no memory."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rungwise.engines.wire import EventReader, WireError
from rungwise.serve.routing.events import Events

LINES = st.one_of(
    st.sampled_from(["", "", "data", "data:", "data: ", "data:  x", ": comment", ":", "event: x", "id: 1", "retry: 5", "nonsense"]),
    st.text(max_size=8).map(lambda text: "data: " + text.replace("\r", "").replace("\n", "")),
    st.text(max_size=8).map(lambda text: ":" + text.replace("\r", "").replace("\n", "")),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.tuples(LINES, ENDS), max_size=14))
    text = "".join(line + end for line, end in lines) + draw(LINES)
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.encode("utf-8", "replace")


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in zip(places, places[1:], strict=False)]  # noqa: RUF007 - reads as what it is


def read(pieces: Sequence[bytes]) -> list[bytes]:
    events = Events()
    return [event for data in pieces for event in events.feed(data)] + events.close()


def expected(data: bytes) -> list[bytes]:
    reader = EventReader()
    return [event.encode() for event in reader.feed(data) + reader.close()]


@settings(max_examples=600, deadline=None)
@given(streams(), st.lists(st.integers(0, 10**6), max_size=20))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", list(range(30)))
@example(b"data: a\r\rdata: b\r\r", list(range(30)))
@example(b"\xef\xbb\xbfdata: \xc3\xa9\n\n", list(range(30)))
@example(b":c\n\ndata: x\n:c\n\n:\ndata: y\n\n", list(range(40)))
def test_any_split_gives_the_events_of_the_reference_reader(data: bytes, cuts: list[int]) -> None:
    assert read(split(data, cuts)) == expected(data)


def test_ten_thousand_random_splits_of_a_real_stream_are_all_the_same() -> None:
    rng = random.Random(7)
    words = ["a", "é", "\u2028", "😀", "\\n", "日本"]
    for _ in range(100):
        end = rng.choice(["\n", "\r\n", "\r"])
        chunks = [f'data: {{"choices":[{{"delta":{{"content":"{rng.choice(words)}"}}}}]}}{end}{end}' for _ in range(10)]
        data = (rng.choice(["", "\ufeff", f": hi{end}{end}"]) + "".join(chunks) + f"data: [DONE]{end}{end}").encode()
        whole = expected(data)
        assert len(whole) == 11
        for _ in range(100):
            assert read(split(data, [rng.randrange(len(data)) for _ in range(rng.choice([1, 2, 5, 40, len(data)]))])) == whole


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([b"\n", b"\r", b":", b"data:", b"data: x", b"a", b" ", b"\xc3", b"\xa9"]), max_size=30))
def test_every_byte_for_itself_is_the_same_as_all_at_once(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert read([data[at : at + 1] for at in range(len(data))]) == read([data])


def test_an_event_over_the_limit_is_an_error_however_it_comes() -> None:
    for pieces in ([b"data: " + b"x" * 200], [b"data: ", *[b"x"] * 200], [b"data: x\n"] * 30):
        events = Events(limit_bytes=100)
        with pytest.raises(WireError, match="longer than 100 bytes"):
            [events.feed(data) for data in pieces]


def test_a_comment_that_never_ends_is_dropped_as_it_comes() -> None:
    events = Events(limit_bytes=1000)
    for _ in range(1000):
        assert events.feed(b": keep alive " * 10) == []
    assert events.feed(b"\n\ndata: x\n\n") == [b"x"]
    for _ in range(1000):
        assert events.feed(b": keep alive\n") == []
    assert events.feed(b"data: y\n") == []
    for _ in range(1000):
        assert events.feed(b":\n: more") == []
    assert events.feed(b"\n\n") == [b"y"]


def test_a_line_of_ten_megabytes_in_small_pieces_costs_its_length_and_not_its_square() -> None:
    events = Events()
    begun = time.process_time()
    with pytest.raises(WireError):
        [events.feed(b"data: " + b"x" * 1000) for _ in range(20_000)]
    assert time.process_time() - begun < 5.0  # squared it would take minutes
