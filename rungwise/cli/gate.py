"""`rungwise gate`: would it be released? For build servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.cli.release import document_of, planning, releases_of, show_gates, wishes_of


@click.command()
@click.argument("directory", metavar="PROJECT", default=".")
@planning
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the gates as JUnit XML.")
@click.option("--sarif", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the gates as SARIF 2.1.0.")
@as_json
def gate(
    directory: str,
    approve: str | None,
    despite: str | None,
    junit: Path | None,
    sarif: Path | None,
    as_json: bool,
    **wishes: Any,
) -> int:
    """Check the gates of PROJECT for what `release` with the same options would make live. Changes nothing."""
    import json

    from rungwise import __version__
    from rungwise.data.blobs import write_durably
    from rungwise.release import output

    found = releases_of(directory).gate(wishes_of(**wishes), approved_by=approve, despite=despite)
    if junit is not None:
        write_durably(junit, output.junit(found.gates, project=directory).encode())
    if sarif is not None:
        document = output.sarif(found.gates, project=directory, version=__version__, despite=despite)
        write_durably(sarif, json.dumps(document, indent=2).encode())
    if as_json:
        print_json({"project": directory, **document_of(found)})
        return 0 if found.passed else 1
    show_gates(found)
    say("every gate lets it through" if found.passed else "a gate failed: it would not be released")
    return 0 if found.passed else 1
