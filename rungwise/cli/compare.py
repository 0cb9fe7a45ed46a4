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
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    test = found.test
    say(f"{found.metric} on {test.n:,} dev rows: {found.first} {test.first:.4f}, {found.second} {test.second:.4f}")
    say(
        f"difference {test.difference:+.4f}, {test.level:.0%} interval {test.low:+.4f} to {test.high:+.4f}, "
        f"p = {test.p_value:.4g} ({test.method})"
    )
    say(f"{found.second} is better on {test.wins} rows, {found.first} on {test.losses}; {test.ties} are alike")
    shown = [
        (" ".join(pair.text.split()), " | ".join(pair.references), pair.first or "-", pair.second or "-")
        for pair in found.rows[:rows]
    ]
    headings = ("text", "should be", found.first, found.second)
    console = Console()
    # Labels are what is compared: they get up to a fifth of the line each, and the text what is left.
    widths = [min(console.width // 5, max(cell_len(row[k]) for row in (headings, *shown))) for k in (1, 2, 3)]
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for heading, width in zip(headings, (console.width - sum(widths) - 6, *widths), strict=True):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", width=width)
    for row in shown:
        table.add_row(*(Text(cell) for cell in row))
    if found.rows:
        console.print(table)
    if len(found.rows) > rows:
        say(f"and {len(found.rows) - rows} more: --rows {len(found.rows)}")
