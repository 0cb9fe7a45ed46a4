"""`rungwise feedback contest`: which variant is better, by what was judged so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short

if TYPE_CHECKING:
    from rungwise.release.contest import Duel


@click.command("contest")
@click.argument("directory", metavar="PROJECT")
@as_json
def contesting(directory: str, as_json: bool) -> int:
    """Compare the variants of PROJECT's live release by the feedback on their answers, and its shadows by corrections.

    The promise about false winners holds however often you look. Nothing is moved. The exit code is 1 while a comparison
    cannot be told. What is compared, and at which level, stands in rungwise.yaml under serve, contest.
    """
    from rungwise.project import Project

    found = Project(directory).feedback.contest()
    if as_json:
        print_json(found.plain())
        return 0 if found.told else 1
    own = found.verdict
    say(f"release {short(own.release.id)}, by {found.metric}")
    for duel in own.duels:
        _show(duel)
    if own.shadows:
        say("shadows, by labels and corrections")
    for duel in own.shadows:
        _show(duel)
    if not own.duels and not own.shadows:
        say("  one variant and no shadow: nothing to compare")
    elif own.ruling.action != "keep":
        traffic = ",".join(f"{name}={weight:g}" for name, weight in own.ruling.weights.items())
        say(f"Next: rungwise release {directory} --traffic {traffic}")
    return 0 if found.told else 1


def _show(duel: Duel) -> None:
    from rungwise.release.contest import told

    say(f"  {told(duel)}")
    one = duel.standing
    needed = f", a test that looks once would need {one.fixed_n:,} units for it" if one.fixed_n is not None else ""
    say(f"    p {one.p_value:.2g} at any time (level {one.level:g}){needed}")
