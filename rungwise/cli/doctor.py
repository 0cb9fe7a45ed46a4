"""`rungwise doctor`: what works, what is missing, what to type."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import to_plain

_SIGNS = {"ok": "+", "missing": "-", "problem": "!"}


@click.command()
@click.argument("directory", metavar="PROJECT", default=".")
@as_json
def doctor(directory: str, as_json: bool) -> int:
    """Look at extras, keys, endpoints and disk. Endpoints are only called when the project configures them."""
    from rungwise.project import Project

    findings = Project(directory).doctor()
    if as_json:
        print_json({"findings": to_plain(findings), "ok": all(one.state != "problem" for one in findings)})
    else:
        for one in findings:
            say(f"{_SIGNS[one.state]} {one.what}: {one.detail}")
            if one.type:
                say(f"    type: {one.type}")
    return 1 if any(one.state == "problem" for one in findings) else 0
