"""What an import read becomes a version: ids that stand twice go, what vanished is marked, the other sources stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UsageError
from rungwise.data.splits import SALT_SETTING
from rungwise.data.versions.memory import KnownPiece, Memory, remembered
from rungwise.data.versions.quarantine import Entry, count_reasons, keep_entries, set_aside_digest
from rungwise.data.versions.reread import find_digests
from rungwise.data.versions.selection import Selection, absent_from, joined
from rungwise.data.versions.splitting import carry_splits
from rungwise.data.versions.version import SourceNote, Version, Versions, content_digest
from rungwise.data.versions.writing import first_half

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read of a source: its records in order, its pieces, what was set aside, and what is said of it.

    The rows and the vanished ones of `note` are not counted yet.
    """

    note: SourceNote
    records: Selection
    pieces: Mapping[str, KnownPiece]
    entries: tuple[Entry, ...]


class Assembly:
    """Makes the version. `head` is where the data stands, `base` the imported version behind it, `before` what the source was."""

    def __init__(self, versions: Versions, head: Version | None, base: Version | None, before: Memory) -> None:
        self.versions, self.head, self.base, self.before = versions, head, base, before

    def run(self, reading: Reading) -> tuple[Version, bool]:
        """The version that the data stands at now, and whether it is a new one. Raises UsageError when no row can be used."""
        kept, twins = self._unique(reading)
        entries = [*reading.entries, *twins]
        location, store = reading.note.location, self.versions.store
        if not len(kept):
            shown = f": {entries[0].place}: {entries[0].evidence}" if entries else ""
            raise UsageError(f"{location} holds no row that can be used ({len(entries)} set aside{shown})")
        gone = self._gone(reading.records)
        note = replace(reading.note, rows=len(kept), vanished=len(gone))
        notes, parts, selections = self._with_others(note, kept)
        parts[location] = remembered(self.versions, reading.records, reading.pieces, gone)
        whole = joined(selections)
        others = self.versions.quarantine(self.base) if self.base is not None else []
        entries = [*(entry for entry in others if entry.source != location), *entries]
        version = Version(
            kind="imported",
            content=content_digest(self.versions.ids(whole)),
            rows=len(whole),
            sources=notes,
            records=self.versions.keep_selection(whole),
            set_aside=set_aside_digest(entries),
            aside=keep_entries(store, entries),
            pieces=self.versions.keep_json(parts),
            quarantined=count_reasons(entries),
            pinned=self.head.pinned if self.head else (),
            parent=self.head.id if self.head else None,
        )
        if store.setting(SALT_SETTING) is None:
            store.set_setting(SALT_SETTING, _salt(reading, version))
        version = self._split(version, whole)
        if self.base is not None and note == self.before.note and self._same(version, self.base):
            return self.base, False
        version = self.versions.commit(version, verb="import", made_from=[(self.head.id, "version")] if self.head else [])
        self._keep_curation(version)
        return version, True

    def _unique(self, reading: Reading) -> tuple[Selection, list[Entry]]:
        """The records less those whose id of the user stands in an earlier one, and these."""
        import numpy as np

        records = reading.records
        keys = self.versions.keys(records)
        ranked = np.sort(keys[keys != 0])
        if (ranked[1:] != ranked[:-1]).all():
            return records, []
        _, first, own = np.unique(keys, return_index=True, return_inverse=True)
        twin_of = first[own]
        again = np.flatnonzero((twin_of != np.arange(len(records))) & (keys != 0))
        again = again[~self._pinned(records.take(again))]
        twins, firsts = records.take(again), records.take(twin_of[again])
        ids, others = self.versions.ids(twins), self.versions.ids(firsts)
        named = zip(self.versions.places(twins), self.versions.places(firsts), strict=True)
        entries = []
        for number, (here, there) in enumerate(named):
            same = bool((ids[number] == others[number]).all())
            entry = Entry(
                id=ids[number].tobytes().hex(),
                place=here,
                source=reading.note.location,
                piece=here.rpartition(":")[0] or here,
                reason="import:duplicate_row" if same else "import:duplicate_id",
                evidence=f"the same id{' and content' if same else ', other content,'} as {there}",
                pack=twins.packs[twins.pack[number]],
                row=int(twins.row[number]),
            )
            entries.append(entry)
        keep = np.ones(len(records), np.bool_)
        keep[again] = False
        return records.take(keep), entries

    def _pinned(self, records: Selection) -> NDArray[np.bool_]:
        """(n,): which of these records a person brought back."""
        import numpy as np

        pinned = frozenset(self.head.pinned) if self.head is not None else frozenset[str]()
        return np.array([id.tobytes().hex() in pinned for id in self.versions.ids(records)], np.bool_)

    def _keep_curation(self, version: Version) -> None:
        """Where only what is said of a source changed, such as its licence, the curated head stands on the new version."""
        head, base = self.head, self.base
        if head is None or base is None or head.base is None:
            return
        if (version.content, version.set_aside, version.columns) == (base.content, base.set_aside, base.columns):
            curated = replace(head, sources=version.sources, base=version.id, pieces=version.pieces, parent=head.id)
            self.versions.commit(curated, verb="import", made_from=[(version.id, "imported")])

    def _split(self, version: Version, records: Selection) -> Version:
        """The version with the splits that the head has, carried over."""
        if self.head is None or not self.head.splits:
            return version
        splits = carry_splits(self.versions.store, self.head, version, records)
        return replace(version, splits=self.versions.keep_json(splits), split_by=self.head.split_by)

    def _same(self, version: Version, base: Version) -> bool:
        """Whether the sources hold what they held. Splits and pins are the head's; what was erased is no change."""
        if base.erased:
            content = content_digest(self.versions.ids(self.versions.selection(base)))
            base = replace(base, content=content, set_aside=set_aside_digest(self.versions.quarantine(base)))
        return replace(version, splits=base.splits, pinned=base.pinned).id == base.id

    def _with_others(self, note: SourceNote, kept: Selection) -> tuple[tuple[SourceNote, ...], dict[str, Any], list[Selection]]:
        """All sources of the new version in order, what is remembered of the others, and the records of each."""
        if self.base is None:
            return (note,), {}, [kept]
        notes = list(self.base.sources)
        selections = [self.versions.part(self.base, number) for number in range(len(notes))]
        at = next((place for place, one in enumerate(notes) if one.location == note.location), len(notes))
        notes[at : at + 1], selections[at : at + 1] = [note], [kept]
        return tuple(notes), dict(self.versions.load_json(self.base.pieces)), selections

    def _gone(self, records: Selection) -> Selection:
        """The records of earlier imports that are no longer at the source, neither by content nor by the user's id."""
        import numpy as np

        earlier = joined([self.before.gone, self.before.records])
        lost = earlier.take(absent_from(earlier, records))
        if not len(lost):
            return lost
        come = records.take(absent_from(records, earlier))
        back = find_digests(first_half(self.versions.ids(lost)), first_half(self.versions.ids(come))) >= 0
        keys = self.versions.keys(lost)
        changed = (keys != 0) & np.isin(keys, self.versions.keys(come))
        return lost.take(~back & ~changed)


def _salt(reading: Reading, version: Version) -> str:
    """The salt of the splits, from the first import: of a single table the digest of its bytes, as in a climb on that file."""
    only = list(reading.pieces.values())
    return only[0].fingerprint if reading.note.kind == "table" and len(only) == 1 else version.content
