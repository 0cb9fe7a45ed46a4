"""What a monitor may know when it looks at a day that is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from rungwise.core.candidate import Candidate
from rungwise.core.reading import DAY_S
from rungwise.core.release import Release
from rungwise.core.types import Clock
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.store import Store
from rungwise.watch.traffic import Traffic, read_traffic, together

Encode: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit vectors (n, dims)."""


class Window(TypedDict):
    """A window [since, until) of time, in seconds since 1970."""

    since: float
    until: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A day (counted since 1970, in UTC) of a project, when it is over. `release` was live at its end; None before the first.

    `encode` is made by `encoder` at first use, since it loads weights. `known` is the traffic of days that were read already.
    """

    store: Store
    directory: Path
    case: UseCase
    watching: Watching
    day: int
    clock: Clock
    release: Release | None = None
    encoder: Callable[[], Encode] | None = None
    known: dict[int, Traffic] = field(default_factory=dict)

    @cached_property
    def encode(self) -> Encode:
        """The project's sentence encoder."""
        assert self.encoder is not None
        return self.encoder()

    @property
    def group_tag(self) -> str | None:
        """The tag of a request that names its group."""
        return self.watching.group_tag or (self.case.groups.field if self.case.groups is not None else None)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The ids of the candidates that answered users at the end of the day."""
        return tuple(dict.fromkeys(one.candidate for one in self.release.variants if one.weight > 0)) if self.release else ()

    def candidate(self, id: str) -> Candidate:
        """A candidate by its id."""
        from rungwise.data.nouns import Nouns

        return Nouns(self.store).get(Candidate, id)

    def traffic(self, days: int = 1) -> Traffic:
        """The traffic of the last so many days, this one included."""
        return together([self.of_day(day) for day in range(self.day - days + 1, self.day + 1)])

    def of_day(self, day: int) -> Traffic:
        """The traffic of one day, read once."""
        if day not in self.known:
            self.known[day] = read_traffic(self.store, day * DAY_S, (day + 1) * DAY_S, group_tag=self.group_tag)
        return self.known[day]

    def window(self, days: int = 1) -> Window:
        """`since` and `until` of the last so many days, for a Reading."""
        return Window(since=float((self.day - days + 1) * DAY_S), until=float((self.day + 1) * DAY_S))
