"""Which production answers a row of the data was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rungwise.data.nouns import Lineage
from rungwise.data.splits import FROM_TRACE
from rungwise.data.store import Store
from rungwise.data.versions.records import record_cells
from rungwise.data.versions.version import Versions

TRACE = "trace"
"""The role of a trace that a record was made of."""


def link_records(store: Store, version: str, traces: Mapping[str, Sequence[str]]) -> None:
    """Note, for each record of a version that names a trace, all the traces it was made of: `traces` by the one it names."""
    versions = Versions(store)
    selection = versions.selection(versions.get(version))
    edges: list[tuple[str, str, str]] = []
    for id, body in zip(versions.ids(selection), versions.bodies(selection), strict=True):
        named = record_cells(body).get(FROM_TRACE)
        own = traces.get(named, ()) if isinstance(named, str) else ()
        edges += [(id.tobytes().hex(), trace, TRACE) for trace in own]
    Lineage(store).link(edges)


def linked_traces(store: Store) -> set[str]:
    """The traces that records of the data were made of, those of erased records left out."""
    from sqlalchemy import select

    from rungwise.data.schema import edges, erased

    query = select(edges.c.parent).where(edges.c.role == TRACE, edges.c.child.not_in(select(erased.c.id))).distinct()
    with store.read() as connection:
        return set(connection.execute(query).scalars())
