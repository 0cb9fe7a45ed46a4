"""`rungwise rollback`: what was live before is live again, at once."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short, to_plain


@click.command()
@click.argument("directory", metavar="PROJECT", default=".")
@click.option("--to", metavar="ID", help="A release by the first digits of its id; by default the one that was live before.")
@click.option("--by", metavar="NAME", help="On whose word.")
@click.option("--why", metavar="REASON", help="Why.")
@as_json
def rollback(directory: str, to: str | None, by: str | None, why: str | None, as_json: bool) -> int:
    """Make live what was live before in PROJECT. No gate is asked."""
    from rungwise.cli.release import releases_of, show_plan

    moved = releases_of(directory).rollback(to, by=by, why=why)
    if as_json:
        variants = to_plain(moved.live.variants)
        print_json(
            {"project": directory, "release": moved.live.id, "before": moved.before, "moved": moved.moved, "variants": variants}
        )
        return 0
    say(f"{'live' if moved.moved else 'was live already'}: release {short(moved.live.id)}")
    show_plan(moved.live)
    return 0
