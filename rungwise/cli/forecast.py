"""`rungwise forecast`: what the data can show, before anything is spent."""

from __future__ import annotations

from typing import Any

import click

from rungwise.cli.options import as_json, print_json, project_directory, say
from rungwise.cli.setting_up import describes_use_case, open_project, taken_back


@click.command()
@click.argument("source", metavar="FILE|PROJECT")
@click.option("--target", default=None, metavar="METRIC=VALUE", help="For instance accuracy=0.90.")
@click.option("--project", default=None, metavar="DIR", help="Where to make the project.")
@describes_use_case
@click.option("--order", default="", hidden=True)
@click.option("--until", default=None, metavar="RUNG", help="The last rung of the ladder.")
@click.option("--allow-leaks", is_flag=True, help="Go on although sealed rows stand in other splits too.")
@as_json
def forecast(source: str, target: str | None, project: str | None, **options: Any) -> int:
    """Say what these sealed rows can show at this target, how many more are needed, and what each rung will cost."""
    from rungwise.ladder.expedition import Wishes

    directory, data = project_directory(source, project)
    with taken_back(directory):
        opened = open_project(directory, data, options)
        found = opened.forecast(target, wishes=Wishes(until=options["until"], allow_leaks=options["allow_leaks"]))
    if options["as_json"]:
        print_json(found.plain())
        return 0
    _show(found, str(directory))
    return 0


def _show(found: Any, directory: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from rungwise.web import words

    console = Console()
    for column in found.columns:
        say(f"column: {column}")
    counts = ", ".join(f"{count:,} {split}" for split, count in found.splits.items())
    say(f"{found.target} with {counts} rows; the next opening of the sealed rows is number {found.k}, at level {found.alpha:.4f}")
    if not found.feasible:
        say(f"Not possible yet: even all right could not show it. At least {found.fewest_rows:,} sealed rows are needed.")
    power = Table("if the truth is", "chance to show it", "sealed rows for 80 %", box=None, header_style="bold")
    for chance in found.chances:
        power.add_row(f"{chance.truth:.3f}", f"{chance.power:.0%}", f"{chance.rows_needed:,}" if chance.rows_needed else "-")
    console.print(power)
    say(f"({found.note})")
    say()
    rungs = Table("rung", "time", "calls", "money", "per 1,000", "total at volume", box=None, header_style="bold")
    for rung in found.rungs:
        money = (words.usd(rung.usd), words.usd(rung.usd_per_1k), words.usd(rung.total_usd))
        rungs.add_row(Text(rung.rung), words.seconds(rung.seconds), f"{rung.calls:,}", *money)
    console.print(rungs)
    say()
    say(f"next: rungwise climb {directory}")
