"""Who asks: users with habits of their own, what they say of the answers, and the people who review."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from examples.traffic.pools import Pool, names
from rungwise.core.feedback import Feedback
from rungwise.core.reading import DAY_S
from rungwise.watch.traffic import Bools, Floats, Names, Traffic

_PRAISE = (
    "great, that solved it",
    "very helpful, thank you",
    "quick and correct answer",
    "exactly what I needed",
    "works now, nice service",
)
_BLAME = (
    "this is wrong, not what I asked about",
    "did not help at all",
    "I was sent to the wrong place again, very annoying",
    "useless answer, I want to talk to a person",
    "it did not understand my question",
)
_SPEED = ("too slow", "the answer took ages")


@dataclass(frozen=True, kw_only=True)
class Voices:
    """What comes back on answers. Thumbs: a share `thumbs` of answers, times `unhappy` where the answer was wrong, and a share
    `mistaken` of them points the wrong way; a share `comments` comes with words. A share `labelled` of requests gets its right
    label from the business, `delay_days` later on average, and `slow` times as late for a third of the labels. A share `outcomes`
    ends as 'resolved' or 'escalated'."""

    thumbs: float = 0.06
    unhappy: float = 3.0
    mistaken: float = 0.08
    comments: float = 0.4
    labelled: float = 0.1
    delay_days: float = 2.0
    slow: float = 3.0
    outcomes: float = 0.25


@dataclass(frozen=True, eq=False)
class People:
    """u users as columns (u,): names, how often they ask, their group and channel, how readily they give feedback, the hour at
    which they like to ask; and what they ask about, (u, labels), rows adding up to 1."""

    name: Names
    weight: Floats
    group: Names
    channel: Names
    talks: Floats
    hour: Floats
    habit: NDArray[np.float64]


@lru_cache(maxsize=32)
def people_of(seed: int, users: int, pool: Pool) -> People:
    """The users of a world, always the same for the same seed. A tenth of them asks about half of all questions."""
    rng = np.random.default_rng([seed, 77])
    known = np.isin(pool.label.astype(str), pool.labels)
    who = rng.choice(np.flatnonzero(known), users)
    share = np.array([np.mean(pool.label[known] == label) for label in pool.labels])
    habit = rng.gamma(np.maximum(share * 20, 0.05)[None, :], size=(users, len(share))) + 0.2 * share
    weight = np.minimum(rng.pareto(1.6, users), 6.0) + 0.2
    return People(
        name=names([f"user-{n:04d}" for n in range(users)]),
        weight=weight / weight.sum(),
        group=pool.group[who],
        channel=pool.channel[who],
        talks=rng.lognormal(-0.5, 1.0, users),
        hour=rng.choice([9.0, 11.0, 14.0, 17.0, 20.0], users),
        habit=habit / habit.sum(axis=1, keepdims=True),
    )


def voiced(traffic: Traffic, truth: Names, correct: Bools, talks: Floats, voices: Voices, rng: Generator) -> tuple[Feedback, ...]:
    """What people say of a day's answers, now and later, by the time at which they say it."""
    draws = rng.random((len(traffic), 8))
    waits = rng.exponential(1.0, (len(traffic), 3))
    found: list[Feedback] = []
    for n in np.flatnonzero(~traffic.failed):
        right, own, at = bool(correct[n]), draws[n], float(traffic.at[n])
        if own[0] < min(0.9, voices.thumbs * talks[n] * (1.0 if right else voices.unhappy)):
            up = right != bool(own[1] < voices.mistaken)
            comment = _comment(up, own[3]) if own[2] < voices.comments else None
            said = Feedback(trace=traffic.ids[n], source="user", at=at + 20 + 120 * float(waits[n, 0]), thumb=up, comment=comment)
            found.append(said)
        if own[4] < voices.labelled:
            slow = voices.slow if zlib.crc32(str(truth[n]).encode()) % 3 == 0 else 1.0
            late = DAY_S * voices.delay_days * slow * float(waits[n, 1])
            found.append(Feedback(trace=traffic.ids[n], source="business", at=at + 600 + late, label=str(truth[n])))
        if own[5] < voices.outcomes:
            outcome = "resolved" if own[6] < (0.85 if right else 0.25) else "escalated"
            said = Feedback(trace=traffic.ids[n], source="business", at=at + 300 + 7_200 * float(waits[n, 2]), outcome=outcome)
            found.append(said)
    return tuple(sorted(found, key=lambda one: (one.at, one.trace, one.source)))


def _comment(up: bool, draw: float) -> str:
    texts = _PRAISE if up else _SPEED if draw > 0.9 else _BLAME
    return texts[int(draw * 89) % len(texts)]


@dataclass(frozen=True, kw_only=True)
class Reviewer:
    """A person who reviews and errs on a share of the items: always on the same ones, whatever the order."""

    name: str
    error: float = 0.05

    def label(self, trace: str, truth: str, labels: Sequence[str]) -> str:
        """What this reviewer says is right for a trace whose right label is `truth`."""
        draw = zlib.crc32(f"{self.name}/{trace}".encode())
        others = [one for one in labels if one != truth]
        if not others or draw / 2**32 >= self.error:
            return truth
        return others[draw % len(others)]
