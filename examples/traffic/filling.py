"""A project that simulated users ask, day by day: it climbs on their past, releases, and is answered by its own candidates."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from examples.traffic.live import Live
from examples.traffic.people import Reviewer
from examples.traffic.simulator import Drift, SimulatedDay, World, history, simulate, write_day
from rungwise.core.feedback import Feedback
from rungwise.core.reading import DAY_S
from rungwise.core.usecase import Columns
from rungwise.data.desk import Task
from rungwise.data.reviews import BOTH, LABEL, OTHER, RIGHT, Verdict
from rungwise.data.said import said
from rungwise.data.spec import FILE
from rungwise.data.store import Store
from rungwise.ladder.expedition import Wishes
from rungwise.project import STATE, Project

_MORNING_S = 1_200.0
"""After midnight, when the day before is over and may be looked at."""


@dataclass
class SimulatedClock:
    """Time that goes on as the simulation says."""

    at: float

    def now(self) -> float:
        """Seconds since 1970."""
        return self.at

    def tick(self) -> float:
        """Seconds on a clock that never goes back; those of the machine, since work takes real time."""
        return time.perf_counter()


@dataclass
class Filling:
    """A project and the world that uses it. `next` is the number of the day that comes next. Close it when done."""

    project: Project
    clock: SimulatedClock
    world: World
    drifts: Sequence[Drift] = ()
    next: int = 0
    waiting: tuple[Feedback, ...] = ()
    truth: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store.open(self.project.directory / STATE, clock=self.clock)
        self.live = Live(self.store, self.project.directory, self.clock)

    def __enter__(self) -> Filling:
        return self

    def __exit__(self, *error: object) -> None:
        self.store.close()

    def day(self) -> SimulatedDay:
        """Let the live release answer one more day, write it down, and go to the morning after it."""
        arms, choose = self.live.arms()
        simulated = simulate(self.world, self.next, self.drifts, arms=arms, choose=choose)
        self.waiting = write_day(self.store, simulated, waiting=self.waiting)
        self.truth |= dict(zip(simulated.traffic.ids, simulated.truth, strict=True))
        self.next += 1
        self.clock.at = (simulated.number + 1) * DAY_S + _MORNING_S
        return simulated

    def review(self, reviewer: Reviewer, *, most: int = 1_000) -> int:
        """Let a simulated person judge what waits in the review queue; how many items it was."""
        labels = (*self.world.texts.labels, *self.world.texts.fresh)
        with self.project.reviews.sitting(reviewer.name) as sitting:
            for done in range(most):
                task = sitting.desk.next()
                if task is None:
                    return done
                wanted = reviewer.label(task.trace.id, self.truth[task.trace.id], labels)
                sitting.desk.judge(task.item.id, _verdict(task, wanted), seconds=8.0)
        return most


def _verdict(task: Task, wanted: str) -> Verdict:
    """What somebody says who holds `wanted` to be right; of a blind pair, which of the two answers said so."""
    own = said(task.trace).answer == wanted
    if task.other is None:
        return Verdict(kind=RIGHT) if own else Verdict(kind=LABEL, wanted=wanted)
    other = said(task.other).answer == wanted
    kind = BOTH if own and other else RIGHT if own else OTHER if other else LABEL
    return Verdict(kind=kind, wanted=wanted if kind == LABEL else None)


def begun(
    directory: Path,
    world: World,
    drifts: Sequence[Drift] = (),
    *,
    rows: int = 1_200,
    target: str = "accuracy=0.45",
    until: str = "classical",
    sections: Mapping[str, Any] | None = None,
) -> Filling:
    """Make a project of a world's past, climb on it and release what was chosen, on the morning of the first day.

    `sections` go into rungwise.yaml beside the use case. Raises UsageError when no rung meets the target.
    """
    pool, clock = world.texts, SimulatedClock(world.first_day * DAY_S - 3_600.0)
    directory.mkdir(parents=True, exist_ok=True)
    past = history(world, rows)
    with (directory / "history.csv").open("w", encoding="utf-8", newline="") as lines:
        table = csv.DictWriter(lines, past[0])
        table.writeheader()
        table.writerows(past)
    project = Project.create(directory, source="version:HEAD", clock=clock)
    columns = Columns(text=pool.text_field, label=pool.label_field, key="id")
    project.data.take_in(directory / "history.csv", columns=columns)
    path = directory / FILE
    plain: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    watch = {} if pool.group_tag is None else {"watch": {"group_tag": pool.group_tag}}
    path.write_text(yaml.safe_dump(_merged(plain, _merged(watch, sections or {})), sort_keys=False), encoding="utf-8")
    project.climb(target, wishes=Wishes(until=until))
    clock.at = world.first_day * DAY_S
    project.releases.release(approved_by="simulation")
    return Filling(project, clock, world, drifts)


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both sections; what both have is merged, and the second decides."""
    found = dict(first)
    for name, value in second.items():
        found[name] = _merged(found[name], value) if isinstance(value, Mapping) and isinstance(found.get(name), Mapping) else value
    return found
