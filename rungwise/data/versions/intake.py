"""A source becomes a version: what changed is read, what did not is pointed at, what vanished is marked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import BadData
from rungwise.core.progress import Progress
from rungwise.core.record import digest
from rungwise.core.usecase import Columns, UseCase
from rungwise.data.columns import ROLES, infer_roles
from rungwise.data.lines import RAW_CAP
from rungwise.data.readers import Quarantined, Row, cell_text
from rungwise.data.sources import Piece, Source
from rungwise.data.store import Store
from rungwise.data.versions.assembly import Assembly, Reading
from rungwise.data.versions.memory import KnownPiece, erased_ids, note_pack, pending, recall
from rungwise.data.versions.packs import NO_DIGEST, NO_PARENT, Packed, Packs
from rungwise.data.versions.quarantine import Entry
from rungwise.data.versions.records import key_hash, record_bytes, record_id, unread_id
from rungwise.data.versions.reread import LineDigests, digest_lines, find_digests, write_lines
from rungwise.data.versions.selection import joined
from rungwise.data.versions.version import SourceNote, Version, Versions
from rungwise.data.versions.writing import PackWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE_ROWS = 5_000
"""The roles of the columns are told from this many rows."""

_SAY_EVERY = 20_000
# The kinds of sources whose places end with a line; a page's may end with the port of its host.
_LINED = ("table", "hub")
_OBJECTS = (".jsonl", ".ndjson")
_TABLES = (".csv", ".tsv", ".tab")
# A changed table is read by its changed lines alone only where that saves most of the work.
_MOSTLY_KNOWN = 0.5


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What an import did: `read` counts the rows that were really read; `changed` is false where the source was as before.

    `reasons` say which column plays which role and why.
    """

    version: Version
    read: int
    changed: bool
    reasons: tuple[str, ...] = ()


def take_in(
    store: Store,
    source: Source,
    *,
    columns: Columns | None = None,
    licence: str | None = None,
    location: str | None = None,
    say: Callable[[Progress], None] = lambda _: None,
) -> Taken:
    """Import a source into the store: a new version, or the one that is there where nothing changed.

    `columns` name the roles that are not to be guessed, `location` that under which the source is known where it moved. A
    killed import goes on from its last pack. Hold the project's lock around it. Raises UsageError when no row can be used
    or the text column cannot be told, UnknownName for a column.
    """
    return _Intake(store, source, columns or Columns(), licence, location or source.location, say).run()


class _Intake:
    """One import."""

    def __init__(
        self, store: Store, source: Source, columns: Columns, licence: str | None, location: str, say: Callable[[Progress], None]
    ) -> None:
        self.store, self.source, self.location, self.say = store, source, location, say
        self.versions, self.packs = Versions(store), Packs(store.blobs)
        self.head = self.versions.head()
        self.base = self.versions.get(self.head.base) if self.head is not None and self.head.base is not None else self.head
        self.before = recall(self.versions, self.base, location)
        note = self.before.note
        self.licence = licence or source.licence or (note.licence if note else None)
        self.given = {role: getattr(columns, role) or (getattr(note.columns, role) if note else None) for role in ROLES}
        # With the roles of the last import, what was read then needs no second look.
        same = note is not None and all(getattr(note.columns, role) == name for role, name in self.given.items())
        self.columns = note.columns if note is not None and same else None
        self.names = dict.fromkeys(note.names) if note is not None and same else {}
        self.renames: dict[str, str] = {}
        self.text_column = self.key_column = ""
        self._adopt()
        self.why: tuple[str, ...] = ()
        self.entries: list[Entry] = []
        self.pieces: dict[str, KnownPiece] = {}
        self.read = 0
        self.erased = erased_ids(store)
        self.unfinished = pending(store, location)
        known = joined([self.before.records, self.unfinished])
        self.writer = PackWriter(self.packs, known, self.versions.ids(known), lambda pack: note_pack(store, location, pack))

    def run(self) -> Taken:
        for piece in self.source.pieces():
            if isinstance(piece, Quarantined):
                self._set_aside(piece, piece.place)
                continue
            first = self.writer.count
            header = self._piece(piece)
            self.pieces[piece.name] = KnownPiece(piece.fingerprint, header, first, self.writer.count - first)
            self.say(Progress(rung=piece.name, step="read", done=self.writer.count))
        records = self.writer.finish()
        columns = self.columns or Columns(**self.given)
        note = SourceNote(
            location=self.location,
            kind=self.source.kind,
            columns=columns,
            names=tuple(self.names),
            rows=len(records),
            licence=self.licence,
            languages=tuple(self.source.languages),
        )
        assembly = Assembly(self.versions, self.head, self.base, self.before)
        reading = Reading(note=note, records=records, pieces=self.pieces, entries=tuple(self.entries))
        version, changed = assembly.run(reading)
        return Taken(version=version, read=self.read, changed=changed, reasons=self.why)

    def _piece(self, piece: Piece) -> str:
        """Take in one piece and give the digest of its header line, '' where it has none."""
        import numpy as np

        old = self.before.pieces.get(piece.name) if self.columns is not None else None
        if old is not None and old.fingerprint == piece.fingerprint:
            self._point(np.arange(old.first, old.first + old.count))
            self.entries += [entry for entry in self.before.entries if entry.piece == piece.name and not entry.pack]
            return old.header
        ending = _ending(piece.path)
        if self.source.kind != "table" or ending not in (*_TABLES, *_OBJECTS):
            # A document is remembered by its fingerprint as a row is by its line.
            self._all(piece, self._read(piece), None)
            return ""
        try:
            lines = digest_lines(piece.path, quotes=ending in _TABLES)
        except BadData:
            lines = None  # damaged: the tolerant reader finds out how far it can be read
        header = lines.digests[0].tobytes().hex() if lines is not None and ending in _TABLES and len(lines.digests) else ""
        same = lines is not None and lines.whole and (old is None or old.header == header)
        if lines is None or not same or not self._changes(piece, lines, old, header=bool(header)):
            self._all(piece, self._read(piece), lines)
        return header

    def _point(self, positions: NDArray[Any]) -> None:
        """The next records are these of the ones known."""
        self.writer.point(self.writer.known.take(positions))

    def _changes(self, piece: Piece, lines: LineDigests, old: KnownPiece | None, *, header: bool) -> bool:
        """Point at the lines that are known and read the others; False where that would save little."""
        import numpy as np

        positions, digests = self._known_lines(old)
        found = np.concatenate([[-1] * header, find_digests(lines.digests[int(header) :], digests)]).astype(np.int64)
        if not len(found) or (found < 0).mean() > _MOSTLY_KNOWN:
            return False
        numbers = np.flatnonzero(found < 0) + 1  # the lines that are read, counted from 1
        if self.columns is None and not self._roles_from(piece):
            return False
        if len(numbers) == int(header):
            self._point(positions[found[found >= 0]])
            return True
        with tempfile.TemporaryDirectory(dir=self.store.directory) as folder:
            part = Path(folder) / Path(piece.path).name.removesuffix(".gz")
            write_lines(piece.path, found < 0, part)
            rows = self._read(replace(piece, path=part), numbers)
            held: list[Entry] = []
            if lines.parts.any():
                aside = len(self.entries)
                rows = iter(list(rows))
                held, self.entries = self.entries[aside:], self.entries[:aside]
                if any(entry.reason == "malformed:quotes" for entry in held):
                    return False  # where quotes do not match, what a line means depends on those before it
            self._mixed(piece, rows, lines, numbers, np.where(found < 0, -1, positions[found]))
            self.entries += held
        return True

    def _mixed(
        self, piece: Piece, rows: Iterator[Row], lines: LineDigests, numbers: NDArray[np.int64], known: NDArray[np.int64]
    ) -> None:
        """Known lines (their positions, -1 for the others) and freshly read rows, in the order of the piece."""
        done = 0
        for place, cells in rows:
            at = int(numbers[_line_of(place) - 1])
            between = known[done : at - 1]
            self._point(between[between >= 0])
            self._row(piece, cells, at, lines)
            done = at
        rest = known[done:]
        self._point(rest[rest >= 0])

    def _known_lines(self, old: KnownPiece | None) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Positions among the known records, and the digests of the lines that they were read from."""
        import numpy as np

        start = len(self.before.records)
        own = np.arange(old.first, old.first + old.count) if old is not None else np.zeros(0, np.int64)
        positions = np.concatenate([own, np.arange(start, start + len(self.unfinished))])
        chosen = self.writer.known.take(positions)
        digests = np.zeros((len(positions), 2), np.uint64)
        for pack, places in chosen.slices():
            digests[places] = self.packs.lines(pack)[chosen.row[places]]
        return positions, digests

    def _roles_from(self, piece: Piece) -> bool:
        """Tell the roles from the beginning of a piece whose lines are known from a killed import."""
        read = self.source.read(piece)
        self._roles([cells for _, cells in islice(read.rows, SAMPLE_ROWS)], list(read.columns))
        return self.columns is not None

    def _read(self, piece: Piece, numbers: NDArray[np.int64] | None = None) -> Iterator[Row]:
        """The rows of a piece; at the end, what was set aside in it. `numbers` are its lines where only some are read."""
        read = self.source.read(piece)
        rows = read.rows
        if self.columns is None:
            sample = list(islice(rows, SAMPLE_ROWS))
            self._roles([cells for _, cells in sample], list(read.columns))
            rows = chain(sample, rows)
        yield from rows
        self.names.update(dict.fromkeys(self.renames.get(name, name) for name in read.columns))
        for bad in read.quarantine:
            self._set_aside(bad if numbers is None else _moved(bad, piece.name, numbers), piece.name)

    def _roles(self, sample: Sequence[Mapping[str, Any]], names: list[str]) -> None:
        """Which column plays which role, from the first rows."""
        if sample:
            use = UseCase(name="import", task="classify", columns=Columns(**self.given))
            roles = infer_roles(names, sample, use, source=self.source.location, labelled=False)
            self.columns, self.why = roles.columns, roles.reasons
            self._adopt()

    def _adopt(self) -> None:
        """Call the columns of the roles as the first source of the data does, so that all rows can be read alike."""
        if self.columns is None:
            return
        first = self.base.sources[0] if self.base is not None else None
        if first is not None and first.location != self.source.location:
            pairs = [(getattr(self.columns, role), getattr(first.columns, role)) for role in ROLES]
            self.renames = {own: wanted for own, wanted in pairs if own and wanted and own != wanted}
            # A column that has the wanted name, but another role, makes way.
            for taken in sorted(set(self.renames.values()) - set(self.renames)):
                self.renames[taken] = f"{taken} of {Path(self.source.location).name}"
        self.text_column, self.key_column = (
            self.renames.get(own or "", own or "") for own in (self.columns.text, self.columns.key)
        )

    def _all(self, piece: Piece, rows: Iterator[Row], lines: LineDigests | None) -> None:
        lined = self.source.kind in _LINED
        for place, cells in rows:
            self._row(piece, cells, _line_of(place) if lined else 0, lines)
            if self.read % _SAY_EVERY == 0:
                self.say(Progress(rung=piece.name, step="read", done=self.writer.count))

    def _row(self, piece: Piece, cells: dict[str, Any], at: int, lines: LineDigests | None) -> None:
        """One row that was read: a record, or an entry of the quarantine where none can be made of it."""
        self.read += 1
        if self.renames:
            cells = {self.renames.get(name, name): value for name, value in cells.items()}
        try:
            body = record_bytes(cells)
        except ValueError as error:
            self._refuse(piece, at, "malformed:value", f"cannot be kept as UTF-8 JSON: {error}")
            return
        id, text = record_id(body), cells.get(self.text_column)
        if id in self.erased:
            self._refuse(piece, at, "import:erased", "it was erased")
        elif not text or cell_text(text) is None:
            self._refuse(piece, at, "import:no_text", "the text is empty", raw=body[:RAW_CAP].decode("utf-8", "ignore"))
        else:
            line = lines.raw[16 * (at - 1) : 16 * at] if lines is not None and 0 < at <= len(lines.digests) else NO_DIGEST
            key = key_hash(cell_text(cells.get(self.key_column))) if self.key_column else 0
            self.writer.add(Packed(id, line, key, piece.name, at, NO_PARENT, body))

    def _refuse(self, piece: Piece, at: int, code: str, why: str, *, raw: str = "") -> None:
        place = f"{piece.name}:{at}" if at else piece.name
        self._set_aside(Quarantined(place, why, code=code, raw=raw), piece.name)

    def _set_aside(self, bad: Quarantined, piece: str) -> None:
        if bad.raw and unread_id(bad.raw) in self.erased:
            bad = Quarantined(bad.place, "it was erased", code="import:erased")
        entry = Entry(
            id=digest([piece, bad.place, bad.raw]),
            place=bad.place,
            source=self.source.location,
            piece=piece,
            reason=bad.code,
            evidence=bad.reason,
            raw=bad.raw,
        )
        self.entries.append(entry)


def _ending(path: Path) -> str:
    """What kind of file it is, by its name; packed or not."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]


def _line_of(place: str) -> int:
    """The line that a place ends with; 0 where it names a whole file."""
    line = place.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0


def _moved(bad: Quarantined, piece: str, numbers: NDArray[np.int64]) -> Quarantined:
    """What was set aside among the changed lines, with its line number in the whole piece."""
    line = _line_of(bad.place)
    return replace(bad, place=f"{piece}:{numbers[line - 1]}") if 0 < line <= len(numbers) else bad
