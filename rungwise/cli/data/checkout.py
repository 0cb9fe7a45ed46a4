"""`rungwise data checkout`: work with another version."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("version")
@as_json
def checkout(directory: str, version: str, as_json: bool) -> int:
    """Move the head to a version, given by its tag or id."""
    from rungwise.project import Project

    found = Project(directory).data.checkout(version)
    if as_json:
        print_json({"dataset": found.id, "rows": found.rows})
    else:
        say(f"now at {short(found.id)} ({found.rows:,} rows)")
    return 0
