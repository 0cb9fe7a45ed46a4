"""A simulated world: who asks how much, what drifts from when on, who answers, and a day of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from examples.traffic.answering import Answering
from examples.traffic.people import People, Voices, people_of
from examples.traffic.pools import Pool, support_pool
from rungwise.core.errors import UsageError
from rungwise.core.feedback import Feedback
from rungwise.watch.traffic import Bools, Names, Traffic

KINDS = ("new_intents", "wording", "language", "label_shift", "quality_drop", "outage", "length")
FIRST_DAY = 20_458
"""2026-01-05, a Monday, in days since 1970."""
WEEKEND = 5
"""Monday is 0."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Who asks how much. Nothing drifts by itself: hours and weekdays come round again, and days differ by `noise`.

    With `season`, weekends are quieter, ask about other matters and in shorter texts, and most of the traffic comes by day.
    `voices` is what people say of the answers. `first_day` is counted since 1970, in UTC.
    """

    seed: int = 0
    requests_per_day: int = 300
    users: int = 120
    season: bool = True
    noise: float = 0.1
    texts: Pool = field(default_factory=support_pool)
    voices: Voices = field(default_factory=Voices)
    first_day: int = FIRST_DAY

    @property
    def people(self) -> People:
        """The users."""
        return people_of(self.seed, self.users, self.texts)

    def weekday(self, day: int) -> int:
        """The weekday of a day; Monday is 0."""
        return (self.first_day + day + 3) % 7  # 1970 began on a Thursday


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A change from the day `start` on (the first day is 0), until the day `end` where it is given. It grows to its strength
    over `over` days. `strength` is the share of requests that it touches: those about new intents, reworded, in another
    language, about three intents that take over, answered wrongly (by the variant `variant`, or all), failing (at 1 there is
    no traffic at all), or with a longer text."""

    kind: str
    start: int
    strength: float
    end: int | None = None
    over: int = 0
    variant: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"there is no drift '{self.kind}'. Choose one of {', '.join(KINDS)}")
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError(f"the strength of a drift is a share from 0 to 1, not {self.strength:g}")

    def on(self, day: int) -> float:
        """Its strength on a day."""
        if day < self.start or (self.end is not None and day >= self.end):
            return 0.0
        return self.strength * min(1.0, (day - self.start + 1) / self.over) if self.over else self.strength


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A variant that answers: its share of the users, who answers, how fast and at what price. A shadow answers beside all."""

    variant: str = "a"
    weight: float = 1.0
    candidate: str = "simulated"
    release: str | None = None
    answering: Answering | None = None
    seconds: float = 0.05
    usd: float = 0.0
    shadow: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedDay:
    """A day: the columns as production gives them, and what is known here alone, (n,) each: the right label, whether the answer
    was right, what a drift did to the request ('' where nothing), its channel. `feedback` comes by its own time, much of it on
    later days. `shadows` are what shadows answered to the same requests, in the same order; `model` is the name that was asked."""

    number: int
    traffic: Traffic
    truth: Names
    correct: Bools
    changed: Names
    channel: Names
    feedback: tuple[Feedback, ...]
    shadows: tuple[Traffic, ...] = ()
    group_tag: str | None = None
    model: str = "support"

    @property
    def quality(self) -> float:
        """The share of right answers; NaN on a day without any."""
        return float(self.correct.mean()) if len(self.correct) else float("nan")
