"""What is said of an alert: what happened, how sure it is, since when, examples, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rungwise.core.reading import Reading
from rungwise.core.record import digest, to_plain
from rungwise.core.watching import INFO, TERMINAL, WEBHOOK, Sink, Watching
from rungwise.data.alerts import OPENED, RESOLVED, Alert

TRACES_SHOWN = 5
_FIRST_STEPS: Mapping[str, tuple[str, ...]] = {
    "drift": ("watch {place}",),
    "quality": ("watch {place}", "review {place}"),
    "cost": ("value {place}",),
    "value": ("value {place}",),
    "feedback": ("feedback list {place}",),
    "fairness": ("watch {place}",),
    "review": ("review {place}",),
}
_MAY_RECLIMB = ("drift", "quality", "fairness")
_FAILURES = "drift.output.failures"


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one sink is told. `key` is the same each time that the same thing is told; `data` is for programs."""

    key: str
    severity: str
    subject: str
    text: str
    data: Mapping[str, Any]
    at: float


def sinks_of(watching: Watching) -> tuple[Sink, ...]:
    """Where alerts go; to the terminal where nothing is said."""
    return watching.sinks or (Sink(kind=TERMINAL),)


def sink_name(sink: Sink) -> str:
    """What a sink is called in the store and in messages. Of a URL only the host is shown: paths of webhooks are often secret."""
    if sink.kind == TERMINAL:
        return TERMINAL
    if sink.kind == WEBHOOK:
        return f"{WEBHOOK} {_host(sink.to)} #{digest(sink.to)[:6]}"
    return f"{sink.kind} {plain_line(sink.to)}"


def _host(url: str) -> str:
    try:
        return plain_line(urlsplit(url).hostname or "?")
    except ValueError:
        return "?"


def plain_line(text: str) -> str:
    """A text on one line, without signs that steer a terminal or begin another header."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def message(alert: Alert, event: str, *, project: str, directory: Path) -> Message:
    """What is told of an event of an alert."""
    about = about_of(alert.reading)
    told = "over: " if event == RESOLVED else ""
    subject = plain_line(f"{alert.severity}: {told}{alert.reading.monitor}{f' ({about})' if about else ''} in {project}")
    return Message(
        key=f"{alert.id}-{event}",
        severity=alert.severity if event == OPENED else INFO,
        subject=subject,
        text="\n".join((subject, *(f"  {line}" for line in lines(alert, event, directory)))),
        data=plain(alert, event, project=project, directory=directory),
        at=alert.opened_at if event == OPENED else alert.changed_at,
    )


def lines(alert: Alert, event: str, directory: Path) -> Iterator[str]:
    """An alert for people, line by line."""
    reading = alert.reading
    yield plain_line(reading.why or f"{reading.monitor} is not as it should be")
    if sure := sureness(reading):
        yield sure
    yield f"since {_day(alert.since)}, noticed {_moment(alert.opened_at)} by the rule '{plain_line(alert.rule)}'"
    if event == RESOLVED:
        yield f"over {_moment(alert.changed_at)}: {plain_line(alert.note)}"
        return
    if reading.traces:
        yield f"for example: {' '.join(plain_line(one) for one in reading.traces[:TRACES_SHOWN])}"
    for command in commands(alert, directory):
        yield f"Next: {command}"
    if alert.more:
        yield f"and {alert.more:,} more were noticed: {_typed('alerts {place}', directory)}"


def plain(alert: Alert, event: str, *, project: str, directory: Path) -> dict[str, Any]:
    """An alert for programs. `text` is what people are told in one line, as chat tools expect it."""
    reading = alert.reading
    figures = ("value", "low", "high", "reference", "effect", "unit", "p", "level", "n")
    why = plain_line(reading.why)
    return {
        "id": alert.id,
        "event": event,
        "project": project,
        "rule": alert.rule,
        "severity": alert.severity,
        "state": alert.state,
        "monitor": reading.monitor,
        "about": dict(reading.about),
        "what": why,
        "sure": sureness(reading),
        "since": alert.since,
        "opened_at": alert.opened_at,
        "over": alert.note if event == RESOLVED else None,
        "window": {"since": reading.since, "until": reading.until},
        **{name: to_plain(getattr(reading, name)) for name in figures},
        "traces": list(reading.traces[:TRACES_SHOWN]),
        "next": list(commands(alert, directory)) if event == OPENED else [],
        "more": alert.more,
        "text": f"{'over: ' if event == RESOLVED else ''}{alert.severity}: {project}: {reading.monitor}: {why}",
    }


def sureness(reading: Reading) -> str:
    """How sure a reading is: how surprising it would be by chance, or between which bounds the value lies."""
    said = []
    if reading.p is not None:
        against = f", compared with {reading.level:.2g}" if reading.level is not None else ""
        said.append(f"p {reading.p:.2g}{against}")
    if reading.low is not None and reading.high is not None:
        value = "" if reading.value is None else f"{reading.value:.4g}, "
        level = f" (level {reading.level:g})" if reading.level is not None and reading.p is None else ""
        said.append(f"{value}between {reading.low:.4g} and {reading.high:.4g}{level}")
    if reading.effect is not None:
        said.append(f"effect {reading.effect:.3g}{f' {plain_line(reading.unit)}' if reading.unit else ''}")
    if reading.n:
        said.append(f"from {reading.n:,}")
    return ", ".join(said)


def commands(alert: Alert, directory: Path) -> tuple[str, ...]:
    """What to type next, the first thing first."""
    reading = alert.reading
    family = reading.monitor.partition(".")[0]
    found = [_typed(one, directory) for one in _FIRST_STEPS.get(family, ("watch {place}",))]
    where = _where(reading)
    if where:
        found.append(f"{_typed('traces {place}', directory)} --where {shlex.quote(where)}")
    if alert.reclimb or (family in _MAY_RECLIMB and reading.monitor != _FAILURES):
        found.append(f"{_typed('reclimb {place}', directory)} --because {alert.id[:12]}")
    found.append(f"{_typed('alerts ack {place}', directory)} {alert.id[:12]} --by NAME")
    return tuple(found)


def about_of(reading: Reading) -> str:
    """The part of the traffic that a reading is of; '' for all of it."""
    return plain_line(", ".join(f"{name} {value}" for name, value in reading.about.items()))


def shown(directory: Path, alerts: Sequence[Alert]) -> Iterator[str]:
    """A list of alerts for people."""
    for alert in alerts:
        about = about_of(alert.reading)
        who = f" by {plain_line(alert.by)}" if alert.by else ""
        yield (f"{alert.id[:12]}  {alert.severity:<8}  {alert.state}{who}  {alert.reading.monitor}{f'  {about}' if about else ''}")
        yield from (f"    {line}" for line in lines(alert, RESOLVED if alert.state == RESOLVED else OPENED, directory))


def _where(reading: Reading) -> str:
    """The condition of `rungwise traces` for the traffic of a reading; '' where no condition names it."""
    said = ["failed=true"] if reading.monitor == _FAILURES else []
    for name in ("variant", "tenant"):
        value = reading.about.get(name, "")
        if value and all(sign.isalnum() or sign in "-_." for sign in value):
            said.append(f"{name}={value}")
    if not said:
        return f"id={reading.traces[0]}" if reading.traces and reading.traces[0].isalnum() else ""
    since, until = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d") for at in (reading.since, reading.until))
    return " and ".join((*said, f"at>={since}", f"at<{until}"))


def _typed(command: str, directory: Path) -> str:
    return "rungwise " + command.format(place=shlex.quote(str(directory)))


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
