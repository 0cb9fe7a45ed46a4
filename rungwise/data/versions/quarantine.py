"""Rows that were set aside, each with its reason; nothing is deleted, so that any of them can be brought back."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rungwise.core.record import digest
from rungwise.data.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row that was set aside: `reason` is a code (`dedup:near`), `evidence` a few words for people.

    `id` is the record's digest in hex, or that of its place where no record could be made of it; then `pack` is '' and
    `raw` holds the beginning of what stands there. `position` is where the record stood in the version it was set aside from.
    """

    id: str
    place: str
    reason: str
    evidence: str
    source: str = ""
    piece: str = ""
    raw: str = ""
    pack: str = ""
    row: int = -1
    position: int = -1


def count_reasons(entries: Iterable[Entry]) -> Mapping[str, int]:
    """How many rows were set aside for each reason, most frequent first."""
    counts = Counter(entry.reason for entry in entries)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def set_aside_digest(entries: Sequence[Entry]) -> str:
    """SHA-256 of what was set aside and why, in order; where it stood or is kept does not enter."""
    return digest([[entry.id, entry.reason] for entry in entries])


def keep_entries(store: Store, entries: Sequence[Entry]) -> str:
    """Keep them as one blob and give its digest; '' for none."""
    if not entries:
        return ""
    import pyarrow as pa
    from pyarrow import parquet

    names = [field.name for field in dataclasses.fields(Entry)]
    table = pa.table({name: [getattr(entry, name) for entry in entries] for name in names})
    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd", write_statistics=False)
    return store.blobs.put(out.getvalue())


def load_entries(store: Store, blob: str) -> list[Entry]:
    """What `keep_entries` kept."""
    if not blob:
        return []
    import pyarrow as pa
    from pyarrow import parquet

    # On this thread alone: a command that fails right after this read aborted while Arrow's own threads were being ended.
    table = parquet.ParquetFile(pa.BufferReader(store.blobs.get(blob))).read(use_threads=False)
    rows: list[dict[str, Any]] = table.to_pylist()
    return [Entry(**row) for row in rows]
