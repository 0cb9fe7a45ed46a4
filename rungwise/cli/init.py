"""`rungwise init`: a project folder with rungwise.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.cli.setting_up import describes_use_case, open_project, taken_back
from rungwise.core.errors import UsageError
from rungwise.core.tasks import TASKS
from rungwise.data.spec import FILE


@click.command()
@click.argument("directory")
@click.option("--from", "source", default=None, metavar="FILE", help="The data file.")
@describes_use_case
@as_json
def init(directory: str, source: str | None, **options: Any) -> int:
    """Make a project DIRECTORY. Nothing is read or spent yet."""
    from rungwise.project import Project

    folder = Path(directory)
    if source is not None and not Path(source).is_file():
        raise UsageError(f"there is no data file {source}")
    with taken_back(folder):
        Project.create(folder, task=options["task"] or "classify", source=source)
        project = open_project(folder, None, options)
    if options["as_json"]:
        print_json({"project": str(folder), "use_case": dict(project.case.plain())})
        return 0
    say(f"made {folder / FILE}")
    more = "" if source else f"Set data: in {folder / FILE}. Then type"
    say(f"{more or 'next'}: rungwise forecast {folder} --target {TASKS[project.case.task].metric}=0.90")
    return 0
