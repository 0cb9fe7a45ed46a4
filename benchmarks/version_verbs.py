"""Seconds that the verbs on versions take for a table of 1,000,000 rows: diff, export, split, erase; generated here.

Prints a table and a JSON line. Run: python benchmarks/version_verbs.py [ROWS]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median

from rungwise.core.usecase import Columns
from rungwise.data.versions.splitting import SplitPlan
from rungwise.project import Project

ROWS, RUNS, PERSONS = 1_000_000, 3, 1_000


def write_table(path: Path, rows: int, *, edited: int = 0) -> Path:
    """Messages of twelve words from 1,000 persons; every `edited`-th has a word more."""
    rng = Random(0)
    words = [f"w{i}" for i in range(3_000)]
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text,label,person\n")
        for i in range(rows):
            text = " ".join(rng.choices(words, k=12)) + " edited" * bool(edited and i % edited == 0)
            file.write(f"{i},{text},l{i % 5},p{i % PERSONS}\n")
    return path


def timed(run: Callable[[], object], runs: int = RUNS) -> float:
    """The median of the seconds that several runs took."""
    found = []
    for _ in range(runs):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return median(found)


def main() -> None:
    """Two imports, 1 % of the rows edited between them; then each verb."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = Project(folder / "project").data
        table = folder / "messages.csv"
        first = data.take_in(write_table(table, rows), columns=Columns(group="person")).version
        data.take_in(write_table(table, rows, edited=100))
        seconds = {
            "diff": timed(lambda: data.diff(first.id)),
            "export jsonl": timed(lambda: data.export(folder / "out.jsonl")),
            "export parquet": timed(lambda: data.export(folder / "out.parquet")),
            "split by label": timed(lambda: data.split(SplitPlan()), 1),
            "export hub": timed(lambda: data.export(folder / "hub"), 1),
            "erase, dry run": timed(lambda: data.erase(person="p3", dry_run=True), 1),
            "erase a person": timed(lambda: data.erase(person="p3"), 1),
            "erase a row": timed(lambda: data.erase(["4"]), 1),
        }
    for verb, taken in seconds.items():
        print(f"{verb:16} {taken:7.2f} s {rows / taken:12,.0f} rows/s")
    print(
        json.dumps(
            {"benchmark": "version_verbs", "rows": rows, "seconds": {verb: round(taken, 3) for verb, taken in seconds.items()}}
        )
    )


if __name__ == "__main__":
    main()
