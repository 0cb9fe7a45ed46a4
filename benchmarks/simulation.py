"""Simulated ladders for the real climb: candidates with a known true quality answer rows with a known difficulty.

Nothing of the product is re-implemented here: the climb, the judge, the ledger
and its store are the real ones. Only the answers are drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import DEV, SEALED, Dataset, Example
from rungwise.core.decision import Decision
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.core.usecase import Target, UseCase
from rungwise.data.datasets import Splits
from rungwise.data.ledger import Ledger, Nomination
from rungwise.data.store import Store
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.display import estimate
from rungwise.evaluate.metric import metric
from rungwise.ladder.climb import Plan, climb
from rungwise.ladder.judge import Judge, Ruling
from rungwise.ladder.rung import Forecast, Ground, RungKind, Stair

ACCURACY = metric("accuracy")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A simulated candidate: its true accuracy, its price per answer, and what making it costs in seconds."""

    name: str
    quality: float
    answer_usd: float = 1e-6
    fit_s: float = 1.0


@dataclass(frozen=True, kw_only=True)
class World:
    """Rows and candidates. `correlation` is that of the latent difficulty that all candidates share (a Gaussian copula)."""

    rungs: Sequence[Sequence[Truth]]
    n_dev: int
    n_sealed: int
    correlation: float
    seed: int

    def draw(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """For each candidate, (n_dev,) and (n_sealed,) booleans: right or wrong."""
        random = np.random.default_rng(self.seed)
        shared = random.standard_normal(self.n_dev + self.n_sealed)
        drawn = {}
        for truth in (one for rung in self.rungs for one in rung):
            own = random.standard_normal(len(shared))
            latent = np.sqrt(self.correlation) * shared + np.sqrt(1 - self.correlation) * own
            right = latent < ndtri(truth.quality)
            drawn[truth.name] = (right[: self.n_dev], right[self.n_dev :])
        return drawn


@dataclass
class SimulatedBench:
    """Answers from the draw instead of from models."""

    world: World
    judge: Judge
    splits: Splits
    truths: Mapping[str, Truth]
    drawn: Mapping[str, tuple[np.ndarray, np.ndarray]]
    kept: dict[str, Evaluation] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    async def measure(self, stair: Stair, candidates: Sequence[Candidate]) -> Sequence[Evaluation]:
        """Each candidate on dev."""
        return [self._evaluation(candidate, self.splits.dev, DEV) for candidate in candidates]

    async def probe(self, stair: Stair, candidate: Candidate, evaluation: Evaluation) -> Evaluation:
        """Nothing to time."""
        return evaluation

    async def open(self, candidate: Candidate, nomination: Nomination) -> Ruling:
        """The sealed rows, judged by the real judge."""
        self.opened.append(candidate.model)
        rows = self.splits.sealed.open(nomination)
        evaluation = self._evaluation(candidate, rows, SEALED)
        return self.judge.rule(candidate, rows, answers_of(evaluation), level=nomination.alpha)

    def _evaluation(self, candidate: Candidate, rows: Sequence[Example], split: str) -> Evaluation:
        right = self.drawn[candidate.model][split == SEALED]
        truth = self.truths[candidate.model]
        evaluation = Evaluation(
            candidate=candidate.id,
            dataset="simulated",
            split=split,
            rows=tuple(row.id for row in rows),
            answers=tuple(np.where(right, "right", "wrong").tolist()),
            usd_per_1k=1000 * truth.answer_usd,
            fit_s=truth.fit_s,
            calls=len(rows),
        )
        estimates = {"accuracy": estimate(ACCURACY, rows, answers_of(evaluation))}
        return dataclasses.replace(evaluation, estimates=estimates)


def answers_of(evaluation: Evaluation) -> Answers:
    """The answers of a simulated evaluation."""
    return Answers(evaluation.answers)


def make_splits(n_dev: int, n_sealed: int, *, family: str) -> Splits:
    """Rows that are all alike; `family` makes them other rows than those of another family."""
    rows = tuple(Example(text=f"{family} {place}", references=("right",)) for place in range(n_dev + n_sealed))
    return Splits.of(Dataset(rows=rows, splits=(DEV,) * n_dev + (SEALED,) * n_sealed))


def make_ladder(world: World, case: UseCase) -> list[Stair]:
    """One rung for each group of simulated candidates, in the order given."""
    return [_stair(place, truths, case) for place, truths in enumerate(world.rungs)]


def _stair(place: int, truths: Sequence[Truth], case: UseCase) -> Stair:
    def make(ground: Ground) -> Rung:
        async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
            return () if seen else [ground.start.but(model=truth.name) for truth in truths]

        return propose

    forecast = Forecast(seconds=sum(one.fit_s for one in truths), answer_usd=min(one.answer_usd for one in truths))
    kind = RungKind(name=f"rung{place}", place=place, tasks=("classify",), make=make, forecast=lambda _: forecast)
    ground = Ground(case=case, labels=("right", "wrong"), train_id="", n_train=0, n_dev=0)
    return Stair(name=kind.name, kind=kind, ground=ground, line=kind.name, forecast=forecast)


async def simulate(
    world: World, target: float, *, store: Store, splits: Splits, name: str = "", exhaustive: bool = False
) -> tuple[Decision, SimulatedBench]:
    """One climb of the real code in a drawn world. `name` tells apart climbs on the same rows."""
    case = UseCase(name="simulated", task="classify", target=Target(metric="accuracy", value=target), data=name, seed=world.seed)
    ladder = make_ladder(world, case)
    judge = Judge(
        case=case,
        target=case.target or Target(metric="accuracy", value=target),
        dev=splits.dev,
        sealed_id=splits.sealed.id,
        n_sealed=len(splits.sealed),
        rungs=len(ladder),
        answers=answers_of,
    )
    truths = {one.name: one for rung in world.rungs for one in rung}
    bench = SimulatedBench(world=world, judge=judge, splits=splits, truths=truths, drawn=world.draw())
    ledger = Ledger(store)
    before = ledger.count(splits.sealed.input_ids)
    plan = Plan(case=case, splits=splits, exhaustive=exhaustive)
    decision = await climb(plan, ladder, bench, ledger, judge=judge, spent_before=before)
    return decision, bench
