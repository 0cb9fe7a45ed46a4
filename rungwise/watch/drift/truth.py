"""What turns out to have been right: the mix of late labels, and how often answers agree with them."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rungwise.core.reading import ALARM, DAY_S, Reading
from rungwise.curate.shingles import normalise
from rungwise.data.feedback import Judgements, Kept
from rungwise.watch.drift.baseline import Baseline
from rungwise.watch.drift.features import MIX, NEVER, OFTEN, ONCE, OTHER, OUTSIDE, RATE, TWICE, Feature, hashed, placed
from rungwise.watch.drift.frame import Frame, hidden_but
from rungwise.watch.drift.reference import labels_of
from rungwise.watch.drift.sketch import Sketch, part_of
from rungwise.watch.drift.words import LEAST_PEOPLE, Said, by_labels
from rungwise.watch.scene import Scene

MONITORS = ("drift.truth.labels", "drift.truth.agreement")
_MOST_LABELS = 200


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What was said to be right of the days of a reference, by the day on which it was said, and of the days since."""

    baseline: Baseline
    sketches: Mapping[int, Sketch]
    known: Mapping[int, Sequence[Kept]]
    current: Mapping[int, Sequence[Kept]]

    def explained(self, one: Reading, days: range, labels: frozenset[str]) -> Reading:
        """An alarm about labels with those whose share moved most; `labels` are named however few people they are of."""
        if one.state != ALARM or one.monitor != "drift.truth.labels":
            return one
        window = {day: kept for day, kept in self.current.items() if day in days}
        return by_labels(one, _said(self.known), _said(window), labels)


def _said(days: Mapping[int, Sequence[Kept]]) -> Said:
    kept = [one for ones in days.values() for one in ones]
    return Said(
        ids=tuple(one.feedback.trace for one in kept),
        texts=tuple(_label(one) for one in kept),
        people=tuple(one.about.unit or one.feedback.trace for one in kept),
    )


def truth_of(scene: Scene, first: int, last: int) -> Truth | None:
    """Judgements of the reference against those of the days since; None before there is a day since.

    Days are those on which people judged. The reference begins `label_days` later than that of the traffic: before that only
    quick judgements can have come. Judgements may be handed in late, so that they are read anew each time.
    """
    late = math.ceil(scene.watching.label_days)
    first, last = first + late, last + late
    wanted = [name for name in MONITORS if scene.watching.wants(name)]
    if scene.day <= last or not wanted:
        return None
    store = Judgements(scene.store)
    since = max(last + 1, scene.day - 27)
    known = _by_day(store.corrected(first * DAY_S, (last + 1) * DAY_S))
    current = _by_day(store.corrected(since * DAY_S, (scene.day + 1) * DAY_S))
    features = tuple(_feature(name, known, labels_of(scene)) for name in wanted)
    frame = Frame(first=first, last=last, features=features)
    reference = {day: _sketch(features, kept, day) for day, kept in known.items()}
    return Truth(
        baseline=Baseline(frame, reference),
        sketches={day: _sketch(features, kept, None) for day, kept in current.items()},
        known=known,
        current=current,
    )


def _by_day(kept: Iterable[Kept]) -> dict[int, list[Kept]]:
    """By the day of the judgement; of several on one trace by one source on a day the last."""
    found: dict[int, dict[tuple[str, str], Kept]] = {}
    for one in kept:
        day = int(one.feedback.at // DAY_S)
        found.setdefault(day, {})[one.feedback.trace, one.feedback.source] = one
    return {day: list(ones.values()) for day, ones in sorted(found.items())}


def _feature(monitor: str, known: Mapping[int, Sequence[Kept]], labels: frozenset[str]) -> Feature:
    if monitor == "drift.truth.agreement":
        return Feature(monitor=monitor, kind=RATE, names=("wrong",))
    counts: Counter[str] = Counter()
    days: dict[str, int] = {}
    for day, kept in known.items():
        for one in kept:
            label = _label(one)
            counts[label] += 1
            before = days.get(label, NEVER)
            days[label] = day if before in (NEVER, day) else TWICE if before >= 0 else OFTEN
    names = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if days[name] < 0]
    names = names[:_MOST_LABELS]
    alone = {hashed(name): day if day >= 0 or name in names else NEVER for name, day in sorted(days.items()) if day != OFTEN}
    said = _said(known)
    people = Counter(label for label, _ in set(zip(said.texts, said.people, strict=True)))
    told = labels | {label for label, count in people.items() if count >= LEAST_PEOPLE}
    return Feature(monitor=monitor, kind=MIX, names=(*hidden_but(names, told), ONCE, OTHER), only_day=alone)


def _sketch(features: Sequence[Feature], kept: Sequence[Kept], day: int | None) -> Sketch:
    """`day` is given where it is part of the reference."""
    names = [one.about.unit or one.feedback.trace for one in kept]
    people = np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
    numbers = np.array([zlib.crc32(name.encode("utf-8", "surrogatepass")) for name in names], np.uint32)
    found: Sketch = {}
    for place, feature in enumerate(features):
        if feature.kind == RATE:
            values = np.array([[1.0 - (one.about.correct or 0.0)] for one in kept])
        else:
            values = placed(feature, [frozenset((_label(one),)) for one in kept], OUTSIDE if day is None else day)
        found[0, place] = part_of(feature, values, people, numbers)
    return found


def _label(one: Kept) -> str:
    said = one.feedback.label if one.feedback.label is not None else one.feedback.correction
    return normalise(said or "")
