"""`rungwise drift`: what changed between two tables, or between two windows of a project's traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.errors import UsageError

if TYPE_CHECKING:
    from rungwise.watch.drift.report import ColumnDrift, DriftReport, Finding

SAID = {"drift": "drift", "tiny": "shown, but too small to count", "none": "not shown", "cannot_tell": "cannot tell"}


@click.command()
@click.argument("reference", metavar="REFERENCE|PROJECT")
@click.argument("current", required=False)
@click.option(
    "--since", default=None, metavar="WINDOW", help="Of a project: the window that is judged: 14d, 2026-11-01..2026-11-15."
)
@click.option("--against", default=None, metavar="WINDOW", help="Of a project: the window it is held against: 30d..14d.")
@click.option("--level", type=float, default=0.05, show_default=True, help="How often a report may find what is not there.")
@click.option(
    "--least",
    type=click.Choice(("tiny", "small", "medium", "large")),
    default="small",
    show_default=True,
    help="From which size on a change that is shown counts as drift.",
)
@click.option("--column", "columns", multiple=True, metavar="NAME", help="Only this column; may be given again.")
@click.option("--unit", default=None, metavar="NAME", help="Of files: the column that says what rows belong to, such as a user.")
@click.option("--text", "texts", multiple=True, metavar="NAME", help="Of files: this column holds texts; may be given again.")
@as_json
def drift(reference: str, current: str | None, **options: Any) -> int:
    """Compare two tables, REFERENCE and CURRENT (CSV, TSV, JSONL, Parquet), or two windows of PROJECT's traffic.

    Each column gets the size of its change and how surely it changed; the level is shared by all. The exit code is 1 when
    drift is shown, 0 when not. Rows of one user depend on one another: name their column with --unit. In a project rows
    are kept together by conversation, else by user.
    """
    found = _of_project(reference, options) if current is None else _of_files(reference, current, options)
    if options["as_json"]:
        print_json(found.plain())
    else:
        _show(found)
    return 1 if found.drifted else 0


def _of_files(reference: str, current: str, options: dict[str, Any]) -> DriftReport:
    from rungwise.project.drift import compare_files

    if options["since"] or options["against"]:
        raise UsageError("--since and --against are windows of a project; two files are compared whole. Leave them out")
    wanted = {name: options[name] for name in ("columns", "unit", "texts", "level", "least")}
    return compare_files(reference, current, **wanted)


def _of_project(directory: str, options: dict[str, Any]) -> DriftReport:
    from rungwise.project import Project

    if not options["since"] or not options["against"]:
        raise UsageError(
            "give two files, or a project with two windows: "
            f"rungwise drift {directory} --since 14d --against 30d..14d, or rungwise drift BEFORE.csv AFTER.csv"
        )
    if options["unit"] or options["texts"]:
        raise UsageError("--unit and --text are for files; a project knows both. Leave them out")
    wanted = {name: options[name] for name in ("columns", "level", "least")}
    return Project(directory).drift.compare(options["since"], options["against"], **wanted)


def _show(found: DriftReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("column", "kind", "change", "p", "verdict", "what moved", box=None, pad_edge=False)
    for one in found.columns:
        table.add_row(*(_plain(cell) for cell in _cells(one)))
    Console().print(table)
    say()
    say(f"{found.reference_rows:,} rows before, {found.current_rows:,} now; level {found.level:g}, shared by all tests (Holm)")
    if found.drifted:
        say(f"drift in {len(found.drifted)} of {len(found.columns)} columns: {', '.join(map(_line, found.drifted))}")
    else:
        say(f"no drift of size '{found.least}' or more is shown")


def _cells(one: ColumnDrift) -> tuple[str, ...]:
    first = one.first
    moved = "; ".join(filter(None, (one.what, one.why)))
    if first is None:
        return one.column, one.kind or "-", "-", "-", SAID[one.verdict], moved
    return one.column, one.kind, _change(first), f"{first.adjusted:.2g}", SAID[one.verdict], moved


def _change(one: Finding) -> str:
    """The effect in words: 'small, 0.21 sd', 'missing: tiny, 1.2% of rows', 'medium, AUC 0.66'."""
    how = {"sd": f"{one.effect:.2g} sd", "share": f"{one.effect:.1%} of rows", "auc": f"AUC {one.effect:.2f}"}[one.unit]
    return f"{'' if one.about == 'values' else one.about + ': '}{one.size}, {how}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(_line(text))
