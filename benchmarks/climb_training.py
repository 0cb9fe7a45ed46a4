"""The climb on CLINC150 with every rung up to full fine-tuning: what each reaches on dev, with its interval, and what it costs.

15,000 training rows, 600 of dev; the first rung that is met is opened on the sealed rows, those after it are measured on dev
alone. The training rungs begin from MiniLM. Also whether each beats the rung `head`: a paired test on the dev rows.

Run: python -m benchmarks.climb_training [--until full] [--target accuracy=0.93]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.climb_clinc150 import climb
from benchmarks.clinc150 import write_clinc150
from benchmarks.publish import machine
from rungwise.core.record import to_plain
from rungwise.project import Project


def line(one: dict[str, Any]) -> str:
    """A rung in a table."""
    dev = one["dev"]
    if dev is None:
        return f"{one['rung']:<12}{one['state']:<14}{one['why'] or '':<60}"
    interval = f"{dev['low']:.4f} to {dev['high']:.4f}"
    costs = f"{one['fit_s']:>9.1f}{one['usd_per_1k']:>11.6f}{one['total_usd']:>10.4f}"
    return f"{one['rung']:<12}{one['state']:<14}{dev['mean']:>8.4f}  {interval:<20}{costs}"


def main() -> None:
    """Climb, print the ladder, compare with the head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--until", default="full")
    parser.add_argument("--target", default="accuracy=0.93")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="climb-training-"))
    data, project = folder / "clinc150.jsonl", folder / "project"
    write_clinc150(data)
    done = climb(data, project, given.target, "--until", given.until, "--exhaustive")
    print(f"{machine()}, target {given.target}: {done['verdict']}, {done['wall_s']:.0f} s, {done['peak_mb']:.0f} MB at the peak\n")
    print(f"{'rung':<12}{'state':<14}{'dev':>8}  {'95 % interval':<20}{'fit s':>9}{'USD/1k':>11}{'total USD':>10}")
    for one in done["rungs"]:
        print(line(one))
    print()
    trained = [one["rung"] for one in done["rungs"] if one["dev"] is not None and one["rung"] not in ("head",)][-2:]
    told = {}
    for rung in trained:
        contest = Project(project).compare("head", rung)
        told[rung] = to_plain(contest.test)
        print(f"{rung} against head on dev: {json.dumps(told[rung])}")
    print(json.dumps({"benchmark": "climb_training", "rungs": done["rungs"], "against_head": told, "wall_s": done["wall_s"]}))


if __name__ == "__main__":
    main()
