"""The climb on CLINC150, all offline rungs, cold and warm, by target: seconds, peak memory, verdicts.

Claims: exhaustive and cold in at most 75 s and 3 GB on 2 cores, with dev accuracy of
classical >= 0.915 and of head >= 0.945; 0.90 stops at classical within 20 s; 0.93 is
met by the head; 0.94 met or cannot_tell; 0.999 not_met; a warm re-run within 3 s with
0 calls and the identical decision. Each climb runs in a process of its own through the
command line. Run: python benchmarks/climb_clinc150.py
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.clinc150 import write_clinc150

UNTIL = ("--until", "head")  # the rungs that train are benchmarks/climb_training.py's
COMMAND = (sys.executable, "-c", "from rungwise.cli import main; main()")


def climb(data: Path, project: Path, target: str, *more: str) -> dict[str, Any]:
    """Run one climb in a process of its own; give its document with wall seconds and peak memory in MB."""
    output = project.with_suffix(".json")
    started = time.perf_counter()
    child = os.posix_spawn(
        sys.executable,
        [*COMMAND, "climb", str(data), "--project", str(project), "--target", target, "--json", *more],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, str(output), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)],
    )
    _, _, usage = os.wait4(child, 0)
    document: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return document | {"wall_s": time.perf_counter() - started, "peak_mb": usage.ru_maxrss / 1024}


def dev(document: dict[str, Any], rung: str) -> float:
    """The dev accuracy of a rung's nominee."""
    return float(next(one["dev"]["mean"] for one in document["rungs"] if one["rung"] == rung))


def main() -> None:
    """Run all climbs and print a table and a JSON line."""
    folder = Path(tempfile.mkdtemp(prefix="clinc150-"))
    data = folder / "clinc150.jsonl"
    write_clinc150(data)
    runs: dict[str, dict[str, Any]] = {"exhaustive 0.90": climb(data, folder / "all", "accuracy=0.90", "--exhaustive", *UNTIL)}
    for target in ("0.90", "0.93", "0.94", "0.999"):
        runs[target] = climb(data, folder / f"to-{target}", f"accuracy={target}", *UNTIL)
    runs["0.93 again"] = climb(data, folder / "to-0.93", "accuracy=0.93", *UNTIL)
    print(f"{'climb':<18}{'verdict':<14}{'chosen':<12}{'seconds':>8}{'peak MB':>9}{'calls':>7}")
    for name, run in runs.items():
        chosen = (run["chosen"] or {}).get("rung", "-")
        print(f"{name:<18}{run['verdict']:<14}{chosen:<12}{run['wall_s']:>8.1f}{run['peak_mb']:>9.0f}{run['spent']['calls']:>7}")
    full = runs["exhaustive 0.90"]
    accuracy = {rung: dev(full, rung) for rung in ("classical", "zero-shot", "few-shot", "head")}
    same = all(runs["0.93"][key] == runs["0.93 again"][key] for key in runs["0.93"] if key not in ("spent", "wall_s", "peak_mb"))
    print("dev accuracy:", ", ".join(f"{rung} {value:.4f}" for rung, value in accuracy.items()), "| warm decision identical:", same)
    summary = {
        name: {"verdict": run["verdict"], "chosen": run["chosen"] and run["chosen"]["rung"], "seconds": round(run["wall_s"], 2)}
        for name, run in runs.items()
    }
    line = {"claim": "climb on clinc150", "runs": summary, "peak_mb": round(full["peak_mb"]), "dev": accuracy, "identical": same}
    print(json.dumps(line))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
