"""Where a record came from, and which versions hold it or set it aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rungwise.data.versions.records import key_hash
from rungwise.data.versions.version import Version, Versions


@dataclass(frozen=True, slots=True)
class Provenance:
    """A record: its digest, where it was read, the record that it was rewritten from, and the versions that it is in.

    `held` are ids of versions; `aside` pairs of a version and the reason for which it set the record aside.
    """

    id: str
    place: str
    parent: str | None
    held: tuple[str, ...]
    aside: tuple[tuple[str, str], ...]


def find_records(versions: Versions, name: str) -> list[Provenance]:
    """The records whose digest begins with `name` (at least 6 digits), or that have it as the user's id."""
    every = list(versions.all())
    packs = dict.fromkeys(pack for version in every for pack in versions.selection(_base(versions, version)).packs)
    packs.update(dict.fromkeys(pack for version in every for pack in versions.selection(version).packs))
    return [_provenance(versions, every, pack, row) for pack, row in _matches(versions, list(packs), name)]


def _matches(versions: Versions, packs: Sequence[str], name: str) -> Iterator[tuple[str, int]]:
    """(pack, row) of each record that is meant; one that stands in several packs once."""
    import numpy as np

    wanted, seen = np.uint64(key_hash(name)), set()
    whole = bytes.fromhex(name[: len(name) // 2 * 2]) if len(name) >= 6 and set(name) <= set("0123456789abcdef") else None
    for pack in packs:
        ids = versions.packs.ids(pack)
        chosen = versions.packs.keys(pack) == wanted
        if whole is not None:
            chosen |= (ids[:, : len(whole)] == np.frombuffer(whole, np.uint8)).all(axis=1)
        for row in np.flatnonzero(chosen).tolist():
            id = ids[row].tobytes()
            if id not in seen and (versions.packs.keys(pack)[row] == wanted or id.hex().startswith(name)):
                seen.add(id)
                yield pack, row


def _provenance(versions: Versions, every: Sequence[Version], pack: str, row: int) -> Provenance:
    id = versions.packs.ids(pack)[row].tobytes()
    parent = versions.packs.parents(pack)[row].tobytes()
    held, aside = [], []
    for version in every:
        selection = versions.selection(version)
        if pack in selection.packs and (selection.row[selection.pack == selection.packs.index(pack)] == row).any():
            held.append(version.id)
        aside += [(version.id, entry.reason) for entry in versions.quarantine(version) if entry.id == id.hex()]
    return Provenance(
        id=id.hex(),
        place=versions.packs.places(pack, [row])[0],
        parent=parent.hex() if any(parent) else None,
        held=tuple(held),
        aside=tuple(aside),
    )


def _base(versions: Versions, version: Version) -> Version:
    return versions.get(version.base) if version.base else version
