"""What users say of the answers, with those who say nothing in view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from rungwise.core.reading import CANNOT_TELL, OK, Reading
from rungwise.data.feedback import Judgements, Kept
from rungwise.evaluate.estimation import Share, weighted_share
from rungwise.watch.scene import Scene, Window
from rungwise.watch.topics import Found
from rungwise.watch.traffic import Bools, Traffic
from rungwise.watch.understanding import COMMENT_DAYS, SENTIMENT, TOPICS, Sounds, told_topics, understand

WINDOW_DAYS = 7
FEWEST = 5
"""With fewer answers that were judged nothing is said of how they were liked."""
_EXAMPLES = 5
_SUNDAY = 3  # 1970 began on a Thursday


@dataclass(frozen=True)
class Voices:
    """The live answers of a window, and what users said of them, by trace; the judgement that came last counts."""

    traffic: Traffic
    said: dict[str, list[Kept]]
    window: Window

    @cached_property
    def spoke(self) -> Bools:
        """(n,) whether a user judged the answer at all."""
        return np.array([id in self.said for id in self.traffic.ids], np.bool_)

    @cached_property
    def thumbs(self) -> dict[str, bool]:
        """The last thumb of those that have one, by trace."""
        found = {}
        for id, own in self.said.items():
            thumb = next((one.feedback.thumb for one in reversed(own) if one.feedback.thumb is not None), None)
            if thumb is not None:
                found[id] = thumb
        return found


def readings(scene: Scene, *, days: int | None = None) -> list[Reading]:
    """How many users speak, and how they like what they got, over the last 7 days: of all, of each variant and each group; how
    their comments sound and what they are about, over the last 28. With `days`, all over so many.

    Topics take seconds to find and move slowly: without `days` they are looked for on Sundays only.
    """
    wanted = {name: of for name, of in _FIGURES.items() if scene.watching.wants(f"feedback.{name}")}
    known = (SENTIMENT, TOPICS) if days is not None or scene.day % 7 == _SUNDAY else (SENTIMENT,)
    opinions = [name for name in known if scene.watching.wants(name)]
    found = _understood(scene, opinions, days or COMMENT_DAYS) if opinions else []
    if not wanted:
        return found
    voices = voices_of(scene, days or WINDOW_DAYS)
    for about, part in _parts(voices):
        found += [of(part, about) for of in wanted.values()]
    return found


def voices_of(scene: Scene, days: int = WINDOW_DAYS) -> Voices:
    """What users said of the answers of the last so many days."""
    traffic = scene.traffic(days)
    traffic = traffic.only(~traffic.failed)
    said: dict[str, list[Kept]] = {}
    window = scene.window(days)
    for one in Judgements(scene.store).of(list(traffic.ids)):
        if one.feedback.source == "user" and one.feedback.at < window["until"]:  # what comes later is for later looks
            said.setdefault(one.feedback.trace, []).append(one)
    return Voices(traffic, said, window)


def _parts(voices: Voices) -> list[tuple[dict[str, str], Voices]]:
    """All answers, then those of each variant where there are several, and of each group."""
    traffic = voices.traffic
    parts: list[tuple[dict[str, str], Voices]] = [({}, voices)]
    for name, column in (("variant", traffic.variant), ("group", traffic.group)):
        values = sorted({str(one) for one in column if one is not None})
        if name == "group" or len(values) > 1:
            parts += [({name: value}, _only(voices, column == value)) for value in values]
    return parts


def _only(voices: Voices, which: Any) -> Voices:
    traffic = voices.traffic.only(np.asarray(which, np.bool_))
    return Voices(traffic, {id: voices.said[id] for id in traffic.ids if id in voices.said}, voices.window)


def _rate(voices: Voices, about: dict[str, str]) -> Reading:
    n = len(voices.traffic)
    if not n:
        return _reading(voices.window, "rate", about, None, "nobody was answered", ())
    share = _share(voices.spoke.astype(np.float64), voices.traffic)
    silent = n - int(voices.spoke.sum())
    why = f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}] of {n:,} answers were judged by users; {silent:,} were not"
    return _reading(voices.window, "rate", about, share, why, (), silent=silent)


def _thumbs(voices: Voices, about: dict[str, str]) -> Reading:
    judged = np.array([id in voices.thumbs for id in voices.traffic.ids], np.bool_)
    traffic = voices.traffic.only(judged)
    if len(traffic) < FEWEST:
        return _reading(voices.window, "thumbs", about, None, f"{len(traffic):,} thumbs are too few to tell", ())
    up = np.array([voices.thumbs[id] for id in traffic.ids], np.float64)
    share = _share(up, traffic)
    down = tuple(str(id) for id, liked in zip(traffic.ids, up, strict=True) if not liked)[-_EXAMPLES:]
    of_all = len(traffic) / len(voices.traffic)
    why = (
        f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}] of {len(traffic):,} thumbs are up; "
        f"they are of {of_all:.1%} of the answers, and say nothing of the others"
    )
    return _reading(voices.window, "thumbs", about, share, why, down, of_all=of_all)


_FIGURES: dict[str, Callable[[Voices, dict[str, str]], Reading]] = {"rate": _rate, "thumbs": _thumbs}


def _understood(scene: Scene, wanted: Sequence[str], days: int) -> list[Reading]:
    """How comments sound, and what comments and the questions that were judged badly answered are about."""
    understood = understand(scene.store, scene.window()["until"], days=days, topics=TOPICS in wanted)
    found = []
    if SENTIMENT in wanted:
        found += [_sentiment(scene.window(days), about, one) for about, one in understood.sounds]
    if TOPICS in wanted:
        found += [_topics(scene.window(days), about, one) for about, one in understood.topics]
    return found


def _sentiment(window: Window, about: dict[str, str], one: Sounds) -> Reading:
    effect = None if one.change is None else one.change.value
    details = {name: value for name, value in one.plain().items() if name not in ("good", "why", "traces")}
    told, n = one.good is not None, one.good.n if one.good is not None else 0
    reading = Reading(monitor=SENTIMENT, about=about, state=OK if told else CANNOT_TELL, why=one.why, unit="share", **window)
    if one.good is not None:
        reading = replace(reading, value=one.good.value, low=one.good.low, high=one.good.high, effect=effect)
    return replace(reading, n=n, traces=one.traces[:_EXAMPLES], details=details)


def _topics(window: Window, about: dict[str, str], one: Found) -> Reading:
    details = {"topics": [topic.plain() for topic in one.topics], "other": one.other, "silhouette": one.silhouette}
    if not one.topics:
        return Reading(monitor=TOPICS, about=about, state=CANNOT_TELL, why=one.why, details=details, **window)
    first = one.topics[0]
    return Reading(
        monitor=TOPICS,
        about=about,
        why=told_topics(one),
        value=first.share.value,
        low=first.share.low,
        high=first.share.high,
        n=sum(topic.n for topic in one.topics),
        unit="share",
        traces=tuple(trace for topic in one.topics for trace, _ in topic.examples[:1])[:_EXAMPLES],
        details=details,
        **window,
    )


def _share(values: np.ndarray, traffic: Traffic) -> Share:
    _, units = np.unique(traffic.unit.astype(str), return_inverse=True)
    return weighted_share(values, np.ones(len(values)), units)


def _reading(
    window: Window, name: str, about: dict[str, str], share: Share | None, why: str, traces: Sequence[str], **details: Any
) -> Reading:
    return Reading(
        monitor=f"feedback.{name}",
        about=about,
        state=CANNOT_TELL if share is None else OK,
        why=why,
        value=None if share is None else share.value,
        low=None if share is None else share.low,
        high=None if share is None else share.high,
        n=0 if share is None else share.n,
        unit="share",
        traces=tuple(traces),
        details=details,
        **window,
    )
