"""Any split of the same bytes is the same answer, and no bytes at all do harm: our HTTP client against random input."""

from __future__ import annotations

import asyncio
import http.client
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rungwise.engines.resilience import Failed
from rungwise.engines.upstream.connection import Connection

LIMIT = 1_000_000


class Wire(asyncio.Transport):
    """The network's side of a connection, in memory: what it is told is remembered, closing it ends the connection."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection, self.written, self.paused, self._closing = connection, bytearray(), False, False
        connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.end(None)

    def abort(self) -> None:
        self.end(None)

    def end(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, error)


@dataclass
class Outcome:
    """What became of one answer."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes | None = None
    failed: bool = False
    reused: bool = False


def receive(pieces: Sequence[bytes], *, in_pieces: bool = False) -> Outcome:
    """Feed the bytes of one answer, then the end of the connection."""

    async def run() -> Outcome:
        idle: list[Connection] = []
        connection = Connection(idle.append, lambda lost: None)
        wire = Wire(connection)
        reply = connection.send(b"POST ...")
        outcome = Outcome()

        async def read() -> None:
            try:
                await reply.head()
                outcome.status, outcome.headers = reply.status, reply.headers
                if in_pieces:
                    outcome.body = b"".join([data async for data in reply.chunks()])
                else:
                    outcome.body = await reply.read(LIMIT)
            except Failed:
                outcome.failed = True

        reading = asyncio.ensure_future(read())
        for data in pieces:
            await asyncio.sleep(0)
            if not wire.is_closing() and data:
                connection.data_received(data)
        outcome.reused = bool(idle) and not wire.is_closing()
        await asyncio.sleep(0)
        wire.end(None)
        async with asyncio.timeout(5):
            await reading
        return outcome

    return asyncio.run(run())


def chunked(pieces: Sequence[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(data), data) for data in pieces if data) + b"0\r\n\r\n"


NAMES = st.sampled_from(["content-type", "Server", "X-Request-Id", "date", "set-cookie"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A right answer in one of the three framings, with an interim one before it now and then."""
    status = draw(st.sampled_from([200, 201, 400, 429, 500, 503]))
    lines = [f"HTTP/1.1 {status} {draw(st.sampled_from(['OK', '', 'Two Words']))}"]
    lines += [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))]
    pieces = draw(st.lists(st.binary(max_size=200), max_size=5))
    framing = draw(st.sampled_from(["length", "chunks", "connection"]))
    if framing == "length":
        lines.append(f"Content-Length: {sum(map(len, pieces))}")
    elif framing == "chunks":
        lines.append("Transfer-Encoding: chunked")
    head = "\r\n".join([*lines, "", ""]).encode()
    before = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return before + head + (chunked(pieces) if framing == "chunks" else b"".join(pieces))


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0, 10**6), max_size=12)


@settings(max_examples=200, deadline=None)
@given(answers(), CUTS, st.booleans())
def test_any_split_of_an_answer_is_the_same_answer_and_what_the_standard_library_reads(
    data: bytes, cuts: list[int], in_pieces: bool
) -> None:
    whole = receive([data])
    assert receive(split(data, cuts), in_pieces=in_pieces) == whole
    assert not whole.failed

    class Socket:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(data)

    expected = http.client.HTTPResponse(Socket(), method="POST")  # type: ignore[arg-type]
    expected.begin()
    assert (whole.status, whole.body) == (expected.status, expected.read())
    assert [(name.decode(), value.decode()) for name, value in whole.headers] == [
        (name.lower(), value) for name, value in expected.getheaders()
    ]


@settings(max_examples=200, deadline=None)
@given(answers(), CUTS, st.integers(0, 10**6))
def test_an_answer_that_is_cut_is_never_taken_for_a_whole_one(data: bytes, cuts: list[int], at: int) -> None:
    shorter = data[: at % len(data)] if data else data
    outcome, whole = receive(split(shorter, cuts)), receive([data])
    ends_with_connection = not any(name in (b"content-length", b"transfer-encoding") for name, _ in whole.headers)
    if outcome.failed or ends_with_connection:
        assert not outcome.reused
    else:  # only bytes after the end were cut off, which there are none of: nothing was missing
        assert outcome.body == whole.body


@settings(max_examples=300, deadline=None)
@given(answers(), st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4)), min_size=1, max_size=4), CUTS)
def test_damaged_bytes_end_in_an_answer_or_a_failure_and_the_same_in_any_split(
    data: bytes, damage: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    for place, other in damage:
        at = place % (len(data) + 1)
        data = data[:at] + other + data[at + len(other) :]
    whole, parts = receive([data]), receive(split(data, cuts))
    assert (whole.failed, whole.status if not whole.failed else 0) == (parts.failed, parts.status if not parts.failed else 0)
    if not whole.failed:
        assert whole.body == parts.body


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), CUTS)
@example(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabHTTP/1.1 200 OK\r\n\r\n", [])
@example(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nraw", [40])
@example(b"HTTP/1.1 204 No Content\r\n\r\n\r\n\r\n", [])
def test_any_bytes_at_all_end(data: bytes, cuts: list[int]) -> None:
    outcome = receive(split(data, cuts))
    assert outcome.failed or outcome.body is not None


@settings(max_examples=200, deadline=None)
@given(answers(), st.binary(min_size=1, max_size=60), CUTS)
def test_a_connection_with_bytes_after_the_end_of_its_answer_is_never_used_again(data: bytes, junk: bytes, cuts: list[int]) -> None:
    whole = receive([data])
    if any(name in (b"content-length", b"transfer-encoding") for name, _ in whole.headers):
        outcome = receive([*split(data, cuts), junk])
        assert outcome.body == whole.body
        assert not outcome.reused
        if junk.strip(b"\r\n"):  # line ends between answers are allowed
            assert not receive([data + junk]).reused


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(answers(), CUTS, st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4)), max_size=3))
def test_ten_thousand_answers_right_and_damaged_are_the_same_in_any_split(
    data: bytes, cuts: list[int], damage: list[tuple[int, bytes]]
) -> None:
    for place, other in damage:
        at = place % (len(data) + 1)
        data = data[:at] + other + data[at + len(other) :]
    whole, parts = receive([data]), receive(split(data, cuts), in_pieces=True)
    assert whole.failed == parts.failed
    if not whole.failed:
        assert (whole.status, whole.body) == (parts.status, parts.body)
