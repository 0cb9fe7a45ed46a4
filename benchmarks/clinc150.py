"""The split of CLINC150 that every benchmark here uses, and how to write it as a file with a `split` column.

In-scope rows only: the 15,000 of the training file are train; of the 3,000 of the
validation file, those 600 with the smallest SHA-256 of `clinc150 split 1:` + text are
dev, the other 2,400 sealed. Run: python benchmarks/clinc150.py TARGET.csv (or TARGET.jsonl, with the domain too)
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import sys
from pathlib import Path

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
DEV_ROWS = 600
SALT = "clinc150 split 1:"


def load_clinc150(shared_data: Path = SHARED_DATA) -> list[dict[str, str]]:
    """Rows with text, intent, domain and split: 15,000 train, 600 dev, 2,400 sealed."""
    train = _in_scope(shared_data / "clinc150" / "train.jsonl.gz")
    held = _in_scope(shared_data / "clinc150" / "validation.jsonl.gz")
    dev = set(sorted((row["text"] for row in held), key=_digest)[:DEV_ROWS])
    return [row | {"split": "train"} for row in train] + [
        row | {"split": "dev" if row["text"] in dev else "sealed"} for row in held
    ]


def _digest(text: str) -> str:
    return hashlib.sha256((SALT + text).encode()).hexdigest()


def _in_scope(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["intent"] != "oos"]


def write_clinc150(target: Path, shared_data: Path = SHARED_DATA) -> None:
    """The split as JSONL."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in load_clinc150(shared_data))
    target.write_text("".join(lines), encoding="utf-8")


def write_csv(target: Path, shared_data: Path = SHARED_DATA) -> None:
    """The split as CSV with the columns text, intent, split."""
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "intent", "split"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(load_clinc150(shared_data))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    (write_csv if path.suffix == ".csv" else write_clinc150)(path)
