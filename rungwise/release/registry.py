"""Releases at rest: each kept for ever, and one pointer to the live one, moved in the transaction that keeps it.

The pointer is the last row of the table `release_moves`, so that its history is never lost and a moved pointer without its
release cannot exist.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import digest, from_plain, short
from rungwise.core.release import Release, Variant
from rungwise.data.audit import Audit, Entry
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

RELEASE, REWEIGH, ROLLBACK = "release", "reweigh", "rollback"


@dataclass(frozen=True, kw_only=True)
class Move:
    """One time that the pointer moved: to which release, by which verb, on whose word and why. `at` is seconds since 1970."""

    n: int
    release: str
    verb: str
    by: str | None
    why: str | None
    at: float


@dataclass(frozen=True, kw_only=True)
class Moved:
    """The release that is live now, and the one that was before; `moved` is false where nothing had to change."""

    live: Release
    before: str | None
    moved: bool


class Releases:
    """The releases of a store. Every change of the pointer takes the write lock before it looks."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._audit = Audit(store)

    def live_id(self) -> str | None:
        """The id of the live release, or None before the first: one row by its key, cheap enough to look every second."""
        with self.store.read() as connection:
            return _live_id(connection)

    def live(self) -> Release | None:
        """The live release, or None before the first."""
        id = self.live_id()
        return None if id is None else self.get(id)

    def get(self, id: str) -> Release:
        """A release by its whole id. Raises StoreError when it is not kept."""
        return Nouns(self.store).get(Release, id)

    def find(self, prefix: str) -> Release:
        """A release by the first digits of its id. Raises UnknownName when none or several begin so."""
        return self.get(Nouns(self.store).find("Release", prefix))

    def history(self) -> list[Move]:
        """Every move of the pointer, newest first."""
        with self.store.read() as connection:
            return _moves(connection)[::-1]

    def put(
        self, release: Release, *, verb: str = RELEASE, by: str | None = None, why: str | None = None, instead_of: str | None = None
    ) -> Moved:
        """Keep a release and make it live, in one transaction. What differs from the live one in nothing but its time stays out.

        With `instead_of`, only while that release is live: raises UsageError when another went live in between.
        Raises UsageError for weights that are no shares.
        """
        check_weights(release.variants)
        with self.store.write(alone=True) as connection:
            before = _live_id(connection)
            _check_live(before, instead_of)
            if before is not None:
                live = self._within(connection, before)
                if _same_plan(live, release):
                    return Moved(live=live, before=before, moved=False)
            Nouns(self.store).put_within(connection, release, made_from=_parents(release))
            entry = self._move(connection, release.id, verb, by, why)
        self._audit.publish(entry)
        return Moved(live=release, before=before, moved=True)

    def reweigh(
        self, weights: Mapping[str, float], *, by: str | None = None, why: str | None = None, instead_of: str | None = None
    ) -> Moved:
        """Give the variants of the live release other shares; those that are not named get none. Their evidence stays as it was.

        The salt stays too, so that no user changes sides who does not have to. Raises as `put`, UnknownName for a variant, and
        UsageError for one that had no share: the gates did not look at it.
        """
        live = self._standing()
        names = [one.name for one in live.variants]
        for name in weights:
            if name not in names:
                raise UnknownName("variant", name, names, where=f"release {short(live.id)}")
        for one in live.variants:
            if one.weight == 0.0 < weights.get(one.name, 0.0):
                raise UsageError(
                    f"'{one.name}' has no share yet: the gates must look at it first. Type: rungwise release --traffic ..."
                )
        variants = tuple(dataclasses.replace(one, weight=float(weights.get(one.name, 0.0))) for one in live.variants)
        changed = dataclasses.replace(live, variants=variants, at=self.store.clock.now())
        return self.put(changed, verb=REWEIGH, by=by, why=why, instead_of=instead_of or live.id)

    def rollback(
        self, *, to: str | None = None, by: str | None = None, why: str | None = None, instead_of: str | None = None
    ) -> Moved:
        """Make live what was live before, or the release `to` by the first digits of its id. Nothing is checked: it is instant.

        What was rolled back is never rolled back to: after A, B, back to A and C, one goes back to A.
        Raises UsageError when there is nothing before, UnknownName for an id that no release has.
        """
        aim = None if to is None else self.find(to)
        with self.store.write(alone=True) as connection:
            stack = _stack(_moves(connection))
            before = stack[-1] if stack else None
            _check_live(before, instead_of)
            if aim is None and len(stack) < 2:
                raise UsageError(_nothing_before(self.store, before))
            target = aim if aim is not None else self._within(connection, stack[-2])
            entry = self._move(connection, target.id, ROLLBACK, by, why) if target.id != before else None
        if entry is not None:
            self._audit.publish(entry)
        return Moved(live=target, before=before, moved=target.id != before)

    def _standing(self) -> Release:
        live = self.live()
        if live is None:
            raise UsageError(_nothing_before(self.store, None))
        return live

    def _within(self, connection: Connection, id: str) -> Release:
        from sqlalchemy import select

        from rungwise.data.schema import nouns

        return from_plain(Release, json.loads(connection.execute(select(nouns.c.body).where(nouns.c.id == id)).scalar_one()))

    def _move(self, connection: Connection, release: str, verb: str, by: str | None, why: str | None) -> Entry:
        """Move the pointer, and tell the audit log; its entry is to be published once this is committed."""
        from sqlalchemy import insert

        from rungwise.data.schema import release_moves

        values = {"release": release, "verb": verb, "by": by, "why": why, "at": self.store.clock.now()}
        connection.execute(insert(release_moves).values(**values))
        return self._audit.append(connection, by or "unnamed", f"release.{verb}", release, {"why": why})


def salt_for(variants: tuple[Variant, ...], live: Release | None, at: float) -> str:
    """The live release's salt where the variants have the same names in the same order, so that users stay where they are;
    else a new one, so that two comparisons do not split the users alike."""
    if live is not None and [one.name for one in live.variants] == [one.name for one in variants]:
        return live.salt
    return digest(["salt", [(one.name, one.candidate) for one in variants], at])[:16]


def check_weights(variants: tuple[Variant, ...]) -> None:
    """Raise UsageError unless names differ and weights are shares that add up to 1."""
    names = [one.name for one in variants]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two variants are called '{twice}'. Give each candidate a name of its own: --candidate NAME=ID")
    for one in variants:
        if not (math.isfinite(one.weight) and 0.0 <= one.weight <= 1.0):
            raise UsageError(f"the share of '{one.name}' must lie between 0 and 1, not {one.weight:g}")
    total = sum(one.weight for one in variants)
    if abs(total - 1.0) > 1e-9:
        raise UsageError(f"the shares add up to {total:g}, not to 1. Write them as --traffic a=0.9,b=0.1")


def _parents(release: Release) -> list[tuple[str, str]]:
    roles: dict[str, str] = dict.fromkeys(release.evidence, "decision")
    roles |= dict.fromkeys(release.shadow, "shadow") | {one.candidate: "variant" for one in release.variants}
    return [*roles.items(), (release.use_case, "use case")]


def _live_id(connection: Connection) -> str | None:
    from sqlalchemy import select

    from rungwise.data.schema import release_moves

    query = select(release_moves.c.release).order_by(release_moves.c.n.desc()).limit(1)
    return connection.execute(query).scalar()


def _moves(connection: Connection) -> list[Move]:
    """Oldest first."""
    from sqlalchemy import select

    from rungwise.data.schema import release_moves

    rows = connection.execute(select(release_moves).order_by(release_moves.c.n))
    return [Move(**row._mapping) for row in rows]


def _stack(moves: list[Move]) -> list[str]:
    """The releases that a rollback may go through, the live one last: what was rolled back is taken off."""
    stack: list[str] = []
    for move in moves:
        if move.verb == ROLLBACK and move.release in stack:
            while stack[-1] != move.release:
                stack.pop()
        else:
            stack.append(move.release)
    return stack


def _same_plan(one: Release, other: Release) -> bool:
    """Whether two releases differ in nothing but their time and the figures that gates give."""
    states = [[(gate.gate, gate.candidate, gate.state) for gate in release.gates] for release in (one, other)]
    return states[0] == states[1] and dataclasses.replace(one, at=other.at, gates=other.gates) == other


def _check_live(before: str | None, instead_of: str | None) -> None:
    if instead_of is not None and before != instead_of:
        now = "none is" if before is None else f"{short(before)} is"
        raise UsageError(f"release {short(instead_of)} is not live any more: {now}. Look at it and decide again")


def _nothing_before(store: Store, live: str | None) -> str:
    folder = store.directory.parent
    if live is None:
        return f"nothing was released in {folder} yet. Type: rungwise release {folder}"
    return (
        f"{short(live)} is the first release of {folder}, and there is none before it. Name one: rungwise rollback {folder} --to ID"
    )
