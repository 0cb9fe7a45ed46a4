"""Sends traces by OTLP over HTTP, beside the requests and never in their way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from rungwise.core.trace import Trace
from rungwise.core.version import __version__
from rungwise.serve.telemetry.spans import request_of, spans_of

if TYPE_CHECKING:
    import aiohttp

WAITING = 2048
"""Traces that may wait to be sent, as in OpenTelemetry's own exporters; later ones are lost, and counted."""
BATCH = 256
SLICE = 16
"""Traces that are encoded in one go: half a millisecond or so in which no request is served (36 us each, measured)."""
PAUSE_S = 1.0
TIMEOUT_S = 10.0
TRIES = 5
CLOSING_S = 5.0
NEVER = -1.0
TRY_AGAIN = (429, 502, 503, 504)
"""The answers after which OTLP says to try again."""

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
SERVICE = "OTEL_SERVICE_NAME"
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

_log = logging.getLogger(__name__)


def exporter_for(url: str | None, *, name: str, environ: Mapping[str, str]) -> Exporter | None:
    """The exporter of a project, or None where it has no `otlp_url`.

    Headers come from OTEL_EXPORTER_OTLP_HEADERS (name=value,name=value), the service's name from OTEL_SERVICE_NAME, else it is
    the project's. What was said is sent only with OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true.
    """
    if not url:
        return None
    content = environ.get(CONTENT, "").lower() in ("true", "1", "span_only", "span_and_event")
    return Exporter(
        traces_url(url), headers=read_headers(environ.get(HEADERS, "")), service=environ.get(SERVICE) or name, content=content
    )


def traces_url(url: str) -> str:
    """Where traces go: a receiver's address gets the path /v1/traces, one with a path of its own is left as it is."""
    return url.rstrip("/") + "/v1/traces" if urlsplit(url).path in ("", "/") else url


def read_headers(text: str) -> dict[str, str]:
    """Headers as OpenTelemetry writes them in the environment: name=value pairs with commas between them, percent-encoded."""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {unquote(name.strip()).lower(): unquote(value.strip()) for name, _, value in pairs}


class Exporter:
    """Takes traces at once and sends them soon. `sent` and `lost` count them. Use it in one event loop, and close it there."""

    def __init__(self, url: str, *, headers: Mapping[str, str], service: str, content: bool = False) -> None:
        self.sent = self.lost = 0
        self._url, self._headers, self._content = url, dict(headers), content
        self._resource = {"service.name": service, "service.version": __version__}
        self._waiting: deque[Trace] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._failing = False

    def add(self, trace: Trace) -> None:
        """Send it some time; it is lost when too many wait."""
        if len(self._waiting) >= WAITING:
            self.lost += 1
            return
        self._waiting.append(trace)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def aclose(self) -> None:
        """Send what waits, for a few seconds at most."""
        self._closing.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._task, CLOSING_S)
        self.lost += len(self._waiting)
        self._waiting.clear()

    async def _run(self) -> None:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session:
            while self._waiting or not self._closing.is_set():
                if len(self._waiting) < BATCH:
                    await self._pause(PAUSE_S)
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                if batch:
                    await self._send(session, batch)

    async def _send(self, session: aiohttp.ClientSession, batch: list[Trace]) -> None:
        pause: float | None = NEVER
        try:
            body = await self._encoded(batch)
            for attempt in range(TRIES):
                pause = await self._post(session, body, last=attempt + 1 == TRIES or self._closing.is_set())
                if pause is None or pause == NEVER:
                    return
                await self._pause(pause or 2.0**attempt)
        except Exception:  # noqa: BLE001 - boundary: whatever is wrong with these traces, the next ones are sent
            _log.exception("traces could not be sent")
        finally:
            if pause is None:
                self.sent += len(batch)
            else:
                self.lost += len(batch)

    async def _post(self, session: aiohttp.ClientSession, body: bytes, *, last: bool) -> float | None:
        """None when it was taken, else after how many seconds to try again: 0 for whenever, or NEVER."""
        import aiohttp

        try:
            async with session.post(self._url, data=body, headers={"content-type": "application/json"}) as answer:
                if answer.status < 300:
                    self._tell(None)
                    return None
                self._tell(f"it answered {answer.status}")
                if answer.status not in TRY_AGAIN or last:
                    return NEVER
                asked = answer.headers.get("retry-after", "")
                return min(float(asked), 60.0) if asked.isdigit() else 0.0
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._tell(type(error).__name__)
            return NEVER if last else 0.0

    async def _encoded(self, batch: list[Trace]) -> bytes:
        """The body, made in slices so that requests are served in between."""
        import msgspec

        encoded: list[bytes] = []
        for number, trace in enumerate(batch, 1):
            with contextlib.suppress(UnicodeError):  # half a character in what was said cannot be written as JSON
                encoded += [msgspec.json.encode(span) for span in spans_of(trace, content=self._content)]
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return msgspec.json.encode(request_of([msgspec.Raw(one) for one in encoded], self._resource, version=__version__))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _tell(self, problem: str | None) -> None:
        """Log when sending begins to fail and when it works again, and not in between."""
        if problem is not None and not self._failing:
            _log.warning("traces cannot be sent to the OpenTelemetry receiver at %s: %s", urlsplit(self._url).hostname, problem)
        elif problem is None and self._failing:
            _log.warning("traces are sent to the OpenTelemetry receiver again")
        self._failing = problem is not None
