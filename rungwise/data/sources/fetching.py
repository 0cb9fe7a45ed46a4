"""One page over http(s), asked for only if it changed, within limits, and never from a private network."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from rungwise.core.errors import BadData, RungwiseError
from rungwise.data.lines import Damaged
from rungwise.data.sources.addresses import Addresses, check_url
from rungwise.data.sources.options import Limits

_MOVED = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})  # not 401 or 403: a login that ran out does not mean that the page vanished
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the server said of a page: where it stands after all redirects, and what to ask it by the next time."""

    url: str
    type: str = ""
    charset: str | None = None
    etag: str | None = None
    modified: str | None = None


def fetch(
    url: str, out: BinaryIO, *, known: Page | None, allow: Sequence[str], limits: Limits, resolver: type[AbstractResolver]
) -> Page | None:
    """Write a page's bytes to `out`; None when it is as it was when `known` was fetched.

    Raises BadData for an address that is not to be reached, there or at a redirect; Damaged for a page that is gone or too
    large; RungwiseError when the server cannot be reached or does not answer as it should.
    """
    with ThreadPoolExecutor(1) as own:  # an event loop of its own, whether or not the caller runs in one
        return own.submit(lambda: asyncio.run(_fetch(url, out, known, allow, limits, resolver))).result()


async def _fetch(
    url: str, out: BinaryIO, known: Page | None, allow: Sequence[str], limits: Limits, resolver: type[AbstractResolver]
) -> Page | None:
    addresses = Addresses(allow, resolver())
    connector = aiohttp.TCPConnector(resolver=addresses, use_dns_cache=False, force_close=True, socket_factory=addresses.socket_for)
    headers = {"User-Agent": "rungwise", "Accept": "text/html, application/pdf, text/plain;q=0.9, */*;q=0.5"}
    try:
        async with (
            asyncio.timeout(limits.page_seconds),
            aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            return await _follow(session, addresses, check_url(url), out, known, limits)
    except (aiohttp.ClientError, OSError, ssl.SSLError, TimeoutError) as error:
        if isinstance(error.__cause__, BadData):
            raise error.__cause__ from None
        why = f"no whole answer in {limits.page_seconds:g} s" if isinstance(error, TimeoutError) else str(error)[:300]
        raise RungwiseError(f"{url} cannot be fetched: {why}. Check the address and the network, and run it again") from error


async def _follow(
    session: aiohttp.ClientSession, addresses: Addresses, url: URL, out: BinaryIO, known: Page | None, limits: Limits
) -> Page | None:
    for _ in range(limits.redirects + 1):
        addresses.check_host(url)
        asked = _conditions(known) if known is not None and known.url == str(url) else {}
        async with session.get(url, allow_redirects=False, headers=asked) as response:
            if response.status == 304 and asked:
                return None
            if response.status not in _MOVED:
                return await _take(response, url, out, limits)
            target = response.headers.get("Location", "")
        try:
            joined = url.join(URL(target))
        except ValueError as error:
            raise BadData("it is redirected to what is not a URL.", where=str(url)) from error
        url = check_url(str(joined))
    raise BadData(f"it is redirected more than {limits.redirects} times.", where=str(url), hint="Name the page itself")


def _conditions(known: Page) -> dict[str, str]:
    etag = {"If-None-Match": known.etag} if known.etag else {}
    return etag | ({"If-Modified-Since": known.modified} if known.modified else {})


async def _take(response: aiohttp.ClientResponse, url: URL, out: BinaryIO, limits: Limits) -> Page:
    if response.status in _GONE:
        hint = "Check the address, or save the page as a file"
        raise Damaged("unreachable:gone", f"the server answers {response.status}.", where=str(url), hint=hint)
    if response.status != 200:
        raise RungwiseError(f"{url} cannot be fetched: the server answers {response.status}. Run it again later")
    size = 0
    async for block in response.content.iter_chunked(_BLOCK_BYTES):
        size += len(block)
        if size > limits.page_bytes:
            raise Damaged("refused:size", f"the page has more than {limits.page_bytes:,} bytes.", where=str(url))
        out.write(block)
    return Page(
        url=str(url),
        type=response.content_type if "Content-Type" in response.headers else "",
        charset=response.charset,
        etag=response.headers.get("ETag"),
        modified=response.headers.get("Last-Modified"),
    )
