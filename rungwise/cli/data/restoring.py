"""`rungwise data restore`: rows come back from the quarantine."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short


@click.command("restore")
@click.argument("directory", metavar="DIR")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--reason", default=None, metavar="REASON", help="All that were set aside for this reason, or by this step (dedup).")
@click.option("--all", "everything", is_flag=True, help="All that were set aside.")
@as_json
def restoring(directory: str, ids: tuple[str, ...], reason: str | None, everything: bool, as_json: bool) -> int:
    """Bring rows back to where they stood. Later curations leave them alone."""
    from rungwise.project import Project

    done = Project(directory).data.restore(ids, reason=reason, everything=everything)
    if as_json:
        counts = {"restored": done.restored, "beyond": done.beyond, "quarantined": dict(done.version.quarantined)}
        print_json({"dataset": done.version.id, "rows": done.version.rows, **counts})
        return 0
    say(f"{done.restored:,} rows came back: version {short(done.version.id)} has {done.version.rows:,} rows")
    if done.beyond:
        say(f"  {done.beyond:,} could never be read and have to be mended at their source")
    return 0
