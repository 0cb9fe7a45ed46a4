"""What is remembered of a source, so that the next import reads only what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rungwise.data.store import Store
from rungwise.data.versions.packs import Packs
from rungwise.data.versions.quarantine import Entry
from rungwise.data.versions.selection import Selection, from_bytes, joined, to_bytes
from rungwise.data.versions.version import SourceNote, Version, Versions


@dataclass(frozen=True, slots=True)
class KnownPiece:
    """A piece as it was read: `first` and `count` say where its records stand among those of the source.

    `header` is the digest of its header line, '' where it has none.
    """

    fingerprint: str
    header: str
    first: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A source as it was read the last time: its records before any was set aside, its pieces, what was set aside or vanished."""

    note: SourceNote | None = None
    records: Selection = field(default_factory=Selection.empty)
    pieces: Mapping[str, KnownPiece] = field(default_factory=dict)
    entries: Sequence[Entry] = ()
    gone: Selection = field(default_factory=Selection.empty)


def recall(versions: Versions, base: Version | None, location: str) -> Memory:
    """What an imported version remembers of a source; empty where it does not know it."""
    known = versions.load_json(base.pieces) or {} if base is not None else {}
    if base is None or location not in known:
        return Memory()
    note = next(one for one in base.sources if one.location == location)
    part = known[location]
    return Memory(
        note=note,
        records=from_bytes(versions.store.blobs.get(part["read"])),
        pieces={name: KnownPiece(*rest) for name, *rest in part["pieces"]},
        entries=[entry for entry in versions.quarantine(base) if entry.source == location],
        gone=from_bytes(versions.store.blobs.get(part["gone"])) if part["gone"] else Selection.empty(),
    )


def remembered(versions: Versions, records: Selection, pieces: Mapping[str, KnownPiece], gone: Selection) -> dict[str, Any]:
    """The same for the next time, as plain data."""
    put = versions.store.blobs.put
    return {
        "read": put(to_bytes(records)),
        "pieces": [[name, one.fingerprint, one.header, one.first, one.count] for name, one in pieces.items()],
        "gone": put(to_bytes(gone)) if len(gone) else "",
    }


def note_pack(store: Store, location: str, pack: str) -> None:
    """Say that a pack of an import is on disk: a later import of the same source goes on from it."""
    from sqlalchemy import func, select

    from rungwise.data.dialect import insert
    from rungwise.data.schema import pending_packs as table

    with store.write() as connection:
        count = connection.execute(select(func.count()).select_from(table).where(table.c.source == location)).scalar() or 0
        connection.execute(insert(connection, table).values(source=location, position=count, pack=pack).on_conflict_do_nothing())


def pending(store: Store, location: str) -> Selection:
    """The records of an import that was killed."""
    from sqlalchemy import select

    from rungwise.data.schema import pending_packs as table

    packs = Packs(store.blobs)
    query = select(table.c.pack).where(table.c.source == location).order_by(table.c.position)
    with store.read() as connection:
        found = [row.pack for row in connection.execute(query)]
    return joined([Selection.of_pack(pack, packs.count(pack)) for pack in found if store.blobs.has(pack)])


def erased_ids(store: Store) -> frozenset[bytes]:
    """The names of the records that were erased and may not be taken in again."""
    from sqlalchemy import select

    from rungwise.data.schema import erased

    with store.read() as connection:
        return frozenset(bytes.fromhex(row.id) for row in connection.execute(select(erased.c.id)))
