"""`rungwise report`: the decision as one HTML file."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say


@click.command()
@click.argument("directory", metavar="PROJECT")
@click.option("-o", "--output", default=None, metavar="FILE.html", help="Default: report.html in the project.")
@as_json
def report(directory: str, output: str | None, as_json: bool) -> int:
    """Write the last decision of PROJECT as one HTML file that opens from disk."""
    from rungwise.project import Project

    path = Project(directory).report(output)
    if as_json:
        print_json({"report": str(path)})
    else:
        say(str(path))
    return 0
