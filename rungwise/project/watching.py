"""`ProjectWatching`: look at production, day by day, and see what the monitors said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.reading import ALARM, Reading
from rungwise.core.record import to_plain
from rungwise.core.types import Clock
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.data.store import Store

PAGE = "watch.html"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What is known of production. `day` is the last day that was looked at (since 1970, in UTC), `looked` how many days this call
    looked at, `readings` what was read on that day, `opened` the ids of the alerts that this call opened."""

    day: int | None
    looked: int
    readings: tuple[Reading, ...]
    opened: tuple[str, ...] = ()

    @property
    def alarms(self) -> tuple[Reading, ...]:
        """The readings that say so themselves, within the promise about false alarms."""
        return tuple(one for one in self.readings if one.state == ALARM)

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {"day": self.day, "looked": self.looked, "opened": list(self.opened), "readings": to_plain(self.readings)}


class ProjectWatching:
    """The watch over a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def look(self, *, say: Callable[[int, int], None] = lambda done, total: None) -> Watched:
        """Look at every day that is over and was not looked at, send what was noticed, and tell what the last day said.

        Raises UsageError where no day of traffic is over yet.
        """
        from rungwise.data.readings import Readings
        from rungwise.project.alerts import ProjectAlerts
        from rungwise.watch.look import catch_up

        with opened(self.directory, self.state, self.clock) as store:
            found = list(catch_up(store, self.directory, self.clock, say=say))
            day = Readings(store).last_day()
            if day is None:
                raise UsageError(
                    f"no day of traffic of {self.directory} is over yet: each is looked at after its midnight in UTC. "
                    f"Answer users first: rungwise serve {self.directory}"
                )
            readings = tuple(Readings(store).of_day(day))
        ProjectAlerts(self.directory, self.clock, self.state).send()
        return Watched(day=day, looked=len(found), readings=readings, opened=tuple(id for one in found for id in one.alerts))

    def readings(self, days: int = 1, *, monitor: str | None = None) -> Sequence[Reading]:
        """What was read on the last so many days that were looked at, oldest first; of one monitor, or of all below a name.

        Raises UnknownName for a monitor that never read anything.
        """
        from rungwise.data.readings import Readings

        with opened(self.directory, self.state, self.clock) as store:
            kept = Readings(store)
            known = kept.monitors() if monitor is not None else frozenset[str]()
            if monitor is not None and known and not any(f"{one}.".startswith(f"{monitor}.") for one in known):
                raise UnknownName("monitor", monitor, sorted(known | {one.partition(".")[0] for one in known}))
            last = kept.last_day()
            return [] if last is None else kept.between(last - days + 1, last, monitor=monitor)

    def page(self, output: Path | None = None, *, days: int = 90) -> Path:
        """Write what was read on the last so many days as one HTML file. Raises UsageError before the first look."""
        from rungwise.data.blobs import write_durably

        path = output or self.directory / PAGE
        with opened(self.directory, self.state, self.clock) as store:
            write_durably(path, self._rendered(store, days).encode("utf-8"))
        return path

    def _rendered(self, store: Store, days: int) -> str:
        from rungwise.data.alerts import Alerts
        from rungwise.data.readings import Readings
        from rungwise.data.spec import FILE, read_use_case
        from rungwise.web.watch import WatchView, render_watch

        last = Readings(store).last_day()
        if last is None:
            raise UsageError(f"nothing was looked at in {self.directory} yet. Type: rungwise watch {self.directory}")
        view = WatchView(
            project=str(self.directory),
            case=read_use_case(self.directory / FILE),
            day=last,
            readings=tuple(Readings(store).between(last - days + 1, last)),
            alerts=tuple(Alerts(store).list()),
        )
        return render_watch(view)
