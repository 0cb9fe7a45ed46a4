"""Live quality with intervals: by random reviews, by late labels, by corrected feedback, and by confidence alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from rungwise.core.reading import CANNOT_TELL, DAY_S, OK, Reading
from rungwise.evaluate.answers import FloatArray
from rungwise.evaluate.estimation import Share, corrected_share, weighted_share
from rungwise.evaluate.foretelling import answered_share, confident_share
from rungwise.evaluate.lateness import late_share
from rungwise.watch.judged import Judged, judged_of
from rungwise.watch.quality.parts import answers_of, known_of, parts_of, units_of
from rungwise.watch.quality.past import Past, past_of
from rungwise.watch.quality.target import comparable_target, target_reading
from rungwise.watch.scene import Scene

REVIEWED, LABELLED, FEEDBACK, CONFIDENCE = MONITORS = (
    "quality.reviewed",
    "quality.labelled",
    "quality.feedback",
    "quality.confidence",
)
WINDOWS = (7, 28)
LEAST = 5
"""With fewer judged answers the interval is given, but nothing is said."""
_MOST_FOR = 4.0  # a review stands for at most so many of its day that are still open


@dataclass(frozen=True, kw_only=True)
class Found:
    """What an estimator found: a share, or why there is none; `details` go into the reading."""

    share: Share | None
    why: str
    details: dict[str, Any] = field(default_factory=dict)


Estimate: TypeAlias = Callable[[Scene, Judged, int, Past | None], Found]


def readings(scene: Scene) -> list[Reading]:
    """What is known of the quality when a day is over: each monitor for 7 and 28 days, of all answers, each variant and each
    group, and whether the quality is still at its target."""
    found: list[Reading] = []
    wanted = [name for name in MONITORS if scene.watching.wants(name)]
    if wanted:
        longest = max(WINDOWS) + (math.ceil(scene.watching.label_days) if LABELLED in wanted else 0)
        everything = answers_of(scene, judged_of(scene, longest))
        past = past_of(scene) if CONFIDENCE in wanted else None
        for days in WINDOWS:
            found += _of_window(scene, everything, days, wanted, past)
    target = target_reading(scene)
    return found if target is None else [*found, target]


def _of_window(scene: Scene, everything: Judged, days: int, wanted: list[str], past: Past | None) -> Iterator[Reading]:
    since = scene.window(days)["since"]
    for about, part in parts_of(everything.only(everything.traffic.at >= since)):
        older = everything.only(_same(everything, about))
        made = {
            name: _reading(scene, name, about, days, _ESTIMATES[name](scene, _seen(name, part, older), days, past))
            for name in wanted
        }
        if CONFIDENCE in made:
            made[CONFIDENCE] = _compared(made[CONFIDENCE], [made[one] for one in (FEEDBACK, REVIEWED, LABELLED) if one in made])
        yield from (one for one in made.values() if one.n or not about)


def _same(everything: Judged, about: dict[str, str]) -> Any:
    """(n,) which requests are of a part."""
    kept = np.ones(len(everything), np.bool_)
    for name, value in about.items():
        kept &= np.asarray(getattr(everything.traffic, name) == value, dtype=np.bool_)
    return kept


def _seen(name: str, part: Judged, older: Judged) -> Judged:
    """Labels need older requests as well, which tell how late they come."""
    return older if name == LABELLED else part


def _reading(scene: Scene, monitor: str, about: dict[str, str], days: int, found: Found) -> Reading:
    share = found.share
    base = Reading(monitor=monitor, about=about, **scene.window(days), details=found.details, why=found.why, unit="share")
    if share is None:
        return replace(base, state=CANNOT_TELL)
    enough = share.n >= LEAST
    count = f"{share.n:,} answer" if share.n == 1 else f"{share.n:,} answers"
    few = "" if enough else f", too few to say anything; {LEAST} are needed"
    return replace(
        base,
        state=OK if enough else CANNOT_TELL,
        why=f"{share.value:.1%} right ({share.low:.1%} to {share.high:.1%}) {found.why} {count} in {days} days{few}",
        value=share.value,
        low=share.low,
        high=share.high,
        level=share.level,
        n=share.n,
        reference=comparable_target(scene),
        details={**found.details, "units": share.units, "size": round(share.size, 1)},
    )


def _compared(reading: Reading, others: list[Reading]) -> Reading:
    """An estimate without labels, held against those with labels: the narrowest interval that is known."""
    known = [one for one in others if one.state == OK and one.low is not None and one.high is not None and not _assumes(one)]
    if reading.low is None or reading.high is None or not known:
        return reading
    best = min(known, key=lambda one: (one.high or 1.0) - (one.low or 0.0))
    assert best.low is not None
    assert best.high is not None
    apart = reading.low > best.high or reading.high < best.low
    details = {**reading.details, "compared_with": best.monitor, "disagrees": apart}
    if not apart:
        return replace(reading, details=details)
    why = f"{reading.why}. {best.monitor} says {best.value:.1%} ({best.low:.1%} to {best.high:.1%}): do not trust the confidence"
    return replace(reading, details=details, why=why)


def _assumes(reading: Reading) -> bool:
    return bool(reading.details.get("estimate_only")) or reading.details.get("corrected") is False


def _reviewed(_scene: Scene, part: Judged, days: int, _past: Past | None) -> Found:
    sample, weights = _sample(part)
    opened = int((part.drawn & (part.chance > 0) & np.isnan(part.review)).sum())
    details: dict[str, Any] = {"open": opened}
    if not sample.any():
        return Found(share=None, why=f"no answer of the last {days} days that was drawn by chance was reviewed", details=details)
    share = weighted_share(part.review[sample], weights[sample], units_of(part)[sample])
    return Found(share=share, why="by random reviews of", details=details)


def _sample(part: Judged) -> tuple[Any, FloatArray]:
    """(n,) what was drawn by chance and reviewed, and how many answers each row stands for.

    Of a day's draws some may be open still: those that were reviewed stand for them, as if it were by chance which these are.
    """
    drawn = part.drawn & (part.chance > 0)
    sample = drawn & ~np.isnan(part.review)
    weights = np.where(drawn, 1 / np.maximum(part.chance, 1e-9), 0.0)
    _, day = np.unique(part.traffic.days(), return_inverse=True)
    whole, done = np.bincount(day, weights=weights), np.bincount(day, weights=weights * sample)
    factor = np.minimum(_MOST_FOR, whole / np.maximum(done, 1e-9))
    return sample, np.where(sample, weights * factor[day] if len(day) else weights, 0.0)


def _labelled(scene: Scene, older: Judged, days: int, _past: Past | None) -> Found:
    limit, until = scene.watching.label_days, scene.window()["until"]
    delays, ages = (older.label_at - older.traffic.at) / DAY_S, (until - older.traffic.at) / DAY_S
    came = ~np.isnan(older.label) & (delays <= limit)
    counted = older.traffic.at >= scene.window(days)["since"]
    details = {
        "label_days": limit,
        "assumes": "delays did not change, and whether a label ever comes does not depend on whether the answer was right",
    }
    nothing = Found(share=None, why=f"no late label of an answer of the last {days} days has come", details=details)
    if not (came & counted).any():
        return nothing
    units = units_of(older)
    try:
        share = late_share(older.label[came], np.maximum(delays[came], 0.0), ages[came], counted[came], units[came], limit=limit)
    except ValueError:
        return replace(
            nothing, why=f"too few late labels of answers of the last {days} days have come to know how many are missing"
        )
    return Found(share=share, why="by late labels, weighted for those still to come, of", details=details)


def _feedback(_scene: Scene, part: Judged, days: int, _past: Past | None) -> Found:
    said = ~np.isnan(part.said)
    sample, weights = _sample(part)
    details: dict[str, Any] = {"said": int(said.sum()), "requests": len(part)}
    if not said.any():
        return Found(share=None, why=f"no user said anything of an answer of the last {days} days", details=details)
    details["naive"] = float(part.said[said].mean())
    if int(sample.sum()) < LEAST:
        share = answered_share(part.said, known_of(replace(part, said=np.full(len(part), np.nan))), units_of(part))
        details |= {"corrected": False, "assumes": "of equal requests, who says something does not depend on what they would say"}
        return Found(
            share=share,
            why="by users, weighted by how often such requests are judged (not corrected by reviews), of",
            details=details,
        )
    days_seen = np.isin(part.traffic.days(), part.traffic.days()[sample])
    seen, values = part.only(days_seen), np.where(sample, part.review, np.nan)[days_seen]
    share = corrected_share(values, weights[days_seen], known_of(seen), units_of(seen))
    details |= {"corrected": True, "days": len(set(seen.traffic.days().tolist()))}
    return Found(share=share, why="by feedback corrected by random reviews of", details=details)


def _confidence(_scene: Scene, part: Judged, days: int, past: Past | None) -> Found:
    details: dict[str, Any] = {"estimate_only": True}
    known = ~np.isnan(part.traffic.confidence)
    if not known.any():
        return Found(share=None, why=f"no answer of the last {days} days has a confidence", details=details)
    if past is None:
        return Found(share=None, why="no evaluation of the live candidate tells what its confidence means", details=details)
    share = confident_share(part.traffic.confidence[known], units_of(part)[known], past.confidences, past.right)
    details |= {"calibrated_on": past.n, "assumes": "a confidence means what it meant on the rows of the decision"}
    return Found(share=share, why="by confidence alone, nobody having judged, for", details=details)


_ESTIMATES: dict[str, Estimate] = {REVIEWED: _reviewed, LABELLED: _labelled, FEEDBACK: _feedback, CONFIDENCE: _confidence}
