"""For whom a release fails: quality, refusals, latency and cost of each declared group against everybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rungwise.core.reading import ALARM, CANNOT_TELL, OK, Reading
from rungwise.evaluate.fairness import Gap, mean_gaps, ratio_gaps, share_gaps
from rungwise.watch.scene import Scene
from rungwise.watch.traffic import Traffic

WINDOW_DAYS = 28
MONTH_DAYS = 30
LEVEL = 0.05
"""The chance of any false gap in a month, over all groups, measures and daily looks: a union bound."""
_SEEN = 0.02
"""A gap in latency or cost that is shown but smaller than this share is told, and no alarm."""

Measure = Callable[[Traffic, float], list[Gap]]


def readings(scene: Scene) -> list[Reading]:
    """The gap of each group in each measure over the last 28 days; none where requests name no group."""
    if scene.group_tag is None:
        return []
    wanted = {name: measure for name, measure in _measures(scene).items() if scene.watching.wants(f"fairness.{name}")}
    traffic = scene.traffic(WINDOW_DAYS) if wanted else None
    groups = sorted({str(one) for one in traffic.group if one is not None}) if traffic is not None else []
    if traffic is None or not groups:
        return []
    level = LEVEL / (MONTH_DAYS * len(wanted) * len(groups))
    return [_reading(scene, name, gap) for name, measure in wanted.items() for gap in measure(traffic, level)]


def _measures(scene: Scene) -> dict[str, Measure]:
    return {"quality": _judged(scene), "refusals": _refusals, "latency": _latency, "cost": _cost}


def _refusals(traffic: Traffic, level: float) -> list[Gap]:
    """Requests that got no answer: declined, or failed."""
    return share_gaps((traffic.abstained | traffic.failed).astype(np.float64), traffic.group, traffic.unit, level=level)


def _latency(traffic: Traffic, level: float) -> list[Gap]:
    answered = traffic.only(~traffic.failed)
    return ratio_gaps(answered.seconds, answered.group, answered.unit, level=level)


def _cost(traffic: Traffic, level: float) -> list[Gap]:
    return mean_gaps(traffic.usd, traffic.group, traffic.unit, level=level)


def _judged(scene: Scene) -> Measure:
    """Quality by the answers that were drawn for review by chance: no other judgement is a fair sample of a group."""

    def quality(traffic: Traffic, level: float) -> list[Gap]:
        from rungwise.data.reviews import Reviews

        places = {id: place for place, id in enumerate(traffic.ids)}
        drawn = [
            (places[one.trace], one.correct, 1.0 / one.chance)
            for one in Reviews(scene.store).drawn(scene.day - WINDOW_DAYS + 1, scene.day)
            if one.correct is not None and one.chance > 0 and one.trace in places
        ]
        at = np.array([place for place, _, _ in drawn], np.int64)
        right, weights = np.array([[right, weight] for _, right, weight in drawn], np.float64).reshape(-1, 2).T
        return share_gaps(right, traffic.group[at], traffic.unit[at], level=level, weights=weights)

    return quality


def _reading(scene: Scene, name: str, gap: Gap) -> Reading:
    worse = gap.shown and _is_worse(name, gap)
    return Reading(
        monitor=f"fairness.{name}",
        about={"group": gap.group},
        state=CANNOT_TELL if gap.too_small else ALARM if worse else OK,
        why=_why(name, gap),
        value=gap.value,
        low=gap.low,
        high=gap.high,
        reference=gap.rest,
        effect=gap.difference,
        unit="times" if name == "latency" else "USD" if name == "cost" else "share",
        p=gap.p,
        level=gap.level,
        n=gap.n,
        details=dict(_details(gap)),
        **scene.window(WINDOW_DAYS),
    )


def _is_worse(name: str, gap: Gap) -> bool:
    assert gap.difference is not None
    if name == "quality":
        return gap.difference < 0
    if name == "refusals":
        return gap.difference > 0
    assert gap.rest is not None
    return gap.difference > 1 + _SEEN if name == "latency" else gap.difference > _SEEN * abs(gap.rest)


def _details(gap: Gap) -> Iterator[tuple[str, Any]]:
    yield from (("units", gap.units), ("difference_low", gap.difference_low), ("difference_high", gap.difference_high))


_WORDS = {
    "quality": ("right answers", "{:.1%}"),
    "refusals": ("no answer", "{:.2%}"),
    "latency": ("a typical wait", "{:.3g} s"),
    "cost": ("the cost of a request", "{:.3g} USD"),
}


def _why(name: str, gap: Gap) -> str:
    what, form = _WORDS[name]
    if gap.too_small:
        return f"{what}: {gap.units:,} users or conversations of {gap.group} are too few to tell (or those of the others are)"
    shown = "shown" if gap.shown else "not shown, chance may explain it"
    own, rest = form.format(gap.value), form.format(gap.rest)
    return f"{what} {own} for {gap.group}, {rest} for the others; the gap of {_gap(name, gap)} is {shown}"


def _gap(name: str, gap: Gap) -> str:
    figures: Sequence[float | None] = (gap.difference, gap.difference_low, gap.difference_high)
    middle, low, high = (0.0 if one is None else one for one in figures)
    if name == "latency":
        return f"{middle:.2f} times [{low:.2f}, {high:.2f}]"
    if name == "cost":
        return f"{middle:+.3g} USD [{low:+.3g}, {high:+.3g}]"
    return f"{100 * middle:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
