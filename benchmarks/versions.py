"""How fast a table becomes a version: a million rows, and again with 1 % of them changed; prints a table and a JSON line.

The changed rows are scattered evenly, so that no block of the file stays as it was. Each kind is run three times in folders
of its own; medians are given, and the share that the store grew by.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median

from rungwise.data.versions.version import Versions
from rungwise.project import Project

ROWS, RUNS = 1_000_000, 3


def messages(rows: int) -> list[list[str]]:
    """Messages of twelve words, each with an id and one of eight labels."""
    rng = Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(3, 8))) for _ in range(5000)]
    return [[f"m{i}", " ".join(rng.choices(words, k=12)), f"topic{i % 8}"] for i in range(rows)]


def write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """The rows as CSV or JSONL."""
    header = ["id", "text", "label"]
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
        else:
            file.writelines(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows)


def size_bytes(folder: Path) -> int:
    """What the files of a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(ending: str, rows: int) -> dict[str, float]:
    """Seconds of the first, of the second and of an idle import, and the growth of the store."""
    with tempfile.TemporaryDirectory() as folder:
        path, project = Path(folder) / f"messages{ending}", Project(Path(folder) / "project")
        table = messages(rows)
        write(path, table)
        first = seconds(project, path)
        before = size_bytes(project.directory)
        for i in Random(1).sample(range(rows), rows // 100):
            table[i][1] += " changed"
        write(path, table)
        second = seconds(project, path)
        growth = size_bytes(project.directory) / before - 1
        idle = seconds(project, path)
        with project.data.store() as store:
            version = Versions(store).get()
            assert version.rows == rows
        return {"first_s": first, "second_s": second, "idle_s": idle, "growth": growth}


def seconds(project: Project, path: Path) -> float:
    """How long an import takes."""
    started = time.perf_counter()
    project.data.take_in(path)
    return time.perf_counter() - started


def main(rows: int = ROWS) -> None:
    """The table, and the medians as one line."""
    results = {}
    print(f"{rows:,} rows     first s      rows/s    second s   second/first   nothing changed s   store grew by")
    for ending in (".csv", ".jsonl"):
        runs = [measure(ending, rows) for _ in range(RUNS)]
        middle = {name: median(run[name] for run in runs) for name in runs[0]}
        middle["ratio"] = median(run["second_s"] / run["first_s"] for run in runs)
        middle["rows_per_s"] = rows / middle["first_s"]
        results[ending] = middle
        print(
            f"{ending:<10} {middle['first_s']:>12.2f} {middle['rows_per_s']:>11,.0f} {middle['second_s']:>11.2f} "
            f"{middle['ratio']:>14.1%} {middle['idle_s']:>19.2f} {middle['growth']:>15.2%}"
        )
    print("goals: at least 100,000 rows/s; second at most 15 % of the first; growth at most 3 %")
    print(json.dumps({"benchmark": "versions", "rows": rows, "results": results}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
