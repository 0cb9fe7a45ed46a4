"""What simulated users ask on a day: when, about what, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from examples.traffic.answering import Asked
from examples.traffic.pools import names
from examples.traffic.wording import dressed, lengthened, reworded, translated
from examples.traffic.world import WEEKEND, World
from rungwise.core.errors import UsageError
from rungwise.core.reading import DAY_S
from rungwise.watch.traffic import Bools, Floats, Names

_WEEK = np.array([1.2, 1.15, 1.1, 1.05, 1.0, 0.75, 0.75])  # Monday first, 1 on average
_FOLLOWS_UP = 0.3  # the chance that a conversation goes on
_SAME_MATTER = 0.6  # the chance that it stays with its subject
_FAILS = 0.003  # requests that fail on any day
_CHANGES = {"wording": reworded, "length": lengthened}


@dataclass(frozen=True, eq=False)
class Requests:
    """n requests as columns (n,): which user, when, which conversation of the day, what was asked, and whether it fails."""

    who: NDArray[np.int64]
    at: Floats
    talk: NDArray[np.int64]
    asked: Asked
    failed: Bools


def requests_of(world: World, day: int, strength: Mapping[str, float], rng: Generator) -> Requests:
    who, at, talk = _asking(world, day, rng, silent=strength["outage"] >= 1.0)
    label, changed = _subjects(world, day, who, talk, strength, rng)
    text = _texts(world, day, who, label, changed, rng)
    failed = rng.random(len(who)) < _FAILS + (1 - _FAILS) * strength["outage"]
    return Requests(who, at, talk, Asked(text=text, label=label, group=world.people.group[who], changed=changed), failed)


def _asking(world: World, day: int, rng: Generator, *, silent: bool) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Who asks when, in which conversation: (n,) each, oldest first."""
    people, weekday = world.people, world.weekday(day)
    busy = float(_WEEK[weekday]) if world.season else 1.0
    mean = world.requests_per_day * busy * float(np.exp(world.noise * rng.standard_normal() - world.noise**2 / 2))
    talks = 0 if silent else rng.poisson(mean * (1 - _FOLLOWS_UP))
    keen = people.weight * rng.gamma(4.0, 0.25, len(people.weight))  # whoever is busy today
    users = rng.choice(len(keen), talks, p=keen / keen.sum())
    turns = rng.geometric(1 - _FOLLOWS_UP, talks)
    hour = rng.normal(people.hour[users], 2.0) if world.season else rng.uniform(0, 24, talks)
    begins = np.mod(hour, 24.0) * 3600
    talk = np.repeat(np.arange(talks), turns)
    place = np.arange(len(talk)) - np.repeat(np.cumsum(turns) - turns, turns)
    at = begins[talk] + place * rng.uniform(20, 400, len(talk))
    order = np.argsort(at, kind="stable")
    at = (world.first_day + day) * DAY_S + np.minimum(at[order], DAY_S - 1.0)
    return users[talk][order], np.round(at, 3), talk[order]


def _subjects(
    world: World, day: int, who: NDArray[np.int64], talk: NDArray[np.int64], strength: Mapping[str, float], rng: Generator
) -> tuple[Names, Names]:
    """What each request is about, and what a drift does to it: (n,) each."""
    pool, n = world.texts, len(who)
    chances = np.cumsum(world.people.habit[who] * _mix(world, day, rng), axis=1)
    drawn = (chances < rng.random(n)[:, None] * chances[:, -1:]).sum(axis=1)
    stays, first = rng.random(n) < _SAME_MATTER, dict[int, int]()
    for at in range(n):
        drawn[at] = first.setdefault(talk[at], drawn[at]) if stays[at] else drawn[at]
        first.setdefault(talk[at], drawn[at])
    taking_over = np.random.default_rng([world.seed, 4]).choice(len(pool.labels), 3)
    drawn = np.where(rng.random(n) < strength["label_shift"], rng.choice(taking_over, n), drawn)
    label, changed = names([pool.labels[one] for one in drawn]), names([""] * n)
    for kind in ("length", "wording", "language", "new_intents"):
        changed[rng.random(n) < strength[kind]] = kind
    fresh = np.flatnonzero(changed == "new_intents")
    if len(fresh):
        if not pool.fresh:
            raise UsageError(f"the texts of {pool.name} hold back no label that could be new")
        label[fresh] = names([pool.fresh[int(one)] for one in rng.integers(len(pool.fresh), size=len(fresh))])
    return label, changed


def _mix(world: World, day: int, rng: Generator) -> Floats:
    """(labels,) how much each label is asked about on a day, as a factor on everybody's habits."""
    count = len(world.texts.labels)
    mix = np.exp(world.noise * rng.standard_normal(count))
    if world.season and world.weekday(day) >= WEEKEND:
        mix *= np.exp(0.5 * np.random.default_rng([world.seed, 3]).standard_normal(count))
    return np.asarray(mix)


def _texts(world: World, day: int, who: NDArray[np.int64], label: Names, changed: Names, rng: Generator) -> Names:
    """The words of each request, (n,)."""
    pool, group = world.texts, world.people.group
    short = world.season and world.weekday(day) >= WEEKEND
    draws, found = rng.random((len(who), 3)), np.empty(len(who), dtype=object)
    for n in range(len(who)):
        if changed[n] == "language":
            several = pool.foreign.get(label[n])
            if not several:
                raise UsageError(f"the texts of {pool.name} have none of another language about '{label[n]}'")
            found[n] = translated(several[int(draws[n, 0] * len(several))], rng)
            continue
        places = pool.live[(label[n], group[who[n]])]
        first, second = (str(pool.text[places[int(draws[n, at] * len(places))]]) for at in (0, 1))
        text = min(first, second, key=len) if short and draws[n, 2] < 0.6 else first
        found[n] = _CHANGES.get(changed[n], dressed)(text, rng)
    return found


_CHANGES = {"wording": reworded, "length": lengthened}


def history(world: World, rows: int) -> list[dict[str, str]]:
    """Rows as a table to learn from: what people of this world asked before the first day, none of it asked again later.

    Each text of the past half of the pool stands in it once at most. Raises UsageError when they are too few.
    """
    rng = np.random.default_rng([world.seed, 2])
    pool, wanted = world.texts, frozenset(world.texts.labels)
    places = [n for n in rng.permutation(np.flatnonzero(pool.past)) if pool.label[n] in wanted]
    if len(places) < rows:
        raise UsageError(f"the texts of {pool.name} give {len(places):,} rows of the past, not {rows:,}. Ask for fewer")
    found: list[dict[str, str]] = []
    for n in places[:rows]:
        row = {"id": f"H{len(found) + 1:05d}", pool.text_field: dressed(str(pool.text[n]), rng), pool.label_field: pool.label[n]}
        found.append(row if pool.group_tag is None else {**row, pool.group_tag: str(pool.group[n])})
    return found
