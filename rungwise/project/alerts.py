"""`ProjectAlerts`: what was noticed, who took it up, and sending it where people look."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.types import Clock
from rungwise.core.watching import Watching
from rungwise.data.alerts import STANDING, STATES, Alert, Alerts, Deliveries, Delivery
from rungwise.data.people import person
from rungwise.data.readings import Readings
from rungwise.data.spec import FILE, read_use_case, read_watching
from rungwise.data.store import Store
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.watch.alerts.sending import Outcome


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What became of a test message to each sink, and what is odd about the project's own rules."""

    outcomes: tuple[Outcome, ...]
    doubts: tuple[str, ...]


class ProjectAlerts:
    """The alerts of a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def list(self, *, all: bool = False, limit: int | None = None) -> list[Alert]:
        """Those that are open or acknowledged, the newest first; with `all` those that are resolved too."""
        with self._store() as store:
            return Alerts(store).list(STATES if all else STANDING, limit=limit)

    def get(self, id: str) -> Alert:
        """One by its id, of which the first digits are enough. Raises UnknownName."""
        with self._store() as store:
            return Alerts(store).get(id)

    def acknowledge(self, id: str, *, by: str) -> Alert:
        """Take one up. Raises UnknownName, and UsageError for one that is resolved."""
        with self._store() as store:
            return Alerts(store).acknowledge(id, by=person(by), at=self.clock.now())

    def resolve(self, id: str, *, by: str, note: str = "") -> Alert:
        """Say that one is over; who was told of it will be told so. If its rule holds again, another one opens."""
        with self._store() as store:
            return Alerts(store).resolve(id, by=person(by), at=self.clock.now(), note=note.encode("utf-8", "replace").decode())

    def deliveries(self, id: str) -> tuple[Delivery, ...]:
        """Who was told of an alert, and who is still to be told. Raises UnknownName."""
        with self._store() as store:
            return tuple(Deliveries(store).of(Alerts(store).get(id).id))

    def send(self, *, environ: Mapping[str, str] | None = None) -> tuple[Outcome, ...]:
        """Tell now what is still to be told, also what waits to be tried again."""
        from rungwise.project import run
        from rungwise.watch.alerts.sending import Post, send_due

        with self._store() as store:
            return tuple(run(send_due(Post.of(store, self.directory, self.clock, environ), now=True)))

    def test(self, *, environ: Mapping[str, str] | None = None) -> Tested:
        """Send a test message to every sink."""
        from rungwise.project import run
        from rungwise.watch.alerts.rules import doubts
        from rungwise.watch.alerts.sending import Post, send_test

        with self._store() as store:
            outcomes = run(send_test(Post.of(store, self.directory, self.clock, environ)))
            odd = doubts(self._watching().rules, Readings(store).monitors())
        return Tested(outcomes=tuple(outcomes), doubts=tuple(odd))

    def prometheus(self) -> str:
        """Alerting rules for Prometheus, as YAML."""
        from rungwise.watch.alerts.prometheus import alerting_rules

        return alerting_rules(read_use_case(self.directory / FILE).name, self._watching())

    def _watching(self) -> Watching:
        return read_watching(self.directory / FILE)

    def _store(self) -> AbstractContextManager[Store]:
        return opened(self.directory, self.state, self.clock)
