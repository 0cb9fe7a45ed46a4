"""Rows come back from the quarantine to where they stood, and stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rungwise.core.errors import UnknownName, UsageError
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.data.versions.quarantine import Entry, count_reasons, keep_entries, set_aside_digest
from rungwise.data.versions.selection import Selection, joined
from rungwise.data.versions.splitting import carry_splits
from rungwise.data.versions.version import SourceNote, Version, Versions, content_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LEAST_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came back. `beyond` counts the chosen rows that never became a record and so cannot come back."""

    version: Version
    restored: int
    beyond: int


def restore(
    store: Store, head: Version, ids: Sequence[str] = (), *, reason: str | None = None, everything: bool = False
) -> Restored:
    """Bring rows back: those with these ids (or first digits), those set aside for a reason (or by a step), or all.

    They stand where they stood, and no later curation or import sets them aside again. Raises UnknownName for an id or
    reason that is not there, UsageError for rows that could never be read.
    """
    versions = Versions(store)
    chosen = _chosen(versions.quarantine(head), ids, reason, everything, folder=str(store.directory.parent))
    back = [entry for entry in chosen if entry.pack]
    if not back:
        raise UsageError(
            f"{chosen[0].place} could not be read ({chosen[0].evidence}), so there is no row to bring back. "
            "Mend it at the source, then type: rungwise data import"
        )
    work = _Restoring(versions, head, back)
    return Restored(version=work.run(), restored=len(back), beyond=len(chosen) - len(back))


class _Restoring:
    """One restoring. `base` is the imported version behind the head; positions count its rows."""

    def __init__(self, versions: Versions, head: Version, back: Sequence[Entry]) -> None:
        self.versions, self.head = versions, head
        self.base = versions.get(head.base) if head.base is not None else head
        self.early = [entry for entry in back if entry.position < 0]
        self.late = [entry for entry in back if entry.position >= 0]
        self.gone = set(back)
        # What a rewritten row was made from is pinned too: with other settings it would be rewritten to something else.
        self.pinned = tuple(sorted({*head.pinned, *(entry.id for entry in back), *_parents(self.versions, back)}))

    def run(self) -> Version:
        """Make the version and move the head to it."""
        import numpy as np

        rows = self.versions.selection(self.base)
        moved = np.arange(len(rows))  # where each row of the base stands in the new base
        base, early_at = self.base, np.zeros(0, np.int64)
        if self.early:
            before = self._insertions(rows)
            order = np.argsort(np.concatenate([np.arange(len(rows)), before - 0.5]), kind="stable")
            place = np.argsort(order)
            moved, early_at = place[: len(rows)], place[len(rows) :]
            whole = joined([rows, _records(self.early)]).take(order)
            base = self._version(replace(self.base, sources=self._sources()), whole, self._left(self.base, moved), self.base.base)
        if self.head.id == self.base.id:
            return self.versions.commit(replace(base, kind="restored"), verb="restore", made_from=[(self.head.id, "version")])
        if self.early:
            Nouns(self.versions.store).put(base, made_from=[(self.base.id, "version")])
        version = self._onto(base, moved, early_at)
        return self.versions.commit(version, verb="restore", made_from=[(self.head.id, "version"), (base.id, "imported")])

    def _onto(self, base: Version, moved: NDArray[np.int64], early_at: NDArray[np.int64]) -> Version:
        """The head with the rows that came back, in the order of its base."""
        import numpy as np

        kept = np.ones(len(moved), np.bool_)
        kept[[entry.position for entry in self.versions.quarantine(self.head) if entry.position >= 0]] = False
        late_at = moved[np.array([entry.position for entry in self.late], np.int64)]
        parts = [self.versions.selection(self.head), _records(self.late), _records(self.early)]
        order = np.argsort(np.concatenate([moved[kept], late_at, early_at]), kind="stable")
        about = replace(self.head, sources=base.sources)
        return self._version(about, joined(parts).take(order), self._left(self.head, moved), base.id, kind="restored")

    def _sources(self) -> tuple[SourceNote, ...]:
        """The sources of the base with the rows that they get back."""
        more = Counter(entry.source for entry in self.early)
        return tuple(replace(source, rows=source.rows + more[source.location]) for source in self.base.sources)

    def _insertions(self, rows: Selection) -> NDArray[np.float64]:
        """Before which row of the base each twin that was set aside at the import comes back: by source, piece and line."""
        import numpy as np

        found = []
        for entry in self.early:
            number = next(i for i, source in enumerate(self.base.sources) if source.location == entry.source)
            start = sum(source.rows for source in self.base.sources[:number])
            stop = start + self.base.sources[number].rows
            (_, line), *_ = self.versions.source_places(_records([entry]))
            own = self.versions.source_places(rows.take(np.arange(start, stop)))
            same = [at for at, (piece, _) in enumerate(own) if piece == entry.piece]
            later = [at for at in same if own[at][1] > line]
            found.append(start + (later[0] if later else same[-1] + 1 if same else len(own)))
        return np.array(found, np.float64)

    def _left(self, version: Version, moved: NDArray[np.int64]) -> list[Entry]:
        """What stays aside, with where it stood in the new base."""
        entries = [entry for entry in self.versions.quarantine(version) if entry not in self.gone]
        return [replace(one, position=int(moved[one.position])) if one.position >= 0 else one for one in entries]

    def _version(
        self, about: Version, rows: Selection, entries: Sequence[Entry], base: str | None, *, kind: str | None = None
    ) -> Version:
        """A version like another, with other rows and entries."""
        version = replace(
            about,
            kind=kind or about.kind,
            content=content_digest(self.versions.ids(rows)),
            rows=len(rows),
            records=self.versions.keep_selection(rows),
            set_aside=set_aside_digest(entries),
            aside=keep_entries(self.versions.store, entries),
            quarantined=count_reasons(entries),
            pinned=self.pinned,
            splits="",
            base=base,
            parent=self.head.id,
            erased=0,
            moved={},
        )
        splits = carry_splits(self.versions.store, self.head, version, rows) if about.splits else ()
        return replace(version, splits=self.versions.keep_json(splits) if splits else "")


def _chosen(entries: Sequence[Entry], ids: Sequence[str], reason: str | None, everything: bool, *, folder: str) -> list[Entry]:
    """The entries that are meant."""
    if not ids and reason is None and not everything:
        raise UsageError(f"say which rows. Type: rungwise data quarantine {folder}, then rungwise data restore {folder} ID")
    if reason is not None:
        entries = [one for one in entries if reason in (one.reason, one.reason.partition(":")[0])] or _no_reason(entries, reason)
    if not ids:
        if not entries:
            raise UsageError(f"nothing is set aside in {folder}")
        return list(entries)
    found: dict[Entry, None] = {}
    for id in ids:
        own = [one for one in entries if len(id) >= _LEAST_DIGITS and one.id.startswith(id)]
        if len({one.id for one in own}) != 1:
            raise UnknownName("row set aside", id, {one.id[:12] for one in entries}, where=folder)
        found.update(dict.fromkeys(own))
        if not own[0].pack:
            raise UsageError(
                f"{own[0].place} could not be read ({own[0].evidence}), so there is no row to bring back. "
                "Mend it at the source, then type: rungwise data import"
            )
    return list(found)


def _no_reason(entries: Iterable[Entry], reason: str) -> list[Entry]:
    known = {one.reason for one in entries}
    raise UnknownName("reason", reason, known | {one.partition(":")[0] for one in known})


def _records(entries: Sequence[Entry]) -> Selection:
    """The records of entries, in order."""
    import numpy as np

    names = list(dict.fromkeys(entry.pack for entry in entries))
    number = {pack: i for i, pack in enumerate(names)}
    packs = np.array([number[entry.pack] for entry in entries], np.int32)
    return Selection(tuple(names), packs, np.array([entry.row for entry in entries], np.int32))


def _parents(versions: Versions, entries: Sequence[Entry]) -> set[str]:
    """The records that those of the entries were rewritten from."""
    found = (versions.packs.parents(entry.pack)[entry.row].tobytes() for entry in entries if entry.pack)
    return {parent.hex() for parent in found if any(parent)}
