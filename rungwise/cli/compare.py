"""`rungwise compare`: two candidates against each other."""

from __future__ import annotations

from typing import Any

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import to_plain


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--project", "directory", default=".", metavar="DIR", help="The project; default: this folder.")
@click.option("--rows", type=click.IntRange(min=0), default=20, help="How many differing rows to show.")
@as_json
def compare(first: str, second: str, directory: str, rows: int, as_json: bool) -> int:
    """Test A against B (rungs, or candidate ids) on the dev rows of the last climb, and show the rows that differ."""
    from rungwise.project import Project

    found = Project(directory).compare(first, second)
    if as_json:
        print_json(to_plain(found))
    else:
        _show(found, rows)
    return 0


def _show(found: Any, rows: int) -> None:
    from rich.console import Console
    from rich.table import Table

    test = found.test
    say(f"{found.metric} on {test.n:,} dev rows: {found.first} {test.first:.4f}, {found.second} {test.second:.4f}")
    say(
        f"difference {test.difference:+.4f}, {test.level:.0%} interval {test.low:+.4f} to {test.high:+.4f}, "
        f"p = {test.p_value:.4g} ({test.method})"
    )
    say(f"{found.second} is better on {test.wins} rows, {found.first} on {test.losses}; {test.ties} are alike")
    table = Table(box=None, header_style="bold", expand=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1, min_width=10)
    for heading in ("should be", found.first, found.second):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for pair in found.rows[:rows]:
        table.add_row(" ".join(pair.text.split()), " | ".join(pair.references)[:40], pair.first[:40], pair.second[:40])
    if found.rows:
        Console().print(table)
    if len(found.rows) > rows:
        say(f"and {len(found.rows) - rows} more: --rows {len(found.rows)}")
