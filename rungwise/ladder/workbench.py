"""The bench that the climb works at: makes candidates, asks them, scores them, and keeps every result."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Chunk, Request, Response
from rungwise.core.dataset import DEV, SEALED, TRAIN, Example
from rungwise.core.decision import Spend
from rungwise.core.errors import EngineUnavailable, OutOfBudget, StoreError, TooLong
from rungwise.core.evaluation import Evaluation, Latency
from rungwise.core.progress import Progress
from rungwise.core.record import digest, short, to_plain
from rungwise.core.types import Clock, Responder, collect
from rungwise.core.usecase import UseCase
from rungwise.data import artefacts
from rungwise.data.datasets import Splits, load_dataset
from rungwise.data.ledger import Nomination
from rungwise.data.nouns import Nouns
from rungwise.data.steps import Steps
from rungwise.data.store import Store
from rungwise.engines.budget import Budget
from rungwise.evaluate.latency import latency
from rungwise.fit.forecast import check_memory
from rungwise.fit.memory import available_bytes
from rungwise.inference.fitted import loaded_bytes
from rungwise.inference.respond import Kit, build_responder
from rungwise.inference.window import answer_stream
from rungwise.ladder.embedding import Embeddings
from rungwise.ladder.fitting import made_of
from rungwise.ladder.judge import Judge, Ruling
from rungwise.ladder.making import Maker
from rungwise.ladder.racing import Ask, race
from rungwise.ladder.rung import Incumbent, Stair
from rungwise.ladder.scoring import Scorer

# Bumped whenever an evaluation of the same candidate on the same rows would come out different.
VERSION = 2
PROBE_ROWS = 100  # enough to bound a p95 from above: 59 would do
WARM_UP = 10
WINDOW = 256


class Workbench:
    """Measures on dev, probes latency, opens the sealed rows. Everything is kept under the digest of what went in."""

    def __init__(
        self,
        *,
        store: Store,
        splits: Splits,
        judge: Judge,
        maker: Maker,
        scorer: Scorer,
        embeddings: Embeddings,
        kit: Kit,
        budget: Budget,
        clock: Clock,
        say: Callable[[Progress], None],
        live: Incumbent | None = None,
    ) -> None:
        self.store, self.splits, self.judge, self.maker, self.scorer = store, splits, judge, maker, scorer
        self.embeddings, self.kit, self.budget, self.clock, self.say = embeddings, kit, budget, clock, say
        self.case: UseCase = judge.case
        self._live = live
        self._live_kit: Kit | None = None
        self._steps, self._nouns = Steps(store), Nouns(store)
        self.only_stored = False

    async def measure(self, stair: Stair, candidates: Sequence[Candidate]) -> Sequence[Evaluation]:
        """Each candidate on dev. Paid or slow ones race: who can no longer be nominated is not asked further."""
        self.say(Progress(rung=stair.name, step="fit", total=len(candidates)))
        self._check_offline(stair)
        if stair.kind.each != "local" or self._all_stored(candidates):
            return await self._measure(stair, candidates)
        if stair.forecast.work is not None:
            check_memory(stair.forecast.work, available=available_bytes(self.case.train.device))
        # Calls reserve for themselves; the seconds of this machine are reserved here, by forecast, and settled by the clock.
        reservation = await self.budget.reserve(stair.name, Spend(seconds=stair.forecast.seconds))
        started = self.clock.tick()
        try:
            return await self._measure(stair, candidates)
        finally:
            await self.budget.settle(reservation, usd=0.0, calls=0, seconds=self.clock.tick() - started)

    def _check_offline(self, stair: Stair) -> None:
        """Raise before anything leaves this machine, where the use case says that nothing may."""
        endpoint = stair.ground.endpoint
        if self.case.limits.offline and endpoint is not None:
            raise EngineUnavailable(f"the use case is offline and {endpoint.name} is not: nothing was sent to it")

    async def _measure(self, stair: Stair, candidates: Sequence[Candidate]) -> Sequence[Evaluation]:
        if not self.only_stored:
            await self.maker.make([part for candidate in candidates for part in candidate.parts])
        ask = self._asked_on_dev(stair)
        if stair.kind.races and len(candidates) > 1:
            return await race(candidates, self.splits.dev, ask, judge=self.judge)
        return [await ask(candidate, self.splits.dev) for candidate in candidates]

    def _all_stored(self, candidates: Sequence[Candidate]) -> bool:
        return all(self._steps.get(self._key(candidate, self.splits.dev)) is not None for candidate in candidates)

    def _key(self, candidate: Candidate, rows: Sequence[Example]) -> str:
        system = self.kit.included(candidate)
        prices = [self.case.machine_usd_per_hour, to_plain(self.kit.price(candidate)), system.usd_per_1k if system else None]
        return digest(["evaluate", VERSION, candidate.id, [row.id for row in rows], self.scorer.id, prices])

    def _asked_on_dev(self, stair: Stair) -> Ask:
        async def ask(candidate: Candidate, rows: Sequence[Example]) -> Evaluation:
            whole = len(rows) == len(self.splits.dev)
            price = self._price_per_1k(stair, candidate)
            return await self._evaluate(candidate, rows, split=DEV, rung=stair.name, complete=whole, usd_per_1k=price)

        return ask

    def _price_per_1k(self, stair: Stair, candidate: Candidate) -> float | None:
        """What is known before anything is timed: a recorded system's price, the forecast of a rung of this machine.

        The candidates of such a rung answer alike. Were each priced by the few milliseconds that
        its dev answers took, chance would pick the nominee; the probe gives it its real price.
        """
        system = self.kit.included(candidate)
        if system is not None:
            return system.usd_per_1k
        if stair.kind.each != "local":
            return None
        expected = stair.forecast
        return 1000 * (expected.answer_usd + expected.answer_s * self.case.machine_usd_per_hour / 3600.0)

    async def probe(self, stair: Stair, candidate: Candidate, evaluation: Evaluation) -> Evaluation:
        """The evaluation with latency, price and memory. Answers that are paid for keep the seconds of their dev calls."""
        self._nouns.put(candidate, made_from=[(part.id, "part") for part in candidate.parts])
        key = digest(["probe", VERSION, candidate.but(threshold=None).id, evaluation.id])
        step = self._steps.get(key)
        if step is None:
            seconds = await self._probe_seconds(candidate) if stair.kind.each == "local" else list(self.scorer.seconds(evaluation))
            self._steps.put(key, "probe", seconds, seconds=sum(seconds))
            step = self._steps.get(key)
            assert step is not None
        changed = dataclasses.replace(evaluation, memory_mb=self._memory_mb(candidate))
        if step.output:
            changed = dataclasses.replace(changed, latency=latency(step.output))
        system = self.kit.included(candidate)
        if system is not None and system.p95_s is not None:
            told = Latency(p50_s=system.p95_s, p95_s=system.p95_s, p95_high_s=system.p95_s, n=0)
            changed = dataclasses.replace(changed, latency=told)
        if stair.kind.each == "local" and changed.latency is not None:
            # The median: on a busy machine a few slow answers would make the mean dear, and with it the order of the rungs.
            usd_per_1k = 1000 * changed.latency.p50_s * self.case.machine_usd_per_hour / 3600.0
            changed = dataclasses.replace(changed, usd_per_1k=usd_per_1k)
        return changed

    async def _probe_seconds(self, candidate: Candidate) -> list[float]:
        """Seconds of single answers, one at a time, nothing remembered, after a warm-up."""
        responder = build_responder(candidate, self._kit_of(candidate), encode=self.kit.encoder)
        rows = self.splits.dev[:PROBE_ROWS]
        for row in rows[:WARM_UP]:
            await collect(responder(row.request))
        seconds = []
        for row in rows:
            started = self.clock.tick()
            await collect(responder(row.request))
            seconds.append(self.clock.tick() - started)
        return seconds

    def _memory_mb(self, candidate: Candidate) -> float:
        tops = (part for part in (candidate.index, candidate.adapter, candidate.head) if part is not None)
        size = sum(loaded_bytes(part, partial(artefacts.size_bytes, self.store)) for part in tops)
        return size / 1e6 + (91.0 if candidate.encoder == "minilm" else 0.0)  # the encoder's fp32 weights

    async def open(self, candidate: Candidate, nomination: Nomination) -> Ruling:
        """Answer the sealed rows once and judge them at the level of this opening. Only bounds leave this function."""
        rows = self.splits.sealed.open(nomination)
        self.say(Progress(rung=nomination.rung, step="sealed", total=len(rows)))
        evaluation = await self._evaluate(candidate.but(threshold=None), rows, split=SEALED, rung=nomination.rung, complete=True)
        ruling = self.judge.rule(candidate, rows, self.scorer.answers(evaluation), level=nomination.alpha)
        return dataclasses.replace(ruling, evaluation=evaluation.id)

    async def _evaluate(
        self,
        candidate: Candidate,
        rows: Sequence[Example],
        *,
        split: str,
        rung: str,
        complete: bool,
        usd_per_1k: float | None = None,
    ) -> Evaluation:
        """The stored evaluation, or a new one that is committed before it is used."""
        key = self._key(candidate, rows)
        step = self._steps.get(key)
        stored = self._nouns.get(Evaluation, step.output) if step is not None else None
        if stored is not None and (self.only_stored or self.scorer.has_answers(stored)):
            return stored
        if self.only_stored:
            raise StoreError(f"the {split} scores of candidate {short(candidate.id)} are not stored. Run the climb again")
        stopped: list[OutOfBudget] = []
        answer = build_responder(candidate, self._kit_of(candidate), encode=self.embeddings.remembering)
        responder = _until_out_of_budget(_with_too_long_unanswered(answer), stopped)
        started = self.clock.tick()
        responses: list[Response] = []
        async for _, response, _ in answer_stream(responder, (row.request for row in rows), window=WINDOW):
            responses.append(response)
            if len(responses) % WINDOW == 0:
                self.say(Progress(rung=rung, step=split, done=len(responses), total=len(rows)))
        if stopped:
            raise stopped[0]
        wall_s = self.clock.tick() - started
        fit_s = sum((self.maker.seconds(part) for part in candidate.parts if not self._was_there(part)), 0.0)
        evaluation = self.scorer.score(
            candidate,
            rows,
            responses,
            wall_s=self._worked_s(candidate, responses, wall_s),
            price=self.kit.price(candidate),
            usd_per_1k=usd_per_1k,
            fit_s=fit_s,
            split=split,
            complete=complete,
        )
        if stored is not None:  # only the file of its probabilities was lost, and has just been written again
            return stored
        self._keep(candidate, evaluation)
        self._steps.put(key, "evaluate", evaluation.id, seconds=evaluation.seconds)
        return evaluation

    def _was_there(self, part: Fitted) -> bool:
        """Whether a part is the live candidate's and was made of other rows: it cost nothing now, and knows nothing of these."""
        own = () if self._live is None else self._live.candidate.parts
        return part in own and self.splits.train_id not in part.inputs

    def _kit_of(self, candidate: Candidate) -> Kit:
        """What a candidate answers with: shots of the live one are those rows that it was decided on."""
        live = self._live
        if live is None or candidate.but(threshold=None) != live.candidate.but(threshold=None) or candidate.index is None:
            return self.kit
        if candidate.index.technique != "shots" or self.splits.train_id in candidate.index.inputs:
            return self.kit
        if self._live_kit is None:
            self._live_kit = dataclasses.replace(self.kit, train=load_dataset(self.store, live.dataset).part(TRAIN))
        return self._live_kit

    def _worked_s(self, candidate: Candidate, responses: Sequence[Response], wall_s: float) -> float:
        """Seconds that the answers took, those among them included that an earlier batch or run had asked for already."""
        endpoint = self.kit.endpoint(candidate)
        if endpoint is None:
            return wall_s
        return max(wall_s, sum(response.usage.seconds for response in responses) / max(1, endpoint.concurrency))

    def _keep(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """The evaluation with its lineage: the candidate, its parts, and the rows that they were made from."""
        for part in candidate.parts:
            if self._was_there(part):
                continue
            self._nouns.put(part, made_from=[*made_of(part), (self.splits.dataset, "dataset")])
        self._nouns.put(candidate, made_from=[(part.id, "part") for part in candidate.parts])
        self._nouns.put(evaluation, made_from=[(candidate.id, "candidate"), (self.splits.dataset, "dataset")])


def _with_too_long_unanswered(answer: Responder) -> Responder:
    """Wrap `answer` so that a question which the model cannot read whole has no answer, and counts as such."""

    async def answer_what_can_be_read(request: Request) -> AsyncIterator[Chunk]:
        try:
            async for chunk in answer(request):
                yield chunk
        except TooLong:
            yield Chunk(finish="too_long")

    return answer_what_can_be_read


def _until_out_of_budget(answer: Responder, stopped: list[OutOfBudget]) -> Responder:
    """Wrap `answer` so that it stops asking when the budget is used up, and lets the calls in flight come home.

    They are paid for, and kept, so that a climb with a larger budget does not ask them again.
    """

    async def answer_within_budget(request: Request) -> AsyncIterator[Chunk]:
        if stopped:
            return
        try:
            async for chunk in answer(request):
                yield chunk
        except OutOfBudget as error:
            stopped.append(error)

    return answer_within_budget
