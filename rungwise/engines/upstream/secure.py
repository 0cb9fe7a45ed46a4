"""The client for addresses with TLS: aiohttp, with its ways to fail turned into ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from rungwise.engines.resilience import Failed, Failure, unreached
from rungwise.engines.upstream.connection import cut, not_http
from rungwise.engines.upstream.reply import Headers, Reply

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

HELD_LIMIT_BYTES = 65_536


class SecureUpstream:
    """One server over TLS; its certificate must be trusted. See `reply.Upstream`."""

    def __init__(self, base_url: str, *, connect_s: float) -> None:
        self._base_url, self._connect_s = base_url, connect_s
        self._session: ClientSession | None = None

    async def post(self, path: str, headers: Headers, body: bytes) -> Reply:
        """Send a request; returns when the head of the answer is there. Raises Failed."""
        import aiohttp

        if self._session is None:
            self._session = self._open()
        failure: Failure
        try:
            response = await self._session.post(
                self._base_url + path, data=body, headers=dict(headers) | {"accept-encoding": "identity"}, allow_redirects=False
            )
            return SecureReply(response)
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.ClientSSLError) as error:
            failure = unreached(error)
        except aiohttp.ClientResponseError:  # its message quotes the server
            failure = not_http("its bytes cannot be read")
        except (aiohttp.ClientError, OSError):
            failure = cut(False)
        raise Failed(failure)

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> ClientSession:
        import aiohttp

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s),
            read_bufsize=HELD_LIMIT_BYTES // 2,  # aiohttp makes the sender wait at twice this
        )


class SecureReply:
    """The answer to one request. See `reply.Reply`."""

    def __init__(self, response: ClientResponse) -> None:
        self._response, self.status = response, response.status

    def header(self, name: bytes) -> bytes | None:
        """A header by its lower-case name; of several the first."""
        value = self._response.headers.get(name.decode("latin-1"))
        return None if value is None else value.encode("utf-8", "surrogateescape")

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises Failed when it is longer than that."""
        pieces, size = [], 0
        async for data in self.chunks():
            pieces.append(data)
            size += len(data)
            if size > limit_bytes:
                self.abort()
                raise Failed(Failure(what=f"answered more than {limit_bytes:,} bytes", retry=False, agreed=False, worked=True))
        return b"".join(pieces)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces as they come."""
        import aiohttp

        failure: Failure | None = None
        while failure is None:
            try:
                data = await self._response.content.readany()
            except (aiohttp.ClientError, OSError):
                failure = cut(True)
                break
            if not data:
                return
            yield data
        raise Failed(failure)

    def leave(self) -> None:
        """Nothing more is wanted of it: kept where the body has ended, else closed."""
        self._response.release()

    def abort(self) -> None:
        """Close its connection now."""
        self._response.close()
