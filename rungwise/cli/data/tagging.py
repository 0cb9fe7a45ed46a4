"""`rungwise data tag`: a version gets a name."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short


@click.command("tag")
@click.argument("directory", metavar="DIR")
@click.argument("name")
@click.argument("version", default="HEAD")
@as_json
def tagging(directory: str, name: str, version: str, as_json: bool) -> int:
    """Name a version; a tag that is there already moves."""
    from rungwise.project import Project

    found = Project(directory).data.tag(name, version)
    if as_json:
        print_json({"dataset": found.id, "tag": name})
    else:
        say(f"{name} is {short(found.id)} ({found.rows:,} rows)")
    return 0
