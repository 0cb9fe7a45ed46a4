"""The drift monitors: every feature of the traffic, in all and by group, over a day, a week and four weeks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rungwise.core.reading import ALARM, CANNOT_TELL, OK, Reading
from rungwise.core.watching import AUTO, ROWS
from rungwise.watch.drift.baseline import Baseline, enough
from rungwise.watch.drift.frame import LEAST_DAYS, Frame
from rungwise.watch.drift.judged import Judged, judged
from rungwise.watch.drift.promise import HORIZONS, LEAST_OF, ROWS_HORIZONS, level
from rungwise.watch.drift.reference import (
    baseline_for,
    labels_of,
    main_candidate,
    reference_days,
    sketches_of,
    traffic_of,
    window_days,
)
from rungwise.watch.drift.rows import judged_by_rows, rows_for, rows_said
from rungwise.watch.drift.sketch import Sketch
from rungwise.watch.drift.truth import MONITORS as TRUTH
from rungwise.watch.drift.truth import truth_of
from rungwise.watch.drift.words import Reader, Said, Side, explained, said_in
from rungwise.watch.scene import Scene

_TITLES = {
    "drift.input.length": "the length of questions in characters",
    "drift.input.language": "the languages of questions",
    "drift.input.vocabulary": "the share of questions with words that are new",
    "drift.input.meaning": "what questions mean",
    "drift.output.answers": "what is answered",
    "drift.output.abstentions": "the share that is not answered",
    "drift.output.confidence": "the confidence of answers",
    "drift.output.tokens": "the length of answers in tokens",
    "drift.output.latency": "the seconds that answers take",
    "drift.output.failures": "the share that fails",
    "drift.data.empty": "the share of empty questions",
    "drift.data.truncated": "the share of answers that were cut off",
    "drift.data.personal": "the share of questions with personal data",
    "drift.truth.labels": "what is said to have been right",
    "drift.truth.agreement": "the share of answers that are said to have been wrong",
}
_MANY = ("drift.input.language", "drift.output.latency")


def readings(scene: Scene) -> list[Reading]:
    """What the drift monitors say of the days that end with this one. All of them together keep the promise
    `watching.false_alarms_per_month`."""
    days = reference_days(scene)
    baseline = baseline_for(scene, *days) if not isinstance(days, str) else days
    if isinstance(baseline, str):
        return _by_rows(scene, baseline)
    frame = baseline.frame
    since = max(scene.day - max(HORIZONS) + 1, frame.last + 1)
    sketches = sketches_of(scene, frame, range(since, scene.day + 1))
    wanted = [place for place, feature in enumerate(frame.features) if scene.watching.wants(feature.monitor)]
    truths = [name for name in TRUTH if scene.watching.wants(name)]
    tests = (len(wanted) * (1 + len(frame.groups)) + len(truths)) * len(HORIZONS)
    each = level(scene.watching.false_alarms_per_month, tests)
    found = []
    for horizon in HORIZONS:
        window = {day: sketches[day] for day in window_days(scene, horizon) if day in sketches}
        if len(window) < horizon:
            continue  # part of it belongs to the reference
        for group in range(1 + len(frame.groups)):
            found += [_reading(scene, baseline, window, group, place, horizon, each) for place in wanted]
    return _explained(scene, frame, found, _reader(scene, range(frame.first, frame.last + 1), frame.candidate)) + _truth(
        scene, frame.first, frame.last, each
    )


def _reader(scene: Scene, days: range, candidate: str | None) -> Reader:
    return lambda sides: said_in(traffic_of(scene, days), sides, candidate)


def _explained(scene: Scene, frame: Frame, found: list[Reading], reference: Reader) -> list[Reading]:
    """With the words and answers that moved, where there are alarms about them."""
    return explained(
        found,
        frame,
        reference,
        lambda days: _reader(scene, window_days(scene, days), frame.candidate),
        labels=labels_of(scene),
        seed=scene.case.seed,
    )


def _truth(scene: Scene, first: int, last: int, each: float) -> list[Reading]:
    """What is said of late labels; nothing before the first of them."""
    truth = truth_of(scene, first, last)
    if truth is None or not any(truth.sketches) or not truth.baseline.sketches:
        return []
    found = []
    for horizon in HORIZONS:
        days = window_days(scene, horizon)
        if days[0] > truth.baseline.frame.last:
            window = {day: truth.sketches[day] for day in days if day in truth.sketches}
            places = range(len(truth.baseline.frame.features))
            said = [_reading(scene, truth.baseline, window, 0, place, horizon, each) for place in places]
            found += [truth.explained(one, days, labels_of(scene)) for one in said]
    return found


def _by_rows(scene: Scene, why: str) -> list[Reading]:
    """What is said where there is no reference of traffic, for the reason `why`: the last days against the rows decided on."""
    if not scene.watching.wants("drift"):
        return []
    cannot = Reading(monitor="drift", **scene.window(), state=CANNOT_TELL, why=why)
    if scene.watching.reference not in (ROWS, AUTO):
        return [cannot]
    rows = rows_for(scene, main_candidate(scene))
    if isinstance(rows, str):
        return [replace(cannot, why=rows if scene.watching.reference == ROWS else f"{why}; {rows}")]
    frame, known = rows
    sketches = sketches_of(scene, frame, range(scene.day - max(ROWS_HORIZONS) + 1, scene.day + 1))
    each = level(scene.watching.false_alarms_per_month, len(frame.features) * len(ROWS_HORIZONS))
    found = []
    for horizon in ROWS_HORIZONS:
        window = {day: sketches[day] for day in window_days(scene, horizon)}
        for place, feature in enumerate(frame.features):
            empty = Reading(monitor=feature.monitor, level=each, **scene.window(horizon))
            if len(now := enough(window, 0, place)) < LEAST_OF[horizon]:
                found.append(replace(empty, state=CANNOT_TELL, why=f"only {len(now)} of {horizon} days have enough of it"))
            elif (one := judged_by_rows(frame, known, place, window)) is not None:
                found.append(_told(empty, one, horizon))

    def rows_as(sides: frozenset[Side]) -> dict[Side, Said]:
        kept = rows_said(scene, main_candidate(scene))
        return said_in([] if kept is None else [kept], sides)

    return _explained(scene, frame, found, rows_as)


def _reading(
    scene: Scene, baseline: Baseline, window: Mapping[int, Sketch], group: int, feature: int, horizon: int, each: float
) -> Reading:
    monitor = baseline.frame.features[feature].monitor
    about = {"group": baseline.frame.groups[group - 1]} if group else {}
    empty = Reading(monitor=monitor, about=about, level=each, **scene.window(horizon))
    now = enough(window, group, feature)
    if len(now) < LEAST_OF[horizon]:
        return replace(empty, state=CANNOT_TELL, why=f"only {len(now)} of {horizon} days have enough of it")
    if len(baseline.parts(group, feature)) < LEAST_DAYS:
        return replace(empty, state=CANNOT_TELL, why="the reference has too few days with enough of it")
    return _told(empty, judged(baseline, group, feature, horizon, now), horizon)


def _told(empty: Reading, one: Judged, horizon: int) -> Reading:
    assert empty.level is not None
    alarm = one.p <= empty.level
    days = "on the last day" if horizon == 1 else f"over {horizon} days"
    of = f"for {empty.about['group']}, " if empty.about else ""
    many = empty.monitor in _MANY
    changed, usual = ("have changed", "are as usual") if many else ("has changed", "is as usual")
    moved = changed if alarm else usual if one.p > 0.01 else "moved, but not beyond doubt,"
    return replace(
        empty,
        state=ALARM if alarm else OK,
        why=f"{of}{_TITLES[empty.monitor]} {moved} {days}: {one.why}",
        value=one.value,
        reference=one.reference,
        effect=one.effect,
        unit=one.unit,
        p=one.p,
        n=one.n,
        details=dict(one.details),
    )
