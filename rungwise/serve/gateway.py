"""All projects behind one address: finds out who asks, and by that whose models they mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

from rungwise.core.errors import UsageError
from rungwise.core.trace import new_trace_id
from rungwise.core.types import Clock
from rungwise.serve.access import client_of, require
from rungwise.serve.ask import Caller, Tape
from rungwise.serve.exchange import Exchange
from rungwise.serve.failure import NotAllowed
from rungwise.serve.seat import Seat
from rungwise.serve.served import Served

INFER = "infer"
DRAWN = 400


class Gateway:
    """The served projects. A key belongs to one of them; without a key only a project that has none answers, to this machine."""

    def __init__(self, projects: Sequence[Served], clock: Clock, seat: Seat) -> None:
        self.projects, self.clock, self.seat = tuple(projects), clock, seat
        self._drawn, self._drawn_at = b"", 0

    @classmethod
    async def open(
        cls, directories: Sequence[Path], seat: Seat, *, clock: Clock, rng: Random, environ: Mapping[str, str] | None = None
    ) -> Gateway:
        """Open every project. Raises UsageError for a folder that is none, or two that have one name; then none stays open."""
        opened: list[Served] = []
        try:
            for directory in directories:
                opened.append(await Served.open(directory, clock=clock, rng=rng, worker=seat.number, environ=environ))
            names = [one.name for one in opened]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise UsageError(f"two projects are called '{twice}'. Give one of them another name in its rungwise.yaml")
        except BaseException:
            for one in opened:
                await one.close()
            raise
        return cls(opened, clock, seat)

    def tape(self) -> Tape:
        """A tape for a request that has just come."""
        return Tape(new_trace_id(self.clock.now(), self._chance()), self.clock)

    def _chance(self) -> bytes:
        """10 random bytes. They are drawn by the thousand: a system call for each would let go of the interpreter each time."""
        if self._drawn_at >= len(self._drawn):
            self._drawn, self._drawn_at = os.urandom(10 * DRAWN), 0
        start, self._drawn_at = self._drawn_at, self._drawn_at + 10
        return self._drawn[start : self._drawn_at]

    async def enter(self, exchange: Exchange, scope: str = INFER) -> tuple[Served, Caller]:
        """The project and the caller of a request with a bearer key, or with none. Raises NotAllowed."""
        header = exchange.header(b"authorization")
        return await self._admitted(header, lambda served: served.access.by_bearer(header, _near(served, exchange)), scope)

    async def enter_signed(self, exchange: Exchange, body: bytes, scope: str = INFER) -> tuple[Served, Caller]:
        """The project and the caller of a request that is signed with AWS Signature Version 4. Raises NotAllowed."""
        asked = exchange.scope
        query, now = asked.get("query_string", b""), self.clock.now()

        def check(served: Served) -> Caller:
            near = _near(served, exchange)
            return served.access.by_signature(exchange.method, exchange.raw_path, query, asked["headers"], body, now, near)

        return await self._admitted(exchange.header(b"authorization"), check, scope)

    async def _admitted(self, header: bytes | None, check: Callable[[Served], Caller], scope: str) -> tuple[Served, Caller]:
        """The project that knows the key; else one that lets in whoever comes from this machine."""
        if len(self.projects) == 1:
            served = self.projects[0]
        else:
            knowing = [one for one in self.projects if one.access.knows(header)]
            welcoming = [one for one in self.projects if one.access.open]
            served = (knowing or welcoming or self.projects)[0]
        try:
            caller = check(served)
        except NotAllowed:
            served, caller = await self._looked_up(check)
        require(caller, scope)
        return served, caller

    async def _looked_up(self, check: Callable[[Served], Caller]) -> tuple[Served, Caller]:
        """A key that nobody knows may be a moment old: every project looks whether it has news."""
        refusal = NotAllowed("nothing is served here")
        for served in self.projects:
            try:
                return served, await served.access.admit(partial(check, served))
            except NotAllowed as refused:
                refusal = refused
        raise refusal

    async def close(self) -> None:
        """Close every project."""
        for served in self.projects:
            await served.close()


def _near(served: Served, exchange: Exchange) -> str | None:
    """The client's address where it decides who is let in: a project with keys does not ask."""
    return client_of(exchange) if served.access.open else None
