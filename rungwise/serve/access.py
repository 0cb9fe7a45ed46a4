"""Who is asking: bearer keys and signatures against the keys of a project, from memory, in step with the store."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from rungwise.core.errors import RungwiseError
from rungwise.data.keys import ADMIN, SCOPES, Key, Keys
from rungwise.data.master import PREFIX, MasterKey
from rungwise.data.store import Store
from rungwise.serve.ask import Caller
from rungwise.serve.exchange import Exchange
from rungwise.serve.failure import NotAllowed
from rungwise.serve.signature import BadSignature, check, read_claim

T = TypeVar("T")

LOOK_S = 0.25
"""How often the store is looked at: a key that is revoked opens nothing on any worker after this time."""
_SOONEST_S = 0.1
"""Unknown keys make the store be looked at sooner, but never more often than this."""

EVERYTHING = frozenset(SCOPES)
_OUR_ID = re.compile(rb"Credential=[0-9a-f]{20}/")
_HANDED_ON = (b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via")
_OPEN = Caller(key=None, scopes=EVERYTHING)
_UNKNOWN = "this key is not known here. Make one with: rungwise keys create"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    """A key as it is kept in memory: whom it lets in, and how long."""

    caller: Caller
    id: str
    digest: bytes
    expires_at: float
    end: str


@dataclass(frozen=True, slots=True)
class _Book:
    """The keys as they stood when the store was last read; exchanged whole."""

    version: int
    by_digest: Mapping[bytes, _Held]
    by_id: Mapping[str, _Held]


class Access:
    """The door of one project. While it has never had a key, it is open to clients on the same machine, and to no others."""

    def __init__(self, store: Store, master: MasterKey | None = None) -> None:
        self._store, self._master = store, master
        self._clock = store.clock
        self._book = _Book(-1, {}, {})
        self._reading = threading.Lock()  # so that of two readings at once the older cannot overwrite the newer
        self._following: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked = -_SOONEST_S
        self._told = ""

    @classmethod
    def load(cls, store: Store, master: MasterKey | None = None) -> Access:
        """Read the keys; in a running event loop, follow the store until `close`.

        Raises StoreError when they cannot be read, UsageError or StoreError for a master key that is none.
        """
        access = cls(store, master)
        access.refresh()
        with suppress(RuntimeError):  # no loop runs: then whoever asks calls `refresh`
            access._following = asyncio.get_running_loop().create_task(access._follow())
        return access

    @property
    def open(self) -> bool:
        """Whether the project has never had a key."""
        return not self._book.by_id

    def by_bearer(self, header: bytes | None, client_host: str | None) -> Caller:
        """The caller of the header `Authorization: Bearer KEY`, from memory. Raises NotAllowed."""
        book = self._book
        if not book.by_id:
            return self._open_to(client_host, named=header is not None and b" " + PREFIX.encode() in header)
        if header is None:
            raise NotAllowed("a key is needed: send the header Authorization: Bearer KEY")
        if header[:7].lower() != b"bearer ":
            raise NotAllowed("the header Authorization must be: Bearer KEY")
        held = book.by_digest.get(hashlib.sha256(header[7:].strip()).digest())
        if held is None:
            raise NotAllowed(_UNKNOWN)
        if held.expires_at <= self._clock.now():
            raise NotAllowed(f"this key was {held.end}" if held.end == "revoked" else f"this key has {held.end}")
        return held.caller

    def by_signature(
        self,
        method: str,
        raw_path: bytes,
        query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        now: float,
        client_host: str | None = None,
    ) -> Caller:
        """The caller of a request that is signed with Signature Version 4: the key's id and the key are the pair of secrets.

        `headers` as they came, `now` in seconds since 1970. Raises NotAllowed. A project without keys lets in what comes from
        this machine, as `by_bearer` does.
        """
        headers = list(headers)
        header = next((value for name, value in headers if name.lower() == b"authorization"), b"")
        if not self._book.by_id:
            return self._open_to(client_host, named=_OUR_ID.search(header) is not None)
        try:
            claim = read_claim(header.decode("latin-1"))
            held = self._book.by_id.get(claim.id)
            if held is None:
                raise NotAllowed(_UNKNOWN)
            secret = self._secret(held)
            check(claim, secret, method=method, raw_path=raw_path, query=query, headers=headers, body=body, now=now)
        except BadSignature as wrong:
            raise NotAllowed(str(wrong), code="invalid_signature") from None
        if held.expires_at <= self._clock.now():
            raise NotAllowed(f"this key was {held.end}" if held.end == "revoked" else f"this key has {held.end}")
        return held.caller

    def knows(self, header: bytes | None) -> bool:
        """Whether the header names a key of this project, good or ended. Of several projects served, the key finds its own."""
        if header is None:
            return False
        if header[:7].lower() == b"bearer ":
            return hashlib.sha256(header[7:].strip()).digest() in self._book.by_digest
        try:
            return read_claim(header.decode("latin-1")).id in self._book.by_id
        except BadSignature:
            return False

    async def admit(self, check: Callable[[], T]) -> T:
        """Run a check; where it refuses, look whether the store has news, and if so run it once more.

        So that a key that was made a moment ago opens at once. Unknown keys cannot make the store be read often.
        """
        try:
            return check()
        except NotAllowed:
            before = self._book
            await self._look()
            if self._book is before:
                raise
            return check()

    def refresh(self) -> bool:
        """Read the keys if they changed; whether they did. Raises StoreError."""
        with self._reading:
            keys = Keys(self._store, self._master or MasterKey(b""))
            version = keys.version()  # before the keys: what changes in between is read again next time
            if version == self._book.version:
                return False
            kept = keys.all()
            if kept and self._master is None:
                self._master = MasterKey.open(self._store.directory)
            held = [_held(key) for key in kept]
            self._book = _Book(version, {one.digest: one for one in held}, {one.id: one for one in held})
            return True

    async def close(self) -> None:
        """Stop following the store."""
        for task in (self._following, self._looking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._following = self._looking = None

    def _open_to(self, client_host: str | None, *, named: bool) -> Caller:
        """Let in who needs no key. `named`: they brought one that is made here, so it is meant for another project."""
        if named:
            raise NotAllowed(_UNKNOWN)
        if not is_loopback(client_host):
            raise NotAllowed("this project has no key yet, so it answers only on its own machine. Type there: rungwise keys create")
        return _OPEN

    def _secret(self, held: _Held) -> str:
        assert self._master is not None
        secret = self._master.key_of(held.id)
        if hashlib.sha256(secret.encode()).digest() != held.digest:
            _log.error("key %s was made with another master key: it opens as a bearer token, but its signatures fail", held.id)
            raise NotAllowed("the signature cannot be checked here. Use the key as a bearer token, or tell the operator")
        return secret

    async def _look(self) -> None:
        """Look at the store soon, together with whoever else wants to before it is looked at."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_soon())
        await asyncio.shield(self._looking)

    async def _look_soon(self) -> None:
        await asyncio.sleep(max(0.0, self._looked + _SOONEST_S - self._clock.tick()))
        self._looking, self._looked = None, self._clock.tick()  # who comes now may be too late for this reading
        await asyncio.to_thread(self._try_refresh)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self._try_refresh)

    def _try_refresh(self) -> None:
        try:
            self.refresh()
            self._told = ""
        except RungwiseError as error:
            if str(error) != self._told:  # once, not at every look
                self._told = str(error)
                _log.error("the keys cannot be read anew, those known before go on: %s", error)


def require(caller: Caller, scope: str) -> None:
    """Raise NotAllowed (403) unless the caller has the scope."""
    if scope not in caller.scopes:
        raise NotAllowed(f"this key has not the scope {scope}", status=403, code="not_allowed")


def client_of(exchange: Exchange) -> str | None:
    """The address that a request comes from; None where it comes from this machine only by way of somebody else.

    A proxy on this machine hands on strangers, and a browser hands on pages: a page may let its own name lead to this machine
    (DNS rebinding), or send a form here. Neither may use a project that needs no key. A proxy is told by the headers that it
    adds or by the name that it was asked for, a page by its origin.
    """
    client = exchange.scope.get("client")
    if not client:
        return None
    for name in _HANDED_ON:
        if exchange.header(name) is not None:
            return None
    host, origin = exchange.header(b"host"), exchange.header(b"origin")
    if (host is not None and not _named_here(host)) or (origin is not None and not _named_here(origin.partition(b"://")[2])):
        return None
    return str(client[0])


@lru_cache(maxsize=256)
def _named_here(host: bytes) -> bool:
    """Whether HOST or HOST:PORT is a name of this machine that no name server gives."""
    text = host.decode("latin-1").strip().lower()
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def is_loopback(host: str | None) -> bool:
    """Whether an address is of this machine itself. Names and what is no address are not."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _held(key: Key) -> _Held:
    scopes = EVERYTHING if ADMIN in key.scopes else frozenset(key.scopes)
    caller = Caller(key=key.id, scopes=scopes, tenant=key.tenant, user=key.user, limits=key.limits, meter=key.root)
    ends = [at for at in (key.expires_at, key.revoked_at) if at is not None]
    end = "revoked" if key.revoked_at is not None else "expired"
    return _Held(caller, key.id, bytes.fromhex(key.digest), min(ends, default=float("inf")), end)
