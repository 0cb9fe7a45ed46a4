"""Writes docs/reference/measured.md from what the benchmarks printed.

`python -m benchmarks.publish NAME ...` runs the named benchmarks, keeps what each
prints in benchmarks/results/NAME.txt, and writes the page anew; without names it only
writes the page. Nobody types a figure into the page by hand.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "reference" / "measured.md"

INTRODUCTION = """# Measured

Every table here was printed by the script above it, on the machine and day named with it. Absolute times are those of a shared
two-core machine: read ratios, and run the script on yours. This page is written by `python -m benchmarks.publish`.
"""


def machine() -> str:
    """The processor and its cores, in words."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
    return f"{name}, {os.cpu_count()} cores"


def run(name: str) -> None:
    """Run one benchmark and keep what it prints under a line that says where and when."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    RESULTS.mkdir(exist_ok=True)
    head = f"{machine()}, {datetime.now(UTC):%Y-%m-%d}, load at the end {os.getloadavg()[1]:.1f}\n"
    (RESULTS / f"{name}.txt").write_text(head + done.stdout, encoding="utf-8")


def section(path: Path) -> str:
    """One benchmark on the page: its docstring's first sentence, its command, what it printed without the JSON line."""
    script = ROOT / "benchmarks" / f"{path.stem}.py"
    about = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or path.stem
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    table = "\n".join(line.rstrip() for line in lines if not line.startswith("{"))
    title = about.split("\n", 1)[0]
    return f"## {path.stem.replace('_', ' ')}\n\n{title}\n\n`python -m benchmarks.{path.stem}` on {head}\n\n```\n{table}\n```\n"


def main(names: list[str]) -> None:
    """Run what is named, then write the page."""
    for name in names:
        run(name)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    sections = [section(path) for path in sorted(RESULTS.glob("*.txt"))]
    PAGE.write_text("\n".join([INTRODUCTION, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
