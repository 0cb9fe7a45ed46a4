"""What is fetched from and what never is: the whole table of ways into a private network."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from rungwise.core.errors import BadData
from rungwise.data.sources.addresses import Addresses, check_url, is_public

PRIVATE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::127.0.0.1"),
    *("64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::", "3fff::1"),
    *("fc00::1", "fd00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1"),
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_public_internet_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_is_public(address: str) -> None:
    assert is_public(address)


@settings(deadline=None)
@given(value=st.integers(0, 2**32 - 1))
def test_an_address_in_another_is_judged_by_the_inner_one(value: int) -> None:
    inner = ipaddress.IPv4Address(value)
    assert is_public(f"64:ff9b::{inner}") == is_public(str(inner))
    assert is_public(str(inner)) <= inner.is_global


NEVER = [
    *(
        "file:///etc/passwd",
        "gopher://example.com/",
        "ftp://example.com/a",
        "data:text/html,hi",
        "javascript:alert(1)",
        "//example.com",
    ),
    *("http://", "http:///path", "example.com/page", "http://[::1", "http://[::1]:99999/", "http://example.com\\@127.0.0.1/"),
    *(
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1@example.com/",
    ),
    *("http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0x7f.1/", "http://127.1/", "http://0/"),
    *(
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.1/",
        "http://0x7F.0.0.0x1/",
        "http://127.0.0.1.1/",
        "http://256.256.256.256/",
    ),
]


@pytest.mark.parametrize("url", NEVER)
def test_a_url_that_is_no_page_hides_a_password_or_spells_an_address_strangely_is_refused(url: str) -> None:
    with pytest.raises(BadData) as refused:
        check_url(url)
    assert "secret" not in str(refused.value)


WRITTEN = [
    *(
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "https://10.1.2.3:8443/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
    ),
    *(
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fd00::1]:8080/",
        "http://100.64.0.1/",
    ),
    *("http://[2002:7f00:1::]/", "http://[64:ff9b::7f00:1]/", "http://[::]/", "http://0.0.0.0/", "http://255.255.255.255/"),
    *("http://127。0。0。1/", "http://①②⑦.⓪.⓪.①/", "http://127．0．0．1/", "http://127｡0｡0｡1/"),
]


class Fake(AbstractResolver):
    """Answers each time with the next list of addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers.pop(0)
        return [ResolveResult(hostname=host, host=one, port=port, family=2, proto=0, flags=0) for one in found]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("url", WRITTEN)
def test_a_private_address_in_the_url_is_refused_however_it_is_written(url: str) -> None:
    with pytest.raises(BadData, match="private network"):
        Addresses((), Fake()).check_host(check_url(url))


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_into_a_private_network_is_refused(address: str) -> None:
    with pytest.raises(BadData, match="--allow-host wiki"):
        await Addresses((), Fake([address])).resolve("wiki", 80)


async def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    with pytest.raises(BadData, match=r"10\.0\.0\.1"):
        await Addresses((), Fake(["8.8.8.8", "10.0.0.1"])).resolve("two-faced.example", 443)


@pytest.mark.parametrize(
    ("allow", "host", "port", "let_through"),
    [
        ("wiki.local", "wiki.local", 80, True),
        ("WIKI.local.", "wiki.local", 80, True),
        ("wiki.local:8080", "wiki.local", 8080, True),
        ("wiki.local:8080", "wiki.local", 80, False),
        ("wiki.local", "evil.wiki.local", 80, False),
        ("local", "wiki.local", 80, False),
    ],
)
async def test_a_host_or_one_port_of_it_is_allowed_by_name(allow: str, host: str, port: int, let_through: bool) -> None:
    addresses = Addresses([allow], Fake(["10.0.0.1"]))
    if let_through:
        assert [one["host"] for one in await addresses.resolve(host, port)] == ["10.0.0.1"]
    else:
        with pytest.raises(BadData):
            await addresses.resolve(host, port)


@pytest.mark.parametrize(
    ("allow", "url"), [("127.0.0.1:80", "http://127.0.0.1/"), ("[::1]", "http://[::1]:8080/"), ("::1", "http://[::1]/")]
)
def test_an_address_is_allowed_as_a_name_is(allow: str, url: str) -> None:
    Addresses([allow], Fake()).check_host(URL(url))


async def test_a_connection_goes_only_to_what_was_vetted() -> None:
    addresses = Addresses((), Fake(["8.8.8.8"]))
    await addresses.resolve("example.com", 80)
    addresses.socket_for((2, 1, 6, "", ("8.8.8.8", 80))).close()
    with pytest.raises(BadData, match="not vetted"):
        addresses.socket_for((2, 1, 6, "", ("127.0.0.1", 80)))


HOSTILE = st.text(st.sampled_from("0123456789.:[]/@\\#?%xXaf。．①﹒-_ \t\n\0é") | st.characters(), max_size=30)


@settings(deadline=None)
@given(scheme=st.sampled_from(["http://", "https://", "HTTP:", "//", "file://", ""]), rest=HOSTILE)
def test_whatever_is_written_is_refused_or_is_a_page_of_a_host_without_a_password(scheme: str, rest: str) -> None:
    try:
        url = check_url(scheme + rest)
        Addresses((), Fake()).check_host(url)
    except BadData:
        return
    assert url.scheme in ("http", "https")
    assert url.raw_host
    assert url.user is None
    host = url.raw_host.rstrip(".")
    with contextlib.suppress(ValueError):
        assert is_public(str(ipaddress.ip_address(host)))
    with contextlib.suppress(OSError, UnicodeError, ValueError):
        assert is_public(socket.inet_ntoa(socket.inet_aton(host)))  # what C takes for an address never gets this far
