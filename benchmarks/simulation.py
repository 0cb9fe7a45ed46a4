"""Simulated ladders for the real climb: candidates with a known true quality answer rows with a known difficulty.

Nothing of the product is re-implemented here: the climb, the judge, the ledger
and its store are the real ones. Only the answers are drawn.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import DEV, SEALED, Dataset, Example
from rungwise.core.decision import Decision
from rungwise.core.evaluation import Evaluation, Latency
from rungwise.core.record import digest
from rungwise.core.types import Rung
from rungwise.core.usecase import Target, UseCase
from rungwise.data.datasets import Splits
from rungwise.data.ledger import Ledger, Nomination
from rungwise.data.steps import Steps
from rungwise.data.store import Store
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.binomial import clopper_pearson_high, clopper_pearson_low
from rungwise.evaluate.display import estimate
from rungwise.evaluate.metric import metric
from rungwise.ladder.climb import Plan, climb
from rungwise.ladder.judge import Judge, Ruling
from rungwise.ladder.racing import race
from rungwise.ladder.rung import Forecast, Ground, RungKind, Stair

ACCURACY = metric("accuracy")
MEMORY = Path("/dev/shm")  # stores of a simulation live in memory, where there is any


class Crash(Exception):
    """The process dies here."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A simulated candidate: its true accuracy, and what making and asking it costs.

    `dev_quality` is its accuracy on dev where that differs, as after tuning on dev
    too hard. `slices` are its accuracies on rows whose field `channel` has that
    value. `sure` gives it confidences that know right from wrong that well, 0 to 1.
    A paid candidate costs `answer_usd` a call, a local one `answer_s` of the machine;
    seconds turn out `drift` times what was forecast.
    """

    name: str
    quality: float
    dev_quality: float | None = None
    slices: Mapping[str, float] = field(default_factory=dict)
    sure: float | None = None
    paid: bool = False
    answer_usd: float = 0.0
    answer_s: float = 1e-4
    fit_s: float = 1.0
    drift: float = 1.0
    p95_s: float | None = None


@dataclass(frozen=True, eq=False)
class Rows:
    """Sampled rows, dev first, and the latent difficulty (rows,) that every candidate meets on them."""

    splits: Splits
    difficulty: NDArray[np.float64]
    dev_places: Mapping[str, int]
    channels: tuple[str, ...] = ()

    @property
    def n_dev(self) -> int:
        """How many of them are dev rows."""
        return len(self.splits.dev)

    def redrawn(self, seed: int) -> Rows:
        """Other rows with the same names: a fresh sample, without making its examples again."""
        drawn = np.random.default_rng([seed, 1]).standard_normal(len(self.difficulty))
        return dataclasses.replace(self, difficulty=drawn)


@dataclass(frozen=True, kw_only=True)
class World:
    """Rungs of candidates over rows. `correlation` is that of the latent difficulty (a Gaussian copula).

    `exact` gives every candidate just as many right answers as its quality says,
    for tests; else they are drawn.
    """

    rungs: Sequence[Sequence[Truth]]
    rows: Rows
    correlation: float = 0.5
    seed: int = 0
    exact: bool = False
    races: bool = False

    @property
    def truths(self) -> Mapping[str, Truth]:
        """All candidates by name."""
        return {one.name: one for rung in self.rungs for one in rung}

    def right(self, truth: Truth, split: str) -> NDArray[np.bool_]:
        """(rows of the split,): where the candidate is right. The same answer each time it is asked."""
        random = np.random.default_rng([self.seed, zlib.crc32(truth.name.encode())])
        own = random.standard_normal(len(self.rows.difficulty))
        latent = np.sqrt(self.correlation) * self.rows.difficulty + np.sqrt(1 - self.correlation) * own
        part = slice(None, self.rows.n_dev) if split == DEV else slice(self.rows.n_dev, None)
        quality = truth.dev_quality if split == DEV and truth.dev_quality is not None else truth.quality
        qualities = np.asarray([truth.slices.get(one, quality) for one in self.rows.channels[part]] or quality)
        if not self.exact:
            return np.asarray(latent[part] < ndtri(qualities), dtype=np.bool_)
        found = np.zeros(len(latent[part]), dtype=np.bool_)
        for own_quality in np.unique(qualities):
            places = np.flatnonzero(np.broadcast_to(qualities == own_quality, found.shape))
            best = places[np.argsort(latent[part][places])]
            found[best[: round(float(own_quality) * len(places))]] = True
        return found

    def confidences(self, truth: Truth, split: str) -> tuple[float | None, ...]:
        """(rows of the split,): how sure the candidate is; empty where it does not say."""
        if truth.sure is None:
            return ()
        right = self.right(truth, split)
        random = np.random.default_rng([self.seed, zlib.crc32(truth.name.encode()), len(right)])
        knows = random.random(len(right)) < truth.sure
        drawn = random.random(len(right)) / 2
        return tuple(np.round(np.where(knows & right, 0.5 + drawn, np.where(knows, drawn, 2 * drawn)), 6).tolist())


@cache
def make_rows(n_dev: int, n_sealed: int, *, family: str = "row", channels: tuple[str, ...] = ()) -> Rows:
    """Rows that are all alike; `family` makes them other rows than those of another family.

    With `channels` they carry a field `channel`, in turns.
    """
    texts = [f"{family} {place}" for place in range(n_dev + n_sealed)]
    fields = [{"channel": channels[place % len(channels)]} if channels else {} for place in range(len(texts))]
    rows = tuple(Example(text=text, references=("right",), fields=own) for text, own in zip(texts, fields, strict=True))
    splits = Splits.of(Dataset(rows=rows, splits=(DEV,) * n_dev + (SEALED,) * n_sealed))
    difficulty = np.random.default_rng([zlib.crc32(family.encode()), n_dev, n_sealed]).standard_normal(len(rows))
    places = {row.id: place for place, row in enumerate(splits.dev)}
    return Rows(splits, difficulty, places, tuple(own["channel"] for own in fields) if channels else ())


def dev_size(n_sealed: int) -> int:
    """The dev rows that come with so many sealed ones: 15 to 25, the default split."""
    return n_sealed * 15 // 25


@dataclass(frozen=True, kw_only=True)
class Sketch(Evaluation):
    """An evaluation of simulated rows, named by what was drawn rather than by the digest of hundreds of row ids."""

    hits: int = 0

    @property
    def id(self) -> str:
        """SHA-256 of candidate, split, size and right answers."""
        return digest([self.candidate, self.split, self.n, self.hits])


@dataclass(frozen=True, kw_only=True)
class RememberingJudge(Judge):
    """The real judge. Rows are all alike here, so what it said of a count of right answers need not be computed twice."""

    remembered: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def _world(self) -> tuple[Any, ...]:
        return (self.target, self.n_sealed, self.rungs, self.case.alpha)

    @property
    def _plain(self) -> bool:
        return self.target.coverage is None and self.case.groups is None

    def chance(self, candidate: Candidate, evaluation: Evaluation, *, level: float, looked_at: int) -> float:
        """As the real one."""
        if not self._plain or not isinstance(evaluation, Sketch):
            return super().chance(candidate, evaluation, level=level, looked_at=looked_at)
        key = ("chance", *self._world, evaluation.n, evaluation.hits, level, looked_at)
        if key not in self.remembered:
            self.remembered[key] = super().chance(candidate, evaluation, level=level, looked_at=looked_at)
        return float(self.remembered[key])

    def dev_high(self, evaluation: Evaluation) -> float:
        """As the real one."""
        if not self._plain or not isinstance(evaluation, Sketch):
            return super().dev_high(evaluation)
        key = ("dev_high", *self._world, evaluation.n, evaluation.hits, evaluation.complete)
        if key not in self.remembered:
            self.remembered[key] = super().dev_high(evaluation)
        return float(self.remembered[key])

    def rule(self, candidate: Candidate, rows: Sequence[Example], answers: Answers, *, level: float) -> Ruling:
        """As the real one."""
        if not self._plain:
            return super().rule(candidate, rows, answers, level=level)
        key = ("rule", *self._world, len(rows), answers.texts.count("right"), level)
        if key not in self.remembered:
            self.remembered[key] = super().rule(candidate, rows, answers, level=level)
        return cast(Ruling, self.remembered[key])

    def more_examples(self, evaluations: Sequence[Evaluation], k: int) -> int | None:
        """As the real one."""
        if not self._plain or not all(isinstance(one, Sketch) for one in evaluations):
            return super().more_examples(evaluations, k)
        best = max((one.hits / one.n for one in evaluations if isinstance(one, Sketch)), default=None)
        key = ("more_examples", *self._world, best, k)
        if key not in self.remembered:
            self.remembered[key] = super().more_examples(evaluations, k)
        found = self.remembered[key]
        return None if found is None else int(found)


REMEMBERED: dict[tuple[Any, ...], Any] = {}


@dataclass
class SimulatedBench:
    """Answers from the draw instead of from models.

    `faults` are raised when a rung of that name is measured, or when it is opened:
    before the sealed rows are answered (`rung!`), or after that and before the
    verdict is kept (`rung!!`). `*!` and `*!!` mean the next opening of any rung.
    """

    world: World
    judge: Judge
    faults: dict[str, Exception] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)

    async def measure(self, stair: Stair, candidates: Sequence[Candidate]) -> Sequence[Evaluation]:
        """Each candidate on dev; in a race those that are out of it are asked no further."""
        self._fail(stair.name)
        dev = self.world.rows.splits.dev
        if stair.kind.races and len(candidates) > 1:
            return await race(candidates, dev, self.ask, judge=self.judge)
        return [await self.ask(candidate, dev) for candidate in candidates]

    async def ask(self, candidate: Candidate, rows: Sequence[Example]) -> Evaluation:
        """A candidate on some dev rows; rows that were asked before are not paid for again."""
        self.asked[candidate.model] = max(self.asked.get(candidate.model, 0), len(rows))
        return self._evaluation(candidate, rows, DEV)

    async def probe(self, stair: Stair, candidate: Candidate, evaluation: Evaluation) -> Evaluation:
        """The latency that the truth has."""
        p95_s = self.world.truths[candidate.model].p95_s
        if p95_s is None:
            return evaluation
        return dataclasses.replace(evaluation, latency=Latency(p50_s=p95_s / 2, p95_s=p95_s, p95_high_s=p95_s, n=100))

    async def open(self, candidate: Candidate, nomination: Nomination) -> Ruling:
        """The sealed rows, judged by the real judge."""
        self._fail(nomination.rung + "!")
        self.opened.append(candidate.model)
        rows = self.world.rows.splits.sealed.open(nomination)
        evaluation = self._evaluation(candidate, rows, SEALED)
        ruling = self.judge.rule(candidate, rows, answers_of(evaluation), level=nomination.alpha)
        self._fail(nomination.rung + "!!")
        return ruling

    def _fail(self, name: str) -> None:
        for one in (name, "*" + "!" * name.count("!")):
            if one in self.faults:
                raise self.faults.pop(one)

    def _evaluation(self, candidate: Candidate, rows: Sequence[Example], split: str) -> Evaluation:
        truth = self.world.truths[candidate.model]
        right, sure = self.world.right(truth, split), self.world.confidences(truth, split)
        known, complete = self.world.rows.dev_places, split == SEALED or len(rows) == self.world.rows.n_dev
        if split == DEV and rows is not self.world.rows.splits.dev:
            places = [known[row.id] for row in rows]
            right, sure = right[places], tuple(sure[place] for place in places) if sure else ()
        evaluation = Sketch(
            candidate=candidate.id,
            dataset="simulated",
            split=split,
            rows=tuple(row.id for row in rows),
            answers=tuple(np.where(right, "right", "wrong").tolist()),
            confidences=sure,
            scores={"accuracy": tuple(right.astype(float).tolist())} if self.world.races else {},
            usd=truth.answer_usd * len(rows) if truth.paid else 0.0,
            seconds=0.0 if truth.paid else truth.answer_s * truth.drift * len(rows),
            usd_per_1k=1000 * (truth.answer_usd + (0.0 if truth.paid else truth.answer_s * truth.drift * 0.10 / 3600)),
            fit_s=truth.fit_s * truth.drift,
            calls=len(rows) if truth.paid else 0,
            hits=int(right.sum()),
            complete=complete,
        )
        return dataclasses.replace(evaluation, estimates={"accuracy": self._estimate(evaluation, rows)})

    def _estimate(self, evaluation: Sketch, rows: Sequence[Example]) -> Any:
        key = ("estimate", evaluation.n, evaluation.hits)
        if key not in REMEMBERED:
            REMEMBERED[key] = estimate(ACCURACY, rows, answers_of(evaluation))
        return REMEMBERED[key]


def answers_of(evaluation: Evaluation) -> Answers:
    """The answers of a simulated evaluation."""
    return Answers(evaluation.answers, evaluation.confidences)


def make_ladder(world: World, case: UseCase) -> list[Stair]:
    """One rung for each group of simulated candidates, in the order given."""
    return [_stair(f"rung{place}", truths, world, case) for place, truths in enumerate(world.rungs)]


def _stair(name: str, truths: Sequence[Truth], world: World, case: UseCase) -> Stair:
    def make(ground: Ground) -> Rung:
        async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
            return () if seen else [ground.start.but(model=truth.name) for truth in truths]

        return propose

    forecast = expected(truths, world.rows.n_dev)
    kind = RungKind(name=name, place=0, tasks=("classify",), make=make, forecast=lambda _: forecast, races=world.races)
    ground = Ground(case=case, labels=("right", "wrong"), train_id="", n_train=0, n_dev=world.rows.n_dev)
    return Stair(name=name, kind=kind, ground=ground, line=name, forecast=forecast)


def expected(truths: Sequence[Truth], n_dev: int) -> Forecast:
    """What a rung is forecast to take: fits and dev answers in seconds or in money, then the price per answer."""
    local = [one for one in truths if not one.paid]
    paid = [one for one in truths if one.paid]
    return Forecast(
        seconds=sum(one.fit_s for one in truths) + n_dev * sum(one.answer_s for one in local),
        usd=n_dev * sum(one.answer_usd for one in paid),
        calls=n_dev * len(paid),
        answer_usd=min((one.answer_usd for one in truths), default=0.0),
        answer_s=min((one.answer_s for one in local), default=0.0),
    )


@dataclass(frozen=True)
class FixedClock:
    """Time stands still: nothing in a simulation depends on it."""

    def now(self) -> float:
        """Seconds since 1970."""
        return 1_700_000_000.0

    def tick(self) -> float:
        """The same."""
        return self.now()


@contextmanager
def memory_store() -> Iterator[Store]:
    """A real store in memory that does not wait for a disk."""
    from sqlalchemy import event

    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        store = Store.open(Path(folder), clock=FixedClock())
        store.engine.dispose()

        @event.listens_for(store.engine, "connect")
        def hurry(connection: Any, _record: Any) -> None:
            connection.execute("pragma synchronous=off")

        try:
            yield store
        finally:
            store.close()


class ReadOnceLedger(Ledger):
    """The real ledger, for the only process at a store that it found empty: reads only what was written since it read last."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._read: dict[tuple[str, str], Nomination | None] = {}
        self._stale: set[tuple[str, str]] = set()

    def _one(self, first: str, value: str, second: str, other: str, *, finished: bool = False) -> Nomination | None:
        if (value, other) in self._stale:
            self._read[value, other] = super()._one(first, value, second, other, finished=finished)
            self._stale.remove((value, other))
        return self._read.get((value, other))

    def _values(self, climb: str, rung: str, candidate: str | None, test: str, *rest: Any) -> dict[str, Any]:
        self._stale |= {(climb, rung), (candidate or "", test)}
        return super()._values(climb, rung, candidate, test, *rest)

    def conclude(self, nomination: Nomination, result: Mapping[str, Any]) -> None:
        """As the real one."""
        self._stale |= set(self._read)
        super().conclude(nomination, result)


def forget(store: Store) -> None:
    """An empty ledger again: quicker than a new store, and the same to the climb."""
    from sqlalchemy import delete

    from rungwise.data.schema import openings, sealed_rows, steps

    with store.write() as connection:
        for table in (openings, sealed_rows, steps):
            connection.execute(delete(table))


def make_case(target: float, *, name: str = "simulated", **changes: Any) -> UseCase:
    """A use case. `name` tells apart climbs on the same rows, as another wish of the user would."""
    wanted = changes.pop("goal", Target(metric="accuracy", value=target))
    return UseCase(name="simulated", task="classify", target=wanted, descriptions={"climb": name}, **changes)


@dataclass(frozen=True, eq=False)
class Site:
    """A world with everything that the climb needs, ready to be climbed, and climbed again."""

    world: World
    plan: Plan
    ladder: tuple[Stair, ...]
    bench: SimulatedBench
    ledger: Ledger

    async def climb(self) -> Decision:
        """The real climb; how many openings came before it is committed when it first begins, as in `Expedition`."""
        steps, key = Steps(self.ledger.store), digest(["start", self.plan.key])
        if steps.get(key) is None:
            steps.put(key, "start", self.ledger.count(self.plan.splits.sealed.input_ids), seconds=0.0)
        start = steps.get(key)
        assert start is not None
        return await climb(self.plan, self.ladder, self.bench, self.ledger, judge=self.bench.judge, spent_before=int(start.output))


def make_site(world: World, case: UseCase, place: Store | Ledger, **wishes: Any) -> Site:
    """Put up the ladder of a world for a use case, over a store or its ledger; `wishes` are those of `Plan`."""
    assert case.target is not None
    splits, ladder = world.rows.splits, tuple(make_ladder(world, case))
    judge = RememberingJudge(
        case=case,
        target=case.target,
        dev=splits.dev,
        sealed_id=splits.sealed.id,
        n_sealed=len(splits.sealed),
        rungs=len(ladder),
        answers=answers_of,
        remembered=REMEMBERED,
    )
    plan = Plan(case=case, splits=splits, **wishes)
    ledger = Ledger(place) if isinstance(place, Store) else place
    return Site(world, plan, ladder, SimulatedBench(world=world, judge=judge), ledger)


def exact_interval(hits: int, n: int, *, level: float = 0.99) -> tuple[float, float]:
    """The two-sided Clopper-Pearson interval of a simulated rate."""
    tail = (1 - level) / 2
    return float(clopper_pearson_low(hits, n, tail)), float(clopper_pearson_high(hits, n, tail))
