"""Bedrock's face on a real server with real keys, before a project whose answers the test writes; and real boto3 clients for it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from rungwise.core.trace import new_trace_id
from rungwise.data.keys import Keys
from rungwise.data.master import MasterKey
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.serve.access import Access
from rungwise.serve.ask import Ask, Caller, Tape, Whole
from rungwise.serve.bedrock.face import bedrock
from rungwise.serve.exchange import Disconnected, Exchange

Answer = bytes | Exception | Sequence[bytes | Exception | float]
"""A whole body, an error, or the pieces of a stream: bytes, errors, and seconds to wait."""


@dataclass
class ScriptedProject:
    """Answers what it is told to, and remembers what it was asked."""

    access: Access
    answer: Answer | Callable[[Ask], Answer] = b"{}"
    asked: list[Ask] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    name: str = "help-desk"
    body_limit_bytes: int = 1_000_000

    def models(self) -> list[str]:
        return [self.name, "arn:aws:bedrock:us-east-1:123456789012:inference-profile/whole-name"]

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        answer = self._next(ask)
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, bytes):
            try:
                await asyncio.sleep(float(answer[0]))  # type: ignore[arg-type]
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            answer = b"{}"
        return Whole(answer)

    async def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        answer = self._next(ask)
        if isinstance(answer, Exception):
            raise answer
        try:
            for piece in [answer] if isinstance(answer, bytes) else answer:
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, bytes):
                    tape.heard()
                    yield piece
                else:
                    await asyncio.sleep(piece)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise

    def _next(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        return self.answer(ask) if callable(self.answer) else self.answer


@dataclass
class Door:
    """The gateway's part of it: whose request it is."""

    project: ScriptedProject
    clock: SystemClock = field(default_factory=SystemClock)

    @property
    def projects(self) -> tuple[ScriptedProject, ...]:
        return (self.project,)

    def tape(self) -> Tape:
        return Tape(new_trace_id(self.clock.now(), os.urandom(10)), self.clock)

    async def enter(self, exchange: Exchange, scope: str = "infer") -> tuple[ScriptedProject, Caller]:
        return self.project, self.project.access.by_bearer(exchange.header(b"authorization"), _host(exchange))

    async def enter_signed(self, exchange: Exchange, body: bytes, scope: str = "infer") -> tuple[ScriptedProject, Caller]:
        query = exchange.scope.get("query_string", b"")
        headers = exchange.scope["headers"]
        now = self.clock.now()
        caller = self.project.access.by_signature(exchange.method, exchange.raw_path, query, headers, body, now, _host(exchange))
        return self.project, caller


@dataclass
class Rig:
    """A running server with one key."""

    url: str
    project: ScriptedProject
    key_id: str
    key: str
    ca: Path | None = None

    def client(self, *, secret: str | None = None, **settings: Any) -> Any:
        """A boto3 client that signs with the key."""
        return boto3.client(
            "bedrock-runtime",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.key_id,
            aws_secret_access_key=secret or self.key,
            config=Config(retries={"total_max_attempts": 1}, **settings),
        )


@contextmanager
def running(app: Callable[..., Any], *, certificate: Path | None = None, private_key: Path | None = None) -> Iterator[str]:
    """An application on uvicorn in a thread; the address of it."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="error",
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    waited = threading.Event()
    while not server.started and thread.is_alive():
        waited.wait(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def rig(state: Path, **pem: Any) -> Iterator[Rig]:
    """Bedrock's face on a server of its own."""
    clock = SystemClock()
    store = Store.open(state, clock=clock)
    master = MasterKey.open(state, {})
    made = Keys(store, master).create(["infer"], actor="test")
    project = ScriptedProject(Access.load(store, master))
    door = Door(project, clock)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            with suppress(Disconnected):
                await bedrock(Exchange(scope, receive, send), door)
        else:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    try:
        with running(app, **pem) as url:
            yield Rig(url, project, made.kept.id, made.key)
    finally:
        store.close()


def _host(exchange: Exchange) -> str | None:
    client = exchange.scope.get("client")
    return str(client[0]) if client else None


USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


def completion(content: str | None = "hello", *, finish: str = "stop", usage: Any = USAGE, **message: Any) -> bytes:
    """A whole answer in the shape of OpenAI."""
    said = {"role": "assistant", "content": content, **message}
    choice = {"index": 0, "message": said, "finish_reason": finish}
    return json.dumps({"id": "c1", "object": "chat.completion", "model": "m-2026", "choices": [choice], "usage": usage}).encode()


def chunk(delta: Any = None, *, finish: str | None = None, usage: Any = None) -> bytes:
    """A piece of a streamed answer in the shape of OpenAI."""
    choices = [] if usage is not None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    body = {"id": "c1", "object": "chat.completion.chunk", "model": "m-2026", "choices": choices, "usage": usage}
    return json.dumps(body).encode()
