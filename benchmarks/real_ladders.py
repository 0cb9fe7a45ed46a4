"""What the climb costs against the exhaustive one on real data, and whether both choose the same rung.

Claim: the same rung on clinc150, banking77 and the shipped example, at every target. Cost is
machine seconds of fitting and measuring, as the decisions record them. Each climb
is cold and in a process of its own. Run: python benchmarks/real_ladders.py
"""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
import tempfile
from pathlib import Path

from benchmarks.climb_clinc150 import climb
from benchmarks.clinc150 import SHARED_DATA, write_clinc150

SUPPORT = Path(__file__).resolve().parents[1] / "examples" / "support" / "tickets.csv"
TARGETS = {"clinc150": ("0.90", "0.93"), "banking77": ("0.85", "0.88"), "support": ("0.67", "0.77")}


def main() -> None:
    """Climb each set at each target, both ways, and print a table and a JSON line."""
    folder = Path(tempfile.mkdtemp(prefix="ladders-"))
    data = {"clinc150": folder / "clinc150.jsonl", "banking77": folder / "banking77.jsonl", "support": SUPPORT}
    write_clinc150(data["clinc150"])
    data["banking77"].write_bytes(gzip.decompress((SHARED_DATA / "banking77" / "train.jsonl.gz").read_bytes()))
    rows = []
    for name, targets in TARGETS.items():
        for target in targets:
            quick = climb(data[name], folder / f"{name}-{target}", f"accuracy={target}")
            full = climb(data[name], folder / f"{name}-{target}-all", f"accuracy={target}", "--exhaustive")
            chosen = [(run["chosen"] or {}).get("rung", "-") for run in (quick, full)]
            rows.append((name, target, *chosen, quick["development"]["seconds"] / full["development"]["seconds"]))
    print(f"{'data':<12}{'target':>7}  {'climb':<12}{'exhaustive':<12}{'cost ratio':>10}")
    for name, target, quick_rung, full_rung, ratio in rows:
        print(f"{name:<12}{target:>7}  {quick_rung:<12}{full_rung:<12}{ratio:>10.2f}")
    same = all(row[2] == row[3] for row in rows)
    line = {"claim": "real ladders", "same": same, "median_ratio": round(statistics.median(row[4] for row in rows), 3)}
    print(
        json.dumps(
            line | {"rows": [dict(zip(("data", "target", "climb", "exhaustive", "ratio"), row, strict=True)) for row in rows]}
        )
    )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
