"""The reference days as they are compared with: what is usual of each feature in each group, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rungwise.watch.drift.features import MEANING, MIX, NUMBER, RATE
from rungwise.watch.drift.frame import LEAST_SIZE, Frame
from rungwise.watch.drift.season import Days, Usual, usual
from rungwise.watch.drift.sketch import MOST_PEOPLE, Part, Sketch, unpacked
from rungwise.watch.drift.tails import Floats

FEW = 10.0
"""A label is part of the distance of two mixes where a window expects so many of it; rarer ones are counted one by one."""

_STEADY = 0.3**2  # a rate that is too rare to tell is taken to vary by 30 % from day to day


class Baseline:
    """A frame with the sketches of its days; what is usual of a feature in a group is learned at first use."""

    def __init__(self, frame: Frame, sketches: Mapping[int, Sketch], *, seasons: bool = True) -> None:
        self.seasons = seasons
        self.frame, self.kind, self.sketches = frame, frame.kind, sketches
        self._usual: dict[tuple[int, int, int], Usual] = {}
        self._parts: dict[tuple[int, int], dict[int, Part]] = {}

    def parts(self, group: int, feature: int) -> dict[int, Part]:
        """The reference days on which there was enough of it, oldest first."""
        key = group, feature
        if key not in self._parts:
            self._parts[key] = enough(self.sketches, group, feature)
        return self._parts[key]

    def shares(self, group: int, feature: int) -> Floats:
        """(p,) the share of each column in the reference, kept off 0 and 1 by half a request."""
        parts = self.parts(group, feature).values()
        size = sum(part.size for part in parts)
        hits = np.sum([part.size * part.mean for part in parts], axis=0)
        return np.asarray((hits + 0.5) / (size + 1.0), dtype=np.float64)

    def columns(self, group: int, feature: int) -> Usual:
        """What is usual of each column of a rate or a mix by itself."""
        return self._known(group, feature, 0, lambda: self.shares(group, feature) * (1.0 - self.shares(group, feature)))

    def whole(self, group: int, feature: int, horizon: int) -> Usual:
        """What is usual of the vector of all columns: of a mix, of those that are common enough in so many days."""
        scale = self.scale(group, feature, horizon)
        spread = self._spread(group, feature)
        return self._known(group, feature, horizon, lambda: np.array([float((spread * scale**2).sum())]), scale)

    def scale(self, group: int, feature: int, horizon: int) -> Floats:
        """(p,) what each column is multiplied by for the distance; 0 leaves it out.

        Columns of a mix count by the inverse of their deviation, as in the chi-square distance, rare ones less: a distance in
        shares of constant weights does not depend on how many requests a day has.
        """
        if self.frame.features[feature].kind in (NUMBER, MEANING):
            return np.ones(self.frame.features[feature].dims)
        shares = self.shares(group, feature)
        size = float(np.median([part.size for part in self.parts(group, feature).values()]))
        return np.asarray(np.where(shares * size * horizon >= FEW, 1.0 / np.sqrt(shares + 1.0 / len(shares)), 0.0))

    def _spread(self, group: int, feature: int) -> Floats:
        if self.frame.features[feature].kind in (RATE, MIX):
            shares = self.shares(group, feature)
            return shares * (1.0 - shares)
        parts = self.parts(group, feature).values()
        size = sum(part.size for part in parts)
        return np.asarray(np.sum([part.size * part.spread for part in parts], axis=0) / size, dtype=np.float64)

    def _known(self, group: int, feature: int, horizon: int, within: Callable[[], Floats], scale: Floats | None = None) -> Usual:
        key = group, feature, horizon
        if key not in self._usual:
            known = days_of(self.parts(group, feature))
            if scale is not None:
                known = Days(days=known.days, means=known.means * scale, sizes=known.sizes)
            self._usual[key] = usual(known, np.maximum(within(), 1e-12), by_weekday=self.seasons)
        return self._usual[key]


def enough(sketches: Mapping[int, Sketch], group: int, feature: int) -> dict[int, Part]:
    """The days on which there was enough of a feature in a group, oldest first."""
    found = {day: sketch[group, feature] for day, sketch in sorted(sketches.items()) if (group, feature) in sketch}
    return {day: part for day, part in found.items() if part.size >= LEAST_SIZE}


def days_of(parts: Mapping[int, Part]) -> Days:
    """The days as arrays."""
    return Days(
        days=np.array(list(parts), np.int64),
        means=np.stack([part.mean for part in parts.values()]),
        sizes=np.array([part.size for part in parts.values()]),
    )


@lru_cache(maxsize=8)
def baseline_of(frame: bytes, sketches: tuple[tuple[int, bytes], ...]) -> Baseline:
    """The baseline out of what is kept of it."""
    return Baseline(Frame.unpacked(frame), {day: unpacked(body) for day, body in sketches})


def shape_of(counts: Floats, people: Floats) -> float:
    """How steady counts (n,) of people with something are over n days with so many `people` (n,): the shape of their gamma-mixed
    Poisson law, by moments. Its inverse is taken one standard error larger than it seems, at most by `_STEADY`."""
    expected = people * counts.sum() / people.sum()
    excess = float(((counts - expected) ** 2).sum()) * len(counts) / (len(counts) - 1.0) - float(expected.sum())
    unknown = min(_STEADY, float((2.0 / len(counts)) ** 0.5 / max(expected.mean(), 1e-9)))
    return 1.0 / (max(0.0, excess / max(float((expected**2).sum()), 1e-9)) + unknown)


def distinct(parts: Sequence[Part], column: int) -> int:
    """How many different people had a column on these days."""
    return len(np.unique(np.concatenate([part.who[column] for part in parts])))


def capped(parts: Sequence[Part]) -> NDArray[np.bool_]:
    """(p,) whether on some day more people had it than are told apart, so that it is not rare."""
    return np.asarray(np.array([[len(one) >= MOST_PEOPLE for one in part.who] for part in parts], np.bool_).any(axis=0))
