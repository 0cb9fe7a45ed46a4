"""`rungwise feedback add`: one judgement on one answer."""

from __future__ import annotations

from typing import Any

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.feedback import SOURCES
from rungwise.core.record import to_plain


@click.command("add")
@click.argument("directory", metavar="PROJECT")
@click.option("--trace", metavar="ID", help="The answer's trace: its header x-request-id.")
@click.option("--response", "response_id", metavar="ID", help="The answer's own id, in place of --trace.")
@click.option("--thumb", type=click.Choice(["up", "down"]), help="Good or bad.")
@click.option("--score", type=float, help="How good, from 0 to 1.")
@click.option("--label", metavar="LABEL", help="The label that would have been right.")
@click.option("--correction", metavar="TEXT", help="The answer that would have been right.")
@click.option("--comment", metavar="TEXT", help="Anything else.")
@click.option("--outcome", metavar="NAME", help="What came of it, such as converted or refunded.")
@click.option("--value-usd", type=float, help="What that was worth.")
@click.option("--source", type=click.Choice(SOURCES), default="user", show_default=True, help="Who judges.")
@click.option("--by", metavar="NAME", help="Whoever says so.")
@click.option("--at", metavar="TIME", help="When it was judged, such as 2026-03-31T12:00:00Z; by default now.")
@as_json
def adding(directory: str, as_json: bool, **given: Any) -> int:
    """Judge one answer of PROJECT. The same judgement again is kept once."""
    from rungwise.project import Project

    judged = Project(directory).feedback.add({name: value for name, value in given.items() if value is not None})
    if as_json:
        print_json(to_plain(judged))
    else:
        say(f"{'kept' if judged.new else 'known already'}: a judgement on {judged.trace}")
    return 0
