"""`rungwise lineage`: what something was made of, and what it reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short


@click.command()
@click.argument("directory", metavar="PROJECT")
@click.argument("id")
@click.option("--rows", is_flag=True, help="Name the training and dev rows too.")
@as_json
def lineage(directory: str, id: str, rows: bool, as_json: bool) -> int:
    """Walk from a candidate, evaluation or decision back to its rows, or from a row (by its id or key) to what it reached."""
    from rungwise.project import Project

    found = Project(directory).lineage(id, rows=rows)
    if as_json:
        print_json(found)
        return 0
    say(f"{found['kind']} {short(found['id'])}")
    for place in found.get("places", ()):
        say(f"  read at {place}")
    for dataset, split in found.get("splits", {}).items():
        say(f"  {split} row of dataset {short(dataset)}")
    for aside in found.get("set_aside", ()):
        say(f"  set aside by version {short(aside['version'])}: {aside['reason']}")
    _list("made of", found["made_of"])
    _list("reached", found["reached"])
    for split, count in found.get("rows", {}).items():
        say(f"  {count:,} {split} rows")
    for row in found.get("training_rows", ()):
        say(f"  {row['split']:<6} {row['key'] or short(row['id'])}")
    return 0


def _list(title: str, things: list[Mapping[str, Any]]) -> None:
    if things:
        say(f"{title}:")
        for thing in things:
            say(f"  {thing['kind']:<12} {short(thing['id'])}  {thing.get('technique', '')}".rstrip())
