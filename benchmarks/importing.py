"""How fast a table becomes a dataset: rows a second from CSV and JSONL, generated here; prints a table and a JSON line."""

from __future__ import annotations

import csv
import json
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median

from rungwise.core.usecase import UseCase
from rungwise.data.importing import read_dataset

ROWS, RUNS = 100_000, 3


def write_tables(folder: Path) -> list[Path]:
    """The same messages of eight words as CSV (one in five quoted) and as JSONL."""
    rng = Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(5000)]
    rows = [
        {
            "id": i,
            "message": " ".join(rng.choices(words, k=8)) + ", please" * (i % 5 == 0),
            "intent": f"i{i % 40}",
            "channel": "ab"[i % 2],
        }
        for i in range(ROWS)
    ]
    table, lines = folder / "messages.csv", folder / "messages.jsonl"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [table, lines]


def main() -> None:
    """Medians of three runs: reading, roles, examples, splits and checks."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in write_tables(Path(folder)):
            seconds = []
            for _ in range(RUNS):
                begin = time.perf_counter()
                read_dataset(path, UseCase(name="messages", task="classify"))
                seconds.append(time.perf_counter() - begin)
            results[path.suffix] = round(ROWS / median(seconds))
            print(f"{path.suffix:7} {results[path.suffix]:>8,} rows/s")
    print(json.dumps({"benchmark": "importing", "rows": ROWS, "rows_per_s": results}))


if __name__ == "__main__":
    main()
