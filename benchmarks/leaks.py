"""How fast leaks are found, and how many neighbours real data have at each threshold; prints a table and a JSON line."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

from rungwise.core.dataset import SEALED, Dataset, Example
from rungwise.curate.leaks import find_leaks
from rungwise.data.splits import draw_split, unit_of

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
SETS = {"clinc150": ("train", "validation"), "banking77": ("train",), "sms_spam": ("train",)}
THRESHOLDS = (0.8, 0.85, 0.9, 0.95)


def texts_of(name: str, files: tuple[str, ...]) -> list[str]:
    """The texts of a public set."""
    paths = [DATA / name / f"{file}.jsonl.gz" for file in files]
    return [json.loads(line)["text"] for path in paths if path.exists() for line in gzip.open(path, "rt", encoding="utf-8")]


def main() -> None:
    """Split each set by hash and look for leaks."""
    results = []
    for name, files in SETS.items():
        rows = tuple(Example(text=text) for text in texts_of(name, files))
        if not rows:
            print(f"{name}: not beside the checkout")
            continue
        dataset = Dataset(rows=rows, splits=tuple(draw_split(unit_of(row), "benchmark") for row in rows))
        find_leaks(dataset)  # loads numpy
        begin = time.perf_counter()
        find_leaks(dataset)
        seconds = time.perf_counter() - begin
        shares = {str(threshold): round(find_leaks(dataset, threshold=threshold).share, 4) for threshold in THRESHOLDS}
        results.append(
            {"set": name, "rows": len(rows), "sealed": dataset.splits.count(SEALED), "seconds": round(seconds, 3)} | shares
        )
        print(
            f"{name:10} {len(rows):6} rows {seconds:6.2f} s  " + "  ".join(f"{key}: {value:.2%}" for key, value in shares.items())
        )
    print(json.dumps({"benchmark": "leaks", "results": results}))


if __name__ == "__main__":
    main()
