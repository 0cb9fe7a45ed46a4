"""Lineage for people: what something was made of, and what it reached."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rungwise.core.dataset import TRAIN
from rungwise.core.errors import UnknownName, UsageError
from rungwise.data.nouns import Lineage
from rungwise.data.store import Store
from rungwise.data.versions.provenance import find_records
from rungwise.data.versions.version import Versions

_TRACE_ID = re.compile("[0-9a-f]{32}")
FITTED = "Fitted"
TRACE = "Trace"
"""What a trace is called here. The edges to it are made in watch/provenance.py."""


def trace_lineage(store: Store, id: str) -> Mapping[str, Any]:
    """Ancestors and descendants of a noun or a row, by kind. `id` may be shortened, or be the user's own key of a row.

    A row reaches every dataset that holds it, and what was made from those; one that feedback made is made of traces. A trace
    is found by its whole id: made of the release that answered and all behind it, it reached the rows that feedback on it made.
    Raises UnknownName when nothing, or more than one thing, begins with `id`.
    """
    lineage = Lineage(store)
    if _TRACE_ID.fullmatch(id) and (found := _of_trace(store, lineage, id)) is not None:
        return found
    kind, full = _find(store, id)
    if kind in ("Row", "Record"):
        return _of_row(store, lineage, kind, full)
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
        records = find_records(Versions(store), id)
        if len(records) == 1:
            return "Record", records[0].id
        if records:
            raise UnknownName("id", id, [f"Record {one.id[:12]} ({one.place})" for one in records], where=str(store.directory))
        raise UsageError(
            f"there is no id '{id}' in {store.directory}. Type: rungwise climb {store.directory.parent} --json for those "
            "of the decision and its candidates; a row has the id that its file gives it"
        )
    if len(found) != 1:
        raise UnknownName("id", id, [f"{row.kind} {row.id[:12]}" for row in found], where=str(store.directory))
    return found[0].kind, found[0].id


def _of_row(store: Store, lineage: Lineage, kind: str, full: str) -> Mapping[str, Any]:
    """A row of a dataset, or a record of the data's versions: where it came from, and all that it reached."""
    memberships = _memberships(store, kind, full)
    records = [full] if kind == "Record" else sorted({one.record for one in memberships if one.record is not None})
    traced = [one for record in records for one in find_records(Versions(store), record)]
    versions = [version for one in traced for version in one.held]
    datasets = [one.dataset for one in memberships]
    reached = dict.fromkeys([*versions, *datasets, *(one for dataset in datasets for one in lineage.descendants(dataset))])
    return {
        "id": full,
        "kind": kind,
        "made_of": [
            *({"id": one.parent, "kind": "Record"} for one in traced if one.parent),
            *({"id": trace, "kind": TRACE} for record in records for trace in lineage.ancestors(record)),
        ],
        "reached": _entered(_described(store, list(reached)), [one.split for one in memberships]),
        "splits": {one.dataset: one.split for one in memberships},
        "places": sorted({one.place for one in traced}),
        "set_aside": [{"version": version, "reason": reason} for one in traced for version, reason in one.aside],
    }


def _entered(reached: list[dict[str, str]], splits: list[str]) -> list[dict[str, str]]:
    """What a row reached. Parts are fitted on training rows alone: a row of another split entered none of them."""
    return reached if TRAIN in splits or not splits else [one for one in reached if one["kind"] != FITTED]


def _of_trace(store: Store, lineage: Lineage, id: str) -> Mapping[str, Any] | None:
    """An answer that was given: who gave it and what that was made of, and what learned from it. None where there is none."""
    from rungwise.data.traces.door import archive_of

    trace, made = archive_of(store).get(id), _rows_of_trace(store, id)
    if trace is None and not made:
        return None
    answering = [] if trace is None else [one for one in (trace.release, trace.candidate) if one is not None]
    behind = list(dict.fromkeys([*answering, *(one for noun in answering for one in lineage.ancestors(noun))]))
    learned = [one for record in made for one in _learned(store, lineage, record)] or _learned(store, lineage, id)
    return {
        "id": id,
        "kind": TRACE,
        "made_of": _described(store, behind),
        "reached": list({one["id"]: one for one in learned}.values()),
        "rows": _row_counts(store, behind),
    }


def _learned(store: Store, lineage: Lineage, id: str) -> list[Mapping[str, Any]]:
    """A row that feedback made, by its id or by the id of its trace, and all that it reached."""
    try:
        kind, full = _find(store, id)
    except UsageError:
        return []
    return [{"id": full, "kind": kind}, *_of_row(store, lineage, kind, full)["reached"]] if kind in ("Row", "Record") else []


def _rows_of_trace(store: Store, id: str) -> list[str]:
    """The records that feedback on a trace made."""
    from sqlalchemy import select

    from rungwise.data.schema import edges

    query = select(edges.c.child).where(edges.c.parent == id, edges.c.role == TRACE.lower()).order_by(edges.c.child)
    with store.read() as connection:
        return list(connection.execute(query).scalars())


def _memberships(store: Store, kind: str, id: str) -> list[Any]:
    """Each time that a row, or a record, stands in a dataset: `dataset`, `split` and `record`."""
    from sqlalchemy import select

    from rungwise.data.schema import members

    column = members.c.row if kind == "Row" else members.c.record
    query = select(members.c.dataset, members.c.split, members.c.record).where(column == id).distinct()
    with store.read() as connection:
        return list(connection.execute(query))


def rows_of(store: Store, id: str) -> list[dict[str, Any]]:
    """The training and dev rows that a candidate, evaluation, decision or dataset was made of, with their places.

    Rows of the sealed part are counted by `trace_lineage` and never listed.
    """
    from sqlalchemy import select

    from rungwise.core.dataset import SEALED
    from rungwise.data.schema import members, rows

    _, full = _find(store, id)
    datasets = [full, *Lineage(store).ancestors(full)]
    query = (
        select(members.c.row, members.c.split, members.c.record, rows.c.body)
        .select_from(members.join(rows, members.c.row == rows.c.id))
        .where(members.c.dataset.in_(datasets), members.c.split != SEALED)
        .order_by(members.c.dataset, members.c.position)
    )
    with store.read() as connection:
        found = connection.execute(query).all()
    return [{"id": one.row, "split": one.split, "record": one.record, "key": json.loads(one.body)["key"]} for one in found]


def _described(store: Store, ids: list[str]) -> list[dict[str, str]]:
    from sqlalchemy import select

    from rungwise.data.schema import nouns

    with store.read() as connection:
        kinds = {row.id: row.kind for row in connection.execute(select(nouns.c.id, nouns.c.kind).where(nouns.c.id.in_(ids)))}
        fitted = select(nouns.c.id, nouns.c.body).where(nouns.c.id.in_(ids), nouns.c.kind == FITTED)
        techniques = {row.id: str(json.loads(row.body)["technique"]) for row in connection.execute(fitted)}
    named = {id: {"technique": technique} for id, technique in techniques.items()}
    return [{"id": id, "kind": kinds.get(id, "digest"), **named.get(id, {})} for id in ids]


def _row_counts(store: Store, ids: list[str]) -> Mapping[str, int]:
    """Rows of the datasets among these, by split. Rows of the sealed part are counted, never listed."""
    from sqlalchemy import func, select

    from rungwise.data.schema import members

    query = select(members.c.split, func.count()).where(members.c.dataset.in_(ids)).group_by(members.c.split)
    with store.read() as connection:
        return Counter({row[0]: row[1] for row in connection.execute(query)})
