"""What rows take at rest, in packs and as rows of an SQLite table: seconds to write and to read all, and megabytes.

The same 200,000 messages of twelve words, named by their digests, in the same batches. Three interleaved runs; medians.
Run: python -m benchmarks.rows_at_rest [ROWS]
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.versions import messages, size_bytes
from rungwise.data.blobs import Blobs
from rungwise.data.versions.packs import NO_DIGEST, NO_PARENT, PACK_ROWS, Packed, Packs
from rungwise.data.versions.records import record_bytes, record_id

ROWS, RUNS = 200_000, 3

Record = tuple[bytes, bytes]


def in_packs(records: Sequence[Record], folder: Path) -> tuple[float, float]:
    """Seconds to write and to read."""
    packs, began = Packs(Blobs(folder)), time.perf_counter()
    names = [
        packs.write(
            [Packed(id, NO_DIGEST, 0, "messages.csv", at, NO_PARENT, body) for at, (id, body) in enumerate(part, start + 1)]
        )
        for start, part in batches(records)
    ]
    written = time.perf_counter()
    assert sum(len(packs.bodies(name, range(packs.count(name)))) for name in names) == len(records)
    return written - began, time.perf_counter() - written


def in_sqlite(records: Sequence[Record], folder: Path) -> tuple[float, float]:
    """The same: one table, the digest as its key, one transaction a batch, rows asked for by digest."""
    with closing(sqlite3.connect(folder / "rows.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE records (id BLOB PRIMARY KEY, body BLOB) WITHOUT ROWID")
        began = time.perf_counter()
        for _, part in batches(records):
            connection.executemany("INSERT OR IGNORE INTO records VALUES (?, ?)", part)
            connection.commit()
        written = time.perf_counter()
        query = "SELECT body FROM records WHERE id = ?"
        assert all(connection.execute(query, (id,)).fetchone() for id, _ in records)
        return written - began, time.perf_counter() - written


def batches(records: Sequence[Record]) -> list[tuple[int, Sequence[Record]]]:
    """The records of each pack and where they start."""
    return [(start, records[start : start + PACK_ROWS]) for start in range(0, len(records), PACK_ROWS)]


def main() -> None:
    """The table, and the medians as one line."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    bodies = [record_bytes(dict(zip(("id", "text", "label"), row, strict=True))) for row in messages(rows)]
    records = [(record_id(body), body) for body in bodies]
    ways: dict[str, Callable[[Sequence[Record], Path], tuple[float, float]]] = {"packs": in_packs, "sqlite": in_sqlite}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds = way(records, Path(folder))
                found[name].append((*seconds, size_bytes(Path(folder)) / 1e6))
    results = {
        name: dict(zip(("write_s", "read_s", "mb"), map(median, zip(*runs, strict=True)), strict=True))
        for name, runs in found.items()
    }
    print(f"{rows:,} rows   write s   read s      MB")
    for name, one in results.items():
        print(f"{name:<12} {one['write_s']:>9.2f} {one['read_s']:>8.2f} {one['mb']:>7.1f}")
    print(json.dumps({"benchmark": "rows_at_rest", "rows": rows, "results": results}))


if __name__ == "__main__":
    main()
