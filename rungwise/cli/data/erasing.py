"""`rungwise data erase`: remove a row or a person everywhere."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import click

from rungwise.cli.options import as_json, print_json, say, warn
from rungwise.core.errors import UsageError
from rungwise.core.record import short

if TYPE_CHECKING:
    from rungwise.data.versions.erasure import Erased

_SHOWN = 10


@click.command("erase")
@click.argument("directory", metavar="DIR")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--person", default=None, metavar="VALUE", help="Every row of a person, by the value in a column.")
@click.option("--column", default=None, metavar="COLUMN", help="That column; without it those of groups and of ids.")
@click.option("--dry-run", is_flag=True, help="Only say what would go and what would have to be made anew.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def erasing(
    directory: str, ids: tuple[str, ...], person: str | None, column: str | None, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Remove rows from every version, quarantine, dataset, cache and artefact of the project, for good.

    Nothing brings them back, and a later import does not take them in again. Killed anywhere, the same command goes on.
    The exit code is 1 where it was not agreed to.
    """
    from rungwise.project import Project

    def agree(found: Erased) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError("erasing cannot be undone. Add --yes to do it, or --dry-run to see what would go")
        for line in _lines(found):
            warn(line)
        return click.confirm("Erase this for good?", err=True)

    done = Project(directory).data.erase(ids, person=person, column=column, dry_run=dry_run, agree=agree)
    if as_json:
        print_json(dataclasses.asdict(done))
    else:
        for line in _lines(done):
            say(line)
        if not done.done:
            say("nothing was erased")
    return 0 if done.done or dry_run else 1


def _lines(found: Erased) -> list[str]:
    """What goes or went, and what follows from it."""
    lines = [
        f"{'erased' if found.done else 'to be erased'}: {found.rows:,} rows, from {len(found.versions):,} versions of the data"
    ]
    lines += [f"  {short(version)}  {count:,} rows" for version, count in found.versions.items()]
    lines += [f"  entered dataset {short(one)}" for one in found.datasets]
    for kind, ids in found.reached.items():
        lines.append(f"  reached {len(ids):,} x {kind}: {_listed([short(one) for one in ids])}")
    if found.artefacts:
        lines.append(
            f"  {len(found.artefacts):,} artefacts are deleted and made anew: {_listed([short(one) for one in found.artefacts])}"
        )
    lines += [f"  {page} shows it and is deleted" for page in found.pages]
    if found.calls:
        lines.append(f"  {found.calls:,} stored answers that hold the text are deleted")
    lines += [f"  make anew with: {command}" for command in found.rebuild]
    if found.places:
        lines.append(f"  their sources, and what was exported, still hold them: {_listed(found.places)}")
    return lines


def _listed(things: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    return ", ".join(things[:_SHOWN]) + more
