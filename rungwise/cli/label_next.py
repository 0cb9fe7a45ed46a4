"""`rungwise label-next`: the rows whose labels would teach the most, and what they are expected to bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rungwise.cli.options import as_json, print_json, say

_SHOWN = 5


@click.command(name="label-next")
@click.argument("directory", metavar="PROJECT")
@click.option("--n", default=50, show_default=True, metavar="N", help="How many rows to choose.")
@click.option("--pool", default=None, metavar="FILE", help="Rows to choose from; default: rows of the data without a label.")
@click.option(
    "--output", default=None, metavar="FILE", help="The file to fill in, .csv or .jsonl; default: label-next.csv in PROJECT."
)
@as_json
def label_next(directory: str, n: int, pool: str | None, output: str | None, as_json: bool) -> int:
    """Choose the rows to label next, write them to a file to fill in, and forecast the gain."""
    from rungwise.project import Project

    found = Project(directory).label_next(n, pool=pool, output=output)
    if as_json:
        print_json(found.plain())
    else:
        _show(found)
    return 0


def _show(found: Any) -> None:
    rungs = f"by what {' and '.join(found.rungs)} disagree about" if len(found.rungs) > 1 else f"by what {found.best} is unsure of"
    say(f"{len(found.rows):,} of {found.pool - found.known:,} rows, chosen {rungs}")
    if found.known:
        say(f"(left out: {found.known:,} that stand in the data already, or twice in the pool)")
    for row in found.rows[:_SHOWN]:
        text = " ".join(row.text.split())
        say(f"  {text[:76]}{'…' if len(text) > 76 else ''}  ({row.suggested}? {row.confidence:.0%} sure)")
    say(f"forecast: {_forecast(found)}")
    say(f"next: fill in the labels in {Path(found.file)}")


def _forecast(found: Any) -> str:
    gain = found.gain
    if gain is None:
        return "too few training rows to say what more labels bring"
    interval = f"{gain.low * 100:+.1f} to {gain.high * 100:+.1f} points ({gain.level:.0%} interval)"
    return (
        f"{len(found.rows):,} more labels change the dev accuracy of {found.technique} "
        f"({found.accuracy:.3f} with {found.train:,} rows) by {gain.mean * 100:+.1f} points, {interval}"
    )
