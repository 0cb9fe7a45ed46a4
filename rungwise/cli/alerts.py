"""`rungwise alerts`: what was noticed, who took it up, and sending it where people look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say, warn
from rungwise.core.errors import UnknownName
from rungwise.core.record import to_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rungwise.data.alerts import Alert
    from rungwise.project.alerts import ProjectAlerts
    from rungwise.watch.alerts.sending import Outcome

SHOWN = 50


class _Listing(click.Group):
    """A group whose verb may be left out: `rungwise alerts PROJECT` lists."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, name) or super().get_command(ctx, "list")

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Whatever is no verb is the project, unless it looks like a misspelt verb and is no folder."""
        name = args[0]
        if name in self.commands:
            return name, self.commands[name], args[1:]
        if not Path(name).exists() and len(args) > 1 and not args[1].startswith("-"):
            raise UnknownName("verb", name, self.commands)
        return "list", self.commands["list"], args


@click.group(cls=_Listing)
def alerts() -> None:
    """What was noticed: list it, take it up, close it, send it.

    rungwise alerts PROJECT lists what is open.
    """


@alerts.command("list")
@click.argument("directory", metavar="PROJECT", default=".")
@click.option("--all", "all", is_flag=True, help="Also what is resolved.")
@click.option("--limit", type=click.IntRange(min=1), default=None, help=f"How many, the newest first; {SHOWN} without --json.")
@as_json
def listing(directory: str, all: bool, limit: int | None, as_json: bool) -> int:
    """The alerts of PROJECT that are open or taken up. The exit code is 1 while one is open that nobody took up."""
    from rungwise.data.alerts import OPEN
    from rungwise.watch.alerts.words import shown

    found = _alerts_of(directory).list(all=all)
    waiting = any(one.state == OPEN for one in found)
    if as_json:
        print_json({"alerts": [_plain(one, directory) for one in found[:limit]]})
        return int(waiting)
    for line in shown(Path(directory), found[: limit or SHOWN]):
        say(line)
    if len(found) > (limit or SHOWN):
        say(f"and {len(found) - (limit or SHOWN):,} more: --limit {len(found)}")
    if not found:
        say(f"no alert{'' if all else ' is open'}. What was read: rungwise watch {directory}")
    return int(waiting)


@alerts.command()
@click.argument("directory", metavar="PROJECT")
@click.argument("id", metavar="ID")
@click.option("--by", required=True, metavar="NAME", help="Who takes it up.")
@as_json
def ack(directory: str, id: str, by: str, as_json: bool) -> int:
    """Take an alert up: it is shown as yours, and goes on until its rule holds no more."""
    return _changed(_alerts_of(directory).acknowledge(id, by=by), directory, as_json)


@alerts.command()
@click.argument("directory", metavar="PROJECT")
@click.argument("id", metavar="ID")
@click.option("--by", required=True, metavar="NAME", help="Who says that it is over.")
@click.option("--note", default="", metavar="TEXT", help="What was found or done.")
@as_json
def resolve(directory: str, id: str, by: str, note: str, as_json: bool) -> int:
    """Close an alert. If its rule holds again on the next day, another one opens."""
    return _changed(_alerts_of(directory).resolve(id, by=by, note=note), directory, as_json)


@alerts.command()
@click.argument("directory", metavar="PROJECT", default=".")
@as_json
def send(directory: str, as_json: bool) -> int:
    """Tell now what is still to be told, also what waits to be tried again. The exit code is 1 where a sink did not take it."""
    return _sent(_alerts_of(directory).send(), as_json, nothing="nothing is to be told")


@alerts.command()
@click.argument("directory", metavar="PROJECT", default=".")
@as_json
def test(directory: str, as_json: bool) -> int:
    """Send a test message to every sink of PROJECT. The exit code is 1 where one did not take it."""
    tested = _alerts_of(directory).test()
    for doubt in tested.doubts:
        warn(doubt)
    return _sent(tested.outcomes, as_json, nothing="there is no sink", doubts=list(tested.doubts))


@alerts.command()
@click.argument("directory", metavar="PROJECT", default=".")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE", help="Instead of stdout.")
def prometheus(directory: str, output: Path | None) -> int:
    """Alerting rules for Prometheus: for the server of PROJECT, and for its own rules."""
    text = _alerts_of(directory).prometheus()
    if output is None:
        click.echo(text, nl=False)
        return 0
    from rungwise.data.blobs import write_durably

    write_durably(output, text.encode())
    say(f"{output}: name it under rule_files in prometheus.yml")
    return 0


def _alerts_of(directory: str) -> ProjectAlerts:
    from rungwise.project import Project

    return Project(directory).alerts


def _changed(alert: Alert, directory: str, as_json: bool) -> int:
    if as_json:
        print_json(_plain(alert, directory))
    else:
        by = f" by {alert.by}" if alert.by else ""
        say(f"{alert.id[:12]} is {alert.state}{by}: {alert.reading.monitor}")
    return 0


def _sent(outcomes: Sequence[Outcome], as_json: bool, *, nothing: str, **more: Any) -> int:
    from rungwise.data.alerts import SENT

    if as_json:
        print_json({"sent": [to_plain(one) for one in outcomes], **more})
    elif not outcomes:
        say(nothing)
    else:
        for one in outcomes:
            what = one.alert if one.alert == one.event else f"{one.alert[:12]} {one.event}"
            say(f"{one.sink}  {what}  {one.state}{f': {one.why}' if one.why else ''}")
    return int(any(one.state != SENT for one in outcomes))


def _plain(alert: Alert, directory: str) -> dict[str, Any]:
    from rungwise.data.alerts import RESOLVED
    from rungwise.watch.alerts.words import commands

    return {**to_plain(alert), "next": list(commands(alert, Path(directory))) if alert.state != RESOLVED else []}
