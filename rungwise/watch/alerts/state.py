"""What becomes of alerts when a day was read: some open, some go on, some are over. One transaction with the readings.

An alert is over when its rule has not held for as many days in a row as the longest window for which it held: a monitor over
seven days must be quiet for seven, so that one day at the edge does not close and open it again. Days on which the monitor could
not tell count neither way. All days are those of the readings, so that a clock that jumps changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rungwise.core.reading import DAY_S, Reading
from rungwise.core.record import digest
from rungwise.core.watching import SEVERITIES, Rule, Watching
from rungwise.data.alerts import RESOLVED, Alert, keep, key_of, queue, queue_resolved, standing
from rungwise.watch.alerts.rules import BROKEN, applying, holds, is_named, rules_of
from rungwise.watch.alerts.words import sink_name, sinks_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

FORGOTTEN_DAYS = 30
"""An alert of which nothing could be told for so long is over: its variant or group may be gone, or nobody asks any more."""
TOLD_AT_ONCE = 50
"""So many new alerts of one look are sent at most, the gravest first; the last of them says how many more there are."""


@dataclass
class _Told:
    """What the readings of a day say for one key: those for which the rule held, and whether one said that it did not."""

    rule: Rule
    held: list[Reading] = field(default_factory=list)
    quiet: bool = False


def note(connection: Connection, watching: Watching, readings: Sequence[Reading], *, at: float) -> list[Alert]:
    """Judge the readings of a day by the rules, within the transaction that keeps them; give the alerts that open.

    Nothing happens where nothing was read. Raises UsageError for a rule that cannot be read.
    """
    if not readings:
        return []
    told, until = _judged(watching, readings), max(one.until for one in readings)
    known = {alert.key: alert for alert in standing(connection)}
    changed = [_followed(alert, told.get(key), watching, until=until, at=at) for key, alert in known.items()]
    keep(connection, changed)
    queue_resolved(connection, [one for one in changed if one.state == RESOLVED])
    fresh = [_opened(one, until=until, at=at) for key, one in told.items() if one.held and key not in known]
    return _announced(connection, watching, fresh)


def _judged(watching: Watching, readings: Sequence[Reading]) -> Mapping[str, _Told]:
    rules, told = rules_of(watching), dict[str, _Told]()
    for reading in readings:
        for rule in applying(rules, reading):
            found = told.setdefault(key_of(rule.name, reading), _Told(rule))
            verdict = holds(rule, reading)
            if verdict:
                found.held.append(reading)
            found.quiet = found.quiet or verdict is False
    return told


def _followed(alert: Alert, told: _Told | None, watching: Watching, *, until: float, at: float) -> Alert:
    """An alert after a further day."""
    if told is not None and told.held:
        days = max(alert.days, *(one.days for one in told.held))
        return replace(alert, reading=_gravest(told.held), days=days, quiet_days=0, heard_until=until)
    if all(rule.name != alert.rule for rule in rules_of(watching)) or not watching.wants(alert.reading.monitor):
        return _over(alert, "its rule or its monitor is no longer in rungwise.yaml", at)
    silent = told is None and is_named(BROKEN, alert.reading.monitor)
    if silent or (told is not None and told.quiet):
        quiet = replace(alert, quiet_days=alert.quiet_days + 1, heard_until=until)
        return quiet if quiet.quiet_days < alert.days else _over(quiet, f"it has not been so for {_days(quiet.quiet_days)}", at)
    if until - alert.heard_until >= FORGOTTEN_DAYS * DAY_S:
        return _over(alert, f"for {FORGOTTEN_DAYS} days nothing could be said of it", at)
    return alert


def _over(alert: Alert, why: str, at: float) -> Alert:
    return replace(alert, state=RESOLVED, by=None, changed_at=at, note=why)


def _opened(told: _Told, *, until: float, at: float) -> Alert:
    gravest, rule = _gravest(told.held), told.rule
    return Alert(
        id=digest([key_of(rule.name, gravest), until])[:32],
        rule=rule.name,
        severity=rule.severity,
        reading=gravest,
        opened_at=at,
        changed_at=at,
        since=min(one.since for one in told.held),
        heard_until=until,
        days=max(one.days for one in told.held),
        reclimb=rule.reclimb,
    )


def _announced(connection: Connection, watching: Watching, fresh: Sequence[Alert]) -> list[Alert]:
    """Keep new alerts, the gravest first, and let them be told."""
    ordered = sorted(fresh, key=lambda one: (-SEVERITIES.index(one.severity), _surprise(one.reading), one.id))
    if len(ordered) > TOLD_AT_ONCE:
        last = ordered[TOLD_AT_ONCE - 1]
        ordered[TOLD_AT_ONCE - 1] = replace(last, more=len(ordered) - TOLD_AT_ONCE)
    keep(connection, ordered)
    sinks = [(sink_name(sink), SEVERITIES.index(sink.least)) for sink in sinks_of(watching)]
    queue(
        connection,
        [(alert, name) for alert in ordered[:TOLD_AT_ONCE] for name, least in sinks if SEVERITIES.index(alert.severity) >= least],
    )
    return ordered


def _gravest(readings: Sequence[Reading]) -> Reading:
    """The reading that shows it most clearly."""
    return min(readings, key=_surprise)


def _surprise(reading: Reading) -> tuple[float, float]:
    return (1.0 if reading.p is None else reading.p, -abs(reading.effect or 0.0))


def _days(n: int) -> str:
    return "a day" if n == 1 else f"{n} days"
