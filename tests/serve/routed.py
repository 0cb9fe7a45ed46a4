"""A router to ask, and what it is asked, for the tests of routing."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from rungwise.core.serving import Serving
from rungwise.core.types import Clock
from rungwise.core.usecase import Endpoint
from rungwise.engines.clock import SystemClock
from rungwise.serve.ask import CHAT, Tape
from rungwise.serve.routing.router import Router

KEY = "sk-secret-0123456789"
BODY: dict[str, Any] = {"model": "asked", "messages": [{"role": "user", "content": "say hello"}], "temperature": 0.3, "x": [1]}


def engine(url: str, name: str = "first", **more: Any) -> Endpoint:
    return Endpoint(name=name, base_url=url, model=f"{name}-model", **more)


@asynccontextmanager
async def router(
    *endpoints: Endpoint, clock: Clock | None = None, environ: Mapping[str, str] | None = None, **serving: Any
) -> AsyncIterator[Router]:
    made = Router(endpoints, Serving(**serving), clock=clock or SystemClock(), rng=random.Random(0), environ=environ or {})
    try:
        yield made
    finally:
        await made.aclose()


def tape(clock: Clock | None = None) -> Tape:
    return Tape("trace", clock or SystemClock())


async def ask(routing: Router, *, on: Tape | None = None, engine: str = "first") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await routing.whole(engine, CHAT, BODY, on or tape()))
    return answer


async def read(routing: Router, body: Mapping[str, Any] = BODY, *, on: Tape | None = None) -> list[dict[str, Any]]:
    async with aclosing(routing.stream("first", CHAT, body, on or tape())) as chunks:
        return [json.loads(chunk) async for chunk in chunks]


def text_of(answer: Mapping[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])
