"""One attempt of one call over HTTP: bytes out, deltas in, every way to fail turned into a Failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.core.types import Clock
from rungwise.engines.resilience import Failed, Failure, http_failure, retry_after_s, unreached
from rungwise.engines.secrets import redact
from rungwise.engines.wire import DONE, LINE_LIMIT_BYTES, Delta, EventReader, WireError, delta_of, read_json

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

BODY_LIMIT_BYTES = LINE_LIMIT_BYTES
ERROR_LIMIT_BYTES = 65_536
DRAIN_S = 0.02  # a good server ends its body at once; for another one a new connection is cheaper than waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When to stop waiting: loop times in seconds. A stream has three limits, a whole answer only the last."""

    deadline: float
    total_s: float
    first_token_s: float
    between_chunks_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What one attempt sends; the key is used and not kept."""

    url: str
    body: bytes
    stream: bool
    key: str | None
    timing: Timing

    @property
    def headers(self) -> dict[str, str]:
        """The request headers."""
        accept = "text/event-stream" if self.stream else "application/json"
        headers = {"Content-Type": "application/json", "Accept": accept}
        return headers | {"Authorization": f"Bearer {self.key}"} if self.key is not None else headers

    def __repr__(self) -> str:
        return f"Sending({self.url})"


async def exchange(session: ClientSession, sending: Sending, clock: Clock) -> AsyncGenerator[Delta, None]:
    """Send a call and yield what comes back. Raises Failed; exceptions of the client never leave, since they hold the headers."""
    watch = _Watch(sending)
    response = await _post(session, sending, watch)
    try:
        if response.status != 200:
            raise Failed(await _refusal(response, sending, watch, clock))
        stream = "text/event-stream" in response.headers.get("Content-Type", "").lower()
        async with aclosing(_stream(response, watch) if stream else _whole(response, watch)) as deltas:
            async for delta in deltas:
                if delta.error is not None:
                    raise Failed(_reported(delta.error, sending.key))
                yield delta
    finally:
        response.release()  # keeps the connection where the answer was read to its end, else closes it


async def exchange_json(session: ClientSession, sending: Sending, clock: Clock) -> Any:
    """Send a call whose answer is one JSON body of any shape, and give that. Raises Failed, as `exchange` does."""
    watch = _Watch(sending)
    response = await _post(session, sending, watch)
    try:
        if response.status != 200:
            raise Failed(await _refusal(response, sending, watch, clock))
        body = await _json(response, watch)
        if isinstance(body, Mapping) and body.get("error"):
            error = body["error"]
            raise Failed(_reported(error if isinstance(error, Mapping) else {"message": str(error)}, sending.key))
        return body
    finally:
        response.release()


async def _post(session: ClientSession, sending: Sending, watch: _Watch) -> ClientResponse:
    import aiohttp

    failure: Failure
    try:
        async with asyncio.timeout_at(watch.until):
            return await session.post(sending.url, data=sending.body, headers=sending.headers, allow_redirects=False)
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.ClientSSLError) as error:
        failure = unreached(error)
    except aiohttp.ClientResponseError:  # its message quotes the server, cut at any place: not to be shown
        failure = Failure(what="answered something that is not HTTP", retry=False, agreed=False)
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, TimeoutError):
            failure = watch.timeout()
        else:
            failure = Failure(what=f"closed the connection without an answer ({type(error).__name__})", retry=True, worked=True)
    raise Failed(failure)


class _Watch:
    """Knows which time limit runs out next, and says so when it did."""

    def __init__(self, sending: Sending) -> None:
        self._timing, self._stream, self._begun = sending.timing, sending.stream, False
        self.key = sending.key  # to keep it out of messages
        self.until = self._next()

    def heard(self) -> None:
        """Content has come: the limit for silence starts anew."""
        self._begun = True
        self.until = self._next()

    def streams(self) -> None:
        """The answer turned out to be a stream, whether or not one was asked for."""
        if not self._stream:
            self._stream = True
            self.until = self._next()

    def _next(self) -> float:
        if not self._stream:
            return self._timing.deadline
        silence_s = self._timing.between_chunks_s if self._begun else self._timing.first_token_s
        return min(self._timing.deadline, asyncio.get_running_loop().time() + silence_s)

    def timeout(self) -> Failure:
        """The limit that ran out, as a failure. The total is for all attempts together: nothing is tried after it."""
        if self.until >= self._timing.deadline:
            return Failure(what=f"did not finish in {self._timing.total_s:g} s (total_s)", retry=False, worked=True)
        if self._begun:
            what = f"was silent for {self._timing.between_chunks_s:g} s in the middle of an answer (between_chunks_s)"
        else:
            what = f"gave no first token in {self._timing.first_token_s:g} s (first_token_s)"
        return Failure(what=what, retry=True, worked=True)


async def _read(response: ClientResponse, watch: _Watch) -> bytes:
    """The next bytes, or none at the end. Raises Failed when they do not come."""
    import aiohttp

    failure: Failure
    try:
        async with asyncio.timeout_at(watch.until):
            return await response.content.readany()
    except TimeoutError:
        failure = watch.timeout()
    except (aiohttp.ClientError, OSError):
        failure = Failure(what="cut the answer off", retry=True, worked=True)
    raise Failed(failure)


async def _whole(response: ClientResponse, watch: _Watch) -> AsyncGenerator[Delta, None]:
    body, failure = await _json(response, watch), None
    try:
        delta = delta_of(body)
    except WireError as error:
        failure = _rubbish(_said(error, response), redact(error.text, watch.key))
    if failure is not None:
        raise failure
    if not delta.choices and delta.error is None:
        raise _rubbish("no choices")
    yield delta


async def _json(response: ClientResponse, watch: _Watch) -> Any:
    """The whole body as plain data."""
    pieces, size = [], 0
    while data := await _read(response, watch):
        pieces.append(data)
        size += len(data)
        if size > BODY_LIMIT_BYTES:
            raise _rubbish(f"an answer of more than {BODY_LIMIT_BYTES:,} bytes")
    try:
        return read_json(b"".join(pieces))
    except WireError as error:
        failure = _rubbish(_said(error, response), redact(error.text, watch.key))
    raise failure


def _said(error: WireError, response: ClientResponse) -> str:
    kind = response.headers.get("Content-Type", "no content type")
    return f"{error} ({kind[:60]})"


async def _stream(response: ClientResponse, watch: _Watch) -> AsyncGenerator[Delta, None]:
    """Deltas until [DONE], the end of the bytes after a finish reason, or a failure."""
    watch.streams()
    reader, finished, choices = EventReader(), False, 0
    while True:
        data = await _read(response, watch)
        failure: Failed | None = None
        events: list[str] = []
        try:
            events = reader.feed(data) if data else reader.close()
        except WireError as error:
            failure = _rubbish(str(error))
        if failure is not None:
            raise failure
        for event in events:
            if event.strip() == DONE:
                if not choices:
                    raise _rubbish("a stream without choices")
                await _drain(response)
                return
            delta = _event(event, cut=not data, key=watch.key)
            if delta is None:
                continue
            choices += delta.choices
            finished = finished or delta.finish is not None
            if delta.says_something:
                watch.heard()
            yield delta
        if not data:
            if not finished:
                raise Failed(Failure(what="cut the stream off", retry=True, worked=True))
            return


async def _drain(response: ClientResponse) -> None:
    """Read the few bytes that close a finished stream, so that the connection can be used again."""
    import aiohttp

    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(DRAIN_S):
            await response.content.readany()


def _event(event: str, *, cut: bool, key: str | None) -> Delta | None:
    """One event as a delta; None for an empty one. JSON that breaks off at the end of the bytes is a cut, not rubbish."""
    if not event.strip():
        return None
    try:
        return delta_of(read_json(event))
    except WireError as error:
        problem = str(error)
    if cut:
        raise Failed(Failure(what="cut the stream off", retry=True, worked=True))
    raise _rubbish(problem, redact(event, key))


def _rubbish(what: str, body: str = "") -> Failed:
    return Failed(Failure(what=f"answered outside the protocol: {what}", retry=False, agreed=False, worked=True, body=body[:200]))


def _reported(error: Mapping[str, Any], key: str | None) -> Failure:
    """An error that came inside a 200 answer or in the middle of a stream."""
    message = redact(str(error.get("message") or error), key)[:200]
    code = str(error.get("code") or error.get("status") or error.get("type") or "")
    again = code in {"408", "429", "500", "502", "503", "504", "529"} or any(
        word in code for word in ("rate_limit", "overloaded", "server_error", "unavailable")
    )
    return Failure(what="reported an error inside its answer", retry=again, body=message, worked=True)


async def _refusal(response: ClientResponse, sending: Sending, watch: _Watch, clock: Clock) -> Failure:
    """A status other than 200 with the beginning of its body."""
    body = b""
    try:
        while len(body) < ERROR_LIMIT_BYTES and (data := await _read(response, watch)):
            body += data
    except Failed:
        pass  # the status is known, and it says more than a missing body
    text = redact(body.decode("utf-8", "replace"), sending.key)
    asked = retry_after_s(response.headers.get("Retry-After"), now=clock.now())
    return http_failure(response.status, text, retry_after=asked)
