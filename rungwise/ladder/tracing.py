"""Lineage for people: what something was made of, and what it reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rungwise.core.errors import UnknownName, UsageError
from rungwise.data.nouns import Lineage
from rungwise.data.store import Store


def trace_lineage(store: Store, id: str) -> Mapping[str, Any]:
    """Ancestors and descendants of a noun or a row, by kind. `id` may be shortened, or be the user's own key of a row.

    A row reaches every dataset that holds it, and what was made from those.
    Raises UnknownName when nothing, or more than one thing, begins with `id`.
    """
    kind, full = _find(store, id)
    lineage = Lineage(store)
    if kind == "Row":
        datasets = _datasets_of(store, full)
        reached = dict.fromkeys([*datasets, *(one for dataset in datasets for one in lineage.descendants(dataset))])
        return {"id": full, "kind": kind, "made_of": [], "reached": _described(store, list(reached))}
    ancestors = list(lineage.ancestors(full))
    described = _described(store, ancestors)
    return {
        "id": full,
        "kind": kind,
        "made_of": described,
        "reached": _described(store, list(lineage.descendants(full))),
        "rows": _row_counts(store, [full, *ancestors]),
    }


def _find(store: Store, id: str) -> tuple[str, str]:
    from sqlalchemy import select, union_all
    from sqlalchemy.sql.expression import literal

    from rungwise.data.schema import nouns, rows

    query = union_all(
        select(nouns.c.kind, nouns.c.id).where(nouns.c.id.startswith(id, autoescape=True)),
        select(literal("Row").label("kind"), rows.c.id).where(rows.c.id.startswith(id, autoescape=True)),
        select(literal("Row").label("kind"), rows.c.id).where(rows.c.body.contains(f'"key":"{id}"', autoescape=True)),
    )
    with store.read() as connection:
        found = connection.execute(query).all()
    if not found:
        raise UsageError(
            f"there is no id '{id}' in {store.directory}. Type: rungwise climb {store.directory.parent} --json for those "
            "of the decision and its candidates; a row has the id that its file gives it"
        )
    if len(found) != 1:
        raise UnknownName("id", id, [f"{row.kind} {row.id[:12]}" for row in found], where=str(store.directory))
    return found[0].kind, found[0].id


def _datasets_of(store: Store, row: str) -> list[str]:
    from sqlalchemy import select

    from rungwise.data.schema import members

    with store.read() as connection:
        return [one[0] for one in connection.execute(select(members.c.dataset).where(members.c.row == row).distinct())]


def _described(store: Store, ids: list[str]) -> list[dict[str, str]]:
    from sqlalchemy import select

    from rungwise.data.schema import nouns

    with store.read() as connection:
        kinds = {row.id: row.kind for row in connection.execute(select(nouns.c.id, nouns.c.kind).where(nouns.c.id.in_(ids)))}
    return [{"id": id, "kind": kinds.get(id, "digest")} for id in ids]


def _row_counts(store: Store, ids: list[str]) -> Mapping[str, int]:
    """Rows of the datasets among these, by split. Rows of the sealed part are counted, never listed."""
    from sqlalchemy import func, select

    from rungwise.data.schema import members

    query = select(members.c.split, func.count()).where(members.c.dataset.in_(ids)).group_by(members.c.split)
    with store.read() as connection:
        return Counter({row[0]: row[1] for row in connection.execute(query)})
