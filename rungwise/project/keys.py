"""`ProjectKeys`: one method per verb of `rungwise keys`, and the audit log."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.types import Clock
from rungwise.data.store import Store
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.data.audit import Entry, Verified
    from rungwise.data.keys import Allowance, Key, Keys, NewKey


@dataclass(frozen=True)
class Listed:
    """A key, why it opens nothing (None while it does), and what was used of its limits in the windows of now."""

    key: Key
    ended: str | None
    used: Mapping[str, float]


@dataclass(frozen=True)
class Allowed:
    """The limits of a tenant or a user, and what was used of them; nothing is told of * itself, which is each user."""

    allowance: Allowance
    used: Mapping[str, float]


class ProjectKeys:
    """The API keys of a project folder. `actor` is who the audit log says did it: by default the user of this machine."""

    def __init__(self, directory: Path, clock: Clock, state: Path, *, actor: str | None = None) -> None:
        self.directory, self.clock, self.state = directory, clock, state
        self.actor = actor or _local_user()

    def create(
        self,
        scopes: Sequence[str],
        *,
        name: str = "",
        tenant: str | None = None,
        user: str | None = None,
        expires_at: float | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> NewKey:
        """Make a key; it is shown in what this returns and never again.

        `limits` may hold requests_per_minute, tokens_per_minute, usd_per_day and usd_per_month. Raises UnknownName for a scope
        or limit that is none, UsageError for a name that cannot be one.
        """
        with self._keys() as keys:
            return keys.create(scopes, name=name, tenant=tenant, user=user, expires_at=expires_at, limits=limits, actor=self.actor)

    def list(self, *, tenant: str | None = None) -> list[Listed]:
        """The keys, oldest first; with `tenant` only its own."""
        from rungwise.data.meters import Meters, subject_of

        now = self.clock.now()
        with self._keys() as keys:
            meters = Meters(keys.store)
            return [Listed(key, key.ended(now), meters.used(subject_of("key", key.root), now)) for key in keys.all(tenant=tenant)]

    def rotate(self, id: str, *, overlap_s: float = 86_400.0) -> NewKey:
        """Make a key that replaces another, which opens for `overlap_s` seconds more. Both are counted on one meter."""
        with self._keys() as keys:
            return keys.rotate(keys.find(id).id, overlap_s=overlap_s, actor=self.actor)

    def revoke(self, id: str) -> Key:
        """End a key at once; workers that serve know of it within a second. Raises UnknownName."""
        with self._keys() as keys:
            return keys.revoke(keys.find(id).id, actor=self.actor)

    def limit(self, limits: Mapping[str, float], *, tenant: str | None = None, user: str | None = None) -> Allowance:
        """Set the limits of a tenant, or of a user (of a tenant), in place of those that stood; none takes them away.

        The user * is each user that has no limits of their own, the tenant * each tenant. Raises UsageError for neither.
        """
        from rungwise.core.errors import UsageError
        from rungwise.data.keys import TENANT, USER

        with self._keys() as keys:
            if user is not None:
                return keys.allow(USER, tenant, user, limits, actor=self.actor)
            if tenant is not None:
                return keys.allow(TENANT, None, tenant, limits, actor=self.actor)
        raise UsageError("whose limit is it? Give a tenant or a user; the limits of a key are set when it is created")

    def limits(self) -> Sequence[Allowed]:
        """The limits of tenants and users."""
        from rungwise.data.meters import Meters, subject_of

        now = self.clock.now()
        with self._keys() as keys:
            meters = Meters(keys.store)
            found = keys.allowances()
            subjects = [subject_of(one.kind, one.name, tenant=one.tenant) for one in found]
            return [Allowed(one, meters.used(subject, now)) for one, subject in zip(found, subjects, strict=True)]

    def log(self, *, newest: int | None = None) -> Sequence[Entry]:
        """The audit log, oldest first; with `newest` only its last so many lines."""
        from rungwise.data.audit import Audit

        with self._store() as store:
            return [*Audit(store).entries(newest=newest)]

    def verify_log(self, head: str | None = None) -> Verified:
        """Recompute the chain of the audit log and hold it against its head file, and a head that was kept elsewhere.

        Raises UsageError for a head that is not written as NUMBER:DIGEST.
        """
        from rungwise.core.errors import UsageError
        from rungwise.data.audit import Audit, parse_head

        try:
            known = None if head is None else parse_head(head)
        except ValueError as error:
            raise UsageError(f"{head!r} is no head: {error}") from error
        with self._store() as store:
            return Audit(store).verify(known=known)

    @contextlib.contextmanager
    def _keys(self) -> Iterator[Keys]:
        from rungwise.data.keys import Keys
        from rungwise.data.master import MasterKey

        with self._store() as store:
            yield Keys(store, MasterKey.open(store.directory))

    def _store(self) -> AbstractContextManager[Store]:
        return opened(self.directory, self.state, self.clock)


def _local_user() -> str:
    """Who works at this machine; a container may not know the name of its user."""
    try:
        return f"local:{getpass.getuser()}"
    except (OSError, KeyError):
        return "local"
