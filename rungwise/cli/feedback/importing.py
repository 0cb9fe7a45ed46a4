"""`rungwise feedback import`: a file of judgements."""

from __future__ import annotations

from pathlib import Path

import click

from rungwise.cli.options import as_json, print_json, say

_SHOWN = 10


@click.command("import")
@click.argument("directory", metavar="PROJECT")
@click.argument("source", metavar="FILE.jsonl")
@as_json
def importing(directory: str, source: str, as_json: bool) -> int:
    """Take in judgements on answers of PROJECT, one JSON object a line, with the fields of POST /v1/feedback.

    Lines that cannot be used are named with the reason, the others are kept, and the exit code is 1.
    """
    from rungwise.project import Project

    done = Project(directory).feedback.take_in(Path(source))
    if as_json:
        print_json({"new": done.new, "known": done.known, "bad": [{"place": place, "reason": why} for place, why in done.bad]})
    else:
        say(f"{done.new:,} new judgements" + (f", {done.known:,} known already" if done.known else ""))
        for place, why in done.bad[:_SHOWN]:
            say(f"  set aside {place}: {why}")
        if len(done.bad) > _SHOWN:
            say(f"  and {len(done.bad) - _SHOWN:,} more; --json names them all")
    return 1 if done.bad else 0
