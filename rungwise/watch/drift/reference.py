"""Which days are the reference of a look, and the frame that was fixed from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np

from rungwise.core.errors import StoreError, UsageError
from rungwise.core.record import digest
from rungwise.core.watching import AUTO, ROWS
from rungwise.curate.shingles import normalise
from rungwise.data.readings import Sketches
from rungwise.watch.drift.baseline import Baseline, baseline_of
from rungwise.watch.drift.features import OUTSIDE, Requests
from rungwise.watch.drift.frame import EDITION, LEAST_DAYS, LEAST_SIZE, Frame, framed, language_source
from rungwise.watch.drift.sketch import Sketch, packed, sketched, unpacked
from rungwise.watch.scene import Scene
from rungwise.watch.traffic import Traffic

_LONGEST = 3_660
_EPOCH = date(1970, 1, 1).toordinal()


def reference_days(scene: Scene) -> tuple[int, int] | str:
    """The first and the last day of the reference where it is over, else why there is none yet."""
    wanted = scene.watching.reference
    if wanted == ROWS:
        return "the reference is the rows that were decided on"
    if wanted != AUTO:
        first, last = parse_days(wanted)
        return (first, last) if scene.day > last else "the days of the reference are not over"
    busy = _busy_days(scene)
    if not busy:
        return "there was no traffic of the live release yet"
    least = max(LEAST_DAYS, scene.watching.reference_days)
    last = busy[0] + least - 1
    if len([day for day in busy if day <= last]) < LEAST_DAYS:
        last = busy[LEAST_DAYS - 1] if len(busy) >= LEAST_DAYS else max(last, scene.day)
    if scene.day <= last:
        return f"{scene.day - busy[0] + 1} of {last - busy[0] + 1} days of the reference are over"
    return busy[0], last


def parse_days(text: str) -> tuple[int, int]:
    """The days of 'YYYY-MM-DD..YYYY-MM-DD', counted since 1970. Raises UsageError for anything else."""
    try:
        first, last = (date.fromisoformat(part).toordinal() - _EPOCH for part in text.split(".."))
    except ValueError as error:
        raise UsageError(f"cannot read the reference '{text}'. Write auto, rows, or 2026-01-01..2026-01-28") from error
    if first > last:
        raise UsageError(f"the reference '{text}' ends before it begins. Write 2026-01-01..2026-01-28")
    return first, last


def main_candidate(scene: Scene) -> str | None:
    """The live candidate that answers most; None where engines are asked without a release."""
    if scene.release is None or not scene.release.variants:
        return None
    return max(scene.release.variants, key=lambda one: one.weight).candidate


def labels_of(scene: Scene) -> frozenset[str]:
    """The labels, normalised, that the live candidates choose from; none where they write freely or are not kept any more."""
    found: set[str] = set()
    for id in scene.candidates:
        try:
            found.update(normalise(label) for label in scene.candidate(id).labels)
        except StoreError:
            continue
    return frozenset(found)


def traffic_of(scene: Scene, days: range) -> Iterator[Traffic]:
    """The traffic of these days, one after the other; days that were not read before are not kept."""
    for day in days:
        known = day in scene.known
        traffic = scene.of_day(day)
        if not known:
            del scene.known[day]
        yield traffic


def requests_of(scene: Scene, day: int, candidate: str | None, languages: str) -> tuple[Requests, Requests]:
    """All requests of a day, and those that the candidate answered."""
    traffic = scene.of_day(day)
    everybody = Requests(traffic, scene.encode, languages=languages)
    if candidate is None or all(one == candidate for one in traffic.candidate):
        return everybody, everybody
    own = traffic.only(np.array([one == candidate for one in traffic.candidate], np.bool_))
    return everybody, Requests(own, scene.encode, languages=languages)


def baseline_for(scene: Scene, first: int, last: int) -> Baseline | str:
    """The reference from one day to another, made at the first look that needs it; why there is none where it is too thin."""
    candidate = main_candidate(scene) if scene.watching.reference == AUTO else None
    kept = Sketches(scene.store, _kind(scene, "frame", first, last, candidate))
    body = kept.get([last]).get(last)
    if body is None:
        frame = _frame(scene, first, last, candidate)
        if frame is None:
            return f"fewer than {LEAST_DAYS} days of the reference have traffic"
        kept.put(last, frame.packed())
        body = kept.get([last])[last]  # another look may have been first
    frame_kind = Sketches(scene.store, f"days:{digest(body.decode('utf-8', 'surrogatepass'))[:24]}")
    days = range(first, last + 1)
    known = frame_kind.get(days)
    if len(known) < len(days):
        frame = Frame.unpacked(body)
        for day in days:
            if day not in known:
                frame_kind.put(day, packed(sketch_of(scene, frame, day, known=True)))
        known = frame_kind.get(days)
    return baseline_of(body, tuple(sorted(known.items())))


def sketch_of(scene: Scene, frame: Frame, day: int, *, known: bool = False) -> Sketch:
    """The sketch of a day out of its traffic; `known` where it is part of the reference."""
    everybody, own = requests_of(scene, day, frame.candidate, frame.languages)
    place = day if known else OUTSIDE
    found = sketched(frame.features, frame.groups, everybody, day=place)
    if own is everybody:
        return found
    outputs = sketched(frame.features, frame.groups, own, day=place)
    of_answers = {place for place, feature in enumerate(frame.features) if frame.of_answers(feature)}
    inputs = {key: part for key, part in found.items() if key[1] not in of_answers}
    return {**inputs, **{key: part for key, part in outputs.items() if key[1] in of_answers}}


def sketches_of(scene: Scene, frame: Frame, days: range) -> dict[int, Sketch]:
    """The sketches of these days, those that are missing made now."""
    kept = Sketches(scene.store, frame.kind)
    bodies = kept.get(days)
    found = {}
    for day in days:
        if day in bodies:
            found[day] = unpacked(bodies[day])
        else:
            found[day] = sketch_of(scene, frame, day)
            kept.put(day, packed(found[day]))
    return found


def _frame(scene: Scene, first: int, last: int, candidate: str | None) -> Frame | None:
    days = [day for day in range(first, last + 1) if len(scene.of_day(day)) >= LEAST_SIZE]
    if len(days) < LEAST_DAYS:
        return None
    languages = language_source([])
    return framed(
        days,
        lambda day: requests_of(scene, day, candidate, languages),
        scene.watching.wants,
        candidate=candidate,
        labels=labels_of(scene),
        seed=scene.case.seed,
    )


def _busy_days(scene: Scene) -> list[int]:
    """The days on which the live candidate had traffic, up to today, as looks noted them."""
    candidate = main_candidate(scene)
    kept = Sketches(scene.store, _kind(scene, "busy", 0, 0, candidate))
    known = sorted(kept.get(range(scene.day - _LONGEST, scene.day + 1)))
    enough = len(known) >= LEAST_DAYS and scene.day >= known[0] + max(LEAST_DAYS, scene.watching.reference_days)
    if enough or scene.day in known:
        return known
    traffic = scene.of_day(scene.day)
    own = len(traffic) if candidate is None else sum(one == candidate for one in traffic.candidate)
    if own < LEAST_SIZE:
        return known
    kept.put(scene.day, b"")
    return [*known, scene.day]


def _kind(scene: Scene, what: str, first: int, last: int, candidate: str | None) -> str:
    settings = [EDITION, scene.group_tag, list(scene.watching.off), first, last, candidate]
    return f"{what}:{digest(settings)[:24]}"


def window_days(scene: Scene, days: int) -> range:
    """The last so many days, today included."""
    return range(scene.day - days + 1, scene.day + 1)
