"""Whether live answers still reach the target, by the random reviews, looked at every day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S, OK, Reading
from rungwise.data.readings import Sketches
from rungwise.data.reviews import RANDOM, Drawn, Reviews
from rungwise.evaluate.answers import FloatArray
from rungwise.evaluate.staying import MONTH_DAYS, Stay, still_above
from rungwise.release.registry import Releases
from rungwise.watch.scene import Scene

MONITOR = "quality.target"
SKETCH = "quality.target/1"
LEAST = 5
_EXAMPLES = 5
WINDOW = 28

SHARES = ("accuracy", "subset_accuracy", "exact_match", "contains", "micro_f1")
"""Metrics whose value is the share of right answers; micro-F1 where each row has one label."""


def target_reading(scene: Scene) -> Reading | None:
    """Is the quality of the live candidates below the target? None where the monitor is off or the use case has no target.

    Used are the plain random draws, answered by the candidates that are live now, in the order in which they were reviewed: of
    each day every answer has the same chance, so that each review is wrong with the chance that the day's answers are. Assumed
    is that when, and whether, somebody reviews an answer does not depend on whether it is right. Another set of live candidates
    is another test, with its own promise.
    """
    target = scene.case.target
    if target is None or not scene.watching.wants(MONITOR):
        return None
    base = Reading(
        monitor=MONITOR, **scene.window(WINDOW), state=CANNOT_TELL, reference=target.value, level=scene.watching.quality_level
    )
    if comparable_target(scene) is None:
        why = f"the target is of {target.metric}, which is no share of right answers, so that reviews of single answers cannot tell"
        return replace(base, why=why)
    used = _used(scene)
    if not used:
        return replace(base, why="no answer of the live candidates that was drawn by chance was reviewed yet")
    times = np.array([one.at for one in used], dtype=np.float64)
    values = np.array([one.correct for one in used], dtype=np.float64)
    months = ((times - times[0]) // (MONTH_DAYS * DAY_S)).astype(np.int64)
    stay = still_above(values, months, target.value, level=scene.watching.quality_level)
    return _told(base, used, times, values, stay)


def comparable_target(scene: Scene) -> float | None:
    """The target's value where it is a share of right answers; else None."""
    target = scene.case.target
    if target is None or target.metric not in SHARES or (target.metric == "micro_f1" and scene.case.multi_label):
        return None
    return target.value


def _told(base: Reading, used: Sequence[Drawn], times: FloatArray, values: FloatArray, stay: Stay) -> Reading:
    target, level = base.reference or 0.0, base.level or 0.0
    lately = times >= base.since
    value = float(values[lately].mean()) if lately.any() else None
    state = ALARM if stay.below else OK if len(used) >= LEAST else CANNOT_TELL
    seen = f"{len(used):,} random reviews of the live candidates"
    why = {
        ALARM: f"the quality is shown to be below the target of {target:.1%}: by {seen}, wrong with a chance of at most {level:g}",
        OK: f"by {seen}, the quality is not shown to be below the target of {target:.1%}",
        CANNOT_TELL: f"{len(used)} of at least {LEAST} random reviews of the live candidates are there",
    }[state]
    wrong = [one.trace for one in reversed(used) if one.correct is not None and one.correct < 0.5]
    details = {"wealth": stay.wealth, "reviews": len(used), "lately": int(lately.sum())}
    if stay.since is not None:
        details["shown_at"] = float(times[stay.since])
    return replace(
        base,
        state=state,
        why=why,
        value=value,
        effect=None if value is None else target - value,
        unit="share",
        p=stay.p_value,
        n=len(used),
        traces=tuple(wrong[:_EXAMPLES]) if state == ALARM else (),
        details=details,
    )


def _used(scene: Scene) -> list[Drawn]:
    """The reviews that count, in the order in which they were made; of one time, in that of their ids."""
    first, until = _first_day(scene), scene.window()["until"]
    if first is None:
        return []
    done = [
        one
        for one in Reviews(scene.store).drawn(first, scene.day)
        if one.reason == RANDOM and one.chance > 0 and one.correct is not None and one.at is not None and one.at < until
    ]
    live = _answered(scene, sorted({one.day for one in done}))
    return sorted((one for one in done if one.trace in live), key=lambda one: (one.at or 0.0, one.id))


def _first_day(scene: Scene) -> int | None:
    """The day since which at least one of the live candidates answers; None without a release."""
    wanted, until = set(scene.candidates), scene.window()["until"]
    first = None
    for move in Releases(scene.store).history():  # newest first
        if move.at >= until:
            continue
        release = Releases(scene.store).get(move.release)
        if not wanted & {one.candidate for one in release.variants if one.weight > 0}:
            break
        first = int(move.at // DAY_S)
    return first


def _answered(scene: Scene, days: Sequence[int]) -> set[str]:
    """The drawn traces of these days that a live candidate answered. What was drawn of a day, and by whom it was answered, is
    kept when it is first read, since a year of traffic cannot be read anew each day."""
    sketches = Sketches(scene.store, SKETCH)
    kept = {day: json.loads(body) for day, body in sketches.get(days).items()}
    for day in days:
        if day not in kept:
            kept[day] = _of_day(scene, day)
            sketches.put(day, json.dumps(kept[day], sort_keys=True).encode())
    return {trace for by in kept.values() for candidate in scene.candidates for trace in by.get(candidate, ())}


def _of_day(scene: Scene, day: int) -> dict[str, list[str]]:
    """The drawn traces of a day by candidate; failures left out, and what was declined where the target has a coverage."""
    drawn = {one.trace for one in Reviews(scene.store).drawn(day, day)}
    traffic, found = scene.of_day(day), dict[str, list[str]]()
    declined = scene.case.target is not None and scene.case.target.coverage is not None
    for row, id in enumerate(traffic.ids.tolist()):
        if id in drawn and not traffic.failed[row] and not (declined and traffic.abstained[row]):
            found.setdefault(str(traffic.candidate[row]), []).append(id)
    return found
