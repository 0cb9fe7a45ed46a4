"""`rungwise release`: what was decided answers users, if the gates let it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short, to_plain

if TYPE_CHECKING:
    from rungwise.core.release import Release
    from rungwise.project.releases import Gated, ProjectReleases
    from rungwise.release.plan import Wishes

F = TypeVar("F", bound=Callable[..., Any])


def planning(command: F) -> F:
    """The options that say what is to be released, and on whose word."""
    for option in reversed(
        (
            click.option(
                "--candidate", "candidates", multiple=True, metavar="[NAME=]ID|RUNG", help="A candidate. By default the chosen one."
            ),
            click.option(
                "--relay", "relays", multiple=True, metavar="[NAME=]ENGINE", help="An endpoint that requests go to as they come."
            ),
            click.option(
                "--traffic", metavar="A=0.9,B=0.1", help="Shares of the traffic; alone, those of the live release change."
            ),
            click.option(
                "--shadow", multiple=True, metavar="ID|RUNG|ENGINE", help="Answers beside the live ones, unseen; 'none' for nobody."
            ),
            click.option("--approve", metavar="NAME", help="Who puts their name to it."),
            click.option("--despite", metavar="REASON", help="Release although gates fail, for this reason; wants --approve."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("directory", metavar="PROJECT", default=".")
@planning
@click.option("--history", is_flag=True, help="Show what was live when, and on whose word; release nothing.")
@as_json
def release(directory: str, approve: str | None, despite: str | None, history: bool, as_json: bool, **wishes: Any) -> int:
    """Make the chosen candidate of PROJECT live, if every gate lets it; else say which does not, and change nothing."""
    releases = releases_of(directory)
    if history:
        return _show_history(releases, as_json)
    done = releases.release(wishes_of(**wishes), approved_by=approve, despite=despite)
    if as_json:
        moved = done.moved
        pointer = {
            "release": moved.live.id if moved else None,
            "before": moved.before if moved else None,
            "moved": moved.moved if moved else False,
        }
        print_json({"project": directory, **pointer, **document_of(done), "approved_by": approve, "note": despite})
        return 0 if done.passed else 1
    show_gates(done)
    if done.moved is None:
        say("not released: a gate failed, and nothing changed. Mend it, or waive it: --despite 'REASON' --approve NAME")
    else:
        say(f"{'live' if done.moved.moved else 'was live already'}: release {short(done.moved.live.id)}")
        show_plan(done.moved.live)
    return 0 if done.passed else 1


def releases_of(directory: str) -> ProjectReleases:
    """The releases of a project folder, by the system's clock."""
    from rungwise.engines.clock import SystemClock
    from rungwise.project.doors import STATE
    from rungwise.project.releases import ProjectReleases

    return ProjectReleases(Path(directory), SystemClock(), Path(directory) / STATE)


def wishes_of(*, candidates: tuple[str, ...], relays: tuple[str, ...], traffic: str | None, shadow: tuple[str, ...]) -> Wishes:
    """What the options of `planning` say."""
    from rungwise.release.plan import Wishes, read_traffic

    shares = read_traffic(traffic) if traffic is not None else None
    return Wishes(candidates=candidates, relays=relays, traffic=shares, shadow=shadow)


def document_of(gated: Gated) -> dict[str, Any]:
    """What was checked, as JSON data."""
    plan = gated.plan
    return {
        "passed": gated.passed,
        "variants": to_plain(plan.variants),
        "shadow": list(plan.shadow),
        "evidence": list(gated.evidence),
        "gates": to_plain(gated.gates),
    }


def show_gates(gated: Gated) -> None:
    """One line for each gate."""
    names = {one.candidate: one.name for one in gated.plan.variants}
    for one in gated.gates:
        where = names.get(one.candidate) or short(one.candidate) or "release"
        say(f"  {one.state:<7} {where:<12} {one.gate}: {one.why}")


def show_plan(release: Release) -> None:
    """One line for each variant and shadow."""
    for one in release.variants:
        say(f"  {one.weight:>6.1%} {one.name} ({short(one.candidate)})")
    for id in release.shadow:
        say(f"  shadow {short(id)}")


def _show_history(releases: ProjectReleases, as_json: bool) -> int:
    from datetime import UTC, datetime

    found = releases.history()
    if as_json:
        keep = ("variants", "shadow", "evidence", "gates", "approved_by", "note")
        print_json([{**to_plain(move), **{name: to_plain(release)[name] for name in keep}} for move, release in found])
        return 0
    if not found:
        say("nothing was released yet. Type: rungwise release PROJECT")
    for move, release in found:
        when = datetime.fromtimestamp(move.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        shares = ", ".join(f"{one.name} {one.weight:.0%}" for one in release.variants)
        told = "".join(f", {text}" for text in (move.by and f"by {move.by}", move.why) if text)
        say(f"{when} {move.verb:<8} {short(move.release)} {shares}{told}")
    return 0
