"""Commands that are killed on the way, and what two stores must have in common afterwards."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("crash_server.py")
KILLED = -9
# Measured on the clock, so different in every climb. An evaluation's id covers its seconds.
TIMES = {"p95_s", "usd_per_1k", "fit_s", "seconds", "usd", "total_usd", "evaluations", "development", "at", "evaluation"}


@dataclass
class Commands:
    """The running crash server."""

    process: subprocess.Popen[str]
    folder: Path

    def __call__(
        self, *arguments: object, crash_at: str | None = None, kill_after_s: float | None = None, notes: Path | None = None
    ) -> tuple[int, str, str]:
        """Run a command line; give its exit code (-9 when it was killed) and what it said."""
        out, err = self.folder / "out", self.folder / "err"
        order = {
            "arguments": [str(one) for one in arguments],
            "crash_at": crash_at,
            "kill_after_s": kill_after_s,
            "notes": str(notes) if notes else None,
            "out": str(out),
            "err": str(err),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        status = json.loads(self.process.stdout.readline())
        said = out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        assert "Traceback" not in said[1], said[1]
        return status["code"], *said


@contextmanager
def crash_server(folder: Path, *options: str) -> Iterator[Commands]:
    """Commands that share the imports of one process."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield Commands(process, folder)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def timeless(value: Any) -> Any:
    """JSON data without what was measured on the clock."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    return value


def rows(project: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of the store."""
    path = project / "state" / "rungwise.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # killed before the first table was made
            return []


def decided(project: Path) -> str:
    """The last decision without its times, as canonical text: verdict, chosen, k, alpha, bounds, dev estimates, reasons."""
    ((id,),) = rows(project, "select value from settings where name = 'decision'")
    ((body,),) = rows(project, f"select body from nouns where id = '{id}'")
    return json.dumps(timeless(json.loads(body)), sort_keys=True, separators=(",", ":"))


def openings(project: Path) -> list[tuple[Any, ...]]:
    """The ledger without times: who was opened, as the how-manieth, at which level, with which bounds."""
    found = rows(project, "select rung, candidate, k, alpha, result from openings order by rung")
    return [(*row[:4], json.dumps(timeless(json.loads(row[4]))) if row[4] else None) for row in found]


def committed(project: Path) -> set[tuple[Any, ...]]:
    """Everything that was committed and must never be done again: steps with the moment that they were done at, openings."""
    steps = rows(project, "select key, output, seconds, at from steps")
    opened = rows(project, "select id, candidate, k, alpha, at from openings")
    answered = rows(project, "select key, response, at from calls")
    return {*steps, *opened, *answered}
