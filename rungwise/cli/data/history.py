"""`rungwise data log`: the versions, newest first."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short


@click.command("log")
@click.argument("directory", metavar="DIR")
@as_json
def history(directory: str, as_json: bool) -> int:
    """List the moves of the head: which version, made by which verb, when."""
    from rungwise.project import Project

    moves = Project(directory).data.log()
    if as_json:
        print_json(
            [
                {
                    "dataset": move.version.id,
                    "verb": move.verb,
                    "kind": move.version.kind,
                    "rows": move.version.rows,
                    "erased": move.version.erased,
                    "quarantined": dict(move.version.quarantined),
                    "tags": list(move.tags),
                    "at": datetime.fromtimestamp(move.at, UTC).isoformat(),
                }
                for move in moves
            ]
        )
        return 0
    for number, move in enumerate(moves):
        when = datetime.fromtimestamp(move.at, UTC).strftime("%Y-%m-%d %H:%M")
        names = ", ".join(["HEAD"] * (number == 0) + list(move.tags))
        aside = sum(move.version.quarantined.values())
        line = f"{short(move.version.id)}  {when}  {move.verb:<9} {move.version.rows:>10,} rows  {aside:>8,} aside"
        line += f"  {move.version.erased:,} erased" * bool(move.version.erased)
        say(f"{line}  ({names})" if names else line)
    return 0
