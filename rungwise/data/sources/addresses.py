"""Which addresses a page may be fetched from: the public internet, and hosts that a person named."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from rungwise.core.errors import BadData

_UNICAST6 = ipaddress.ip_network("2000::/3")
"""The only part of IPv6 that is given to the public (IANA, IPv6 address space); all else is local, multicast or kept back."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),  # tunnels to IPv4, documentation
        *("fec0::/10", "64:ff9b:1::/48"),
    )
)
"""What `ipaddress` calls global, by version of Python, and is not. Source: IANA special-purpose address registries; RFC 6890."""

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
"""What a host can be called once it is in ASCII. C takes '127.1 x' for an address, so nothing else is ever resolved."""

_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet. Addresses within addresses (mapped, NAT64) are judged by the inner."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        if found not in _UNICAST6:
            return False
    special = found.is_multicast or found.is_reserved or found.is_unspecified or found.is_loopback or found.is_link_local
    return (
        found.is_global and not special and not any(found in network for network in _NOT_PUBLIC if network.version == found.version)
    )


def check_url(url: str) -> URL:
    """The URL that will be fetched, without its fragment. Raises BadData for one that never is."""
    try:
        found = URL(url.strip()).with_fragment(None)
    except (ValueError, IndexError) as error:  # yarl's own parser runs off the end of some brackets
        raise BadData(f"not a URL ({error}).", where=ascii(url[:200])[1:-1], hint="Write it as https://host/path") from error
    shown = str(found.with_user(None) if found.raw_host else found)[:200]
    if found.scheme not in ("http", "https") or not found.raw_host:
        raise BadData("only http and https pages are fetched.", where=shown, hint="Save it as a file and import that")
    if found.user is not None or found.password is not None:
        raise BadData(
            "a URL with a user or a password in it is never fetched.", where=shown, hint="Leave out what stands before the @"
        )
    host = found.raw_host.rstrip(".")
    if not _NAME.fullmatch(found.raw_host) and not _six(found.raw_host):
        raise BadData("the host has signs in it that no name of a host has.", where=shown, hint="Write it as https://host/path")
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and not _dotted(host):
        raise BadData(f"'{host}' is a number that stands for an address.", where=shown, hint="Write the address as 1.2.3.4")
    return found


def _dotted(host: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


def _six(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class Addresses(AbstractResolver):
    """Resolves a host once per connection and lets through what may be reached; the connection then goes to those addresses.

    One private address among public ones refuses the host: which of them is used would be chance.
    """

    def __init__(self, allow: Sequence[str], resolver: AbstractResolver) -> None:
        self.allow = frozenset(name.strip().lower().rstrip(".") for name in allow)
        self._resolver = resolver
        self._allowed: set[str] = set()

    def check_host(self, url: URL) -> None:
        """Raise BadData for a host that is written as a private address: it needs no resolving."""
        host = (url.raw_host or "").rstrip(".")
        if ":" in host or _dotted(host):
            self._check(host, url.port or 0, [host])

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """The addresses of a host, all of them vetted. Raises BadData when one of them is not to be reached."""
        found = await self._resolver.resolve(host, port, family)
        self._check(host, port, [one["host"] for one in found])
        return found

    async def close(self) -> None:
        """Close the resolver within."""
        await self._resolver.close()

    def socket_for(self, address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """The socket of a connection, made only to an address that was vetted: the last gate, whatever came before."""
        family, kind, protocol, _, peer = address
        if str(peer[0]) not in self._allowed:
            raise BadData(f"{peer[0]} was not vetted.", hint="This is a fault of the program: report it")
        return socket.socket(family, kind, protocol)

    def _check(self, host: str, port: int, addresses: Sequence[str]) -> None:
        name = host.lower().rstrip(".")
        bracketed = f"[{name}]" if ":" in name else name
        named = not self.allow.isdisjoint({name, bracketed, f"{bracketed}:{port}"})
        private = next((address for address in addresses if not is_public(address)), None)
        if private is not None and not named:
            hint = f"If you trust it, allow it by name: --allow-host {bracketed}:{port}"
            where = "" if private == name else f" ({private})"
            raise BadData(f"the host{where} is in a private network, or is no host of the internet.", where=host, hint=hint)
        self._allowed.update(addresses)
