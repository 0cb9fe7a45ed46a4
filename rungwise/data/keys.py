"""API keys at rest: their scopes, tenants, limits and ends. The key itself is shown once and never kept."""

from __future__ import annotations

import hashlib
import json
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import canonical_json
from rungwise.data.audit import Audit, Entry
from rungwise.data.dialect import insert, write_first
from rungwise.data.master import MasterKey
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

INFER, TRACE_READ, FEEDBACK_WRITE, REVIEW = "infer", "trace:read", "feedback:write", "review"
DATA_WRITE, RELEASE_PROMOTE, ADMIN = "data:write", "release:promote", "admin"
SCOPES = (INFER, TRACE_READ, FEEDBACK_WRITE, REVIEW, DATA_WRITE, RELEASE_PROMOTE, ADMIN)

LIMITS = ("requests_per_minute", "tokens_per_minute", "usd_per_day", "usd_per_month")
TENANT, USER = "tenant", "user"
EVERY = "*"

_VERSION = "keys.version"
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is kept of a key. `digest` is the SHA-256 of the key in hex; times are seconds since 1970.

    `root` is the first of the keys that replaced one another: all of them are counted on its meters.
    """

    id: str
    name: str
    digest: str
    scopes: tuple[str, ...]
    tenant: str | None
    user: str | None
    limits: Mapping[str, float]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    replaced_by: str | None
    root: str

    def ended(self, now: float) -> str | None:
        """Why the key opens nothing at this time: 'revoked' or 'expired'; None while it does."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment at which it is known whole."""

    key: str
    kept: Key

    def __repr__(self) -> str:
        return f"NewKey(key=..., kept={self.kept!r})"


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits of a tenant, or of a user of a tenant; the name * is each user that has none of its own. No tenant is ''."""

    kind: str
    tenant: str
    name: str
    limits: Mapping[str, float]


class Keys:
    """The keys of a store. Whatever changes one is told in the audit log in the same transaction."""

    def __init__(self, store: Store, master: MasterKey, *, chance: Callable[[int], bytes] = os.urandom) -> None:
        self.store, self._master, self._chance = store, master, chance
        self._audit = Audit(store)

    def create(
        self,
        scopes: Iterable[str],
        *,
        name: str = "",
        tenant: str | None = None,
        user: str | None = None,
        expires_at: float | None = None,
        limits: Mapping[str, float] | None = None,
        actor: str,
    ) -> NewKey:
        """Make a key. Raises UnknownName for a scope or limit that is none, UsageError for a name that cannot be one."""
        now = self.store.clock.now()
        if expires_at is not None and expires_at <= now:
            raise UsageError("the key would have expired before its first use. Give a time that is still to come")
        id = self._chance(10).hex()
        key = self._master.key_of(id)
        kept = Key(
            id=id,
            name=clean_name(name, what="name") if name else "",
            digest=hashlib.sha256(key.encode()).hexdigest(),
            scopes=clean_scopes(scopes),
            tenant=None if tenant is None else clean_name(tenant, what="tenant"),
            user=None if user is None else clean_name(user, what="user"),
            limits=clean_limits(limits or {}),
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
            replaced_by=None,
            root=id,
        )
        self._change(lambda connection: _put(connection, kept), actor, "key.create", id, _told(kept))
        return NewKey(key, kept)

    def rotate(self, id: str, *, overlap_s: float, actor: str) -> NewKey:
        """Make a key that replaces another, which ends after `overlap_s` seconds. Both are counted on one meter.

        Raises UsageError for a key that has ended or was replaced already.
        """
        if not (math.isfinite(overlap_s) and overlap_s >= 0):
            raise UsageError("the time for which both keys open is a number of seconds, 0 or more")
        now, new = self.store.clock.now(), self._chance(10).hex()
        key = self._master.key_of(new)
        made: list[Key] = []

        def change(connection: Connection) -> None:
            old = _one(connection, id)
            if (end := old.ended(now)) is not None or old.replaced_by is not None:
                raise UsageError(
                    f"key {old.id} cannot be rotated: it is {end or f'replaced by {old.replaced_by}'}. Create a new one"
                )
            made.append(
                replace(old, id=new, digest=hashlib.sha256(key.encode()).hexdigest(), created_at=now, expires_at=old.expires_at)
            )
            _put(connection, made[0])
            ends = now + overlap_s if old.expires_at is None else min(old.expires_at, now + overlap_s)
            _set(connection, old.id, replaced_by=new, expires_at=ends)

        self._change(change, actor, "key.rotate", id, {"replaced_by": new, "overlap_s": float(overlap_s)})
        return NewKey(key, made[0])

    def revoke(self, id: str, *, actor: str) -> Key:
        """End a key now. One that was revoked before stays as it is. Raises UnknownName."""
        with self.store.read() as connection:
            if (found := _one(connection, id)).revoked_at is not None:
                return found
        now = self.store.clock.now()
        self._change(lambda connection: _set(connection, found.id, revoked_at=now), actor, "key.revoke", found.id, {})
        return replace(found, revoked_at=now)

    def find(self, prefix: str, *, tenant: str | None = None) -> Key:
        """A key by the first digits of its id. With `tenant`, the keys of others are as if they were not there.

        Raises UnknownName when none or several begin so.
        """
        keys = self.all(tenant=tenant)
        found = [key for key in keys if prefix and key.id.startswith(prefix)]
        if len(found) != 1:
            raise UnknownName("key", prefix, [key.id for key in keys])
        return found[0]

    def all(self, *, tenant: str | None = None) -> list[Key]:
        """Every key, oldest first; with `tenant` only its own."""
        from sqlalchemy import select

        from rungwise.data.schema import keys

        query = select(keys).order_by(keys.c.created_at, keys.c.id)
        if tenant is not None:
            query = query.where(keys.c.tenant == tenant)
        with self.store.read() as connection:
            return [_key(row) for row in connection.execute(query)]

    def allow(self, kind: str, tenant: str | None, name: str, limits: Mapping[str, float], *, actor: str) -> Allowance:
        """Set the limits of a tenant or a user, in place of those that stood; none at all takes them away."""
        if kind not in (TENANT, USER):
            raise UnknownName("kind of limit", kind, (TENANT, USER))
        whose = clean_name(tenant, what="tenant") if tenant else ""
        allowance = Allowance(kind, whose, name if name == EVERY else clean_name(name, what=kind), clean_limits(limits))
        subject = f"{kind}:{allowance.tenant}/{allowance.name}"
        self._change(lambda connection: _allow(connection, allowance), actor, "limit.set", subject, dict(allowance.limits))
        return allowance

    def allowances(self) -> list[Allowance]:
        """The limits of tenants and users."""
        from sqlalchemy import select

        from rungwise.data.schema import allowances

        with self.store.read() as connection:
            rows = connection.execute(select(allowances).order_by(allowances.c.kind, allowances.c.tenant, allowances.c.name)).all()
        return [Allowance(row.kind, row.tenant, row.name, json.loads(row.limits)) for row in rows]

    def version(self) -> int:
        """Grows whenever a key or a limit changes: one row, cheap enough to look every second."""
        return int(self.store.setting(_VERSION) or 0)

    def _change(self, act: Callable[[Connection], None], actor: str, action: str, subject: str, details: Mapping[str, Any]) -> None:
        entry: Entry
        with self.store.write() as connection:
            write_first(connection)
            act(connection)
            _count_up(connection)
            entry = self._audit.append(connection, actor, action, subject, details)
        self._audit.publish(entry)


def clean_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes in their usual order. Raises UnknownName, or UsageError where there are none."""
    wanted = set(scopes)
    for scope in sorted(wanted):
        if scope not in SCOPES:
            raise UnknownName("scope", scope, SCOPES)
    if not wanted:
        raise UsageError(f"a key needs at least one scope: {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in wanted)


def clean_limits(limits: Mapping[str, float]) -> dict[str, float]:
    """The limits as numbers. Raises UnknownName for one that is none, UsageError for a number that cannot be a limit."""
    for name, value in limits.items():
        if name not in LIMITS:
            raise UnknownName("limit", name, LIMITS)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e9:
            raise UsageError(f"the limit {name} is a number from 0 to a thousand million, not {value!r}")
        if name.endswith("per_minute") and value != int(value):
            raise UsageError(f"the limit {name} is a whole number, not {value!r}")
    return {name: float(limits[name]) for name in LIMITS if name in limits}


def clean_name(name: str, *, what: str) -> str:
    """A name that people can tell from others by looking: in NFKC, without invisible characters. Raises UsageError."""
    clean = unicodedata.normalize("NFKC", name).strip()
    if not clean or len(clean) > _LONGEST_NAME or not clean.isprintable() or clean == EVERY:
        raise UsageError(f"{name!r} cannot be a {what}: it needs 1 to {_LONGEST_NAME} visible characters and is not {EVERY}")
    return clean


def _told(key: Key) -> dict[str, Any]:
    """What the audit log says of a new key."""
    return {
        "name": key.name,
        "scopes": list(key.scopes),
        "tenant": key.tenant,
        "user": key.user,
        "limits": dict(key.limits),
        "expires_at": key.expires_at,
    }


def _key(row: Any) -> Key:
    values = row._asdict()
    return Key(**{**values, "scopes": tuple(json.loads(values["scopes"])), "limits": json.loads(values["limits"])})


def _put(connection: Connection, key: Key) -> None:
    from rungwise.data.schema import keys

    _check_likeness(connection, key)
    values = {name: getattr(key, name) for name in Key.__slots__}
    values |= {"scopes": canonical_json(list(key.scopes)), "limits": canonical_json(dict(key.limits))}
    connection.execute(insert(connection, keys).values(**values))


def _check_likeness(connection: Connection, key: Key) -> None:
    """Raise UsageError for a tenant whose name reads like that of another: the two would be taken for one."""
    from sqlalchemy import select

    from rungwise.data.schema import keys

    if key.tenant is None:
        return
    for other in connection.execute(select(keys.c.tenant).where(keys.c.tenant.is_not(None)).distinct()).scalars():
        if other != key.tenant and other.casefold() == key.tenant.casefold():
            raise UsageError(f"there is a tenant '{other}' already. Write it so, or choose a name that reads otherwise")


def _one(connection: Connection, id: str) -> Key:
    from sqlalchemy import select

    from rungwise.data.schema import keys

    found = connection.execute(select(keys).where(keys.c.id == id)).first()
    if found is None:
        known: Sequence[str] = connection.execute(select(keys.c.id)).scalars().all()
        raise UnknownName("key", id, known)
    return _key(found)


def _set(connection: Connection, id: str, **values: Any) -> None:
    from sqlalchemy import update

    from rungwise.data.schema import keys

    connection.execute(update(keys).where(keys.c.id == id).values(**values))


def _allow(connection: Connection, allowance: Allowance) -> None:
    from sqlalchemy import delete

    from rungwise.data.schema import allowances

    same = (allowances.c.kind == allowance.kind) & (allowances.c.tenant == allowance.tenant) & (allowances.c.name == allowance.name)
    connection.execute(delete(allowances).where(same))
    if allowance.limits:
        values = {"kind": allowance.kind, "tenant": allowance.tenant, "name": allowance.name}
        connection.execute(insert(connection, allowances).values(**values, limits=canonical_json(dict(allowance.limits))))


def _count_up(connection: Connection) -> None:
    from sqlalchemy import select

    from rungwise.data.schema import settings

    now = connection.execute(select(settings.c.value).where(settings.c.name == _VERSION)).scalar()
    value = str(int(now or 0) + 1)
    statement = insert(connection, settings).values(name=_VERSION, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
