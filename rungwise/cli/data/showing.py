"""`rungwise data show`: the rows of a version."""

from __future__ import annotations

from itertools import islice

import click

from rungwise.cli.options import as_json, print_json, say


@click.command("show")
@click.argument("directory", metavar="DIR")
@click.argument("version", default="HEAD")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows.")
@as_json
def showing(directory: str, version: str, limit: int, as_json: bool) -> int:
    """Show the first rows of a version, each with the place that it was read from."""
    from rungwise.project import Project

    data = Project(directory).data
    rows = list(islice(data.rows(version), limit))
    if as_json:
        found = data.version(version)
        print_json({"dataset": found.id, "rows": found.rows, "shown": [{"place": place, **cells} for place, cells in rows]})
        return 0
    for place, cells in rows:
        say(place)
        for name, value in cells.items():
            say(f"  {name}: {value}")
    return 0
