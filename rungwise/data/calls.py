"""The call cache: what a model answered, under the digest of everything that shaped the answer."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rungwise.core.record import canonical_json
from rungwise.data.commits import Commits
from rungwise.data.store import Store

MEMORY_CALLS = 50_000
_QUERY_KEYS = 500  # SQLite takes at most 32,766 variables, PostgreSQL plans small lists better


@dataclass(frozen=True, slots=True)
class Call:
    """One answered call. `response` and `usage` are plain JSON data; `model` is the provider's own string."""

    model: str
    response: Mapping[str, Any]
    usage: Mapping[str, Any]


class CallCache:
    """The table `calls`, with the calls used last kept in memory. Belongs to one event loop at a time."""

    def __init__(self, store: Store, commits: Commits, *, memory_calls: int = MEMORY_CALLS) -> None:
        from rungwise.data.dialect import insert
        from rungwise.data.schema import calls

        self._store, self._commits = store, commits
        self._memory_calls = memory_calls
        self._memory: dict[str, Call] = {}
        self._asked: dict[str, list[asyncio.Future[Call | None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._insert = insert(store.engine, calls).on_conflict_do_nothing()

    async def get(self, key: str) -> Call | None:
        """The stored call or None. Keys that are asked for together are read with one query."""
        if (known := self._memory.get(key)) is not None:
            return known
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._asked = loop, {}
        if not self._asked:
            loop.call_soon(self._answer_asked)
        found: asyncio.Future[Call | None] = loop.create_future()
        self._asked.setdefault(key, []).append(found)
        return await found

    def get_many(self, keys: Iterable[str]) -> dict[str, Call]:
        """The stored calls among these keys; they are kept in memory, so that `get` finds them there."""
        wanted = list(dict.fromkeys(keys))
        found = {key: self._memory[key] for key in wanted if key in self._memory}
        missing = [key for key in wanted if key not in found]
        for start in range(0, len(missing), _QUERY_KEYS):
            found |= self._read(missing[start : start + _QUERY_KEYS])
        return found

    async def put(self, key: str, call: Call) -> None:
        """Keep a call. Returns once it is committed; only then may the answer be used. The first one stands."""
        await self._commits.add(
            self._insert,
            {
                "key": key,
                "model": call.model,
                "response": canonical_json(call.response),
                "usage": canonical_json(call.usage),
                "at": self._store.clock.now(),
            },
        )
        self._remember(key, call)

    def _answer_asked(self) -> None:
        asked, self._asked = self._asked, {}
        try:
            found = self.get_many(asked)
        except Exception as error:  # noqa: BLE001 - boundary: every task that waits for a key must get the error
            for future in itertools.chain.from_iterable(asked.values()):
                if not future.done():
                    future.set_exception(error)
            return
        for key, futures in asked.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(key))

    def _read(self, keys: list[str]) -> dict[str, Call]:
        from sqlalchemy import select

        from rungwise.data.schema import calls

        with self._store.read() as connection:
            rows = connection.execute(
                select(calls.c.key, calls.c.model, calls.c.response, calls.c.usage).where(calls.c.key.in_(keys))
            ).all()
        found = {row.key: Call(row.model, json.loads(row.response), json.loads(row.usage)) for row in rows}
        for key, call in found.items():
            self._remember(key, call)
        return found

    def _remember(self, key: str, call: Call) -> None:
        while len(self._memory) >= self._memory_calls:
            del self._memory[next(iter(self._memory))]  # the oldest: a dict keeps its order
        self._memory[key] = call
