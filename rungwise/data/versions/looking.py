"""What the steps of a curation see of each batch of rows: looked at once, wherever it runs, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.progress import Progress
from rungwise.core.record import digest, to_plain
from rungwise.core.types import Executor
from rungwise.curate.step import Look, Step
from rungwise.data.blobs import Blobs
from rungwise.data.steps import Steps
from rungwise.data.versions.packs import Packs
from rungwise.data.versions.records import texts_of
from rungwise.data.versions.selection import Selection
from rungwise.data.versions.version import Versions, content_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH_ROWS = 8_192
BATCH_BYTES = 8 * 2**20
_MEAN_ROWS = 4_096
_IN_FLIGHT = 4


class Looks:
    """Has batches looked at on an executor, and keeps what was seen under the digest of rows, step and settings."""

    def __init__(self, versions: Versions, executor: Executor, column: str | None, say: Callable[[Progress], None]) -> None:
        self.versions, self.executor, self.column, self.say = versions, executor, column, say
        self.store, self.cache = versions.store, Steps(versions.store)

    async def at(self, steps: Sequence[Step], selection: Selection, batches: Sequence[NDArray[np.int64]]) -> list[list[Look]]:
        """For each batch (positions in the selection) what each step saw of it."""
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

        keys = [digest(["look", step.name, step.edition, to_plain(step), self.column, content]) for step in steps]
        known = [self.cache.get(key) for key in keys]
        wanted = [step for step, seen in zip(steps, known, strict=True) if seen is None or not self.store.blobs.has(seen.output)]
        fresh: dict[str, Look] = {}
        if wanted:
            slices = [(pack, batch.row[positions], positions) for pack, positions in batch.slices()]
            seen_now = await self.executor.run(look_at, str(self.store.blobs.directory), slices, self.column, wanted)
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
    """The packs of a store, for as long as the process looks at batches of it."""
    return Packs(Blobs(Path(directory)))


def cut_batches(versions: Versions, selection: Selection) -> list[NDArray[np.int64]]:
    """The positions of the records in batches of bounded size, cut by content: a row that comes or goes changes only its own batch.

    A batch ends after a record whose digest is a multiple of 4,096, or before it would hold more than 8,192 rows or about 8 MB.
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
