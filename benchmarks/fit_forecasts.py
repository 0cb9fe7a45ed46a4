"""What each training rung was forecast to take, beside what it took: seconds and bytes, on three sizes of data.

Rungs for labels learn from CLINC150 (5, 10 and 20 rows a label, all 150 labels); those for answers from the questions of the
support example by a small language model that is made here; the model from text from tinyshakespeare, by minutes. A forecast is
good when it is within a factor of two. Each rung runs in a process of its own, so that the peak is its own.

Run: python -m benchmarks.fit_forecasts [--quick] [--only text answers lora]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.publish import machine

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PER_LABEL = (5, 10, 20)
MINUTES = (0.2, 0.5, 1.0)
FACTOR = 2.0


def clinc(folder: Path, per_label: int) -> Path:
    """So many rows of each label to learn from, and 300 of validation as dev."""
    path = folder / f"clinc{per_label}.csv"
    taken: Counter[str] = Counter()
    rows = []
    with gzip.open(DATA / "clinc150" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["intent"] != "oos" and taken[row["intent"]] < per_label:
                taken[row["intent"]] += 1
                rows.append((row["text"], row["intent"], "train"))
    with gzip.open(DATA / "clinc150" / "validation.jsonl.gz", "rt", encoding="utf-8") as lines:
        held = [row for row in map(json.loads, lines) if row["intent"] != "oos"]
    rows += [(row["text"], row["intent"], "dev" if place % 2 else "test") for place, row in enumerate(held[::5])]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label", "split"), *rows])
    return path


def base(folder: Path) -> Path:
    """A language model of about two million weights, from the articles of the support example."""
    texts = folder / "articles"
    texts.mkdir(exist_ok=True)
    for article in (ROOT / "examples" / "support" / "articles").glob("*.md"):
        (texts / article.name).write_text(article.read_text(encoding="utf-8"), encoding="utf-8")
    given = ("--minutes", "0.3", "--vocabulary", "2000", "--set", "width=128", "--set", "heads=4", "--set", "layers=3")
    done = fit("scratch", texts, "--project", folder / "base", *given, "--set", "inner=352", "--set", "context=512")
    return Path(done["artefact"])


def answers(folder: Path, rows: int) -> Path:
    """Questions and answers: so many, repeated with a number, so that the work grows and nothing else."""
    path = folder / f"answers{rows}.jsonl"
    source = ROOT / "examples" / "support" / "preferences.jsonl"
    told = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    kept = [{"question": f"{one['prompt']} ({n})", "answer": one["chosen"]} for n in range(9) for one in told][:rows]
    path.write_text("\n".join(map(json.dumps, kept)), encoding="utf-8")
    return path


def fit(technique: str, source: Path, *options: object) -> dict[str, Any]:
    """`rungwise fit` in a process of its own."""
    words = [str(Path(sys.executable).with_name("rungwise")), "fit", technique, str(source), *map(str, options), "--json"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{technique} on {source.name}: {done.stderr}")
    return dict(json.loads(done.stdout))


def cases(folder: Path, sizes: int) -> list[tuple[str, str, tuple[object, ...]]]:
    """(rung, size in words, what is typed) of every measurement."""
    found: list[tuple[str, str, tuple[object, ...]]] = []
    for per_label in PER_LABEL[:sizes]:
        data = clinc(folder, per_label)
        for technique in ("lora", "full", "continue", "scratch"):
            project = folder / f"{technique}-{per_label}"
            found.append((f"{technique}, labels", f"{150 * per_label:,} rows", (technique, data, "--project", project)))
    small = base(folder)
    pairs = ROOT / "examples" / "support" / "preferences.jsonl"
    for rows in (300, 600, 1_200)[:sizes]:
        data = answers(folder, rows)
        for technique in ("sft", "full", "dpo"):
            given = (
                "--task",
                "answer",
                "--allow-leaks",
                "--base",
                small,
                "--preferences",
                pairs,
                "--project",
                folder / f"{technique}-{rows}a",
            )
            found.append((f"{technique}, answers", f"{rows:,} rows", (technique, data, *given)))
    for minutes in MINUTES[:sizes]:
        text = DATA / "tinyshakespeare" / "train.txt.gz"
        given = ("--characters", "--minutes", minutes, "--project", folder / f"text-{minutes}")
        found.append(("scratch, text", f"{minutes:g} minutes", ("scratch", text, *given)))
    return found


def main() -> None:
    """Run every case and print how far the forecasts were off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest size alone")
    parser.add_argument(
        "--only", nargs="*", default=[], help="words that the name of a rung must hold one of, as in text, answers, lora"
    )
    given = parser.parse_args()
    print(f"{machine()}\n")
    print(f"{'rung':<20}{'size':>14}{'forecast s':>12}{'took s':>10}{'ratio':>8}{'forecast MB':>13}{'peak MB':>9}{'ratio':>8}")
    told = []
    with tempfile.TemporaryDirectory() as name:
        for rung, size, words in cases(Path(name), 1 if given.quick else 3):
            if given.only and not any(word in rung for word in given.only):
                continue
            done = fit(str(words[0]), Path(str(words[1])), *words[2:])
            seconds, peak = done["forecast"]["seconds"], done["forecast"]["bytes"]
            one = {
                "rung": rung,
                "size": size,
                "seconds": done["seconds"],
                "seconds_ratio": seconds / done["seconds"],
                "bytes": done["peak_bytes"],
                "bytes_ratio": peak / max(1, done["peak_bytes"]),
            }
            told.append(one)
            print(
                f"{rung:<20}{size:>14}{seconds:>12.1f}{one['seconds']:>10.1f}{one['seconds_ratio']:>8.2f}"
                f"{peak / 1e6:>13,.0f}{one['bytes'] / 1e6:>9,.0f}{one['bytes_ratio']:>8.2f}",
                flush=True,
            )
    within = [sum(1 / FACTOR <= one[key] <= FACTOR for one in told) for key in ("seconds_ratio", "bytes_ratio")]
    print(f"\nwithin a factor of {FACTOR:g}: seconds {within[0]} of {len(told)}, bytes {within[1]} of {len(told)}")
    print(json.dumps({"benchmark": "fit_forecasts", "cases": told, "seconds_within": within[0], "bytes_within": within[1]}))


if __name__ == "__main__":
    main()
