"""`ProjectReclimbs`: climb again on what production brought, and let the result take over where that is shown to help."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import ProjectBusy, UnknownName, UsageError
from rungwise.core.record import short, to_plain
from rungwise.core.types import Clock
from rungwise.core.watching import GATES
from rungwise.data.chore import Chore
from rungwise.data.lock import project_lock
from rungwise.data.people import person
from rungwise.data.reclimbs import RUNNING, Reclimb, Reclimbs
from rungwise.data.spec import FILE, read_use_case, read_watching
from rungwise.data.store import Store
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.core.release import Release
    from rungwise.watch.reclimb.course import Course

LOCK = "reclimb"
PRICES = "cost."
"""The beginning of the names of monitors that speak of money: what they notice needs no new rows to be acted on."""


@dataclass(frozen=True, kw_only=True)
class Reclimbed:
    """How far a re-climb has come: `state` is running, promoted, nothing or stopped, `step` the one that is not done yet,
    `waits_for` what it waits for, `why` how it ended. `steps` has what each step that is done gave."""

    id: str
    state: str
    begun_at: float
    step: str | None = None
    waits_for: str = ""
    why: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether it has come to an end."""
        return self.state != RUNNING

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return to_plain(self)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What a re-climb would begin with: the rows that production brought, and the forecast on the data as it is."""

    because: Mapping[str, Any]
    rows: Mapping[str, Any]
    forecast: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return to_plain(self)  # type: ignore[no-any-return]


class ProjectReclimbs:
    """The re-climbs of a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def advance(
        self,
        because: str | None = None,
        *,
        approve: str | None = None,
        by: str | None = None,
        until: str | None = None,
        report: bool = True,
        crash: Callable[[str], None] = lambda step: None,
    ) -> Reclimbed:
        """Go on with the re-climb that runs, as far as it can; where none runs, begin one.

        `because` is an alert's id or a reason in words; without one it waits for `watch.reclimb.least_rows` new rows. `approve`
        names a step that `by` lets begin. `until` cuts off the rungs above one, in a re-climb that begins. Raises ProjectBusy
        where another process is at it, UsageError where nothing is released, UnknownName for an alert or a step that there is not.
        """
        if approve is not None and by is None:
            raise UsageError(f"a step is approved by somebody: --approve {approve} --by NAME")
        if approve is not None and approve not in GATES:
            raise UnknownName("step that can be approved", approve, GATES)
        by = by if by is None else person(by)
        with self._alone(), self._store() as store:
            running = Reclimbs(store).running()
            if running is None and approve is not None:
                raise UsageError(
                    f"no re-climb runs in {self.directory}, and nothing waits for a yes. Type: rungwise reclimb {self.directory}"
                )
            reclimb = running or self._begin(store, because, until)
            course = self._course(store, reclimb, report=report, crash=crash)
            if approve is not None and by is not None:
                course.approve(approve, by)
            found, waits_for = course.advance()
        return _reclimbed(found, waits_for)

    def stop(self, *, by: str | None = None) -> Reclimbed:
        """End the re-climb that runs; who answered before it began answers alone again. Raises UsageError where none runs."""
        by = by if by is None else person(by)
        with self._alone(), self._store() as store:
            reclimb = Reclimbs(store).running()
            if reclimb is None:
                raise UsageError(f"no re-climb runs in {self.directory}. Type: rungwise reclimb {self.directory}")
            stopped = self._course(store, reclimb).stop(f"stopped by {by}" if by else "stopped")
        return _reclimbed(stopped, "")

    def foresee(self, because: str | None = None) -> Foreseen:
        """What a re-climb would begin with and what its climb will cost. Begins none and writes no row."""
        from rungwise.project.gathering import ProjectHands

        with self._store() as store:
            live, _ = _live_in(store, self.directory)
            reason = _reason(store, because)
        hands = ProjectHands(self.directory, self.clock, self.state)
        return Foreseen(because=reason, rows=to_plain(hands.count(close=False)), forecast=hands.forecast(live, None))

    def now(self) -> Reclimbed | None:
        """The re-climb that runs, else the last one; None before the first."""
        with self._store() as store:
            found = Reclimbs(store).running() or Reclimbs(store).last()
        return None if found is None else _reclimbed(found, "")

    def history(self) -> list[Reclimbed]:
        """Every re-climb, the last first."""
        with self._store() as store:
            return [_reclimbed(one, "") for one in Reclimbs(store).all()]

    def _begin(self, store: Store, because: str | None, until: str | None) -> Reclimb:
        live, release = _live_in(store, self.directory)
        about = {
            "because": _reason(store, because),
            "release": release.id,
            "variant": next(one.name for one in release.variants if one.weight > 0),
            "live": to_plain(live),
            "until": until,
        }
        return Reclimbs(store).begin(about)

    def _course(
        self,
        store: Store,
        reclimb: Reclimb,
        *,
        report: bool = True,
        crash: Callable[[str], None] = lambda step: None,
    ) -> Course:
        from rungwise.project.gathering import ProjectHands
        from rungwise.watch.reclimb.course import Course

        hands = ProjectHands(self.directory, self.clock, self.state, until=reclimb.about["until"], report=report)
        return Course(store=store, directory=self.directory, clock=self.clock, hands=hands, reclimb=reclimb, crash=crash)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time: a second one is told so."""
        read_use_case(self.directory / FILE)
        try:
            with project_lock(self.state / LOCK, wait=False):
                yield
        except ProjectBusy as error:
            if str(self.state / LOCK) not in str(error):
                raise
            raise ProjectBusy(
                f"another process is at the re-climb of {self.directory}. Wait for it, then type: rungwise reclimb {self.directory}"
            ) from None

    def _store(self) -> contextlib.AbstractContextManager[Store]:
        return opened(self.directory, self.state, self.clock)


def _live_in(store: Store, directory: Path) -> tuple[Any, Release]:
    """Who answers users now, as a rung needs it, and the live release. Raises UsageError where that cannot be one candidate."""
    from rungwise.core.candidate import Candidate
    from rungwise.data.nouns import Nouns
    from rungwise.ladder.rung import Incumbent
    from rungwise.release.evidence import decision_of, is_relay
    from rungwise.release.registry import Releases

    release = Releases(store).live()
    if release is None:
        raise UsageError(
            f"nothing is released in {directory} yet, so that there is nothing to climb again for. "
            f"Type: rungwise release {directory}"
        )
    answering = [one for one in release.variants if one.weight > 0]
    if len(answering) > 1:
        raise UsageError(
            f"{len(answering)} variants of release {short(release.id)} share the traffic. Settle that first: "
            f"rungwise feedback contest {directory}, then rungwise release {directory} --traffic {answering[0].name}=1"
        )
    candidate = Nouns(store).get(Candidate, answering[0].candidate)
    decision = decision_of(store, release, candidate.id)
    if decision is None:
        what = "hands requests on to an engine" if is_relay(candidate) else "was never tested by a climb"
        raise UsageError(
            f"the live release {short(release.id)} {what}, so that nothing says how good it should be. "
            f"Climb and release first: rungwise climb {directory}, rungwise release {directory}"
        )
    rung = next(one for one in decision.rungs if one.candidate == candidate.id)
    price = rung.usd_per_1k or 0.0
    own = Incumbent(candidate=candidate, release=release.id, dataset=decision.dataset, usd_per_1k=price, rung=rung.rung)
    return own, release


def _reason(store: Store, because: str | None) -> dict[str, Any]:
    """Why a re-climb begins. `goes_on`: even without new rows, as for a price that moved or a reason that somebody gave."""
    from rungwise.data.alerts import Alerts

    if because is None:
        return {"goes_on": False}
    try:
        alert = Alerts(store).get(because)
    except UnknownName:
        if re.fullmatch(r"[0-9a-f]{8,}|(?=[a-f]*[0-9])[0-9a-f]+", because.strip().lower()) or not because.strip():
            raise  # the first digits of an id that no alert has: a climb would open sealed rows for a misspelling
        return {"reason": because.encode("utf-8", "replace").decode(), "goes_on": True}
    reading = to_plain(alert.reading)
    return {"alert": alert.id, "rule": alert.rule, "reading": reading, "goes_on": alert.reading.monitor.startswith(PRICES)}


def _reclimbed(found: Reclimb, waits_for: str) -> Reclimbed:
    from rungwise.watch.reclimb.course import STEPS

    settled = found.state != RUNNING
    return Reclimbed(
        id=found.id,
        state=found.state,
        begun_at=found.at,
        step=None if settled else next((step for step in STEPS if step not in found.steps), None),
        waits_for=waits_for,
        why=str(found.steps.get("settle", {}).get("why", "")),
        about=found.about,
        steps=found.steps,
    )


def _wanted(store: Store, directory: Path) -> str | None:
    """The alert for which a re-climb shall begin by itself, if any; '' where one runs that may go on."""
    from rungwise.data.alerts import OPEN, Alerts

    if not read_watching(directory / FILE).reclimb.automatic:
        return None
    if Reclimbs(store).running() is not None:
        return ""
    last = Reclimbs(store).last()
    seen = {one.about["because"].get("alert") for one in Reclimbs(store).all()} if last is not None else set()
    return next((one.id for one in Alerts(store).list((OPEN,)) if one.reclimb and one.id not in seen), None)


def _every_s(directory: Path) -> float:
    return max(1.0, read_watching(directory / FILE).every_s)


def _due(store: Store, directory: Path, clock: Clock) -> bool:
    return _wanted(store, directory) is not None


def _run(store: Store, directory: Path, clock: Clock) -> None:
    wanted = _wanted(store, directory)
    if wanted is None:
        return
    with contextlib.suppress(ProjectBusy):  # whoever is at it goes on with it
        ProjectReclimbs(directory, clock, store.directory).advance(wanted or None)


CHORE = Chore(every_s=_every_s, due=_due, run=_run)
"""Goes on with the re-climb that runs, or begins one for an open alert whose rule says so, where `watch.reclimb.automatic`."""
