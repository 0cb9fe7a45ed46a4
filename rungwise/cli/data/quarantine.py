"""`rungwise data quarantine`: the rows that were set aside."""

from __future__ import annotations

import json

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short
from rungwise.data.versions.quarantine import Entry


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--version", "name", default="HEAD", metavar="VERSION", help="A tag, an id, or HEAD.")
@click.option("--reason", default=None, metavar="REASON", help="Only this reason, or this step (dedup).")
@click.option("--json-lines", is_flag=True, help="One JSON object a row.")
@as_json
def quarantine(directory: str, name: str, reason: str | None, json_lines: bool, as_json: bool) -> int:
    """List the rows that were set aside, with reason and evidence."""
    from rungwise.project import Project

    entries = Project(directory).data.quarantine(name)
    if reason is not None:
        entries = [one for one in entries if one.reason == reason or one.reason.partition(":")[0] == reason]
    if as_json:
        print_json([_document(entry) for entry in entries])
    elif json_lines:
        for entry in entries:
            say(json.dumps(_document(entry), ensure_ascii=False))
    else:
        for entry in entries:
            say(f"{short(entry.id)}  {entry.place}  {entry.reason}  {entry.evidence}")
        say(f"{len(entries):,} rows. Bring one back with: rungwise data restore {directory} ID")
    return 0


def _document(entry: Entry) -> dict[str, str]:
    found = {"id": entry.id, "place": entry.place, "reason": entry.reason, "evidence": entry.evidence}
    return {**found, "raw": entry.raw} if entry.raw else found
