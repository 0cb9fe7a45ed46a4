"""Versions of a project's data: what stood in it when, under the digest of its content."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import canonical_json, digest, from_plain, to_plain
from rungwise.core.usecase import Columns
from rungwise.data.store import Store
from rungwise.data.versions.packs import Packs
from rungwise.data.versions.quarantine import Entry, load_entries
from rungwise.data.versions.records import record_cells, texts_of
from rungwise.data.versions.selection import Selection, from_bytes, to_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEAD_SETTING = "data.head"
HEAD = "HEAD"
PREFIX = "version:"
"""In rungwise.yaml, `data: version:HEAD` (or a tag, or an id) stands for a version instead of a file."""

_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True, kw_only=True)
class SourceNote:
    """A source of a version: where it is, what is allowed with it, and which of its columns plays which role."""

    location: str
    kind: str
    columns: Columns
    names: tuple[str, ...]
    rows: int
    licence: str | None = None
    languages: tuple[str, ...] = ()
    vanished: int = 0


@dataclass(frozen=True, kw_only=True)
class Version:
    """What the data was at one time. Its id is the digest of its content: rows, their splits, roles, and what was set aside.

    `kind` is imported, curated, restored, split or erased; `base` is the imported version that a curated one was made from.
    `records`, `aside` and `pieces` are digests of blobs: the records kept, the quarantine, and what is remembered of each
    source (data/versions/memory.py), vanished records too. `pinned` are records that a person brought back.
    `set_aside` is the digest of what the quarantine holds and why.
    `erased` counts the rows that were erased from it since. It keeps its id: `moved` leads from the digests that enter the
    id to those of the blobs without these rows.
    """

    kind: str
    content: str
    rows: int
    sources: tuple[SourceNote, ...]
    records: str
    set_aside: str
    aside: str = ""
    pieces: str = ""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, Any] = field(default_factory=dict)
    splits: str = ""
    split_by: Mapping[str, Any] = field(default_factory=dict)
    pinned: tuple[str, ...] = ()
    base: str | None = None
    parent: str | None = None
    erased: int = 0
    moved: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """SHA-256 of the content and of the steps that checked it; when and from where it came does not enter."""
        roles = [[to_plain(source.columns), source.licence] for source in self.sources]
        return digest(["version", self.content, roles, self.set_aside, self.splits, list(self.pinned), to_plain(self.steps)])

    @property
    def columns(self) -> Columns:
        """The roles of the columns, as the first source calls them: rows of the others were renamed when they came in."""
        return self.sources[0].columns


@dataclass(frozen=True, slots=True)
class Move:
    """One time that the head moved: to which version, by which verb, when (seconds since 1970), and the tags it has now."""

    version: Version
    verb: str
    at: float
    tags: tuple[str, ...] = ()


class Versions:
    """The versions of a store."""

    def __init__(self, store: Store) -> None:
        self.store, self.packs = store, Packs(store.blobs)

    def head(self) -> Version | None:
        """The version that is worked with now; None before the first import."""
        id = self.store.setting(HEAD_SETTING)
        return self._load(id) if id else None

    def get(self, name: str = HEAD) -> Version:
        """A version by tag, by id or its first digits, or HEAD. Raises UnknownName, or UsageError before the first import."""
        head = self.store.setting(HEAD_SETTING)
        if head is None:
            folder = self.store.directory.parent
            raise UsageError(f"{folder} holds no versions of data yet. Type: rungwise data import FILE --into {folder}")
        tags, ids = self._tags(), self._ids()
        found = [id for id in ids if len(name) >= 4 and id.startswith(name)]
        if name == HEAD:
            return self._load(head)
        if name in tags:
            return self._load(tags[name])
        if len(found) != 1:
            raise UnknownName("version", name, [HEAD, *tags, *(id[:12] for id in ids)], where=str(self.store.directory.parent))
        return self._load(found[0])

    def all(self) -> Iterator[Version]:
        """Every version, oldest first."""
        return map(self._load, self._ids())

    def commit(self, version: Version, *, verb: str, made_from: Sequence[tuple[str, str]] = ()) -> Version:
        """Keep a version and move the head to it, in one transaction. Where the same content is kept already, that one stands."""
        from sqlalchemy import delete

        from rungwise.data.dialect import insert
        from rungwise.data.schema import edges, moves, nouns, pending_packs, settings

        now = self.store.clock.now()
        parents = [{"child": version.id, "parent": parent, "role": role} for parent, role in made_from if parent != version.id]
        with self.store.write() as connection:
            values = {"id": version.id, "kind": "Version", "body": canonical_json(to_plain(version)), "at": now}
            connection.execute(insert(connection, nouns).values(**values).on_conflict_do_nothing())
            if parents:
                connection.execute(insert(connection, edges).on_conflict_do_nothing(), parents)
            head = insert(connection, settings).values(name=HEAD_SETTING, value=version.id)
            connection.execute(head.on_conflict_do_update(index_elements=["name"], set_={"value": version.id}))
            connection.execute(insert(connection, moves).values(version=version.id, verb=verb, at=now))
            connection.execute(delete(pending_packs))
        return self._load(version.id)

    def log(self) -> list[Move]:
        """The moves of the head, newest first."""
        from sqlalchemy import select

        from rungwise.data.schema import moves

        names: dict[str, list[str]] = {}
        for tag, id in sorted(self._tags().items()):
            names.setdefault(id, []).append(tag)
        with self.store.read() as connection:
            rows = connection.execute(select(moves).order_by(moves.c.n.desc())).all()
        return [Move(self._load(row.version), row.verb, row.at, tuple(names.get(row.version, ()))) for row in rows]

    def tag(self, name: str, version: Version) -> None:
        """Name a version; a tag that is there already moves. Raises UsageError for a name that could be taken for an id."""
        from rungwise.data.dialect import insert
        from rungwise.data.schema import tags

        if name == HEAD or not name.strip() or ":" in name or (len(name) >= 4 and set(name) <= set("0123456789abcdef")):
            raise UsageError(f"'{name}' cannot be a tag: it could be taken for HEAD or for an id. Choose a word, such as reviewed")
        statement = insert(self.store.engine, tags).values(name=name, version=version.id)
        with self.store.write() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"version": version.id}))

    def checkout(self, version: Version) -> None:
        """Move the head to a version."""
        self.commit(version, verb="checkout")

    def keep_selection(self, selection: Selection) -> str:
        """Keep a list of records and give the digest of its blob."""
        return self.store.blobs.put(to_bytes(selection))

    def selection(self, version: Version) -> Selection:
        """The records of a version, in order."""
        return from_bytes(self.store.blobs.get(version.records))

    def keys(self, selection: Selection) -> NDArray[np.uint64]:
        """(n,): the hashes of the user's ids of these records; 0 where there is none."""
        import numpy as np

        found = np.zeros(len(selection), np.uint64)
        for pack, positions in selection.slices():
            found[positions] = self.packs.keys(pack)[selection.row[positions]]
        return found

    def parents(self, selection: Selection) -> NDArray[np.uint8]:
        """(n, 32): the names of the records that these were rewritten from; zeros for none."""
        import numpy as np

        found = np.zeros((len(selection), 32), np.uint8)
        for pack, positions in selection.slices():
            found[positions] = self.packs.parents(pack)[selection.row[positions]]
        return found

    def part(self, version: Version, number: int) -> Selection:
        """The records that an imported version holds of one of its sources."""
        start = sum(source.rows for source in version.sources[:number])
        whole = self.selection(version)
        rows = slice(start, start + version.sources[number].rows)
        return Selection(whole.packs, whole.pack[rows], whole.row[rows])

    def quarantine(self, version: Version) -> list[Entry]:
        """The rows that were set aside from it."""
        return load_entries(self.store, version.moved.get(version.aside, version.aside))

    def splits(self, version: Version) -> tuple[str, ...]:
        """The splits that were drawn into the version; empty where it leaves them to its split column or to the climb."""
        return tuple(self.load_json(version.moved.get(version.splits, version.splits)) or ())

    def keep_json(self, value: Any) -> str:
        """Keep plain data as a compressed blob and give its digest."""
        return self.store.blobs.put(zlib.compress(canonical_json(value).encode("utf-8"), 6))

    def load_json(self, digest: str) -> Any:
        """What `keep_json` kept; None for ''."""
        return json.loads(zlib.decompress(self.store.blobs.get(digest))) if digest else None

    def ids(self, selection: Selection) -> NDArray[np.uint8]:
        """(n, 32): the names of the records."""
        import numpy as np

        found = np.zeros((len(selection), 32), np.uint8)
        for pack, positions in selection.slices():
            found[positions] = self.packs.ids(pack)[selection.row[positions]]
        return found

    def bodies(self, selection: Selection) -> list[bytes]:
        """The records themselves; ask for few."""
        found: list[bytes] = [b""] * len(selection)
        for pack, positions in selection.slices():
            for position, body in zip(positions.tolist(), self.packs.bodies(pack, selection.row[positions]), strict=True):
                found[position] = body
        return found

    def texts(self, selection: Selection, column: str | None) -> list[str]:
        """The text of each record; ask for few."""
        return texts_of(self.bodies(selection), column)

    def places(self, selection: Selection) -> list[str]:
        """Where each record was read."""
        found = [""] * len(selection)
        for pack, positions in selection.slices():
            for position, place in zip(positions.tolist(), self.packs.places(pack, selection.row[positions]), strict=True):
                found[position] = place
        return found

    def source_places(self, selection: Selection) -> list[tuple[str, int]]:
        """The piece and the line of each record."""
        found = [("", 0)] * len(selection)
        for pack, positions in selection.slices():
            for position, place in zip(positions.tolist(), self.packs.sources(pack, selection.row[positions]), strict=True):
                found[position] = place
        return found

    def rows(self, version: Version) -> Iterator[tuple[str, dict[str, Any]]]:
        """(place, cells) of each record in order; drawn splits stand in the split column, else in 'split'."""
        selection, splits = self.selection(version), self.splits(version)
        ordered = column_order(version)
        split_column = version.columns.split or "split"
        for start in range(0, len(selection), _ROWS_AT_ONCE):
            part = Selection(
                selection.packs, selection.pack[start : start + _ROWS_AT_ONCE], selection.row[start : start + _ROWS_AT_ONCE]
            )
            for offset, (place, body) in enumerate(zip(self.places(part), self.bodies(part), strict=True)):
                cells = ordered(record_cells(body))
                if splits:
                    cells[split_column] = splits[start + offset]
                yield place, cells

    def _load(self, id: str) -> Version:
        from sqlalchemy import select

        from rungwise.data.schema import nouns

        with self.store.read() as connection:
            body = connection.execute(select(nouns.c.body).where(nouns.c.id == id)).scalar()
        if body is None:
            raise UnknownName("version", id[:12], [one[:12] for one in self._ids()], where=str(self.store.directory))
        return from_plain(Version, json.loads(body))

    def _tags(self) -> dict[str, str]:
        from sqlalchemy import select

        from rungwise.data.schema import tags

        with self.store.read() as connection:
            return {row.name: row.version for row in connection.execute(select(tags).order_by(tags.c.name))}

    def _ids(self) -> list[str]:
        from sqlalchemy import select

        from rungwise.data.schema import nouns

        with self.store.read() as connection:
            return [row.id for row in connection.execute(select(nouns.c.id).where(nouns.c.kind == "Version").order_by(nouns.c.at))]


def content_digest(ids: NDArray[np.uint8]) -> str:
    """SHA-256 over the names of the records, in order."""
    return hashlib.sha256(ids.tobytes()).hexdigest()


def column_order(version: Version) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that puts the cells of a record in the order in which its columns stood at the source."""
    order = list(dict.fromkeys(name for source in version.sources for name in source.names))
    return lambda cells: {name: cells[name] for name in order if name in cells}
