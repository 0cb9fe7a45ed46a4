"""One feature of one group over one window, held against what is usual: how far it moved, and how surprising that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rungwise.watch.drift.baseline import Baseline, capped, days_of, distinct, shape_of
from rungwise.watch.drift.features import HIDDEN, MEANING, MIX, NUMBER, ONCE, OTHER, Feature
from rungwise.watch.drift.season import Days, Usual
from rungwise.watch.drift.sketch import Part
from rungwise.watch.drift.tails import Floats, counts_tail

_CLOSER = 0.01  # people are counted where the t-test alone would be surprising so far
_MANY = 20.0  # expected people from which the t-test of a share is right as far out as it is used here
_NAMED = 5
_NEW = {OTHER: "those never seen before", ONCE: "those seen on one day before"}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """`p` of nothing having changed; `effect` in `unit`; `value` against `reference`; what it is made of; `why` for people.
    `column` is the one of a rate or a mix that moved most."""

    p: float
    effect: float
    unit: str
    n: int
    why: str
    value: float | None = None
    reference: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    column: int | None = None


def judged(baseline: Baseline, group: int, feature: int, horizon: int, now: Mapping[int, Part]) -> Judged:
    """Hold the days of a window against the reference. `now` has at least one day, the reference at least 14."""
    what = baseline.frame.features[feature]
    if what.kind == NUMBER:
        return _number(baseline, group, feature, horizon, now)
    if what.kind == MEANING:
        return _meaning(baseline, group, feature, horizon, now)
    return _shares(baseline, group, feature, horizon, now)


def _number(baseline: Baseline, group: int, feature: int, horizon: int, now: Mapping[int, Part]) -> Judged:
    """By rank: `effect` is the chance that a request of now is above one of the reference, less a half."""
    known, today = baseline.whole(group, feature, horizon), days_of(now)
    off, _ = known.moved(today)
    effect = float(np.clip(off[0] / (2.0 * 3.0**0.5), -0.5, 0.5))
    numbers = np.asarray(baseline.frame.features[feature].numbers)
    value, reference = (float(np.quantile(numbers, place)) for place in (0.5 + effect, 0.5))
    wider = float(off[1])
    why = f"typically {value:.4g} instead of {reference:.4g}"
    if abs(wider) > abs(off[0]):
        why += ", and further from the middle" if wider > 0 else ", and nearer to the middle"
    return Judged(
        p=known.together(today),
        effect=effect,
        unit="share of ranks",
        n=_requests(now),
        why=why,
        value=value,
        reference=reference,
        details={"spread": round(wider, 4)},
    )


def _meaning(baseline: Baseline, group: int, feature: int, horizon: int, now: Mapping[int, Part]) -> Judged:
    """`effect` is the distance of the kernel means (MMD), in standard deviations of one request."""
    known, today = baseline.whole(group, feature, horizon), days_of(now)
    off, variance = known.moved(today)
    square = float((off**2).sum())
    effect = float(np.sqrt(max(0.0, square - float(variance[0])) / float(known.within[0])))
    return Judged(
        p=known.together(today),
        effect=effect,
        unit="standard deviations",
        n=_requests(now),
        why=f"texts are {effect:.2f} standard deviations from the usual ones on average",
        value=float(np.sqrt(square)),
        reference=float(np.sqrt(variance[0])),
    )


def _shares(baseline: Baseline, group: int, feature: int, horizon: int, now: Mapping[int, Part]) -> Judged:
    """A rate, or a mix: the smaller p of the distance of all and of the column that moved most, doubled as there are both."""
    what = baseline.frame.features[feature]
    known, today = baseline.columns(group, feature), days_of(now)
    off, _ = known.moved(today)
    each = _each(baseline, group, feature, known, today, now)
    p = min(1.0, float(each.min()) * len(each))
    if what.kind == MIX and np.count_nonzero(scale := baseline.scale(group, feature, horizon)) > 1:
        scaled = Days(days=today.days, means=today.means * scale, sizes=today.sizes)
        p = min(1.0, 2.0 * min(p, baseline.whole(group, feature, horizon).together(scaled)))
    first = int(np.argmin(each)) if each.min() < 1.0 else int(np.argmax(np.abs(off)))
    value, reference = _levels(known, today, off, first)
    effect = float(np.abs(off).sum() / 2.0) if what.kind == MIX else float(off[first])
    order = [column for column in np.lexsort((-np.abs(off), each)) if off[column] != 0][:_NAMED]
    moved = {what.names[column]: round(float(off[column]), 5) for column in order} if len(what.names) > 1 else {}
    return Judged(
        p=p,
        effect=effect,
        unit="share moved" if what.kind == MIX else "share",
        n=_requests(now),
        why=levels_told(what, first, value, reference),
        value=value,
        reference=reference,
        details={"moved": moved} if moved else {},
        column=first,
    )


def _levels(known: Usual, today: Days, off: Floats, column: int) -> tuple[float, float]:
    """What the share of a column is now, and what it usually is on such days."""
    value = float(np.average(today.means[:, column], weights=today.sizes))
    return value, float(np.clip(value - off[column], 0.0, 1.0))


def levels_told(what: Feature, column: int, value: float, reference: float) -> str:
    """The share of a column now, and what it usually is, in words."""
    if what.numbers:  # a number that is nearly always the same
        return f"{value:.2%} of them are not {what.numbers[0]:.4g}, instead of {reference:.2%}"
    name = what.names[column]
    if len(what.names) == 1:
        return f"{value:.2%} instead of {reference:.2%}"
    if name.startswith(HIDDEN):
        return f"one of them {value:.2%} instead of {reference:.2%}"
    return f"{_NEW.get(name, repr(name))} {value:.2%} instead of {reference:.2%}"


def _each(baseline: Baseline, group: int, feature: int, known: Usual, today: Days, now: Mapping[int, Part]) -> Floats:
    """(p,) p of each column: that of the t-test, and where it is rare not below that of counting people."""
    p = known.each(today)
    reference, window = list(baseline.parts(group, feature).values()), list(now.values())
    many = capped(reference) | capped(window)
    shares = baseline.shares(group, feature)
    for column in np.flatnonzero((p < _CLOSER) & ~many):
        p[column] = max(p[column], _counted(reference, window, int(column), rare=bool(shares[column] <= 0.5)))
    return p


def _counted(reference: Sequence[Part], window: Sequence[Part], column: int, *, rare: bool) -> float:
    """p of the number of people with a rare column, or without one that nearly everybody has (not `rare`).

    Over several days a person counts once, and so in each stretch of the reference as long as the window; where most people
    would have it sooner or later, once a day. 0, for the t-test to decide, where it is common.
    """
    before, now = (np.array([part.people for part in parts], np.float64) for parts in (reference, window))
    known = _people_with(reference, column, rare=rare)
    hits = float(_people_with(window, column, rare=rare).sum())
    shape, counted = shape_of(known, before), float(known.sum())
    share = float(now.sum() / before.sum())
    if counted * share >= _MANY:
        return 0.0
    if rare and len(window) > 1:
        stretches = [reference[max(0, end - len(window)) : end] for end in range(len(reference), 0, -len(window))]
        alone = float(sum(distinct(stretch, column) for stretch in stretches))
        if alone * share < 0.5 * before.mean():
            hits, counted = float(distinct(window, column)), alone
    day = float(before.mean())
    return counts_tail(hits, float(now.sum()) / day, counted, float(before.sum()) / day, shape)


def _people_with(parts: Sequence[Part], column: int, *, rare: bool) -> Floats:
    counts = [len(part.who[column]) if rare else part.people - len(part.who[column]) for part in parts]
    return np.array(counts, np.float64)


def _requests(now: Mapping[int, Part]) -> int:
    return round(sum(part.size for part in now.values()))
