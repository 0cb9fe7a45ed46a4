"""Nouns at rest: each once, under its id, with the edges that say what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rungwise.core.errors import StoreError, UnknownName
from rungwise.core.record import canonical_json, from_plain, to_plain
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class Noun(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str: ...


class Nouns:
    """The nouns of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def put(self, noun: Noun, *, made_from: Iterable[tuple[str, str]] = ()) -> str:
        """Keep a noun with its parents, given as (id, role), in one transaction; give its id."""
        with self.store.write() as connection:
            self.put_within(connection, noun, made_from=made_from)
        return noun.id

    def put_within(self, connection: Connection, noun: Noun, *, made_from: Iterable[tuple[str, str]] = ()) -> None:
        """The same within a transaction that is open, and that keeps something else with it."""
        from rungwise.data.dialect import insert
        from rungwise.data.schema import edges, nouns

        body = canonical_json(to_plain(noun))
        values = {"id": noun.id, "kind": type(noun).__name__, "body": body, "at": self.store.clock.now()}
        parents = [{"child": noun.id, "parent": parent, "role": role} for parent, role in made_from]
        connection.execute(insert(connection, nouns).values(**values).on_conflict_do_nothing())
        if parents:
            connection.execute(insert(connection, edges).on_conflict_do_nothing(), parents)

    def get(self, shape: type[T], id: str) -> T:
        """The noun with this id. Raises StoreError when it is not kept."""
        from sqlalchemy import select

        from rungwise.data.schema import nouns

        with self.store.read() as connection:
            body = connection.execute(select(nouns.c.body).where(nouns.c.id == id)).scalar()
        if body is None:
            raise StoreError(f"there is no {shape.__name__} {id[:12]} in {self.store.directory}. Run the climb again to make it")
        return from_plain(shape, json.loads(body))

    def find(self, kind: str, prefix: str) -> str:
        """The full id of a noun from its first digits. Raises UnknownName when none or several begin so."""
        from sqlalchemy import select

        from rungwise.data.schema import nouns

        query = select(nouns.c.id).where(nouns.c.kind == kind).order_by(nouns.c.at)
        with self.store.read() as connection:
            ids = [str(row.id) for row in connection.execute(query)]
        found = [id for id in ids if id.startswith(prefix)]
        if len(found) != 1:
            raise UnknownName(kind.lower(), prefix, [id[:12] for id in ids], where=str(self.store.directory))
        return found[0]


class Lineage:
    """What was made from what, in both directions."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def link(self, edges: Iterable[tuple[str, str, str]]) -> None:
        """Note what was made from what: (child, parent, role), in one transaction."""
        from rungwise.data.dialect import insert
        from rungwise.data.schema import edges as table

        values = [{"child": child, "parent": parent, "role": role} for child, parent, role in edges]
        if values:
            with self.store.write() as connection:
                connection.execute(insert(connection, table).on_conflict_do_nothing(), values)

    def ancestors(self, id: str) -> Sequence[str]:
        """Everything that reached this noun, nearest first."""
        return self._walk(id, "child", "parent")

    def descendants(self, id: str) -> Sequence[str]:
        """Everything that this noun reached, nearest first."""
        return self._walk(id, "parent", "child")

    def _walk(self, id: str, here: str, there: str) -> Sequence[str]:
        from sqlalchemy import select

        from rungwise.data.schema import edges

        seen: dict[str, Any] = {}
        frontier = [id]
        with self.store.read() as connection:
            while frontier:
                query = select(edges.c[there]).where(edges.c[here].in_(frontier)).order_by(edges.c[there])
                found = [row[0] for row in connection.execute(query)]
                frontier = [one for one in dict.fromkeys(found) if one not in seen]
                seen.update(dict.fromkeys(frontier))
        return list(seen)
