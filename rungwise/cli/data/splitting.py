"""`rungwise data split`: draw the splits."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short


@click.command("split")
@click.argument("directory", metavar="DIR")
@click.option("--by", default="label", show_default=True, metavar="WAY", help="label, group, time or cover (clusters of texts).")
@click.option("--column", default=None, metavar="COLUMN", help="Column with the label, group or time.")
@click.option("--shares", default="60/15/25", show_default=True, metavar="A/B/C", help="Shares of train, dev and test.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other rows.")
@click.option("--anew", is_flag=True, help="Draw rows again that have a split; refused once sealed rows were opened.")
@as_json
def splitting(directory: str, by: str, column: str | None, shares: str, seed: int, anew: bool, as_json: bool) -> int:
    """Draw train, dev and sealed test into a new version of the data.

    Rows that were opened in a climb stay sealed, rows that had a split keep it. Later imports keep the splits of the rows
    that are known and draw those of new ones.
    """
    from rungwise.data.versions.splitting import SplitPlan, read_shares
    from rungwise.project import Project

    plan = SplitPlan(by=by, column=column, shares=read_shares(shares), seed=seed)
    done = Project(directory).data.split(plan, anew=anew)
    if as_json:
        counts = {"drawn": done.drawn, "kept": done.kept, "opened": done.opened}
        print_json({"dataset": done.version.id, "rows": done.version.rows, "splits": dict(done.counts), **counts})
        return 0
    parts = ", ".join(f"{count:,} {name}" for name, count in done.counts.items())
    say(f"{parts} as version {short(done.version.id)}")
    opened = f"{done.opened:,} were opened before and stay sealed"
    say(f"  {done.drawn:,} rows were drawn, {done.kept:,} keep the split they had, {opened}")
    if not done.drawn:
        say("  Every row has a split already. Draw again with: --anew")
    return 0
