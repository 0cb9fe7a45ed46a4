"""What users say of the answers, summed up for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UsageError
from rungwise.core.reading import DAY_S
from rungwise.core.record import to_plain
from rungwise.core.types import Clock
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.core.reading import Reading

DAYS = 28
LONGEST_DAYS = 366


@dataclass(frozen=True, kw_only=True)
class Voiced:
    """What users said in the last so many days, today included."""

    days: int
    readings: Sequence[Reading]

    @property
    def told(self) -> bool:
        """Whether anybody said anything."""
        return any(one.n for one in self.readings if one.monitor != "feedback.rate" or one.value)

    def of(self, name: str) -> list[Reading]:
        """The readings of feedback.NAME: of all answers first."""
        return [one for one in self.readings if one.monitor == f"feedback.{name}"]

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {"days": self.days, "readings": to_plain(list(self.readings))}


class ProjectVoices:
    """The voices of users of a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def summary(self, days: int = DAYS) -> Voiced:
        """How many users speak, how they like what they get, how their comments sound and what they are about.

        Raises UsageError for fewer than 1 or more than 366 days.
        """
        from dataclasses import replace

        from rungwise.watch.look import scene_of
        from rungwise.watch.voices import readings

        if not 1 <= days <= LONGEST_DAYS:
            raise UsageError(f"{days} days cannot be summed up. Choose from 1 to {LONGEST_DAYS}: --days {DAYS}")
        with opened(self.directory, self.state, self.clock) as store:
            scene = scene_of(store, self.directory, self.clock, int(self.clock.now() // DAY_S))
            scene = replace(scene, watching=replace(scene.watching, off=()))  # who asks wants to know
            return Voiced(days=days, readings=tuple(readings(scene, days=days)))
