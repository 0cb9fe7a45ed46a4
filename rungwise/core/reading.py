"""What one monitor says of one window of production."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK, ALARM, CANNOT_TELL = "ok", "alarm", "cannot_tell"
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A figure of a window with its honesty attached.

    `monitor` is a dotted name such as 'drift.input.length' or 'quality.correct'. `about` says which part of the traffic it is
    of: empty for all of it, else {'variant': 'b'} or {'group': 'learner'}. The window is [since, until), in seconds since 1970.
    `value` has the bounds `low` and `high` at `level`, where it is an estimate; `reference` is what it is held against.
    `effect` says how large a change is, in the unit that `unit` names; `p` how surprising it is where nothing changed, and
    `level` what p was compared with. `n` counts what it is made of. `state` is 'alarm' when the monitor's own promise about false
    alarms lets it say so, 'cannot_tell' when there is too little to judge by. `why` is one sentence for people. `traces` are
    examples, `details` further facts as JSON data.
    """

    monitor: str
    since: float
    until: float
    state: str = OK
    why: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    effect: float | None = None
    unit: str = ""
    p: float | None = None
    level: float | None = None
    n: int = 0
    traces: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def days(self) -> int:
        """How many days the window has."""
        return max(1, round((self.until - self.since) / DAY_S))
