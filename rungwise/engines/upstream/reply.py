"""What an upstream gives back, whichever client speaks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, TypeAlias

Headers: TypeAlias = tuple[tuple[str, str], ...]


class Reply(Protocol):
    """One answer. Read it to its end, or call `leave` or `abort`: until then it holds a connection.

    Everything that waits raises `Failed` when the connection breaks or says something that is not HTTP.
    """

    status: int

    def header(self, name: bytes) -> bytes | None:
        """A header by its lower-case name; of several the first."""
        ...

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises Failed when it is longer than that."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces as they come, never empty ones. Who reads slowly slows the sender down."""
        ...

    def leave(self) -> None:
        """Nothing more is wanted of it; its connection is kept if what is left of the body comes soon."""
        ...

    def abort(self) -> None:
        """Close its connection now, whatever it still says. Does nothing after its end."""
        ...


class Upstream(Protocol):
    """One server and the connections to it. It belongs to the event loop in which it is first used."""

    async def post(self, path: str, headers: Headers, body: bytes) -> Reply:
        """Send a request; returns when the head of the answer is there. Raises Failed. Cancelled, it closes its connection."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
