"""Versions without some records: their packs, lists and quarantines written anew; the old ones stay until they are deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rungwise.data.store import Store
from rungwise.data.versions.packs import Packed, Packs
from rungwise.data.versions.quarantine import Entry, count_reasons, keep_entries
from rungwise.data.versions.records import record_id
from rungwise.data.versions.selection import Selection, from_bytes, joined, to_bytes
from rungwise.data.versions.targets import Packets, Targets, rows_of
from rungwise.data.versions.version import Version, Versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A pack without its targets: its new name ('' when nothing is left), and the new row of each old one, -1 where it went."""

    pack: str
    rows: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Removal:
    """What is to be written into the database: versions whose content shrank, by how many rows, and packs by their new names."""

    versions: Mapping[str, Version]
    counts: Mapping[str, int]
    packs: Mapping[str, str]
    before: frozenset[str]
    after: frozenset[str]

    @property
    def old_blobs(self) -> list[str]:
        """What nothing names any more."""
        return sorted((self.before | set(self.packs)) - self.after)


def without(store: Store, packets: Packets, targets: Targets, *, write: bool = True) -> Removal:
    """Every version without the targets. Nothing is changed but that new blobs are kept; with `write=False` only counted.

    Run again after a kill it gives the same.
    """
    return _Removing(store, packets, targets, write).run()


class _Removing:
    """One removal."""

    def __init__(self, store: Store, packets: Packets, targets: Targets, write: bool) -> None:
        self.store, self.targets, self.write = store, targets, write
        self.versions = Versions(store)
        self.packs = {
            pack: self._shrink(pack, rows) for pack in packets.packs if len(rows := rows_of(self.versions, pack, targets))
        }

    def run(self) -> Removal:
        """Shrink all versions."""
        every = list(self.versions.all())
        kept = {version.id: self._kept(self.versions.selection(version)) for version in every}
        shrunk, counts, after = {}, {}, set[str]()
        for version in every:
            base = kept.get(version.base or version.id, kept[version.id])
            number = int((~kept[version.id]).sum())
            own = self._version(version, kept[version.id], base, number)
            if own != version:
                shrunk[version.id] = own
            if number:
                counts[version.id] = number
            after |= self._named(own)
        before = {digest for version in every for digest in self._named(version)}
        return Removal(shrunk, counts, {old: new.pack for old, new in self.packs.items()}, frozenset(before), frozenset(after))

    def _shrink(self, pack: str, targets: NDArray[np.int64]) -> Shrunk:
        import numpy as np

        count = self.versions.packs.count(pack)
        stay = np.ones(count, np.bool_)
        stay[targets] = False
        rows = np.where(stay, np.cumsum(stay) - 1, -1).astype(np.int32)
        left = np.flatnonzero(stay)
        return Shrunk(self._rewrite(pack, left) if self.write and len(left) else "", rows)

    def _rewrite(self, pack: str, left: NDArray[np.int64]) -> str:
        packs: Packs = self.versions.packs
        columns = (packs.lines(pack)[left], packs.keys(pack)[left], packs.sources(pack, left), packs.parents(pack)[left])
        entries = [
            Packed(record_id(body), line.tobytes(), int(key), *place, parent.tobytes(), body)
            for body, line, key, place, parent in zip(packs.bodies(pack, left), *columns, strict=True)
        ]
        return packs.write(entries)

    def _kept(self, selection: Selection) -> Mask:
        """(n,): which records of a selection stay."""
        import numpy as np

        kept = np.ones(len(selection), np.bool_)
        for pack, positions in selection.slices():
            if pack in self.packs:
                kept[positions] = self.packs[pack].rows[selection.row[positions]] >= 0
        return kept

    def _smaller(self, selection: Selection, kept: Mask) -> Selection:
        """The records that stay, by the new names and rows of their packs."""
        left = selection.take(kept)
        rows = left.row.copy()
        for pack, positions in left.slices():
            if pack in self.packs:
                rows[positions] = self.packs[pack].rows[left.row[positions]]
        names = tuple(self.packs[pack].pack if pack in self.packs else pack for pack in left.packs)
        return joined([Selection(names, left.pack, rows)])

    def _list(self, digest: str) -> tuple[str, Mask]:
        """A list of records by its digest, without the targets, and which of them stay."""
        import numpy as np

        if not digest:
            return "", np.ones(0, np.bool_)
        selection = from_bytes(self.store.blobs.get(digest))
        kept = self._kept(selection)
        # A list is written anew where one of its packs was, though it may keep all of its records.
        if not set(self.packs) & set(selection.packs):
            return digest, kept
        return self._put(to_bytes(self._smaller(selection, kept))), kept

    def _version(self, version: Version, kept: Mask, base: Mask, number: int) -> Version:
        """A version without the targets. What enters its id stays as it was; `moved` leads to what stands for it now."""
        moved = dict(version.moved)
        entries = self.versions.quarantine(version)
        left = self._entries(entries, base)
        if left != entries:
            moved[version.aside] = keep_entries(self.store, left) if self.write else ""
        splits = self.versions.splits(version)
        if splits and number:
            moved[version.splits] = self._json([own for own, stays in zip(splits, kept, strict=True) if stays])
        pieces, vanished = self._pieces(version)
        ends = list(_ends(version))
        own = base if version.base is not None else kept
        sources = tuple(
            replace(source, rows=int(own[start:end].sum()), vanished=vanished.get(source.location, source.vanished))
            for source, (start, end) in zip(version.sources, ends, strict=True)
        )
        return replace(
            version,
            rows=version.rows - number,
            sources=sources,
            records=self._list(version.records)[0],
            pieces=pieces,
            quarantined=count_reasons(left) if left != entries else version.quarantined,
            erased=version.erased + number,
            moved=moved,
        )

    def _entries(self, entries: Sequence[Entry], base: Mask) -> list[Entry]:
        """The entries without the targets, with where they stand in the base now."""
        import numpy as np

        before = np.cumsum(~base)
        left = []
        for entry in entries:
            if not entry.pack:
                if entry.id not in self.targets.entries:
                    left.append(entry)
                continue
            position = entry.position - int(before[entry.position]) if entry.position >= 0 else entry.position
            pack = self.packs.get(entry.pack)
            if pack is None:
                left.append(replace(entry, position=position))
            elif pack.rows[entry.row] >= 0:
                left.append(replace(entry, pack=pack.pack, row=int(pack.rows[entry.row]), position=position))
        return left

    def _pieces(self, version: Version) -> tuple[str, Mapping[str, int]]:
        """What is remembered of the sources, without the targets; and how many records vanished from each."""
        found: dict[str, Any] = self.versions.load_json(version.pieces) or {}
        vanished = {}
        for location, part in found.items():
            part["read"], kept = self._list(part["read"])
            part["pieces"] = [
                [name, fingerprint, header, int(kept[:first].sum()), int(kept[first : first + count].sum())]
                for name, fingerprint, header, first, count in part["pieces"]
            ]
            part["gone"], left = self._list(part["gone"])
            vanished[location] = int(left.sum())
        return (self._json(found) if found else version.pieces), vanished

    def _put(self, data: bytes) -> str:
        return self.store.blobs.put(data) if self.write else ""

    def _json(self, value: Any) -> str:
        return self.versions.keep_json(value) if self.write else ""

    def _named(self, version: Version) -> set[str]:
        """The blobs that a version names."""
        own = {version.records, version.pieces}
        own |= {version.moved.get(digest, digest) for digest in (version.aside, version.splits)}
        if self.store.blobs.has(version.pieces):
            parts = (self.versions.load_json(version.pieces) or {}).values()
            own |= {part[name] for part in parts for name in ("read", "gone")}
        return own - {""}


def _ends(version: Version) -> list[tuple[int, int]]:
    """Where the rows of each source begin and end in the base of a version."""
    found, start = [], 0
    for source in version.sources:
        found.append((start, start + source.rows))
        start += source.rows
    return found
