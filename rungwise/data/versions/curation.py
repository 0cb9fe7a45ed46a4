"""Curation of a version: steps look at batches of rows wherever they run, and then decide over all of them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rungwise.core.dataset import Example
from rungwise.core.errors import BadData
from rungwise.core.progress import Progress
from rungwise.core.record import to_plain
from rungwise.core.types import Executor
from rungwise.curate.step import Finding, Look, Rewriter, Step
from rungwise.data.readers import cell_text
from rungwise.data.splits import DRAWN, FROM_TRACE, SALT_SETTING, UNPROVING, fill_splits, is_split, split_named
from rungwise.data.store import Store
from rungwise.data.versions.dataset import split_column
from rungwise.data.versions.looking import Looks, cut_batches
from rungwise.data.versions.packs import NO_DIGEST, Packed
from rungwise.data.versions.quarantine import Entry, count_reasons, keep_entries, set_aside_digest
from rungwise.data.versions.records import record_bytes, record_cells, record_id
from rungwise.data.versions.selection import Selection
from rungwise.data.versions.splitting import carry_splits
from rungwise.data.versions.spool import Spool
from rungwise.data.versions.version import Version, Versions, content_digest
from rungwise.data.versions.writing import PackWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STAGES = (("quality", "language", "pii"), ("dedup",), ("leaks",), ("labels",))
"""Steps of one stage look at the same rows; those of the next see only what the stages before have left."""

# What these say is about splits; a corpus without labels has none.
_FOR_SPLITS = ("leaks", "labels")
_ROW = re.compile(r"\brow (\d+)\b")


@dataclass(frozen=True, kw_only=True)
class Curated:
    """What a curation did: how many rows it kept, and how many it set aside for each reason."""

    version: Version
    kept: int
    quarantined: Mapping[str, int]


class VersionRows:
    """The rows that a stage decides on: some of a version's records, in order."""

    def __init__(self, versions: Versions, version: Version, selection: Selection, splits: Sequence[str]) -> None:
        self.versions, self.version, self.selection, self.splits = versions, version, selection, splits
        self._spool: Spool | None = None

    def __len__(self) -> int:
        return len(self.selection)

    @cached_property
    def labels(self) -> Sequence[str]:
        """The label of each row; empty where the data has none."""
        column = self.version.columns.label
        return [text for batch in self._batches(column) for text in batch] if column else ()

    def texts(self, rows: Sequence[int]) -> list[str]:
        """The texts of these rows, in the order asked for."""
        if self._spool is None:
            self._spool = Spool(self.versions.store.directory, self.all_texts())
        return self._spool.texts(rows)

    def close(self) -> None:
        """Let go of the texts on disk."""
        if self._spool is not None:
            self._spool.close()

    def all_texts(self) -> Iterator[Sequence[str]]:
        """Every text, in order, in batches."""
        return self._batches(self.version.columns.text)

    def _batches(self, column: str | None) -> Iterator[Sequence[str]]:
        for positions in cut_batches(self.versions, self.selection):
            yield self.versions.texts(self.selection.take(positions), column)


async def curate(
    store: Store,
    version: Version,
    steps: Sequence[Step],
    *,
    executor: Executor,
    parts: int = 1,
    say: Callable[[Progress], None] = lambda _: None,
) -> Curated:
    """Set aside what the steps find in the imported version behind `version`, and keep the rest as a curated version.

    `parts` cuts the rows into so many ranges whose batches share nothing, as a cluster would; the result is the same.
    What a step saw of a batch is kept, so that a killed curation goes on and the next one looks only at what is new.
    """
    run = _Curation(store, version, steps, executor, parts, say)
    return await run.run()


class _Curation:
    """One run of the steps over one version."""

    def __init__(
        self, store: Store, head: Version, steps: Sequence[Step], executor: Executor, parts: int, say: Callable[[Progress], None]
    ) -> None:
        self.store, self.parts, self.say = store, parts, say
        self.versions = Versions(store)
        self.head = head
        self.base = self.versions.get(head.base) if head.base is not None else head
        self.steps = {step.name: step for step in steps}
        self.looks = Looks(self.versions, executor, self.base.columns.text, say)
        self.pinned = frozenset(bytes.fromhex(id) for id in head.pinned)
        self.entries: list[Entry] = []
        self.ran: list[str] = []

    async def run(self) -> Curated:
        import numpy as np

        whole = self.versions.selection(self.base)
        carried = carry_splits(self.store, self.head, self.base, whole)
        splits = carried or split_of(self.store, self.versions, self.base, whole)
        # Steps compare the texts as they came in; what rewriting made of them is what is kept in the end.
        kept, selection, final = np.arange(len(whole)), whole, whole
        for stage in STAGES:
            steps = [self.steps[name] for name in stage if name in self.steps and (splits or name not in _FOR_SPLITS)]
            if steps and len(kept):
                rows = VersionRows(self.versions, self.base, selection, [splits[i] for i in kept.tolist()] if splits else ())
                with contextlib.closing(rows):
                    aside, changed = await self._stage(steps, rows, kept)
                self.ran += [step.name for step in steps]
                left = np.delete(np.arange(len(kept)), aside)
                kept, selection, final = kept[left], selection.take(left), (changed or final).take(left)
        return self._commit(final, [carried[i] for i in kept.tolist()] if carried else ())

    async def _stage(
        self, steps: Sequence[Step], rows: VersionRows, positions: NDArray[np.int64]
    ) -> tuple[list[int], Selection | None]:
        """Run the steps of a stage: the rows that they set aside, counted within it, and its records where a step rewrote them."""
        records = rows.selection
        batches = [part[own] for part in _ranges(len(rows), self.parts) for own in cut_batches(self.versions, records.take(part))]
        looks = await self.looks.at(steps, records, batches)
        found: dict[int, Finding] = {}
        for number, step in enumerate(steps):
            self.say(Progress(rung=step.name, step="decide", done=0, total=len(rows)))
            for finding in await self._decide(step, [look[number] for look in looks], rows):
                found.setdefault(finding.row, finding)
        aside = self._unpinned(records, sorted(found))
        self._set_aside(records.take(_array(aside)), [found[row] for row in aside], records, positions[_array(aside)])
        changed = None
        for number, step in enumerate(steps):
            if isinstance(step, Rewriter) and step.rewrites:
                changed = rewritten(self.versions, self.base, records, batches, step, [look[number] for look in looks])
        return aside, changed

    async def _decide(self, step: Step, looks: Sequence[Look], rows: VersionRows) -> list[Finding]:
        """Decide in a thread of this process: it needs the rows of the store, and the event loop stays alive."""
        return await asyncio.to_thread(step.decide, looks, rows)

    def _unpinned(self, selection: Selection, rows: list[int]) -> list[int]:
        """The rows less those that a person brought back."""
        if not self.pinned or not rows:
            return rows
        own = selection.take(_array(rows))
        names = zip(rows, self.versions.ids(own), self.versions.parents(own), strict=True)
        return [row for row, id, parent in names if self.pinned.isdisjoint((id.tobytes(), parent.tobytes()))]

    def _set_aside(self, records: Selection, findings: Sequence[Finding], stage: Selection, positions: NDArray[np.int64]) -> None:
        """Enter the findings in the quarantine; rows that the evidence names are called by their places."""
        named = sorted({int(row) for finding in findings for row in _ROW.findall(finding.evidence)})
        places = dict(zip(named, self.versions.places(stage.take(_array(named))), strict=True))
        ids, own = self.versions.ids(records), self.versions.places(records)
        for i, finding in enumerate(findings):
            entry = Entry(
                id=ids[i].tobytes().hex(),
                place=own[i],
                reason=finding.reason,
                evidence=_ROW.sub(lambda match: places[int(match[1])], finding.evidence),
                pack=records.packs[records.pack[i]],
                row=int(records.row[i]),
                position=int(positions[i]),
            )
            self.entries.append(entry)

    def _commit(self, selection: Selection, splits: Sequence[str]) -> Curated:
        entries = [*self.versions.quarantine(self.base), *sorted(self.entries, key=lambda entry: entry.position)]
        version = dataclasses.replace(
            self.base,
            kind="curated",
            content=content_digest(self.versions.ids(selection)),
            rows=len(selection),
            records=self.versions.keep_selection(selection),
            set_aside=set_aside_digest(entries),
            aside=keep_entries(self.store, entries),
            quarantined=count_reasons(entries),
            steps={name: to_plain(self.steps[name]) for name in self.ran},
            pinned=self.head.pinned,
            splits=self.versions.keep_json(splits) if splits else "",
            split_by=self.head.split_by,
            base=self.base.id,
            parent=self.head.id,
            erased=0,
            moved={},
        )
        version = self.versions.commit(version, verb="curate", made_from=[(self.base.id, "imported")])
        return Curated(version=version, kept=len(selection), quarantined=count_reasons(self.entries))


def split_of(store: Store, versions: Versions, version: Version, selection: Selection) -> tuple[str, ...]:
    """The split of each record as a climb would see it; empty for data without labels, which no climb can use."""
    if version.splits:
        return versions.splits(version)
    columns, split = version.columns, split_column(version)
    if columns.label is None and split is None:
        return ()

    def examples() -> Iterator[tuple[Example, str]]:
        for positions in cut_batches(versions, selection):
            for cells in map(record_cells, versions.bodies(selection.take(positions))):
                cell = {
                    role: cell_text(cells.get(name)) for role in ("text", "passage", "group") if (name := getattr(columns, role))
                }
                name = cell_text(cells.get(split)) if split else None
                fields = {name: value for name in (*UNPROVING, DRAWN) if (value := cell_text(cells.get(name))) is not None}
                row = Example(text=cell.get("text") or "", passage=cell.get("passage"), group=cell.get("group"), fields=fields)
                yield row, split_named(name) if name and is_split(name) else ""

    given = [own for _, own in examples()] if split else [""] * len(selection)
    later = {place for place, (row, _) in enumerate(examples()) if row.fields.get(FROM_TRACE)} if split else set[int]()
    salt = store.setting(SALT_SETTING) or version.content
    try:
        return fill_splits((row for row, _ in examples()), given, salt, later=later)
    except BadData:
        return ()


def rewritten(
    versions: Versions,
    version: Version,
    records: Selection,
    batches: Sequence[NDArray[np.int64]],
    step: Rewriter,
    looks: Sequence[Look],
) -> Selection:
    """The same records with the texts that a step has changed; each changed one names the record that it was made from."""
    column = version.columns.text or ""
    ids, keys = versions.ids(records), versions.keys(records)
    writer = PackWriter(versions.packs, records, ids)
    for positions, look in zip(batches, looks, strict=True):
        part = records.take(positions)
        cells = [record_cells(body) for body in versions.bodies(part)]
        texts = [cell_text(own.get(column)) or "" for own in cells]
        places = versions.source_places(part)
        for i, (before, after) in enumerate(zip(texts, step.rewrite(texts, look), strict=True)):
            if before == after:
                writer.point(part.take(_array([i])))
                continue
            body = record_bytes({**cells[i], column: after})
            at = int(positions[i])
            writer.add(Packed(record_id(body), NO_DIGEST, int(keys[at]), *places[i], ids[at].tobytes(), body))
    return writer.finish()


def _ranges(count: int, parts: int) -> list[NDArray[np.int64]]:
    """The positions in so many ranges of about equal length."""
    import numpy as np

    return [part for part in np.array_split(np.arange(count), parts) if len(part)]


def _array(rows: Sequence[int]) -> NDArray[np.int64]:
    import numpy as np

    return np.asarray(rows, np.int64)
