"""The same answers over TLS, where the certificate must be trusted before anything is sent."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rungwise.engines.resilience import Failed
from rungwise.engines.upstream.opening import open_upstream

OK = b"HTTP/1.1 200 OK\r\nX-One: 1\r\ncontent-length: 5\r\n\r\nhello"
ASK = """
import asyncio, json, sys
from rungwise.engines.resilience import Failed
from rungwise.engines.upstream.opening import open_upstream

async def main():
    upstream = open_upstream(sys.argv[1], connect_s=5)
    said = []
    for way in sys.argv[2:]:
        try:
            reply = await upstream.post("/chat/completions", (("authorization", "Bearer k"),), b'{"a":1}')
            if way == "whole":
                said.append([reply.status, (reply.header(b"x-one") or b"").decode(), (await reply.read(1000)).decode()])
            else:
                said.append(b"".join([data async for data in reply.chunks()]).decode())
        except Failed as failed:
            said.append(failed.failure.what)
            reply.abort()
    print(json.dumps(said))
    await upstream.aclose()

asyncio.run(main())
"""


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificate to test with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    ask_for = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *ask_for, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@asynccontextmanager
async def server(certificate: tuple[Path, Path], *answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answers the n-th request by the n-th answer; what it heard comes with its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while len(heard) < len(answers):
                head = await reader.readuntil(b"\r\n\r\n")
                heard.append(head + await reader.readexactly(7))
                writer.write(answers[len(heard) - 1])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", heard


async def ask(url: str, certificate: Path, *ways: str) -> list[object]:
    """In a process of its own, whose trust store holds this certificate."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ASK, url, *ways), stdout=subprocess.PIPE, env={**os.environ, "SSL_CERT_FILE": str(certificate)}
    )
    said, _ = await process.communicate()
    answer: list[object] = json.loads(said)
    return answer


async def test_answers_come_whole_in_pieces_and_broken_as_over_plain_http(certificate: tuple[Path, Path]) -> None:
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"
    async with server(certificate, OK, OK, b"HTTP/1.1 302 X\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", cut) as (url, heard):
        said = await ask(url, certificate[0], "whole", "pieces", "whole", "whole")
    assert said == [[200, "1", "hello"], "hello", [302, "", ""], "cut the answer off"]
    assert all(b"POST /v1/chat/completions HTTP/1.1" in one and b"Bearer k" in one and one.endswith(b'{"a":1}') for one in heard)
    assert b"gzip" not in heard[0]


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(certificate: tuple[Path, Path]) -> None:
    async with server(certificate, OK) as (url, heard):
        upstream = open_upstream(url)
        with pytest.raises(Failed, match="certificate that is not trusted"):
            await upstream.post("/x", (("authorization", "Bearer k"),), b"{}")
        await upstream.aclose()
    assert heard == []


async def test_a_refused_connection_and_an_unknown_host_say_so() -> None:
    for url, says in (("https://127.0.0.1:9/v1", "refused the connection"), ("https://no-such-host.invalid/v1", "host name")):
        upstream = open_upstream(url, connect_s=2)
        with pytest.raises(Failed, match=says) as caught:
            await upstream.post("/x", (), b"{}")
        assert not caught.value.failure.sent
        await upstream.aclose()
