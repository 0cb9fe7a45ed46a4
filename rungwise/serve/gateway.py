"""All projects behind one address: finds out who asks, and by that whose models they mean."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from rungwise.core.errors import UsageError
from rungwise.core.trace import new_trace_id
from rungwise.core.types import Clock
from rungwise.serve.ask import Caller, Tape
from rungwise.serve.exchange import Exchange
from rungwise.serve.failure import NotAllowed, Refused
from rungwise.serve.served import Served

INFER = "infer"


class Gateway:
    """The served projects. A key belongs to one of them; without a key only a project that has none answers, to this machine."""

    def __init__(self, projects: Sequence[Served], clock: Clock) -> None:
        self.projects, self.clock = tuple(projects), clock

    @classmethod
    async def open(
        cls, directories: Sequence[Path], *, clock: Clock, rng: Random, worker: int = 0, environ: Mapping[str, str] | None = None
    ) -> Gateway:
        """Open every project. Raises UsageError for a folder that is none, or two that have one name; then none stays open."""
        opened: list[Served] = []
        try:
            for directory in directories:
                opened.append(await Served.open(directory, clock=clock, rng=rng, worker=worker, environ=environ))
            names = [one.name for one in opened]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise UsageError(f"two projects are called '{twice}'. Give one of them another name in its rungwise.yaml")
        except BaseException:
            for one in opened:
                await one.close()
            raise
        return cls(opened, clock)

    def tape(self) -> Tape:
        """A tape for a request that has just come."""
        return Tape(new_trace_id(self.clock.now(), os.urandom(10)), self.clock)

    def enter(self, exchange: Exchange, scope: str = INFER) -> tuple[Served, Caller]:
        """The project and the caller of a request with a bearer key, or with none. Raises NotAllowed."""
        header = exchange.header(b"authorization")
        client = exchange.scope.get("client")
        host = str(client[0]) if client else None
        refusal: NotAllowed | None = None
        for served in self.projects:
            try:
                caller = served.access.by_bearer(header, host)
            except NotAllowed as refused:
                refusal = refusal or refused
                continue
            return served, allowed(caller, scope)
        raise refusal or NotAllowed("nothing is served here")

    def enter_signed(self, exchange: Exchange, body: bytes, scope: str = INFER) -> tuple[Served, Caller]:
        """The project and the caller of a request that is signed with AWS Signature Version 4. Raises NotAllowed."""
        refusal: NotAllowed | None = None
        query = exchange.scope.get("query_string", b"")
        for served in self.projects:
            try:
                caller = served.access.by_signature(
                    exchange.method, exchange.raw_path, query, exchange.scope["headers"], body, self.clock.now()
                )
            except NotAllowed as refused:
                refusal = refusal or refused
                continue
            return served, allowed(caller, scope)
        raise refusal or NotAllowed("nothing is served here")

    async def close(self) -> None:
        """Close every project."""
        for served in self.projects:
            await served.close()


def allowed(caller: Caller, scope: str) -> Caller:
    """The caller, if the key has the scope. Raises NotAllowed, status 403."""
    if scope in caller.scopes or "admin" in caller.scopes:
        return caller
    raise NotAllowed(f"this key may not do that: it lacks the scope '{scope}'", code="not_allowed", status=403)


def told(error: Exception) -> Refused:
    """What a client is told of an error that nobody foresaw: nothing of its inside."""
    return error if isinstance(error, Refused) else Refused("something went wrong here. The operator's log says what")
