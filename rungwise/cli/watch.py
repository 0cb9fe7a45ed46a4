"""`rungwise watch`: what the monitors say of production."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say, warn
from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S
from rungwise.core.record import to_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rungwise.core.reading import Reading
    from rungwise.project.watching import ProjectWatching, Watched

_SIGNS = {ALARM: "!", CANNOT_TELL: "?"}


@click.command()
@click.argument("directory", metavar="PROJECT")
@click.option(
    "--monitor", default=None, metavar="NAME", help="Only this monitor, or those below a name: drift, quality.reviewed ..."
)
@click.option("--days", type=click.IntRange(min=1), default=None, metavar="N", help="What was read on the last N days.")
@click.option("--all", "everything", is_flag=True, help="Every reading: also of windows, groups and variants that are quiet.")
@click.option(
    "--page", is_flag=False, flag_value="", default=None, metavar="[FILE]", help="Write it as one HTML file with pictures."
)
@as_json
def watch(directory: str, monitor: str | None, days: int | None, everything: bool, page: str | None, as_json: bool) -> int:
    """Look at the traffic of PROJECT: drift, quality, cost, fairness, feedback. For people, and for cron.

    Each day (UTC) is looked at once, when it is over; days that were missed are caught up, and none is looked at twice. Alerts
    that come of it are sent. `rungwise serve` does the same by itself. The exit code is 1 when a monitor alarms on the last day.
    """
    from pathlib import Path

    from rungwise.project import Project

    watching = Project(directory).watching
    looked = watching.look(say=_progress)
    written = watching.page(Path(page) if page else None, days=days or 90) if page is not None else None
    if as_json:
        print_json(_plain(watching, looked, monitor, days, written))
    else:
        readings = watching.readings(days or 1, monitor=monitor)
        _show(directory, looked, readings, everything=everything or days is not None)
        if written is not None:
            say(f"written: {written}")
    return 1 if looked.alarms else 0


def _plain(watching: ProjectWatching, looked: Watched, monitor: str | None, days: int | None, written: object) -> dict[str, Any]:
    plain = looked.plain()
    if monitor is not None or days is not None:
        plain["readings"] = to_plain(tuple(watching.readings(days or 1, monitor=monitor)))
    return {**plain, "page": None if written is None else str(written)}


def _progress(done: int, total: int) -> None:
    if total > 1 and (done == total or done % 10 == 0):
        warn(f"looked at {done:,} of {total:,} days")


def _show(directory: str, looked: Watched, readings: Sequence[Reading], *, everything: bool) -> None:
    assert looked.day is not None
    say(f"{directory} until {_date(looked.day * DAY_S)}, {looked.looked:,} new {'day' if looked.looked == 1 else 'days'} looked at")
    shown = [(one, "") for one in readings] if everything else _outstanding(readings)
    part = None
    for one, rest in shown:
        if (own := one.monitor.partition(".")[0]) != part:
            part = own
            say(f"\n{part}")
        say(f"  {_SIGNS.get(one.state, ' ')} {_date(one.until - DAY_S) + '  ' if everything else ''}{_line(one, rest)}")
    if not readings:
        say("nothing was read")
    if looked.opened:
        say(f"\n{len(looked.opened):,} new {'alert' if len(looked.opened) == 1 else 'alerts'}. See: rungwise alerts {directory}")


def _outstanding(readings: Sequence[Reading]) -> list[tuple[Reading, str]]:
    """Of each monitor one reading, and what is left out: the surest alarm, else what it says of all traffic."""
    found = []
    for monitor in dict.fromkeys(one.monitor for one in readings):
        own = [one for one in readings if one.monitor == monitor]
        alarms = [one for one in own if one.state == ALARM]
        if alarms:
            first = min(alarms, key=lambda one: (len(one.about), 1.0 if one.p is None else one.p))
        else:
            first = min(own, key=lambda one: (len(one.about), one.state == CANNOT_TELL))
        rest = [(len(alarms) - (first in alarms), "alarms"), (len(own) - len(alarms) - (first not in alarms), "quiet")]
        found.append((first, ", ".join(f"{number:,} {what}" for number, what in rest if number)))
    return found


def _line(one: Reading, rest: str) -> str:
    from rungwise.web import words

    name = one.monitor.partition(".")[2] or one.monitor
    about = " ".join(f"{key}={value}" for key, value in one.about.items())
    head = words.one_line(f"{name}{f' ({about})' if about else ''}, {one.days} {'day' if one.days == 1 else 'days'}")
    more = f" (more: {rest})" if rest else ""
    return f"{head:<36} {words.one_line(one.why)}{more}"


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
