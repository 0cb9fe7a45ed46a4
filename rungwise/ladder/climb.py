"""The climb: rungs cheapest first, until one is shown on the sealed rows to meet the target."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from rungwise.core.candidate import Candidate
from rungwise.core.decision import (
    CANNOT_TELL,
    FAILED,
    MEASURED,
    MET,
    NOT_INSTALLED,
    NOT_MET,
    NOT_RUN,
    OVER_LIMIT,
    PROMISE,
    Decision,
    Opening,
    RungResult,
    Spend,
)
from rungwise.core.errors import CannotFit, CannotScore, EngineError, MissingExtra, OutOfBudget, TrainingFailed
from rungwise.core.evaluation import Evaluation, Latency
from rungwise.core.progress import Progress
from rungwise.core.record import digest, to_plain
from rungwise.core.usecase import UseCase
from rungwise.data.datasets import Splits
from rungwise.data.ledger import Ledger, Nomination, opening_level
from rungwise.ladder.judge import Judge, Ruling
from rungwise.ladder.limits import broken_limit, forbidden, forbidden_origin
from rungwise.ladder.live import is_live
from rungwise.ladder.nominate import WORTH_OPENING, Tried, in_order_of_merit
from rungwise.ladder.order import CLEARLY
from rungwise.ladder.rung import Incumbent, Stair
from rungwise.ladder.verdict import decide


class Bench(Protocol):
    """Where candidates are made, measured and opened. The climb decides, the bench works."""

    async def measure(self, stair: Stair, candidates: Sequence[Candidate]) -> Sequence[Evaluation]:
        """Each candidate on dev; may leave out rows of those that can no longer be nominated."""
        ...

    async def probe(self, stair: Stair, candidate: Candidate, evaluation: Evaluation) -> Evaluation:
        """The evaluation with its latency, price and memory filled in."""
        ...

    async def open(self, candidate: Candidate, nomination: Nomination) -> Ruling:
        """Answer the sealed rows and judge them, once."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is climbed: the use case on one version of the data, and what the user asked of this climb.

    In a re-climb, `live` is who answers users now, and `because` the evidence that started it.
    """

    case: UseCase
    splits: Splits
    exhaustive: bool = False
    order: tuple[str, ...] = ()
    until: str | None = None
    approved_by: str | None = None
    live: Incumbent | None = None
    because: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The name of this climb: the same question on the same rows is the same climb, so it is resumed, not repeated."""
        # A raised budget or another name goes on with the same climb.
        limits = dataclasses.replace(self.case.limits, budget_usd=None, budget_s=None, budget_calls=None)
        asked = dataclasses.replace(self.case, name="", data="", limits=limits)
        beside = [] if self.live is None else [to_plain(self.live)]
        return digest(["climb", asked.id, self.splits.dataset, self.exhaustive, list(self.order), self.until, *beside])

    @property
    def options(self) -> dict[str, Any]:
        """What was asked of this climb, as its decision keeps it; a re-climb says who was live and why it began."""
        asked = {"exhaustive": self.exhaustive, "order": list(self.order), "until": self.until}
        return asked if self.live is None else {**asked, "live": to_plain(self.live), "because": dict(self.because)}


@dataclass
class Rungs:
    """How far the climb has come.

    `undecided` are the evaluations of the nominees that more sealed rows might decide;
    `openings` the levels of the openings that this climb made, by their k.
    """

    results: list[RungResult] = field(default_factory=list)
    parents: dict[str, Candidate] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)
    evaluations: list[str] = field(default_factory=list)
    undecided: list[Evaluation] = field(default_factory=list)
    openings: dict[int, float] = field(default_factory=dict)
    winner: RungResult | None = None


async def climb(
    plan: Plan,
    ladder: Sequence[Stair],
    bench: Bench,
    ledger: Ledger,
    *,
    judge: Judge,
    spent_before: int,
    say: Callable[[Progress], None] = lambda _: None,
) -> Decision:
    """Try the rungs cheapest first; stop at the first whose nominee is shown on the sealed rows to meet the target.

    `spent_before` is how many openings the rows had when this climb first began.
    The decision follows from stored evaluations and committed nominations alone:
    the same call after a crash, or again, gives the same bytes.
    """
    so_far = Rungs()
    ascent = _Ascent(plan, bench, ledger, judge, so_far, spent_before=spent_before)
    for place, stair in enumerate(ladder):
        say(Progress(rung=stair.name, step="rung", done=place, total=len(ladder), eta_s=_time_left(ladder[place:], so_far)))
        why_not = _why_not_run(stair, so_far.winner, plan)
        result = _not_run(stair, why_not) if why_not else await ascent.step(stair)
        so_far.results.append(result)
        if result.state == MET and (so_far.winner is None or _total(result) < _total(so_far.winner)):
            so_far.winner = result
        say(
            Progress(
                rung=stair.name, step=result.state, done=place + 1, total=len(ladder), eta_s=_time_left(ladder[place + 1 :], so_far)
            )
        )
    return _decision(plan, ladder, judge, so_far, ledger, spent_before)


def _time_left(ladder: Sequence[Stair], so_far: Rungs) -> float:
    """Forecast seconds of what is still to run; none once there is a winner."""
    return 0.0 if so_far.winner else sum(stair.forecast.seconds for stair in ladder)


def _total(result: RungResult) -> float:
    return result.total_usd if result.total_usd is not None else math.inf


def _why_not_run(stair: Stair, winner: RungResult | None, plan: Plan) -> str | None:
    """After a rung met the target, only a rung that is clearly cheaper by forecast is still worth a run."""
    if winner is None or plan.exhaustive:
        return None
    # Who answers now is left out only where it need not be known how good it still is: the winner costs clearly less.
    if is_live(stair) and not _total(winner) * CLEARLY < stair.forecast.total_usd(plan.case):
        return None
    if stair.forecast.total_usd(plan.case) * CLEARLY < _total(winner):
        return None
    return f"not needed: {winner.rung} already meets the target at a lower or similar total cost"


def _not_run(stair: Stair, why: str) -> RungResult:
    return RungResult(
        rung=stair.name, state=NOT_RUN, why=why, forecast_s=stair.forecast.seconds, forecast_usd=stair.forecast.usd, calls=0
    )


class _Ascent:
    """One rung at a time: propose, measure, nominate, confirm."""

    def __init__(self, plan: Plan, bench: Bench, ledger: Ledger, judge: Judge, so_far: Rungs, *, spent_before: int) -> None:
        self.plan, self.bench, self.ledger, self.judge, self.so_far = plan, bench, ledger, judge, so_far
        self.spent_before = spent_before

    async def step(self, stair: Stair) -> RungResult:
        """Climb one rung; a rung that cannot run ends in a state that says so, and the climb goes on."""
        origin = stair.kind.origin(stair.ground)
        if (why := forbidden(self.plan.case, stair.ground.endpoint) or forbidden_origin(self.plan.case, origin)) is not None:
            return dataclasses.replace(_not_run(stair, why), state=OVER_LIMIT)
        try:
            tried = await self._search(stair)
        except MissingExtra as error:
            return dataclasses.replace(_not_run(stair, str(error)), state=NOT_INSTALLED)
        except OutOfBudget as error:
            return _not_run(stair, str(error))
        except (EngineError, CannotScore, CannotFit, TrainingFailed) as error:
            return dataclasses.replace(_not_run(stair, str(error)), state=FAILED)
        if not tried:
            return _not_run(stair, "it had nothing to propose for this data")
        # A threshold is chosen for one candidate alone; who left a race early has a mean that flatters or wrongs it.
        whole = [one for one in tried if one.evaluation.complete] or tried
        self.so_far.parents[stair.line] = max(whole, key=lambda one: one.quality).candidate.but(threshold=None)
        try:
            return await self._settle(stair, tried)
        except (EngineError, OutOfBudget) as error:
            return dataclasses.replace(self._shown(stair, tried, tried[0]), state=FAILED, why=str(error))

    async def _search(self, stair: Stair) -> list[Tried]:
        """Propose and measure in turns until the rung has nothing to add."""
        parent = self.so_far.parents.get(stair.line, stair.ground.start)
        seen: list[Evaluation] = []
        candidates: list[Candidate] = []
        while proposals := await stair.propose(parent, self.plan.splits.train, seen):
            try:
                seen += await self.bench.measure(stair, proposals)
            except OutOfBudget:
                if not seen or stair.kind.each != "local":
                    raise
                break  # what this machine tried within the budget stands; a paid search that is cut short proves nothing
            candidates += proposals
        self.so_far.evaluations += [one.id for one in seen]
        level = self._next_level(stair)
        tried = []
        for candidate, evaluation in zip(candidates, seen, strict=True):
            if is_live(stair) and self.plan.live is not None:
                candidate = self.plan.live.candidate
            else:
                candidate = self.judge.ready(candidate, evaluation, level=level)
            self.so_far.candidates[candidate.id] = candidate
            chance = self.judge.chance(candidate, evaluation, level=level, looked_at=len(seen))
            tried.append(Tried(candidate, evaluation, chance, self.judge.quality(evaluation), self._total_usd(evaluation)))
        return tried

    def _next_level(self, stair: Stair) -> float:
        """The level that this rung's nominee is expected to be tested at.

        It follows from where the climb began and what it opened itself, never from what
        the ledger holds by now: other climbs may open the same rows before this one is
        repeated, and it must say the same again.
        """
        known = self.ledger.nomination(self.plan.key, stair.name)
        if known is not None:
            return float(known.note["level"])
        return opening_level(1 + self.spent_before + len(self.so_far.openings), self.plan.case.alpha)

    def _total_usd(self, evaluation: Evaluation) -> float:
        case = self.plan.case
        development = (
            evaluation.fit_usd + evaluation.usd + (evaluation.fit_s + evaluation.seconds) * case.machine_usd_per_hour / 3600.0
        )
        return development + evaluation.usd_per_1k / 1000.0 * case.forecast_volume

    async def _settle(self, stair: Stair, tried: list[Tried]) -> RungResult:
        """Pick the nominee within the limits, open it when it is worth it, and say what the rung came to."""
        nominee, broken = await self._nominee(stair, self._standing(stair, tried))
        shown = self._shown(stair, tried, nominee)
        if broken:
            return dataclasses.replace(shown, state=OVER_LIMIT, why=broken)
        if self.so_far.winner is not None and self.plan.exhaustive:
            return dataclasses.replace(shown, state=MEASURED, why="measured on dev only: a cheaper rung already meets the target")
        nomination = self._nominate(stair, nominee)
        result = await self._confirmed(shown, tried, nominee, nomination)
        if result.state == CANNOT_TELL:
            self.so_far.undecided.append(nominee.evaluation)
        return result

    async def _confirmed(self, shown: RungResult, tried: Sequence[Tried], nominee: Tried, nomination: Nomination) -> RungResult:
        if nomination.candidate is None:
            return self._unopened(shown, tried, nominee)
        if nomination.k > self.spent_before:
            self.so_far.openings[nomination.k] = nomination.alpha
        if nomination.result is None and nomination.candidate not in self.so_far.candidates:
            why = "the candidate that was nominated before the climb was cut short is no longer proposed. Climb with another --seed"
            return dataclasses.replace(shown, state=FAILED, why=why)
        ruling = await self._ruling(nomination)
        better = [one for one in tried if one.quality > nominee.quality]
        return self._opened(shown, nomination, ruling, better)

    def _standing(self, stair: Stair, tried: Sequence[Tried]) -> list[Tried]:
        """Whom to turn to, in order; a nomination that was committed before stands first."""
        committed = self.ledger.nomination(self.plan.key, stair.name)
        ordered = in_order_of_merit(tried)
        return sorted(ordered, key=lambda one: committed is None or one.candidate.id != committed.candidate)

    async def _nominee(self, stair: Stair, tried: Sequence[Tried]) -> tuple[Tried, str | None]:
        """The best candidate that keeps every limit; else the best one, and the limit that it breaks."""
        first: tuple[Tried, str] | None = None
        for one in tried:
            evaluation = await self.bench.probe(stair, one.candidate, one.evaluation)
            one = dataclasses.replace(one, evaluation=evaluation, total_usd=self._total_usd(evaluation))
            broken = broken_limit(self.plan.case, one.candidate, evaluation)
            if broken is None:
                return one, None
            first = first or (one, broken)
        assert first is not None
        return first

    def _nominate(self, stair: Stair, nominee: Tried) -> Nomination:
        """What was committed for this rung before; else commit it now, before any sealed row is answered."""
        key, sealed = self.plan.key, self.plan.splits.sealed
        test = self.judge.test_id(nominee.candidate)
        note = {"chance": nominee.chance, "level": self._next_level(stair)}
        committed = self.ledger.nomination(key, stair.name)
        if committed is not None:
            return committed
        known = self.ledger.known(nominee.candidate.id, test)
        if known is not None:  # costs nothing, however small the chance
            return self.ledger.reuse(key, stair.name, opening=known, test=test, note=note)
        if nominee.chance < WORTH_OPENING:
            return self.ledger.pass_over(key, stair.name, test=test, note=note)
        return self.ledger.nominate(
            key,
            stair.name,
            candidate=nominee.candidate.id,
            test=test,
            input_ids=sealed.input_ids,
            alpha=self.plan.case.alpha,
            note=note,
        )

    async def _ruling(self, nomination: Nomination) -> Ruling:
        if nomination.result is not None:
            return self.judge.settle(Ruling.from_plain(nomination.result))
        assert nomination.candidate is not None
        ruling = await self.bench.open(self.so_far.candidates[nomination.candidate], nomination)
        self.ledger.conclude(nomination, ruling.plain())
        return ruling

    def _shown(self, stair: Stair, tried: Sequence[Tried], nominee: Tried) -> RungResult:
        evaluation = nominee.evaluation
        latency: Latency | None = evaluation.latency
        return RungResult(
            rung=stair.name,
            state=CANNOT_TELL,
            why="",
            candidate=nominee.candidate.id,
            dev=evaluation.estimates.get(self.judge.target.metric),
            p95_s=latency.p95_s if latency else None,
            usd_per_1k=evaluation.usd_per_1k,
            fit_s=_fit_seconds(tried),
            calls=sum(one.evaluation.calls for one in tried),
            seconds=sum(one.evaluation.seconds for one in tried),
            usd=sum(one.evaluation.usd + one.evaluation.fit_usd for one in tried),
            forecast_s=stair.forecast.seconds,
            forecast_usd=stair.forecast.usd,
            total_usd=nominee.total_usd,
            tried=len(tried),
            chance=nominee.chance,
        )

    def _unopened(self, shown: RungResult, tried: Sequence[Tried], nominee: Tried) -> RungResult:
        """Not worth an opening; a dev upper bound below the target is enough to say that it is not met."""
        high = max(self.judge.dev_high(one.evaluation) for one in tried)
        value = self.judge.target.value
        if high < value:
            why = f"even the upper bound on dev, {high:.3f}, is below {value:g}"
            return dataclasses.replace(shown, state=NOT_MET, why=why)
        why = f"the chance that the sealed rows would show it is {nominee.chance:.0%}: not opened, which keeps the test set fresh"
        return dataclasses.replace(shown, state=CANNOT_TELL, why=why)

    def _opened(self, shown: RungResult, nomination: Nomination, ruling: Ruling, better: Sequence[Tried]) -> RungResult:
        """What the opening said of the nominee. It was nominated for its price: a better one may yet reach what it missed."""
        opening = Opening(k=nomination.k, alpha=nomination.alpha, low=ruling.low, high=ruling.high, n=ruling.n)
        state = MET if ruling.met else NOT_MET if ruling.missed else CANNOT_TELL
        why = ruling.why
        if state == NOT_MET and any(self.judge.dev_high(one.evaluation) >= self.judge.target.value for one in better):
            state, why = CANNOT_TELL, f"{why}, but another candidate of this rung was better on dev and was not opened"
        return dataclasses.replace(shown, state=state, why=why, candidate=nomination.candidate, test=opening, groups=ruling.groups)


def _decision(plan: Plan, ladder: Sequence[Stair], judge: Judge, so_far: Rungs, ledger: Ledger, spent_before: int) -> Decision:
    sealed = plan.splits.sealed.input_ids
    promised = max(plan.case.alpha, ledger.promised(sealed, spent_before) or 0.0)
    verdict, reason = decide(so_far.results, so_far.winner, plan.case, sealed=len(plan.splits.sealed))
    run = [one for one in so_far.results if one.candidate is not None]
    skipped = [one for one in so_far.results if one.state == NOT_RUN]
    winner = so_far.winner
    return Decision(
        use_case=plan.case.id,
        dataset=plan.splits.dataset,
        version=plan.splits.version,
        target=judge.target,
        verdict=verdict,
        control=judge.control,
        reason=reason,
        ladder=tuple(stair.name for stair in ladder),
        rungs=tuple(so_far.results),
        alpha_total=plan.case.alpha,
        alpha_spent_before=ledger.spent(sealed, spent_before),
        alpha_spent=sum(so_far.openings.values()),
        chosen_rung=winner.rung if winner else None,
        chosen=winner.candidate if winner else None,
        more_examples=None if winner else judge.more_examples(so_far.undecided, spent_before + len(so_far.openings) + 1),
        development=Spend(
            seconds=sum((one.fit_s or 0.0) + one.seconds for one in run),
            usd=sum(one.usd for one in run),
            calls=sum(one.calls for one in run),
        ),
        saved=Spend(
            seconds=sum(one.forecast_s or 0.0 for one in skipped) if winner else 0.0,
            usd=sum(one.forecast_usd or 0.0 for one in skipped) if winner else 0.0,
            calls=sum(stair.forecast.calls for stair in ladder for one in skipped if one.rung == stair.name) if winner else 0,
        ),
        seed=plan.case.seed,
        options=plan.options,
        evaluations=tuple(so_far.evaluations),
        approved_by=plan.approved_by,
        promise=PROMISE.format(alpha=round(promised, 9)),
    )


def _fit_seconds(tried: Sequence[Tried]) -> float:
    """Seconds that making the parts took: candidates with the same parts share them, and they were made once."""
    return sum({tuple(part.id for part in one.candidate.parts): one.evaluation.fit_s for one in tried}.values())
