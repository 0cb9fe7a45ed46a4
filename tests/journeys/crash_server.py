"""A process that has everything imported and forks for each command, which dies by SIGKILL at a named point of its work.

The points are found from outside, so that the product knows nothing of them: before
and after every commit to the store, named by what it writes first, and before every
file gets its name. A label counts its occurrences: `after steps evaluate#2` is right
after the commit of the second evaluation.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any


class Points:
    """Counts the points that are passed; kills this process at the chosen one, or notes them all in a file."""

    def __init__(self, crash_at: str | None, notes: str | None) -> None:
        self.crash_at, self.notes = crash_at, notes
        self.seen: Counter[str] = Counter()
        self.writing: dict[int, list[str]] = {}

    def passed(self, label: str) -> None:
        self.seen[label] += 1
        name = f"{label}#{self.seen[label]}"
        if self.notes is not None:
            with open(self.notes, "a", encoding="utf-8") as file:
                file.write(name + "\n")
        if name == self.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Listen to every engine of this process and to every file that gets its name."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from sqlalchemy.pool import Pool

        @event.listens_for(Engine, "before_cursor_execute")
        def executes(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            verb, table = label_of(statement)
            if verb == "create":  # SQLite may commit each of them at once
                self.passed(f"during create {table}")
            if verb:
                first = parameters[0] if many else parameters
                self.writing.setdefault(id(connection.connection.dbapi_connection), []).append(
                    f"{verb} {table}{kind_of(table, first) if verb == 'insert' else ''}"
                )

        @event.listens_for(Engine, "commit")
        def commits(connection: Any) -> None:
            for label in self.writing.get(id(connection.connection.dbapi_connection), [])[:1]:
                self.passed(f"before {label}")

        @event.listens_for(Pool, "checkin")
        def returns(dbapi_connection: Any, record: Any) -> None:
            for label in self.writing.pop(id(dbapi_connection), [])[:1]:
                self.passed(f"after {label}")

        def audit(name: str, arguments: tuple[Any, ...]) -> None:
            if name == "os.rename":
                target = Path(os.fsdecode(arguments[1]))
                self.passed(f"before file {'blob' if len(target.name) == 64 else target.name}")

        sys.addaudithook(audit)


def label_of(statement: str) -> tuple[str, str]:
    """What a statement does to which table; nothing for those that only read."""
    words = statement.replace("(", " ").split()
    verb = words[0].upper()
    if verb == "INSERT":
        return "insert", words[words.index("INTO") + 1]
    if verb == "UPDATE":
        return "update", words[1]
    return ("create", words[2]) if verb == "CREATE" else ("", "")


def kind_of(table: str, parameters: Any) -> str:
    """The kind of noun or step, the name of a setting."""
    place = {"nouns": 1, "steps": 1, "settings": 0}.get(table)
    return f" {parameters[place]}" if place is not None else ""


def steady_clock() -> None:
    """Every look at the clock is a millisecond after the one before: who is cheapest then never depends on a busy machine."""
    from itertools import count

    from rungwise.engines.clock import SystemClock

    ticks = count()
    SystemClock.tick = lambda self: next(ticks) / 1000  # type: ignore[method-assign]


def child(order: dict[str, Any]) -> int:
    """Run one command line with its output in files; give its exit code."""
    from rungwise.cli.app import run

    for descriptor, name in ((1, "out"), (2, "err")):
        handle = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, descriptor)
    steady_clock()
    points = Points(order["crash_at"], order["notes"])
    points.watch()
    try:
        return run(order["arguments"])
    except BaseException:  # noqa: BLE001 - boundary: a forked child must not return into the parent's loop
        traceback.print_exc()
        return 99


def ended(pid: int, kill_after_s: float | None) -> int:
    """Wait for a child, or kill it when its time is up; give its status."""
    deadline = None if kill_after_s is None else time.monotonic() + kill_after_s
    while True:
        done, status = os.waitpid(pid, 0 if deadline is None else os.WNOHANG)
        if done:
            return status
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = None
        time.sleep(0.002)


def serve() -> None:
    """One order per line on stdin, one status per line on stdout."""
    import alembic.command  # noqa: F401
    import scipy.special  # noqa: F401

    import rungwise.cli.climb
    import rungwise.fit.linear
    import rungwise.ladder.comparison
    import rungwise.ladder.expedition
    import rungwise.ladder.replay
    import rungwise.project
    import rungwise.web.gather
    import rungwise.web.report  # noqa: F401

    if "--torch" in sys.argv:
        import torch  # noqa: F401
        import transformers  # noqa: F401

    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = child(order)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(ended(pid, order["kill_after_s"]))
        print(json.dumps({"code": code}), file=replies, flush=True)


if __name__ == "__main__":
    serve()
