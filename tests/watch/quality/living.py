"""Days of simulated traffic in a store, drawn for review and judged by people who know the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from examples.traffic.simulator import FIRST_DAY, Drift, World, simulate, write_day
from rungwise.core.feedback import Feedback
from rungwise.core.reading import DAY_S, Reading
from rungwise.core.release import Release, Variant
from rungwise.core.usecase import Target, UseCase
from rungwise.core.watching import Review, Watching
from rungwise.data.desk import Desk
from rungwise.data.reviews import RIGHT, WRONG, Reviews, Verdict
from rungwise.data.store import Store
from rungwise.release.registry import Releases
from rungwise.watch.quality.monitors import readings
from rungwise.watch.review.queue import fill
from rungwise.watch.scene import Scene
from tests.clocks import StillClock

CANDIDATE = "c" * 64
WHO = {"candidate": CANDIDATE, "release": "r", "variant": "a"}


@dataclass
class Living:
    """A project that lives: each day is written, judged, read and drawn from as a server does it."""

    store: Store
    clock: StillClock
    world: World = field(default_factory=lambda: World(requests_per_day=60, users=40))
    case: UseCase = field(default_factory=lambda: UseCase(name="s", task="classify", target=Target(metric="accuracy", value=0.85)))
    watching: Watching = field(
        default_factory=lambda: Watching(group_tag=World().texts.group_tag, review=Review(per_day=15, uncertain_per_day=5))
    )
    evidence: tuple[str, ...] = ()
    truth: dict[str, bool] = field(default_factory=dict)
    waiting: tuple[Feedback, ...] = ()
    release: Release | None = None

    def begin(self) -> None:
        """Release the candidate at the beginning of the first day."""
        self.clock.at = FIRST_DAY * DAY_S + 1.0
        one = Release(use_case="u", variants=(Variant(name="a", candidate=CANDIDATE, weight=1.0),), evidence=self.evidence)
        self.release = Releases(self.store).put(one).live

    def live(
        self,
        day: int,
        drifts: Sequence[Drift] = (),
        *,
        review: Callable[[str], bool] = lambda _: True,
        says: Callable[[bool], bool] = lambda right: right,
        read: Callable[[Scene], list[Reading]] = readings,
    ) -> list[Reading]:
        """One more day, and what is read of it when it is over; then what was drawn is judged where `review` says so: the
        reviewer `says` something of what is right."""
        simulated = simulate(self.world, day, drifts)
        self.waiting = write_day(self.store, simulated, waiting=self.waiting, **WHO)
        self.truth |= dict(zip(simulated.traffic.ids.tolist(), map(bool, simulated.correct), strict=True))
        self.clock.at = (FIRST_DAY + day + 1) * DAY_S + 400.0
        scene = self.scene(day)
        found = read(scene)
        fill(scene)
        desk = Desk(self.store, "ann")
        for one in Reviews(self.store).drawn(FIRST_DAY + day, FIRST_DAY + day):
            if review(one.trace):
                self.clock.advance(20.0)
                desk.judge(one.id, Verdict(kind=RIGHT if says(self.truth[one.trace]) else WRONG))
        return found

    def scene(self, day: int) -> Scene:
        """What monitors may know of a day."""
        return Scene(
            store=self.store,
            directory=Path(),
            case=self.case,
            watching=self.watching,
            day=FIRST_DAY + day,
            clock=self.clock,
            release=self.release,
        )

    def share(self) -> float:
        """Of all answers so far, how many were right."""
        return sum(self.truth.values()) / len(self.truth)


def one_of(found: Sequence[Reading], monitor: str, days: int = 28, **about: str) -> Reading:
    """The reading of a monitor."""
    (one,) = [reading for reading in found if reading.monitor == monitor and reading.days == days and reading.about == about]
    return one
