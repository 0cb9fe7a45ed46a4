"""Real receivers of alerts on loopback: a web server and a mail server, both in threads of their own."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hooks:
    """What a web server was sent; `status` is what it answers, after `wait` was set where there is one."""

    url: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None
    posts: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)


@contextmanager
def hooks() -> Iterator[Hooks]:
    """A web server that takes POSTs."""
    told = Hooks()

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.posts.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if told.wait is not None:
                told.wait.wait(30)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            told.posts.append((self.path, {}, b"GET"))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield told
    finally:
        if told.wait is not None:
            told.wait.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Mails:
    """What a mail server took, and how: (user, password) of each login, and whether the mail came encrypted."""

    address: str = ""
    mails: list[Message] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    secret: list[bool] = field(default_factory=list)
    refuse: bytes | None = None


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None, password: str | None = None) -> Iterator[Mails]:
    """A mail server (RFC 5321) that knows EHLO, STARTTLS where there is `tls`, AUTH PLAIN where there is a password, and DATA."""
    taken, loop = Mails(), asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secret = False
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).strip():
            verb, _, rest = line.partition(b" ")
            match verb.upper():
                case b"EHLO":
                    offered = [b"STARTTLS"] * (tls is not None and not secret) + [b"AUTH PLAIN"] * (password is not None)
                    writer.write(b"".join(b"250-%b\r\n" % one for one in [b"here", *offered]) + b"250 8BITMIME\r\n")
                case b"STARTTLS" if tls is not None:
                    writer.write(b"220 go on\r\n")
                    await writer.drain()
                    await writer.start_tls(tls)
                    secret = True
                case b"AUTH":
                    _, user, word = base64.b64decode(rest.split()[1]).decode().split("\0")
                    taken.logins.append((user, word))
                    writer.write(b"235 welcome\r\n" if word == password else b"535 no\r\n")
                case b"MAIL" if taken.refuse is not None:
                    writer.write(taken.refuse + b"\r\n")
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    body = (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
                    taken.mails.append(message_from_bytes(body))
                    taken.secret.append(secret)
                    writer.write(b"250 taken\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 ok\r\n")
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    taken.address = f"localhost:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield taken
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
