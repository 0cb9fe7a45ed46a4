"""What machines ask about the server: is it alive, can it answer, what has it counted, what does it speak."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from rungwise.core.errors import StoreError
from rungwise.core.version import __version__
from rungwise.serve.access import client_of, require
from rungwise.serve.exchange import JSON, Exchange, Header
from rungwise.serve.failure import NotAllowed
from rungwise.serve.gateway import Gateway
from rungwise.serve.metrics import Series, page
from rungwise.serve.openapi import document
from rungwise.serve.shapes import encode

if TYPE_CHECKING:
    from rungwise.serve.served import Served

TEXT: Header = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
FRESH: Header = (b"cache-control", b"no-store")
_log = logging.getLogger(__name__)


async def healthz(exchange: Exchange, gateway: Gateway) -> None:
    """GET /healthz: this worker's loop turns."""
    body = encode({"status": "alive", "version": __version__, "worker": gateway.seat.number})
    await exchange.answer(200, body, (JSON, FRESH))


async def readyz(exchange: Exchange, gateway: Gateway) -> None:
    """GET /readyz: 200 if questions can be answered, else 503 with the reasons."""
    why = [reason for served in gateway.projects if (reason := why_not(served)) is not None]
    if gateway.seat.draining:
        why.append("this worker is about to end")
    resting = [f"{served.name}/{one.name}" for served in gateway.projects for one in served.router.states() if one.rests_s > 0]
    body = {"status": "not ready" if why else "ready", "why": why, "resting_engines": resting}
    await exchange.answer(503 if why else 200, encode(body), (JSON, FRESH))


def why_not(served: Served) -> str | None:
    """Why a project cannot answer. An engine that rests is no reason: its questions get a clear answer, and others are served."""
    if served.answering.lost:
        return f"the state of {served.name} is gone"
    if served.answering.live.release is None and not served.router.states():
        return f"{served.name} has no release yet and no engines. Type: rungwise release"
    return None


async def metrics(exchange: Exchange, gateway: Gateway) -> None:
    """GET /metrics: the counts of the projects that the caller may see. Raises NotAllowed where there is none.

    A key needs the scope trace:read and must not be bound to one tenant: what is counted here is of all of them.
    """
    seen: set[str] = set()
    refusals: list[NotAllowed] = []
    for served in gateway.projects:
        try:
            await _reader(exchange, served)
            seen.add(served.name)
        except NotAllowed as refused:
            refusals.append(refused)
    if not seen and refusals:
        raise max(refusals, key=lambda one: one.status)  # that a key may not is more than that another project does not know it
    found = [await asyncio.to_thread(_noticed, served) for served in gateway.projects if served.name in seen]
    await exchange.answer(200, page(gateway.seat.scratch, seen, [one for series in found for one in series]), (TEXT, FRESH))


def _noticed(served: Served) -> list[tuple[Series, list[float]]]:
    """What watching found. Where the store cannot be read now, what is counted is shown without it."""
    try:
        return served.noticed.series()
    except StoreError as error:
        _log.warning("what was noticed of %s is not shown at /metrics: %s", served.name, error)
        return []


async def _reader(exchange: Exchange, served: Served) -> None:
    """Let through whoever may see what a project counts. Raises NotAllowed."""
    header, host = exchange.header(b"authorization"), client_of(exchange)
    caller = await served.access.admit(lambda: served.access.by_bearer(header, host))
    require(caller, "trace:read")
    if caller.tenant is not None:
        raise NotAllowed("this key belongs to one tenant, and metrics count all of them", status=403, code="not_allowed")


async def openapi(exchange: Exchange, gateway: Gateway) -> None:
    """GET /openapi.json: what this server speaks."""
    await exchange.answer(200, document())
