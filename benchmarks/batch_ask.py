"""Batch `ask` with the classical rung: rows per second and peak memory, JSONL in and out.

The whole path: parse a line, ask the responder, collect the answer, write the line.
Rows are validation texts of CLINC150, each with a number of its own, about 8 words.
Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.clinc150 import load_clinc150

SIZES = (20_000, 100_000)


def measure(folder: Path, rows: int) -> dict[str, float]:
    """One batch in this process."""
    from rungwise.core.candidate import Candidate, Fitted
    from rungwise.engines.clock import SystemClock
    from rungwise.inference.batch_file import answer_file
    from rungwise.inference.local import local_responder

    part = Fitted(technique="linear", recipe={"c": 1.0})
    files = {path.name: path.read_bytes() for path in (folder / "model").iterdir()}
    candidate = Candidate(task="classify", model="linear", head=part)
    responder = local_responder(candidate, {part.id: files}.__getitem__, lambda texts: None)
    started = time.perf_counter()
    source, target = folder / f"{rows}.jsonl", folder / f"{rows}.out.jsonl"
    counts = asyncio.run(answer_file(responder, source, target, candidate=candidate.id, text_field="text", clock=SystemClock()))
    wall_s = time.perf_counter() - started
    assert (counts.rows, counts.failed) == (rows, 0)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "rows_per_s": round(rows / wall_s), "wall_s": round(wall_s, 2), "peak_mb": round(peak_mb)}


def prepare(folder: Path) -> None:
    """Fit the model and write the questions, in a process that then ends."""
    from rungwise.fit.linear import fit_linear

    data = load_clinc150()
    train = [row for row in data if row["split"] == "train"]
    files = fit_linear([row["text"] for row in train], [(row["intent"],) for row in train], cs=[1.0])[1.0]
    (folder / "model").mkdir()
    for name, content in files.items():
        (folder / "model" / name).write_bytes(content)
    texts = [row["text"] for row in data if row["split"] != "train"]
    for size in SIZES:
        with (folder / f"{size}.jsonl").open("w") as file:
            for number in range(size):
                file.write(json.dumps({"id": number, "text": f"{texts[number % len(texts)]} {number}"}) + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, __file__, "prepare", name], check=True)
        print(f"{'rows':>8} {'rows/s':>8} {'wall s':>7} {'peak MB':>8}   (median of 3 by rate)")
        results = []
        for size in SIZES:
            runs = [
                json.loads(
                    subprocess.run([sys.executable, __file__, "run", name, str(size)], check=True, capture_output=True).stdout
                )
                for _ in range(3)
            ]
            middle = sorted(runs, key=lambda run: run["rows_per_s"])[1]
            results.append(middle)
            print(f"{middle['rows']:>8} {middle['rows_per_s']:>8} {middle['wall_s']:>7} {middle['peak_mb']:>8}")
        line = json.dumps({"benchmark": "batch_ask", "goal_rows_per_s": 10_000, "results": results})
        print(line)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "prepare":
        prepare(Path(sys.argv[2]))
    else:
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]))))
