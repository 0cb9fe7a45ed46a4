"""Which records are meant when a row or a person is to be erased: in every pack, with what was made from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.core.dataset import Example
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import from_plain
from rungwise.data.readers import cell_text
from rungwise.data.store import Store
from rungwise.data.versions.quarantine import Entry
from rungwise.data.versions.records import key_hash, record_cells, unread_id
from rungwise.data.versions.reread import find_digests
from rungwise.data.versions.version import Versions
from rungwise.data.versions.writing import first_half

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LEAST_DIGITS = 8
"""Fewer digits than this never name a record that is to be erased."""

LEAST_LETTERS = 12
"""A text shorter than this is looked for only as a whole cell: as a part of others it could be anybody's."""

_LONG_CELL = 40
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrtbf])")
_WORD = re.compile(r"\w+")
_MAGIC = b"PAR1"
_AT_ONCE = 1_024


@dataclass(frozen=True)
class Targets:
    """Records by their digests; entries of the quarantine of which no record was ever made; examples read straight from a file.

    `unread` are the names of what the entries hold.
    """

    records: frozenset[bytes]
    entries: frozenset[str] = frozenset()
    examples: frozenset[str] = frozenset()
    unread: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class Traits:
    """What the records to be erased look like elsewhere: digests of their inputs, their texts, and where they stood."""

    inputs: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    places: tuple[str, ...] = ()


class Packets:
    """Every pack and every quarantine that lies among the blobs, whether a version names it or not (after a kill, none may)."""

    def __init__(self, store: Store) -> None:
        self.packs: list[str] = []
        self.quarantines: list[str] = []
        for path in sorted(store.blobs.directory.glob("??/*")):
            with path.open("rb") as file:
                if path.name.startswith(".") or file.read(4) != _MAGIC:
                    continue
            names = _columns_of(path)
            if "cells" in names:
                self.packs.append(path.name)
            elif "raw" in names:
                self.quarantines.append(path.name)


def find_targets(
    store: Store, packets: Packets, ids: Sequence[str], *, person: str | None = None, column: str | None = None
) -> Targets:
    """The records with these ids (the user's, or the first 8 or more digits of the record's), and those of a person.

    A person is a value in `column`, else in the columns of groups and of users' ids. With each record come those that were
    rewritten from it, the one that it was rewritten from, and what could not be read but shows its text.
    Raises UnknownName for an id that is not there, UsageError where nothing is of the person.
    """
    versions = Versions(store)
    entries = _unread(versions)
    if not ids and person is None:
        raise UsageError("say what to erase: a row by its id, or a person by --person VALUE")
    records: set[bytes] = set()
    loose: set[str] = set()
    examples: set[str] = set()
    for id in ids:
        found = _by_id(versions, packets.packs, id)
        own = [entry.id for entry in entries if len(id) >= _LEAST_DIGITS and entry.id.startswith(id)]
        alone = _examples(store, id, id=True)
        examples |= alone
        if not found and not alone and len(own) != 1:
            raise UnknownName("row", id, _some_ids(versions, entries), where=str(store.directory.parent))
        records |= found
        loose.update([] if found else own)
    if person is not None:
        examples |= _examples(store, person, column=column)
        columns = _person_columns(versions, column, needed=not examples)
        records |= _of_person(versions, packets.packs, person, columns)
        whole = re.compile(rf"(?<!\w){re.escape(person)}(?!\w)")
        loose.update(entry.id for entry in entries if whole.search(entry.raw))
        if not records and not loose and not examples:
            raise UsageError(f"no row has '{person}' in {' or '.join(columns)}. Name another column: --column COLUMN")
    kin = _with_kin(versions, packets.packs, records)
    texts = traits_of(store, packets, Targets(kin)).texts
    loose |= _showing(entries, texts)
    unread = frozenset(unread_id(entry.raw) for entry in entries if entry.id in loose and entry.raw)
    return Targets(kin, frozenset(loose), frozenset(examples), unread)


def traits_of(store: Store, packets: Packets, targets: Targets) -> Traits:
    """What has to be looked for elsewhere, read from the records themselves."""
    versions = Versions(store)
    roles = {(one.columns.text, one.columns.passage) for version in versions.all() for one in version.sources}
    texts, inputs, places = set[str](), set[str](), set[str]()
    for pack in packets.packs:
        rows = rows_of(versions, pack, targets)
        if not len(rows):
            continue
        places.update(versions.packs.places(pack, rows))
        for body in versions.packs.bodies(pack, rows):
            cells = record_cells(body)
            for text_column, passage_column in roles:
                text, passage = (cell_text(cells.get(name)) if name else None for name in (text_column, passage_column))
                if text is not None:
                    inputs.add(Example(text=text, passage=passage).input_id)
                    texts.update(one for one in (text, passage) if one)
            texts.update(value.strip() for value in cells.values() if isinstance(value, str) and len(value) >= _LONG_CELL)
    for example in _bodies_of(store, targets.examples):
        inputs.add(example.input_id)
        texts.update(one for one in (example.text, example.passage) if one)
    for entry in _unread(versions):
        if entry.id in targets.entries:
            places.add(entry.place)
    return Traits(frozenset(inputs), frozenset(texts), tuple(sorted(places)))


def rows_of(versions: Versions, pack: str, targets: Targets) -> NDArray[np.int64]:
    """The rows of a pack that hold targets."""
    import numpy as np

    if not targets.records:
        return np.zeros(0, np.int64)
    halves = first_half(np.frombuffer(b"".join(sorted(targets.records)), np.uint8).reshape(-1, 32))
    return np.flatnonzero(find_digests(first_half(versions.packs.ids(pack)), halves) >= 0)


def _columns_of(path: Any) -> set[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        return set(parquet.read_schema(path).names)
    except pyarrow.ArrowException:
        return set()


def _unread(versions: Versions) -> list[Entry]:
    """The entries of all versions of which no record was made, each once."""
    found = {entry.id: entry for version in versions.all() for entry in versions.quarantine(version) if not entry.pack}
    return list(found.values())


def _showing(entries: Sequence[Entry], texts: frozenset[str]) -> set[str]:
    """The entries whose raw characters hold one of the texts, whatever quotes and escapes stand in it; short texts are nobody's."""
    needles = [folded for text in texts if len(folded := _folded(text)) >= LEAST_LETTERS]
    return {entry.id for entry in entries if entry.raw and any(one in _folded(entry.raw) for one in needles)} if needles else set()


def _folded(text: str) -> str:
    """The letters and digits of a text; JSON's escapes are read first."""
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text)
    return " ".join(_WORD.findall(plain))


def _by_id(versions: Versions, packs: Sequence[str], id: str) -> set[bytes]:
    """The records with this id of the user; else the one record whose digest begins so."""
    import numpy as np

    keyed: set[bytes] = set()
    begun: set[bytes] = set()
    wanted = np.uint64(key_hash(id))
    for pack in packs:
        ids = versions.packs.ids(pack)
        keyed.update(one.tobytes() for one in ids[versions.packs.keys(pack) == wanted])
        if len(id) >= _LEAST_DIGITS and set(id) <= set("0123456789abcdef"):
            head = np.frombuffer(bytes.fromhex(id[: len(id) // 2 * 2]), np.uint8)
            near = ids[(ids[:, : len(head)] == head).all(axis=1)]
            begun.update(one.tobytes() for one in near if one.tobytes().hex().startswith(id))
    return keyed or (begun if len(begun) == 1 else set())


def _some_ids(versions: Versions, entries: Sequence[Entry]) -> list[str]:
    """Ids to name the nearest from: those of the head's first rows and of what could not be read."""
    import numpy as np

    rows = versions.selection(versions.get())
    first = rows.take(np.arange(min(len(rows), _AT_ONCE)))
    key = versions.get().columns.key
    keys = versions.texts(first, key) if key else []
    return [*keys, *(id.tobytes().hex()[:12] for id in versions.ids(first)), *(entry.id[:12] for entry in entries)]


def _examples(store: Store, value: str, *, id: bool = False, column: str | None = None) -> set[str]:
    """The examples of datasets that were read straight from a file, by the user's id, or by a person's group, id or column."""
    from sqlalchemy import or_, select

    from rungwise.data.dialect import field
    from rungwise.data.schema import members, rows

    def cell(*path: str) -> Any:
        return field(store.engine, rows.c.body, *path) == value

    if id:
        named = [cell("key")]
    elif column is None:
        named = [cell("key"), cell("group")]
    else:
        # SQLite knows no way to write a quote in such a path.
        named = [cell("group"), *([cell("fields", column)] if '"' not in column else [])]
    query = select(rows.c.id).join(members, members.c.row == rows.c.id).where(or_(*named), members.c.record.is_(None))
    with store.read() as connection:
        return set(connection.execute(query).scalars())


def _bodies_of(store: Store, examples: frozenset[str]) -> list[Example]:
    from sqlalchemy import select

    from rungwise.data.schema import rows

    found = []
    with store.read() as connection:
        for id in sorted(examples):
            body = connection.execute(select(rows.c.body).where(rows.c.id == id)).scalar_one()
            found.append(from_plain(Example, json.loads(body)))
    return found


def _person_columns(versions: Versions, column: str | None, *, needed: bool) -> list[str]:
    """The columns in which a person may be named; where they are `needed`, raises UnknownName, or UsageError that asks for one."""
    sources = [one for version in versions.all() for one in version.sources]
    names = dict.fromkeys(name for one in sources for name in one.names)
    if column is not None:
        if column not in names and needed:
            raise UnknownName("column", column, names)
        return [column]
    usual = dict.fromkeys(name for one in sources for name in (one.columns.group, one.columns.key) if name)
    if not usual and needed:
        raise UsageError(f"no column of groups or ids is known. Name the one of the person: --column COLUMN ({', '.join(names)})")
    return list(usual)


def _of_person(versions: Versions, packs: Sequence[str], person: str, columns: Sequence[str]) -> set[bytes]:
    """The records that have the value in one of the columns."""
    import msgspec

    needle = msgspec.json.encode(person)[1:-1]  # as a cell holds it; most records are passed over without being decoded
    found: set[bytes] = set()
    for pack in packs:
        ids = versions.packs.ids(pack)
        for row, body in _bodies(versions, pack, len(ids)):
            if needle in body:
                cells = record_cells(body)
                if any(cell_text(cells.get(column)) == person.strip() for column in columns):
                    found.add(ids[row].tobytes())
    return found


def _bodies(versions: Versions, pack: str, count: int) -> Iterator[tuple[int, bytes]]:
    for start in range(0, count, _AT_ONCE):
        rows = range(start, min(count, start + _AT_ONCE))
        yield from zip(rows, versions.packs.bodies(pack, rows), strict=True)


def _with_kin(versions: Versions, packs: Sequence[str], records: set[bytes]) -> frozenset[bytes]:
    """The records with all that were rewritten from them and all that they were rewritten from."""
    pairs: list[tuple[bytes, bytes]] = []
    for pack in packs:
        parents = versions.packs.parents(pack)
        made = parents.any(axis=1)
        ids = versions.packs.ids(pack)[made]
        pairs += [(id.tobytes(), parent.tobytes()) for id, parent in zip(ids, parents[made], strict=True)]
    found = set(records)
    while more := {one for pair in pairs if found & set(pair) for one in pair} - found:
        found |= more
    return frozenset(found)
