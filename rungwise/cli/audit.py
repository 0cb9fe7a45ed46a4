"""`rungwise audit`: who did what in a project, and whether that log is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from rungwise.cli.options import as_json, json_line, print_json, say
from rungwise.core.record import to_plain


@click.command()
@click.argument("directory", metavar="PROJECT", default=".")
@click.option("--verify", is_flag=True, help="Recompute the chain of digests and hold it against its head.")
@click.option("--head", default=None, metavar="N:DIGEST", help="With --verify: a head that was kept somewhere else.")
@click.option("--newest", default=20, show_default=True, type=click.IntRange(1), help="Show so many of the last lines.")
@as_json
def audit(directory: str, verify: bool, head: str | None, newest: int, as_json: bool) -> int:
    """Show who did what in PROJECT, or verify that nothing in that log was changed or taken away.

    Keep the head that --verify prints somewhere else: whoever can write the project's folder can write the log and its head
    anew, and only a head from outside tells. The exit code is 1 when the log is not whole.
    """
    from rungwise.engines.clock import SystemClock
    from rungwise.project.doors import STATE
    from rungwise.project.keys import ProjectKeys

    own = ProjectKeys(Path(directory), SystemClock(), Path(directory) / STATE)
    if verify or head is not None:
        found = own.verify_log(head)
        if as_json:
            last = str(found.head) if found.head else None
            print_json({"whole": found.problem is None, "lines": found.lines, "head": last, "problem": found.problem})
        elif found.problem is not None:
            say(f"NOT whole: {found.problem}")
        else:
            say(f"whole: {found.lines:,} lines" + (f"; head {found.head}" if found.head else ""))
        return 0 if found.problem is None else 1
    entries = own.log(newest=newest)
    if as_json:
        print_json([to_plain(entry) for entry in entries])
        return 0
    for entry in entries:
        when = datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        details = f"  {json_line(dict(entry.details))}" if entry.details else ""
        say(f"{when} {entry.actor} {entry.action} {entry.subject}{details}")
    return 0
