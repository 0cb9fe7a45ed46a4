"""Which client speaks to an address: one of our own for plain HTTP, aiohttp where there is TLS."""

from __future__ import annotations

from urllib.parse import urlsplit

from rungwise.core.errors import UsageError
from rungwise.engines.upstream.reply import Upstream

CONNECT_S = 10.0


def open_upstream(base_url: str, *, connect_s: float = CONNECT_S) -> Upstream:
    """The connections to a server; nothing is sent yet. `connect_s`: how long it may take to accept a connection.

    Raises UsageError for an address that is not http(s).
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("the address of an engine must look like http://localhost:8000/v1. Mend base_url in rungwise.yaml")
    if parts.scheme == "http":
        from rungwise.engines.upstream.plain import PlainUpstream

        return PlainUpstream(parts.hostname, parts.port or 80, prefix=parts.path.rstrip("/"), connect_s=connect_s)
    from rungwise.engines.upstream.secure import SecureUpstream

    return SecureUpstream(base_url.rstrip("/"), connect_s=connect_s)
