"""Days of simulated traffic whose truth is known: users, seasons and noise, and drift that somebody planted.

Equal worlds and equal days give equal bytes. A day of 300 requests takes some milliseconds.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from examples.traffic.answering import Answers, Asked, Confusion
from examples.traffic.asking import Requests, history, requests_of
from examples.traffic.people import voiced
from examples.traffic.pools import names
from examples.traffic.world import FIRST_DAY, KINDS, Arm, Drift, SimulatedDay, World
from examples.traffic.writing import write_day
from rungwise.core.reading import DAY_S
from rungwise.core.trace import new_trace_id
from rungwise.watch.traffic import Names, Traffic

__all__ = ["FIRST_DAY", "KINDS", "Arm", "Drift", "SimulatedDay", "World", "history", "simulate", "write_day"]


def simulate(
    world: World,
    day: int,
    drifts: Sequence[Drift] = (),
    *,
    arms: Sequence[Arm] = (Arm(),),
    choose: Callable[[str], str] | None = None,
) -> SimulatedDay:
    """The day with this number (the first is 0) of a world, with its answers and what is said of them.

    `choose` gives the variant that answers a conversation; without it each user stays with one, by the weights of the arms.
    """
    rng = np.random.default_rng([world.seed, day, 1])
    requests = requests_of(world, day, _strengths(drifts, day), rng)
    asked, n = requests.asked, len(requests.who)
    ids = names([new_trace_id(float(at), rng.bytes(10)) for at in requests.at])
    live, shadows = [arm for arm in arms if not arm.shadow], [arm for arm in arms if arm.shadow]
    name = world.people.name[requests.who]
    traffic = _empty_answers(world, requests, ids, name)
    which = _variants(world, live, traffic, choose)
    for arm in live:
        _answer(traffic, world, arm, asked, np.flatnonzero(which == arm.variant), _drop(drifts, day, arm.variant), rng)
    beside = []
    for arm in shadows:
        own = _empty_answers(world, requests, names([new_trace_id(float(at), rng.bytes(10)) for at in requests.at]), name)
        _answer(own, world, arm, asked, np.arange(n), _drop(drifts, day, arm.variant), rng)
        beside.append(own)
    correct = np.array([said == right for said, right in zip(traffic.answer, asked.label, strict=True)], np.bool_)
    return SimulatedDay(
        number=world.first_day + day,
        traffic=traffic,
        truth=asked.label,
        correct=correct,
        changed=asked.changed,
        channel=world.people.channel[requests.who],
        feedback=voiced(traffic, asked.label, correct, world.people.talks[requests.who], world.voices, rng),
        shadows=tuple(beside),
        group_tag=world.texts.group_tag,
        model=world.texts.name,
    )


def _strengths(drifts: Sequence[Drift], day: int) -> dict[str, float]:
    """How strong each kind of drift is on a day, several of one kind together."""
    return {kind: 1.0 - float(np.prod([1.0 - one.on(day) for one in drifts if one.kind == kind])) for kind in KINDS}


def _drop(drifts: Sequence[Drift], day: int, variant: str) -> float:
    """The share of a variant's right answers that a drop of quality turns wrong."""
    own = [one for one in drifts if one.kind == "quality_drop" and one.variant in (None, variant)]
    return 1.0 - float(np.prod([1.0 - one.on(day) for one in own]))


def _empty_answers(world: World, requests: Requests, ids: Names, name: Names) -> Traffic:
    """The columns of requests that nobody has answered yet."""
    n = len(ids)
    day = requests.at // DAY_S if n else requests.at
    units = names([f"{int(one)}-{talk}" for one, talk in zip(day, requests.talk, strict=True)])
    return Traffic(
        ids=ids,
        at=requests.at,
        user=name,
        unit=units,
        tenant=names([None] * n),
        release=names([None] * n),
        variant=names([None] * n),
        candidate=names([None] * n),
        group=requests.asked.group,
        text=requests.asked.text,
        answer=names([""] * n),
        confidence=np.full(n, np.nan),
        abstained=np.zeros(n, np.bool_),
        failed=requests.failed,
        truncated=np.zeros(n, np.bool_),
        seconds=np.zeros(n),
        input_tokens=np.array([float(len(text) // 4 + 1) for text in requests.asked.text]) * ~requests.failed,
        output_tokens=np.zeros(n),
        usd=np.zeros(n),
    )


def _answer(traffic: Traffic, world: World, arm: Arm, asked: Asked, mine: NDArray[np.int64], drop: float, rng: Generator) -> None:
    """Fill in what a variant answers to these requests."""
    answering = arm.answering or Confusion(labels=world.texts.labels)
    own = Asked(text=asked.text[mine], label=asked.label[mine], group=asked.group[mine], changed=asked.changed[mine])
    answers = (
        answering(own, rng) if len(mine) else Answers(label=own.label, confidence=np.zeros(0), abstained=np.zeros(0, np.bool_))
    )
    spoiled, others = rng.random(len(mine)) < drop, rng.integers(len(world.texts.labels), size=len(mine))
    for at, place in enumerate(mine):
        if spoiled[at] and answers.label[at] == own.label[at]:
            answers.label[at] = _another(world.texts.labels, int(others[at]), own.label[at])
            answers.confidence[at] = rng.beta(5, 4)  # as sure as wrong answers are
        if not traffic.failed[place]:
            traffic.answer[place] = "" if answers.abstained[at] else answers.label[at]
    traffic.release[mine], traffic.variant[mine], traffic.candidate[mine] = arm.release, arm.variant, arm.candidate
    fine = ~traffic.failed[mine]
    traffic.confidence[mine] = np.where(fine, answers.confidence, np.nan)
    traffic.abstained[mine] = answers.abstained & fine
    traffic.seconds[mine] = arm.seconds * rng.lognormal(0.0, 0.4, len(mine))
    traffic.output_tokens[mine] = [float(len(traffic.answer[one]) // 4 + 1) * ok for one, ok in zip(mine, fine, strict=True)]
    traffic.usd[mine] = arm.usd * fine


def _another(labels: Sequence[str], at: int, label: str) -> str:
    return labels[at] if labels[at] != label else labels[(at + 1) % len(labels)]


def _variants(world: World, live: Sequence[Arm], traffic: Traffic, choose: Callable[[str], str] | None) -> Names:
    """(n,) the name of the variant that answers each request."""
    if choose is not None:
        return names([choose(unit) for unit in traffic.unit])
    share = np.array([zlib.crc32(f"{world.seed}/{one}".encode()) / 2**32 for one in traffic.user], np.float64)
    edges = np.cumsum([arm.weight for arm in live])
    which = np.minimum(np.searchsorted(edges / edges[-1], share, side="right"), len(live) - 1)
    return names([live[one].variant for one in which])
