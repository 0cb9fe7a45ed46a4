"""Curation of a version: steps look at batches of rows wherever they run, and then decide over all of them."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.dataset import Example
from rungwise.core.errors import BadData
from rungwise.core.progress import Progress
from rungwise.core.record import digest, to_plain
from rungwise.core.types import Executor
from rungwise.curate.step import Finding, Look, Step
from rungwise.data.blobs import Blobs
from rungwise.data.packs import Packs
from rungwise.data.quarantine import Entry, count_reasons, keep_entries
from rungwise.data.readers import cell_text
from rungwise.data.records import record_cells, texts_of
from rungwise.data.selection import Selection
from rungwise.data.splits import SALT_SETTING, complete_splits, draw_splits, is_split, split_named
from rungwise.data.steps import Steps
from rungwise.data.store import Store
from rungwise.data.versions import Version, Versions, content_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STAGES = (("quality", "language", "pii"), ("dedup",), ("leaks",), ("labels",))
"""Steps of one stage look at the same rows; those of the next see only what the stages before have left."""

BATCH_ROWS = 8_192
BATCH_BYTES = 16 * 2**20
_MEAN_ROWS = 4_096
_IN_FLIGHT = 4
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

    def __len__(self) -> int:
        return len(self.selection)

    @cached_property
    def labels(self) -> Sequence[str]:
        """The label of each row; empty where the data has none."""
        column = self.version.columns.label
        return [text for batch in self._batches(column) for text in batch] if column else ()

    def texts(self, rows: Sequence[int]) -> list[str]:
        """The texts of these rows, in the order asked for."""
        import numpy as np

        return self.versions.texts(self.selection.take(np.asarray(rows, np.int64)), self.version.columns.text)

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
        self.store, self.executor, self.parts, self.say = store, executor, parts, say
        self.versions = Versions(store)
        self.head = head
        self.base = self.versions.get(head.base) if head.base is not None else head
        self.steps = {step.name: step for step in steps}
        self.cache = Steps(store)
        self.pinned = frozenset(bytes.fromhex(id) for id in head.pinned)
        self.entries: list[Entry] = []

    async def run(self) -> Curated:
        import numpy as np

        whole = self.versions.selection(self.base)
        splits = split_of(self.store, self.versions, self.head if self.head.splits else self.base, whole)
        kept = np.arange(len(whole))
        for stage in STAGES:
            steps = [self.steps[name] for name in stage if name in self.steps]
            if steps and len(kept):
                selection = whole.take(kept)
                rows = VersionRows(self.versions, self.base, selection, [splits[i] for i in kept.tolist()] if splits else ())
                aside = await self._stage(steps, rows, kept)
                kept = np.delete(kept, aside)
        return self._commit(whole, kept)

    async def _stage(self, steps: Sequence[Step], rows: VersionRows, positions: NDArray[np.int64]) -> list[int]:
        """Run the steps of a stage; give the rows that they set aside, counted within the stage."""
        looks = await self._looks(steps, rows.selection)
        found: dict[int, Finding] = {}
        for number, step in enumerate(steps):
            self.say(Progress(rung=step.name, step="decide", done=0, total=len(rows)))
            for finding in await self._decide(step, [look[number] for look in looks], rows):
                found.setdefault(finding.row, finding)
        aside = self._unpinned(rows.selection, sorted(found))
        self._set_aside(rows.selection.take(_array(aside)), [found[row] for row in aside], rows.selection, positions[_array(aside)])
        return aside

    async def _decide(self, step: Step, looks: Sequence[Look], rows: VersionRows) -> list[Finding]:
        """Decide in a thread of this process: it needs the rows of the store, and the event loop stays alive."""
        return await asyncio.to_thread(step.decide, looks, rows)

    async def _looks(self, steps: Sequence[Step], selection: Selection) -> list[list[Look]]:
        """What each step saw of each batch, from the cache where it was seen before."""
        batches = [part[own] for part in self._ranges(len(selection)) for own in cut_batches(self.versions, selection.take(part))]
        ids = self.versions.ids(selection)
        gate, done = asyncio.Semaphore(_IN_FLIGHT), 0

        async def look(positions: NDArray[np.int64]) -> list[Look]:
            nonlocal done
            async with gate:
                found = await self._look(steps, selection.take(positions), content_digest(ids[positions]))
            done += 1
            self.say(Progress(rung="+".join(step.name for step in steps), step="look", done=done, total=len(batches)))
            return found

        return list(await asyncio.gather(*map(look, batches)))

    async def _look(self, steps: Sequence[Step], batch: Selection, content: str) -> list[Look]:
        from safetensors.numpy import load, save

        column = self.base.columns.text
        keys = [digest(["look", step.name, step.edition, to_plain(step), column, content]) for step in steps]
        known = [self.cache.get(key) for key in keys]
        wanted = [step for step, seen in zip(steps, known, strict=True) if seen is None or not self.store.blobs.has(seen.output)]
        fresh: dict[str, Look] = {}
        if wanted:
            slices = [(pack, batch.row[positions], positions) for pack, positions in batch.slices()]
            seen_now = await self.executor.run(look_at, str(self.store.blobs.directory), slices, column, wanted)
            fresh = {step.name: one for step, one in zip(wanted, seen_now, strict=True)}
        looks = []
        for step, key, seen in zip(steps, keys, known, strict=True):
            if step.name in fresh:
                self.cache.put(key, "look", self.store.blobs.put(save(dict(fresh[step.name]))), seconds=0.0)
                looks.append(fresh[step.name])
            else:
                assert seen is not None
                looks.append(load(self.store.blobs.get(seen.output)))
        return looks

    def _ranges(self, count: int) -> list[NDArray[np.int64]]:
        import numpy as np

        return [part for part in np.array_split(np.arange(count), self.parts) if len(part)]

    def _unpinned(self, selection: Selection, rows: list[int]) -> list[int]:
        """The rows less those that a person brought back."""
        if not self.pinned or not rows:
            return rows
        ids = self.versions.ids(selection.take(_array(rows)))
        return [row for row, id in zip(rows, ids, strict=True) if id.tobytes() not in self.pinned]

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

    def _commit(self, whole: Selection, kept: NDArray[np.int64]) -> Curated:
        selection = whole.take(kept)
        entries = [*self.versions.quarantine(self.base), *sorted(self.entries, key=lambda entry: entry.position)]
        version = dataclasses.replace(
            self.base,
            kind="curated",
            content=content_digest(self.versions.ids(selection)),
            rows=len(selection),
            records=self.versions.keep_selection(selection),
            aside=keep_entries(self.store, entries),
            quarantined=count_reasons(entries),
            steps={name: to_plain(step) for name, step in self.steps.items()},
            pinned=self.head.pinned,
            splits=self.head.splits,
            split_by=self.head.split_by,
            base=self.base.id,
            parent=self.head.id,
        )
        version = self.versions.commit(version, verb="curate", made_from=[(self.base.id, "imported")])
        return Curated(version=version, kept=len(selection), quarantined=count_reasons(self.entries))


def look_at(
    blobs: str, slices: Sequence[tuple[str, NDArray[np.int32], NDArray[np.int64]]], column: str | None, steps: Sequence[Step]
) -> list[Look]:
    """What each step sees of one batch, given as rows of packs and their positions in the batch. Runs on any executor."""
    bodies = [b""] * sum(len(positions) for _, _, positions in slices)
    packs = _packs(blobs)
    for pack, rows, positions in slices:
        for position, body in zip(positions.tolist(), packs.bodies(pack, rows), strict=True):
            bodies[position] = body
    texts = texts_of(bodies, column)
    return [step.look(texts) for step in steps]


@lru_cache(maxsize=1)
def _packs(directory: str) -> Packs:
    """The packs of a store, which hold on to the one that was read last."""
    return Packs(Blobs(Path(directory)))


def cut_batches(versions: Versions, selection: Selection) -> list[NDArray[np.int64]]:
    """The positions of the records in batches of bounded size, cut by content: a row that comes or goes changes only its own batch.

    A batch ends after a record whose digest is a multiple of 4,096, or before it would hold more than 8,192 rows or about 16 MB.
    """
    import numpy as np

    if not len(selection):
        return []
    ids = versions.ids(selection)
    ends = (ids[:, 0].astype(np.int64) * 256 + ids[:, 1]) % _MEAN_ROWS == 0
    per_row = np.array([versions.packs.row_bytes(pack) for pack in selection.packs])[selection.pack]
    filled = np.cumsum(np.maximum(per_row, BATCH_BYTES / BATCH_ROWS))
    batches, start = [], 0
    marks = np.flatnonzero(ends) + 1
    while start < len(selection):
        before = filled[start - 1] if start else 0.0
        full = max(start + 1, int(np.searchsorted(filled, before + BATCH_BYTES, "right")))
        mark = np.searchsorted(marks, start, "right")
        stop = min(full, int(marks[mark]) if mark < len(marks) else len(selection))
        batches.append(np.arange(start, stop))
        start = stop
    return batches


def split_of(store: Store, versions: Versions, version: Version, selection: Selection) -> tuple[str, ...]:
    """The split of each record as a climb would see it; empty for data without labels, which no climb can use."""
    if version.splits:
        return versions.splits(version)
    columns = version.columns
    if columns.label is None and columns.split is None:
        return ()
    rows, given = [], []
    for positions in cut_batches(versions, selection):
        for cells in map(record_cells, versions.bodies(selection.take(positions))):
            cell = {role: cell_text(cells.get(name)) for role in ("text", "passage", "group") if (name := getattr(columns, role))}
            rows.append(Example(text=cell.get("text") or "", passage=cell.get("passage"), group=cell.get("group")))
            name = cell_text(cells.get(columns.split)) if columns.split else None
            given.append(split_named(name) if name and is_split(name) else "")
    salt = store.setting(SALT_SETTING) or version.content
    try:
        return complete_splits(rows, given, salt) if columns.split and all(given) else draw_splits(rows, salt)
    except BadData:
        return ()


def _array(rows: Sequence[int]) -> NDArray[np.int64]:
    import numpy as np

    return np.asarray(rows, np.int64)
