"""`rungwise replay`: the decision, recomputed."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short, to_plain


@click.command()
@click.argument("directory", metavar="PROJECT")
@as_json
def replay(directory: str, as_json: bool) -> int:
    """Recompute the last decision of PROJECT from the stored scores; it must agree."""
    from rungwise.project import Project

    found = Project(directory).replay()
    if as_json:
        print_json(to_plain(found))
    elif found.agrees:
        say(f"agrees: decision {short(found.decision)} follows from the stored scores")
    else:
        say(f"does not agree: decision {short(found.decision)}, recomputed {short(found.recomputed)}")
        for line in found.differences[:20]:
            say(f"  {line}")
    return 0 if found.agrees else 1
