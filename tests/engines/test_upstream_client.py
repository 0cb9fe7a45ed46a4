"""Our own HTTP client over real connections: reuse, stale connections, slow readers, and everything a server does wrong."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from rungwise.core.errors import UsageError
from rungwise.engines.resilience import Failed
from rungwise.engines.upstream.connection import HEAD_LIMIT_BYTES
from rungwise.engines.upstream.opening import open_upstream
from rungwise.engines.upstream.plain import PlainUpstream
from tests.engines.raw_server import HEADERS, OK, Line, answers, ask, client, server


async def test_sends_one_request_and_reads_its_answer() -> None:
    async with server(answers(OK)) as there, client(there.url) as upstream:
        reply = await upstream.post("/chat/completions", HEADERS, b'{"a":1}')
        assert (reply.status, reply.header(b"content-length"), reply.header(b"x")) == (200, b"5", None)
        assert await reply.read(100) == b"hello"
    port = there.url.split(":")[2].split("/")[0]
    assert there.lines[0].asked == [
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        'authorization: Bearer secret\r\ncontent-length: 7\r\n\r\n{"a":1}'.encode()
    ]


async def test_one_connection_serves_one_request_after_another_and_more_only_at_the_same_time() -> None:
    async with server(answers(OK)) as there, client(there.url) as upstream:
        for _ in range(5):
            assert await ask(upstream) == b"hello"
        assert len(there.lines) == 1
        await asyncio.gather(*(ask(upstream) for _ in range(4)))
        assert len(there.lines) == 4


async def test_a_connection_that_went_stale_in_the_pool_is_replaced_unseen() -> None:
    async def once(line: Line) -> None:
        await line.request()
        await line.say(OK)
        if line.number == 0:
            await line.request()  # takes the second request and hangs up: it was closing already
        else:
            await line.request()

    async with server(once) as there, client(there.url) as upstream:
        assert await ask(upstream) == b"hello"
        assert await ask(upstream) == b"hello"
        assert len(there.lines) == 2


async def test_a_new_connection_that_is_closed_without_an_answer_is_a_failure_and_not_tried_again() -> None:
    async def hang_up(line: Line) -> None:
        await line.request()

    async with server(hang_up) as there, client(there.url) as upstream:
        with pytest.raises(Failed, match="closed the connection without an answer"):
            await ask(upstream)
        assert len(there.lines) == 1


async def test_nothing_is_sent_again_once_a_byte_of_the_answer_came() -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.request()
        await line.say(b"H")

    async with server(talk) as there, client(there.url) as upstream:
        await ask(upstream)
        with pytest.raises(Failed, match="cut"):
            await ask(upstream)
        assert len(there.lines) == 1


FRAMINGS: list[tuple[list[bytes], bytes, bool]] = [
    ([b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"], b"", True),
    (
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"2;x=y\r\nde\r\n", b"0\r\n\r\n"],
        b"abcde",
        True,
    ),
    ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\ntrailer: x\r\n\r\n"], b"a", True),
    ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", OK], b"hello", True),
    ([b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"], b"hello", False),
    ([b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"], b"hello", False),
    ([OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\njunk"], b"hello", False),
    ([OK + b"\0\0junk"], b"hello", False),
]


@pytest.mark.parametrize(("pieces", "body", "kept"), FRAMINGS)
async def test_understands_every_framing_and_reuses_only_what_is_safe(pieces: list[bytes], body: bytes, kept: bool) -> None:
    async with server(answers(*pieces)) as there, client(there.url) as upstream:
        reply = await upstream.post("/x", HEADERS, b"{}")
        assert reply.header(b"link") is None
        assert await reply.read(100) == body
        assert await ask(upstream) == body
        assert len(there.lines) == (1 if kept else 2)


async def test_a_body_without_length_ends_with_its_connection() -> None:
    talk = answers(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", close=True)
    async with server(talk) as there, client(there.url) as upstream:
        assert await ask(upstream) == b"hello"


async def test_answers_that_nobody_asked_for_never_reach_the_next_request() -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.say(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\njunk")
        await line.request()
        await line.say(OK)

    async with server(talk) as there, client(there.url) as upstream:
        for _ in range(3):
            assert await ask(upstream) == b"hello"
            await asyncio.sleep(0.02)
        assert len(there.lines) == 3


WRONGS: list[tuple[bytes, str]] = [
    (b"", "without an answer"),
    (b"\r\n\r\n", r"not HTTP|cut"),
    (b"HTTP/1.1", "cut"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", "cut"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "cut"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffffff\r\n", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcdef\r\n", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello", "not HTTP"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nhello", "not HTTP"),
    (b"HTTP/1.1 2x0 OK\r\n\r\n", "not HTTP"),
    (b"HTTP/9.9 200 OK\r\n\r\n", "not HTTP"),
    (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", "not HTTP"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "not HTTP: more than"),
    (b"<html>gateway</html>", "not HTTP"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not HTTP"),
    (b"\0" * 1000, "not HTTP"),
    (b"HTTP/1.1 200 OK\r\nx: " + b"a" * (HEAD_LIMIT_BYTES + 1) + b"\r\n\r\n", "not HTTP: more than"),
    (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * HEAD_LIMIT_BYTES + b"\r\n", "not HTTP: more than"),
    (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * HEAD_LIMIT_BYTES + b"\r\n",
        "not HTTP: more than",
    ),
]


@pytest.mark.parametrize(("data", "says"), WRONGS)
async def test_whatever_a_server_does_wrong_is_a_failure_that_says_so(data: bytes, says: str) -> None:
    async with server(answers(data, close=True)) as there, client(there.url) as upstream:
        with pytest.raises(Failed, match=says):
            await ask(upstream)
        await asyncio.sleep(0.01)
        assert isinstance(upstream, PlainUpstream)
        assert not upstream._all


async def test_an_answer_over_the_limit_is_refused_before_it_fills_the_memory() -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        for _ in range(1000):
            await line.say(b"x" * 100_000)

    async with server(talk) as there, client(there.url) as upstream:
        with pytest.raises(Failed, match="more than 1,000,000 bytes"):
            await ask(upstream, limit=1_000_000)


async def test_chunks_of_a_single_byte_cost_their_bytes() -> None:
    chunks = b"1\r\nx\r\n" * 200_000
    async with (
        server(answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")) as there,
        client(there.url) as upstream,
    ):
        assert await ask(upstream) == b"x" * 200_000


async def test_a_slow_reader_slows_the_sender_down() -> None:
    sent = 0

    async def talk(line: Line) -> None:
        nonlocal sent
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
        for _ in range(500):
            await line.say(b"x" * 100_000)
            sent += 100_000

    async with server(talk) as there, client(there.url) as upstream:
        reply = await upstream.post("/x", HEADERS, b"{}")
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert sent < 20_000_000  # what the sockets of both sides hold, and no more
        size, held = 0, 0
        async for data in reply.chunks():
            size, held = size + len(data), max(held, len(data))
        assert size == 50_000_000
        assert held <= 65_536 + 262_144  # the limit, and one read on top of it


async def test_pieces_come_while_the_server_is_still_writing() -> None:
    step = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await step.wait()
        await line.say(b"3\r\ndef\r\n0\r\n\r\n")

    async with server(talk) as there, client(there.url) as upstream:
        chunks = aiter((await upstream.post("/x", HEADERS, b"{}")).chunks())
        assert await anext(chunks) == b"abc"
        step.set()
        assert [data async for data in chunks] == [b"def"]


async def test_whoever_is_cancelled_closes_the_connection_at_once() -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.reader.read()  # returns at the end of the connection
        ended.set()

    ended = asyncio.Event()
    async with server(talk) as there, client(there.url) as upstream:
        task = asyncio.ensure_future(ask(upstream))
        while not there.lines or not there.lines[0].asked:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(1):
            await ended.wait()


@pytest.mark.parametrize("rest", [b"0\r\n\r\n", b"5\r\nlater\r\n0\r\n\r\n"])
async def test_a_reply_that_is_left_gives_its_connection_back_when_the_rest_comes_soon(rest: bytes) -> None:
    async def talk(line: Line) -> None:
        while True:
            await line.request()
            await line.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await asyncio.sleep(0.02)
            await line.say(rest)

    async with server(talk) as there, client(there.url) as upstream:
        for _ in range(3):
            reply = await upstream.post("/x", HEADERS, b"{}")
            assert await anext(aiter(reply.chunks())) == b"abc"
            reply.leave()
            await asyncio.sleep(0.1)
        assert len(there.lines) == 1


async def test_a_reply_that_is_left_and_never_ends_closes_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rungwise.engines.upstream.connection.LINGER_S", 0.05)
    ended = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await line.reader.read()
        ended.set()

    async with server(talk) as there, client(there.url) as upstream:
        reply = await upstream.post("/x", HEADERS, b"{}")
        reply.leave()
        async with asyncio.timeout(1):
            await ended.wait()


async def test_a_large_request_reaches_a_server_that_reads_slowly() -> None:
    async def talk(line: Line) -> None:
        head = await line.reader.readuntil(b"\r\n\r\n")
        size = 0
        while size < 3_000_000:
            size += len(await line.reader.read(50_000))
            await asyncio.sleep(0)
        assert b"content-length: 3000000" in head
        await line.say(OK)

    async with server(talk) as there, client(there.url) as upstream:
        assert await (await upstream.post("/x", HEADERS, b"x" * 3_000_000)).read(10) == b"hello"


async def test_an_answer_that_comes_before_the_request_was_read_is_read_and_the_connection_not_used_again() -> None:
    async def talk(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await asyncio.sleep(5)

    async with server(talk) as there, client(there.url) as upstream:
        for count in (1, 2):
            reply = await upstream.post("/x", HEADERS, b"x" * 30_000_000)
            assert (reply.status, await reply.read(10)) == (413, b"")
            assert len(there.lines) == count


async def test_a_refused_connection_an_unknown_host_and_a_silent_one_say_what_they_are() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with client(f"http://127.0.0.1:{port}/v1") as upstream:
            with pytest.raises(Failed, match="refused the connection") as caught:
                await ask(upstream)
            assert not caught.value.failure.sent
    async with client("http://no-such-host.invalid/v1") as upstream:
        with pytest.raises(Failed, match="host name"):
            await ask(upstream)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        others = [socket.socket() for _ in range(4)]
        for one in others:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        async with client(f"http://127.0.0.1:{port}/v1", connect_s=0.1) as upstream:
            with pytest.raises(Failed, match=r"did not accept the connection in time|refused"):
                await ask(upstream)
        for one in others:
            one.close()


async def test_a_server_that_closes_every_connection_at_once_is_a_failure_and_leaves_nothing_behind() -> None:
    async def closes(line: Line) -> None:
        if line.number % 2:
            line.writer.transport.abort()

    async with server(closes) as there, client(there.url) as upstream:
        for _ in range(10):
            said = await asyncio.gather(*(ask(upstream) for _ in range(20)), return_exceptions=True)
            assert {type(one) for one in said} == {Failed}
        await asyncio.sleep(0.01)
        assert isinstance(upstream, PlainUpstream)
        assert not upstream._all


async def test_a_header_cannot_smuggle_another_one() -> None:
    async with client("http://127.0.0.1:9/v1") as upstream:
        for bad in ("a\r\nx: y", "a\nb", "a\0b"):
            with pytest.raises(ValueError, match="line break"):
                await upstream.post("/x", (("authorization", bad),), b"")


@pytest.mark.parametrize("url", ["ftp://x/v1", "localhost:8000", "file:///etc/passwd", "http://"])
def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="must look like"):
        open_upstream(url)


def test_all_of_it_is_the_same_on_the_loop_that_serves() -> None:
    """The transports of uvloop are other code than those of asyncio."""

    async def again() -> None:
        for pieces, body, kept in FRAMINGS:
            await test_understands_every_framing_and_reuses_only_what_is_safe(pieces, body, kept)
        for data, says in WRONGS:
            await test_whatever_a_server_does_wrong_is_a_failure_that_says_so(data, says)
        for test in (
            test_one_connection_serves_one_request_after_another_and_more_only_at_the_same_time,
            test_a_connection_that_went_stale_in_the_pool_is_replaced_unseen,
            test_a_new_connection_that_is_closed_without_an_answer_is_a_failure_and_not_tried_again,
            test_nothing_is_sent_again_once_a_byte_of_the_answer_came,
            test_a_body_without_length_ends_with_its_connection,
            test_answers_that_nobody_asked_for_never_reach_the_next_request,
            test_an_answer_over_the_limit_is_refused_before_it_fills_the_memory,
            test_a_slow_reader_slows_the_sender_down,
            test_pieces_come_while_the_server_is_still_writing,
            test_whoever_is_cancelled_closes_the_connection_at_once,
            test_a_large_request_reaches_a_server_that_reads_slowly,
            test_an_answer_that_comes_before_the_request_was_read_is_read_and_the_connection_not_used_again,
            test_a_server_that_closes_every_connection_at_once_is_a_failure_and_leaves_nothing_behind,
            test_a_refused_connection_an_unknown_host_and_a_silent_one_say_what_they_are,
        ):
            await test()

    uvloop.run(again())
