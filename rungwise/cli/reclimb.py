"""`rungwise reclimb`: climb again on what production brought, as far as it can be done now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say, warn
from rungwise.core.record import short
from rungwise.core.watching import GATES

if TYPE_CHECKING:
    from rungwise.project.reclimbs import Foreseen, Reclimbed


@click.command()
@click.argument("directory", metavar="PROJECT", default=".")
@click.option("--because", default=None, metavar="ALERT", help="What started it: the id of an alert, or a reason in words.")
@click.option("--dry-run", is_flag=True, help="Show what it would begin with and what its climb will cost; begin none.")
@click.option("--approve", type=click.Choice(GATES), default=None, metavar="STEP", help=f"Let a step begin: {', '.join(GATES)}.")
@click.option("--by", default=None, metavar="NAME", help="Who lets it begin, or stops it.")
@click.option("--stop", is_flag=True, help="End it; who answered before it began answers alone again.")
@click.option("--until", default=None, metavar="RUNG", help="The last rung of the ladder.")
@as_json
def reclimb(
    directory: str,
    because: str | None,
    dry_run: bool,
    approve: str | None,
    by: str | None,
    stop: bool,
    until: str | None,
    as_json: bool,
) -> int:
    """Climb again in PROJECT with rows from feedback and review, and who answers now among the rungs.

    What is shown to be better, or enough for clearly less, answers as a shadow first, then a share of the users, then all. Each
    call goes as far as it can and says what it waits for; type it again, or let `serve` do so. The exit code is 1 while it waits.
    """
    from rungwise.project import Project

    reclimbs = Project(directory).reclimbs
    if dry_run:
        foreseen = reclimbs.foresee(because)
        if as_json:
            print_json(foreseen.plain())
        else:
            _show_forecast(foreseen, directory)
        return 0
    if because is not None and not stop and (running := reclimbs.now()) is not None and not running.settled:
        warn(f"re-climb {short(running.id)} runs and goes on: --because is for one that begins. To end it: --stop")
    found = reclimbs.stop(by=by) if stop else reclimbs.advance(because, approve=approve, by=by, until=until)
    if as_json:
        print_json(found.plain())
    else:
        _show(found, directory)
    return 0 if found.settled else 1


def _show(found: Reclimbed, directory: str) -> None:
    say(f"re-climb {short(found.id)}: {found.state}{_began(found.about)}")
    for step, tell in _TOLD.items():
        if step in found.steps:
            say(f"  {step:<8} {tell(found.steps[step])}")
    if found.settled:
        say(f"  {'settle':<8} {found.why}")
        if found.state == "promoted":
            say(f"Take it back at any time: rungwise rollback {directory}")
        return
    say(f"  {found.step or '':<8} waits for: {found.waits_for}")
    say(f"Next: rungwise reclimb {directory}")


def _began(about: Mapping[str, Any]) -> str:
    because = about["because"]
    if "alert" in because:
        return f", because of alert {short(because['alert'])} ({because['rule']}): {because['reading']['why']}"
    return f", because: {because['reason']}" if "reason" in because else ""


def _gathered(output: Mapping[str, Any]) -> str:
    sources = ", ".join(f"{count:,} from {source}" for source, count in output["rows"].items())
    told = f"{output['new']:,} new rows{f' ({sources})' if sources else ''}, {output['sealed']:,} of them sealed"
    if output["leaked"]:
        told += f"; {output['leaked']:,} were left out, since they give sealed rows away"
    if output["moved"]:
        told += f"; the rows of {output['moved']} are a version of the data now, and rungwise.yaml names it: data: version:HEAD"
    return told


def _foreseen(output: Mapping[str, Any]) -> str:
    least = "" if output["feasible"] else f"; too few: even all right could not show it, {output['fewest_rows']:,} are needed"
    spent = f"{sum(one['seconds'] for one in output['rungs']):.0f} s, {sum(one['usd'] for one in output['rungs']):.2f} USD"
    return f"{output['sealed']:,} sealed rows, opening {output['k']} at level {output['alpha']:.4f}{least}; at most {spent}"


def _climbed(output: Mapping[str, Any]) -> str:
    memory = output.get("forgetting")
    old = "" if memory is None else f"; on the old sealed rows it {_MEMORY[memory['verdict']]}"
    return f"{output['action']}: {output['why']}{old}"


_MEMORY = {
    "forgets": "is shown to be worse than who answers now",
    "keeps": "is shown to be no worse than who answers now",
    "cannot tell": "cannot be told from who answers now",
}


def _gates(output: Mapping[str, Any]) -> str:
    return f"{len(output['gates'])} gates passed"


def _shadowed(output: Mapping[str, Any]) -> str:
    from rungwise.watch.reclimb.trial import counted

    return "left out" if output.get("skipped") else counted(output)


def _contested(output: Mapping[str, Any]) -> str:
    return f"{output['verdict']}: {output['why']}"


_TOLD = {
    "gather": _gathered,
    "forecast": _foreseen,
    "climb": _climbed,
    "gate": _gates,
    "shadow": _shadowed,
    "contest": _contested,
}


def _show_forecast(found: Foreseen, directory: str) -> None:
    rows = ", ".join(f"{count:,} from {source}" for source, count in found.rows["rows"].items())
    say(f"{found.rows['new']:,} new rows{f' ({rows})' if rows else ''}; nothing was written")
    say(f"on the data as it is: {_foreseen(found.forecast)}")
    for rung in found.forecast["rungs"]:
        say(f"  {rung['rung']:<16} {rung['seconds']:>8.1f} s {rung['usd']:>10.4f} USD, {rung['total_usd']:.4f} USD at volume")
    say(f"Next: rungwise reclimb {directory}")
