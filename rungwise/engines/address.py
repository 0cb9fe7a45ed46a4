"""Where an endpoint is, and whether it answers there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rungwise.core.errors import UsageError
from rungwise.core.usecase import Endpoint
from rungwise.engines.secrets import read_key, redact
from rungwise.engines.wire import WireError, read_json

BODY_BYTES = 1_000_000


def chat_url(endpoint: Endpoint) -> str:
    """Where calls go. Raises UsageError for an address that is not http(s) or that holds a password."""
    parts = urlsplit(endpoint.base_url)
    if "@" in endpoint.base_url or parts.query:
        raise UsageError(
            f"endpoint '{endpoint.name}': base_url must not hold a password or a key. "
            "Put the key into an environment variable and its name into key_env"
        )
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number
        usable = False
    if not usable:
        raise UsageError(f"endpoint '{endpoint.name}': base_url must look like http://localhost:8000/v1")
    return f"{address(endpoint)}/chat/completions"


def address(endpoint: Endpoint) -> str:
    """The base address as it may be shown: without user, password and query."""
    parts = urlsplit(endpoint.base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


@dataclass(frozen=True, kw_only=True)
class Reached:
    """Whether an endpoint answers, in words for `doctor`. `listed` is None where it lists no models."""

    ok: bool
    says: str
    models: tuple[str, ...] = ()
    listed: bool | None = None


async def reach(endpoint: Endpoint, *, timeout_s: float = 5.0, environ: Mapping[str, str] | None = None) -> Reached:
    """Ask for the list of models, which costs nothing. Never raises for an endpoint that fails.

    Raises UsageError for an address that cannot be one or a key that is not in the environment.
    """
    import aiohttp

    chat_url(endpoint)
    key = read_key(endpoint.key_env, os.environ if environ is None else environ, endpoint=endpoint.name)
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    place = address(endpoint)
    try:
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(f"{place}/models", headers=headers, allow_redirects=False) as response,
        ):
            status, body = response.status, b""
            while len(body) < BODY_BYTES and (data := await response.content.readany()):
                body += data
    except TimeoutError:
        return Reached(ok=False, says=f"{place} did not answer in {timeout_s:g} s. Start the server, or mend base_url")
    except (aiohttp.ClientError, OSError) as error:
        return Reached(ok=False, says=f"{place} cannot be reached ({type(error).__name__}). Start the server, or mend base_url")
    if status in (401, 403):
        return Reached(ok=False, says=f"{place} refuses the key in {endpoint.key_env or 'key_env, which is not set'} ({status})")
    if status >= 500 or 300 <= status < 400:
        return Reached(
            ok=False, says=f"{place} answers with status {status}: {redact(body.decode('utf-8', 'replace'), key)[:200]!r}"
        )
    return _listed(endpoint, place, status, tuple(redact(name, key) for name in _names(body)))


def _listed(endpoint: Endpoint, place: str, status: int, models: tuple[str, ...]) -> Reached:
    if status != 200 or not models:
        return Reached(ok=True, says=f"{place} answers, but does not list its models: whether it has {endpoint.model} is not known")
    listed = endpoint.model in models
    tail = f"and has {endpoint.model}" if listed else f"but lists no {endpoint.model}; it has {', '.join(models[:5])}"
    return Reached(ok=True, says=f"{place} answers {tail}", models=models, listed=listed)


def _names(body: bytes) -> list[str]:
    try:
        data: Any = read_json(body)
    except WireError:
        return []
    rows = data.get("data") if isinstance(data, Mapping) else None
    return [str(row["id"]) for row in rows if isinstance(row, Mapping) and "id" in row] if isinstance(rows, list) else []
