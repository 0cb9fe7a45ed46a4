"""`rungwise climb`: the cheapest technique that is shown to meet the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, project_directory, warn
from rungwise.cli.setting_up import describes_use_case, open_project, taken_back

if TYPE_CHECKING:
    from rungwise.project import Climbed


@click.command()
@click.argument("source", metavar="FILE|PROJECT")
@click.option("--target", default=None, metavar="METRIC=VALUE", help="For instance accuracy=0.90 or accuracy=0.95@coverage=0.8.")
@click.option("--project", default=None, metavar="DIR", help="Where to make the project; default: beside the file, named after it.")
@describes_use_case
@click.option("--exhaustive", is_flag=True, help="Measure the rungs above the winner too, on dev only.")
@click.option("--order", default="", metavar="RUNG,...", help="Rungs to try first.")
@click.option("--until", default=None, metavar="RUNG", help="The last rung of the ladder.")
@click.option("--allow-leaks", is_flag=True, help="Climb although sealed rows stand in other splits too.")
@click.option("--approved-by", default=None, metavar="NAME", help="Who approves the decision; kept in its record.")
@click.option("--encoding", default=None, help="Encoding of the data file, if it is not UTF-8.")
@click.option("--no-wait", is_flag=True, help="Fail instead of waiting when another climb holds the project.")
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def climb(source: str, target: str | None, project: str | None, **options: Any) -> int:
    """Try techniques from the cheapest to the dearest until one is shown to meet the target.

    SOURCE is a data file (CSV, TSV, JSONL, Parquet), for which a project is made
    beside it, or a project. Killed anywhere, the same command goes on.
    """
    from rungwise.ladder.expedition import Wishes

    directory, data = project_directory(source, project)
    wishes = Wishes(
        exhaustive=options["exhaustive"],
        order=tuple(name.strip() for name in options["order"].split(",") if name.strip()),
        until=options["until"],
        allow_leaks=options["allow_leaks"],
        approved_by=options["approved_by"],
        encoding=options["encoding"],
    )
    silent = options["as_json"] or options["quiet"]
    with taken_back(directory), _progress(silent) as say:
        opened = open_project(directory, data, options)
        climbed = opened.climb(target, wishes=wishes, say=say, wait=not options["no_wait"], on_wait=warn)
    if options["as_json"]:
        print_json(climbed.document)
    else:
        _show(climbed, str(directory), quiet=options["quiet"])
    return 0 if climbed.decision.verdict == "met" else 1


def _progress(silent: bool) -> Any:
    from rich.console import Console

    from rungwise.cli.progress_view import progress_view

    return progress_view(Console(stderr=True), silent=silent)


def _show(climbed: Climbed, directory: str, *, quiet: bool) -> None:
    from rich.console import Console

    from rungwise.cli.ladder_view import print_ladder

    for column in () if quiet else climbed.columns:
        warn(f"column: {column}")
    for warning in climbed.warnings:
        warn(f"note: {warning}")
    print_ladder(Console(), climbed.decision, project=directory, report=str(climbed.report))
