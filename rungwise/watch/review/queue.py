"""What people shall look at of a day: some by plain chance, and more of what is most likely to be wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isnan

from rungwise.core.reading import ALARM, DAY_S, Reading
from rungwise.curate.shingles import normalise
from rungwise.data.desk import close
from rungwise.data.feedback import Judgements
from rungwise.data.reviews import DISAGREEING, DRIFTED, FLAGGED, RANDOM, REASONS, UNCERTAIN, Item, Reviews
from rungwise.data.said import said
from rungwise.data.splits import SALT_SETTING
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.query import Query
from rungwise.watch.review.sampling import number, poisson, proportional, simple_random
from rungwise.watch.scene import Scene
from rungwise.watch.traffic import Traffic

MONITOR = "review.waiting"
_HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class Odd:
    """Why an answer deserves a look, and how much: `size` is what its chance is in proportion to."""

    reasons: tuple[str, ...]
    size: float


def fill(scene: Scene, readings: Sequence[Reading] = ()) -> list[Reading]:
    """Draw what people shall look at of the scene's day, once, and tell how much waits. `readings` are those of the day: the
    traces that an alarm names count as drifted.

    Drawn are live requests whose text was captured, answered or not. `per_day` of the N are drawn by simple random sampling
    without replacement, each with the chance p = per_day / N. Independently, each is drawn with its own chance q in proportion
    to how odd it is, `uncertain_per_day` on average. Whatever is drawn either way has the chance 1 - (1 - p)(1 - q), so that
    1 / chance weighs all of them together without bias (Horvitz and Thompson, 1952); those with the reason 'random' alone are a
    simple random sample, every one weighing the same.
    """
    if not scene.watching.wants(MONITOR):
        return []
    close(scene.store)
    reviews = Reviews(scene.store)
    if not reviews.drawn(scene.day, scene.day):
        reviews.put(_items(scene, {id for one in readings if one.state == ALARM for id in one.traces}))
    return [_reading(scene, reviews)]


def _items(scene: Scene, drifted: Collection[str]) -> list[Item]:
    traffic = scene.of_day(scene.day)
    traffic = traffic.only(traffic.text.astype(bool)) if len(traffic) else traffic
    if not len(traffic):
        return []
    wanted, salt = scene.watching.review, f"{scene.store.setting(SALT_SETTING) or scene.case.name}\0review\0{scene.day}"
    ids, others = traffic.ids.tolist(), _other_answers(scene, traffic)
    odd = oddities(traffic, flagged=Judgements(scene.store).judged(thumb=False), others=others, drifted=drifted)
    by_chance = simple_random(ids, wanted.per_day, salt=f"{salt}\0{RANDOM}")
    chances = proportional({id: one.size for id, one in odd.items()}, wanted.uncertain_per_day)
    by_oddity = poisson(chances, salt=f"{salt}\0{UNCERTAIN}")
    plain = min(1.0, wanted.per_day / len(ids))
    tenants, at = dict(zip(ids, traffic.tenant.tolist(), strict=True)), scene.clock.now()
    found = []
    for id in dict.fromkeys((*by_chance, *by_oddity)):
        why = odd[id].reasons if id in by_oddity or id in others else ()
        reasons = ((RANDOM,) if id in by_chance else ()) + why
        found.append(
            Item(
                trace=id,
                day=scene.day,
                reason=reasons[0],
                reasons=reasons,
                chance=1.0 - (1.0 - plain) * (1.0 - chances.get(id, 0.0)),
                tenant=tenants[id],
                other=others.get(id),
                swapped=number(id, f"{salt}\0order") < _HALF,
                copies=wanted.copies,
                labels=scene.case.task != "answer",
                at=at,
            )
        )
    return found


def oddities(
    traffic: Traffic, *, flagged: Collection[str], others: Mapping[str, str], drifted: Collection[str]
) -> Mapping[str, Odd]:
    """The requests that deserve a look. Each reason to doubt an answer counts 1, and so does no confidence at all."""
    found: dict[str, Odd] = {}
    for id, confidence in zip(traffic.ids.tolist(), traffic.confidence.tolist(), strict=True):
        doubts = {FLAGGED: id in flagged, DISAGREEING: id in others, DRIFTED: id in drifted}
        unsure = 0.0 if isnan(confidence) else 1.0 - confidence
        size = sum(doubts.values()) + unsure
        if size > 0:
            reasons = [one for one in REASONS if doubts.get(one)] or [UNCERTAIN]
            found[id] = Odd(reasons=tuple(reasons), size=size)
    return found


def _other_answers(scene: Scene, traffic: Traffic) -> Mapping[str, str]:
    """For each request to which a shadow or another variant answered otherwise, the trace of that answer."""
    answers = dict(zip(traffic.ids.tolist(), traffic.answer.tolist(), strict=True))
    found: dict[str, str] = {}
    since = float(scene.day * DAY_S)
    query = Query().where("at", ">=", since).where("at", "<", since + DAY_S).where("shadow", "=", True)
    with closing(archive_of(scene.store).search(query)) as shadows:
        for shadow in shadows:
            own, other = answers.get(shadow.shadow_of or "", ""), said(shadow).answer
            if own.strip() and other.strip() and normalise(own) != normalise(other):
                found[str(shadow.shadow_of)] = shadow.id
    asked: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for id, text, variant in zip(traffic.ids.tolist(), traffic.text.tolist(), traffic.variant.tolist(), strict=True):
        if answers[id].strip():
            asked[normalise(text)].append((id, variant))
    for same in asked.values():
        if len({variant for _, variant in same}) > 1:
            for id, other in _between_variants(same, answers).items():
                found.setdefault(id, other)  # a shadow was asked the very same
    return found


def _between_variants(same: Iterable[tuple[str, str | None]], answers: Mapping[str, str]) -> Mapping[str, str]:
    """Of requests that ask the same, each with the first that another variant answered otherwise."""
    first: dict[tuple[str | None, str], str] = {}
    for id, variant in same:
        first.setdefault((variant, normalise(answers[id])), id)
    found: dict[str, str] = {}
    for id, variant in same:
        others = [one for (whose, what), one in first.items() if whose != variant and what != normalise(answers[id])]
        if others:
            found[id] = others[0]
    return found


def _reading(scene: Scene, reviews: Reviews) -> Reading:
    waiting = reviews.waiting()
    age_s = 0.0 if waiting.oldest_at is None else max(0.0, scene.clock.now() - waiting.oldest_at)
    why = "no answer waits for a reviewer"
    if waiting.open:
        count = "1 answer waits" if waiting.open == 1 else f"{waiting.open:,} answers wait"
        why = f"{count} for a reviewer, the oldest for {age_s / DAY_S:.1f} days"
    details = {"oldest_s": age_s, "adjudicate": waiting.adjudicate, "reasons": dict(waiting.reasons)}
    begin = float(scene.day * DAY_S)
    return Reading(
        monitor=MONITOR,
        since=begin,
        until=begin + DAY_S,
        value=float(waiting.open),
        unit="answers",
        n=waiting.open,
        why=why,
        details=details,
    )
