"""Alarms of all drift monitors together in months in which nothing changes, looked at daily, against the configured rate.

Each simulated project has a reference of 28 days and then 30 days of daily looks with the product's own monitors
(`watch/drift/monitors.py`), in every third project 60 days, on questions of `examples/support`, in all and for its groups. Every
second project is one of `examples/traffic`; the others are harder: nothing drifts, but volume and topics have a week, days differ
by themselves, few users ask most, some send bursts, failures come in clumps, the speed and the confidence of each user are their
own. In half of each, right labels come days later for some of the answers. The seeds are not those that the monitors were made
with.

    python -m benchmarks.false_alarms            # 200 months
    python -m benchmarks.false_alarms 20         # a quick look
    python -m benchmarks.false_alarms 200 50000  # the same on other seeds
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from examples.traffic.simulator import World as SimulatedWorld
from examples.traffic.simulator import simulate
from rungwise.core.feedback import Feedback
from rungwise.core.reading import ALARM, DAY_S, Reading
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.feedback import About, Judgements
from rungwise.data.store import EMBEDDED, Store
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.watch.drift.monitors import readings
from rungwise.watch.scene import Encode, Scene
from rungwise.watch.traffic import Traffic

ROOT = Path(__file__).resolve().parents[1]
MONTHS, REFERENCE, MONTH = 200, 28, 30
FIRST = 20_000  # a day in 2024
RATE = 0.1
SEED = 10_000
PROCESSES = 2


@dataclass(frozen=True, kw_only=True)
class World:
    """What traffic is made of; nothing in it drifts. `noise` is the deviation of the logarithm of what differs between days."""

    seed: int
    per_day: float = 300.0
    users: int = 120
    noise: float = 0.15
    groups: tuple[tuple[str, float], ...] = (("native", 0.6), ("learner", 0.4))


@dataclass(frozen=True, eq=False)
class Pool:
    """Texts (n,) with their intents (n,) as numbers, and their vectors by text."""

    texts: NDArray[np.object_]
    intents: NDArray[np.int64]
    names: tuple[str, ...]
    vectors: dict[str, NDArray[np.float32]]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Looked up; encoded only what is not of the pool."""
        new = [text for text in texts if text not in self.vectors]
        if new:
            self.vectors.update(zip(new, encode_hashed(new), strict=True))
        return np.stack([self.vectors[text] for text in texts]) if len(texts) else np.zeros((0, 384), np.float32)


@cache
def support_pool() -> Pool:
    """The tickets of the example."""
    with (ROOT / "examples" / "support" / "tickets.csv").open(encoding="utf-8") as file:
        rows = [(row["message"], row["intent"]) for row in csv.DictReader(file)]
    names = tuple(sorted({intent for _, intent in rows}))
    texts = [text for text, _ in rows]
    vectors = dict(zip(texts, encode_hashed(texts), strict=True))
    vectors[""] = encode_hashed([""])[0]
    return Pool(np.array(texts, object), np.array([names.index(intent) for _, intent in rows]), names, vectors)


class Users:
    """The users of a world: how busy, in which group, what they ask about, how long they write, on how slow a line."""

    def __init__(self, world: World, topics: int) -> None:
        rng = np.random.default_rng([world.seed, 1])
        n = world.users
        self.busy = rng.pareto(1.5, n) + 0.2
        self.group = rng.choice([name for name, _ in world.groups], n, p=[share for _, share in world.groups])
        self.topics = rng.dirichlet(np.full(topics, 0.7), n) * 0.5 + 0.5 * rng.dirichlet(np.full(topics, 3.0))
        self.slow = np.exp(0.3 * rng.standard_normal(n))
        self.fails = rng.gamma(0.3, 1 / 0.3, n)
        self.sure = rng.normal(0, 0.5, n)


@cache
def users_of(world: World, topics: int) -> Users:
    """The users of a world, the same on every day."""
    return Users(world, topics)


def day_of(world: World, pool: Pool, day: int) -> Traffic:
    """The traffic of one day."""
    rng = np.random.default_rng([world.seed, 2, day])
    week = np.random.default_rng([world.seed, 3, (day + 3) % 7])
    users, topics = users_of(world, len(pool.names)), len(pool.names)
    volume = world.per_day * (0.5 if (day + 3) % 7 >= 5 else 1.2) * np.exp(world.noise * rng.standard_normal())
    awake = users.busy * np.exp(0.5 * rng.standard_normal(world.users)) * np.where(rng.random(world.users) < 0.01, 20.0, 1.0)
    n = int(rng.poisson(volume))
    who = rng.choice(world.users, n, p=awake / awake.sum())
    season = np.exp(0.3 * week.standard_normal(topics) + world.noise * rng.standard_normal(topics))
    chances = users.topics[who] * season
    intent = (chances.cumsum(axis=1) < rng.random(n)[:, None] * chances.sum(axis=1, keepdims=True)).sum(axis=1)
    order = np.argsort(pool.intents, kind="stable")
    starts = np.searchsorted(pool.intents[order], np.arange(topics + 1))
    text = pool.texts[order[(starts[intent] + rng.random(n) * (starts[intent + 1] - starts[intent])).astype(np.int64)]].copy()
    text[rng.random(n) < 0.002] = ""
    failed = rng.random(n) < np.minimum(0.5, 0.004 * rng.gamma(1.0) * users.fails[who])
    wrong = rng.random(n) < 0.1
    answer = np.array([pool.names[one] for one in np.where(wrong, rng.integers(0, topics, n), intent)], object)
    sure = 1 / (1 + np.exp(-(2.0 + users.sure[who] - 1.5 * wrong + rng.normal(0, 1, n) + world.noise * rng.standard_normal())))
    answer[failed] = ""
    hours = np.sort(rng.beta(4, 3, n) * DAY_S)
    ids = np.array([f"{day:06x}{place:026x}" for place in range(n)], object)
    names = np.array([f"user{one}" for one in who], object)
    seconds = 0.4 * users.slow[who] * np.exp(0.5 * rng.standard_normal(n) + world.noise * rng.standard_normal())
    nothing = np.full(n, None, object)
    return Traffic(
        ids=ids,
        at=day * DAY_S + hours,
        user=names,
        unit=names,
        tenant=nothing,
        release=nothing,
        variant=nothing,
        candidate=nothing,
        group=users.group[who].astype(object),
        text=text,
        answer=answer,
        confidence=np.where(failed, np.nan, sure),
        abstained=~failed & (sure < 0.35),
        failed=failed,
        truncated=rng.random(n) < 0.003,
        seconds=seconds * (1 + 0.3 * (hours > 0.6 * DAY_S)),
        input_tokens=np.array([len(one) / 4 for one in text]),
        output_tokens=5.0 + np.round(np.exp(2 + 0.5 * rng.standard_normal(n))).astype(np.float64),
        usd=np.zeros(n),
    )


Labels = list[tuple[Feedback, About]]


def labels_of(world: World, traffic: Traffic, day: int) -> Labels:
    """The right labels of a seventh of a day's answers, two days later on average; nine of ten agree."""
    rng = np.random.default_rng([world.seed, 4, day])
    told: Labels = []
    for place in np.flatnonzero((traffic.answer != "") & (rng.random(len(traffic)) < 1 / 7)).tolist():
        answer, late = str(traffic.answer[place]), float(rng.exponential(2.0)) * DAY_S
        label = answer if rng.random() < 0.9 else str(traffic.answer[rng.integers(len(traffic))]) or answer
        said = Feedback(trace=str(traffic.ids[place]), source="business", at=float(traffic.at[place]) + late, label=label)
        told.append((said, About(unit=str(traffic.unit[place]), correct=float(label == answer))))
    return told


def simulated(world: SimulatedWorld, day: int) -> tuple[Traffic, Labels]:
    """A day of examples/traffic with the right labels that the business learns of it."""
    found = simulate(world, day - world.first_day)
    places = {id: place for place, id in enumerate(found.traffic.ids)}
    told: Labels = []
    for said in found.feedback:
        if said.label is not None:
            place = places[said.trace]
            correct = float(said.label == found.traffic.answer[place])
            told.append((said, About(unit=str(found.traffic.unit[place]), correct=correct)))
    return found.traffic, told


def project_of(number: int, seed: int) -> tuple[Callable[[int], tuple[Traffic, Labels]], range]:
    """A simulated project: what its days are like, and its days; of examples/traffic for even numbers."""
    pool, labelled = support_pool(), number // 2 % 2 == 1
    easy, hard = SimulatedWorld(seed=seed + number, first_day=FIRST), World(seed=seed + number)

    def make(day: int) -> tuple[Traffic, Labels]:
        if number % 2:
            traffic = day_of(hard, pool, day)
            told = labels_of(hard, traffic, day) if labelled else []
        else:
            traffic, told = simulated(easy, day)
        return traffic, told if labelled else []

    first = FIRST + number % 30
    return make, range(first, first + REFERENCE + MONTH * months_of(number))


def months_of(number: int) -> int:
    """How many months a project is looked at after its reference."""
    return 2 if number % 3 == 2 else 1


class StillClock:
    """A clock that stands."""

    def now(self) -> float:
        """Seconds since 1970."""
        return FIRST * float(DAY_S)

    def tick(self) -> float:
        """The same."""
        return FIRST * float(DAY_S)


def looks(
    make: Callable[[int], Traffic | tuple[Traffic, Labels]],
    encode: Encode,
    days: range,
    folder: Path,
    *,
    rate: float = RATE,
    watching: Watching | None = None,
) -> Iterator[tuple[int, list[Reading]]]:
    """What the monitors say of each of these days, looked at one after the other in a store of their own. `make` gives the
    traffic of a day, or that and what was said to be right of it."""
    store = Store.open(folder, clock=StillClock(), url=EMBEDDED)
    settings = replace(watching or Watching(), false_alarms_per_month=rate, group_tag="group")
    case = UseCase(name="simulated", task="classify")
    known: dict[int, Traffic] = {}
    try:
        for day in days:
            made = make(day)
            known[day], told = made if isinstance(made, tuple) else (made, [])
            Judgements(store).add(told)
            scene = Scene(
                store=store,
                directory=folder,
                case=case,
                watching=settings,
                day=day,
                clock=StillClock(),
                encoder=lambda: encode,
                known=known,
            )
            yield day, readings(scene)
    finally:
        store.close()


def episodes(found: Sequence[tuple[int, list[Reading]]]) -> Counter[str]:
    """Alarms by monitor: alarm days of one monitor, group and horizon that follow within the horizon are one."""
    last: dict[tuple[str, str, int], int] = {}
    counted: Counter[str] = Counter()
    for day, said in found:
        for one in said:
            if one.state == ALARM:
                key = one.monitor, str(sorted(one.about.items())), one.days
                if key not in last or day - last[key] > one.days:
                    counted[one.monitor] += 1
                last[key] = day
    return counted


@dataclass(frozen=True)
class Month:
    """What was said of a project: alarms by monitor, and each p that was worked out, by monitor and days of the window."""

    number: int
    alarms: Counter[str]
    told: tuple[str, ...]
    p: dict[tuple[str, int], list[float]]


def looked_at(number: int, seed: int) -> Month:
    """Look at one project day by day."""
    make, days = project_of(number, seed)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        found = list(looks(make, support_pool().encode, days, Path(folder)))
    p: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _, said in found:
        for one in said:
            if one.p is not None:
                p[one.monitor, one.days].append(one.p)
    told = [
        f"day {day - days[0]}: {one.monitor} {dict(one.about)} {one.p}" for day, said in found for one in said if one.state == ALARM
    ]
    return Month(number, episodes(found), tuple(told), dict(p))


def results(months: int, seed: int) -> Iterator[Month]:
    """As many projects as make up the months, as they are done, over several processes."""
    numbers, left = list[int](), months
    while left > 0:
        numbers.append(len(numbers))
        left -= months_of(numbers[-1])
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as workers:
        yield from workers.map(looked_at, numbers, [seed] * len(numbers))


def main(months: int = MONTHS, seed: int = SEED) -> None:
    """Print the table and the figures."""
    began, done = time.perf_counter(), 0
    alarms: Counter[str] = Counter()
    p: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in results(months, seed):
        done += months_of(one.number)
        alarms.update(one.alarms)
        for key, values in one.p.items():
            p[key] += values
        for line in one.told:
            print(f"project {one.number}, {line}", file=sys.stderr, flush=True)
        if (one.number + 1) % 15 == 0:
            print(f"{done} months, {alarms.total()} alarms", file=sys.stderr, flush=True)
    print(f"{'monitor':28} {'tests':>8} {'p < 1 %':>8} {'p < 0.1 %':>10} {'alarms':>7}")
    for monitor in sorted({name for name, _ in p}):
        print_line(monitor, [values for (name, _), values in p.items() if name == monitor], str(alarms[monitor]))
    for horizon in sorted({days for _, days in p}):
        print_line(f"all, over {horizon} days", [values for (_, days), values in p.items() if days == horizon], "")
    total = alarms.total()
    low = float(stats.chi2.ppf(0.005, 2 * total)) / 2 / done if total else 0.0
    high = float(stats.chi2.ppf(0.995, 2 * total + 2)) / 2 / done
    print(f"{done} months, {total} alarms: {total / done:.4f} a month, 99 % interval {low:.4f} to {high:.4f}, promised {RATE}")
    print(
        json.dumps(
            {
                "months": done,
                "alarms": total,
                "per_month": round(total / done, 5),
                "low": round(low, 5),
                "high": round(high, 5),
                "promised": RATE,
                "seed": seed,
                "seconds": round(time.perf_counter() - began, 1),
            }
        )
    )


def print_line(name: str, parts: Sequence[Sequence[float]], alarms: str) -> None:
    """A line of the table."""
    p = np.concatenate([np.array(part) for part in parts])
    print(f"{name:28} {len(p):8d} {np.mean(p < 0.01):8.3%} {np.mean(p < 0.001):10.4%} {alarms:>7}")


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:3]))
