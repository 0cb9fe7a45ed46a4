"""A small project with a live release, and people who ask it and say what would have been right."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import yaml

from rungwise.core.candidate import Candidate
from rungwise.core.content import Request
from rungwise.core.decision import Decision
from rungwise.core.release import Release
from rungwise.core.trace import Trace, new_trace_id
from rungwise.core.types import collect
from rungwise.core.usecase import UseCase
from rungwise.data.desk import Desk
from rungwise.data.feedback import Judgements
from rungwise.data.judging import about, read_judgement, traces_by_id
from rungwise.data.nouns import Nouns
from rungwise.data.reviews import LABEL, RIGHT, Item, Reviews, Verdict
from rungwise.data.said import said
from rungwise.data.store import Store
from rungwise.data.traces.door import open_traces
from rungwise.ladder.expedition import Wishes
from rungwise.ladder.serving import ready
from rungwise.project import Project
from rungwise.release.assign import variant_of
from rungwise.release.evidence import decision_of
from rungwise.release.registry import Releases
from tests.clocks import StillClock

TICKETS = Path(__file__).resolve().parents[2] / "examples" / "support" / "tickets.csv"
DAY = 86_400.0


def worded(rows: int, seed: int) -> list[tuple[str, str]]:
    """Questions of six classes, which nothing but single words give away: the more rows, the more words are known."""
    rng, found = Random(seed), []
    for n in range(rows):
        label = rng.randrange(6)
        telling = [_word(f"{label}-{rng.randrange(40)}") for _ in range(2)]
        found.append((" ".join([*telling, *(f"noise{rng.randrange(500)}" for _ in range(3)), f"n{seed}i{n}"]), f"class{label}"))
    return found


def _word(name: str) -> str:
    return "".join(chr(97 + int(digit, 16)) for digit in sha256(name.encode()).hexdigest()[:9])


def tickets() -> list[tuple[str, str]]:
    """(text, intent) of every ticket."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        return [(row["message"], row["intent"]) for row in csv.DictReader(file)]


@dataclass
class Town:
    """A project on some of the tickets, and what is left of them to ask."""

    project: Project
    clock: StillClock
    pool: list[tuple[str, str]]
    rng: Random = field(default_factory=lambda: Random(7))
    asked: int = 0

    def store(self) -> Store:
        return Store.open(self.project.directory / "state", clock=self.clock)

    def live(self) -> Release:
        found = self.project.releases.live()
        assert found is not None
        return found

    def day(self, requests: int, *, labelled: float = 1.0, source: str = "business", **say: Any) -> list[str]:
        """A day on which so many questions are asked of the live release and its shadows, and a share of them labelled."""
        store = self.store()
        try:
            live = Releases(store).live()
            assert live is not None
            pairs = [self.pool[(self.asked + n) % len(self.pool)] for n in range(requests)]
            asked = [(f"c{self.asked + n}", *pair) for n, pair in enumerate(pairs)]
            self.asked += requests
            traces = self._traces(store, live, asked)
            _write(store, [one for group in traces for one in group])
            judged = []
            for (_, _, intent), (own, *_) in zip(asked, traces, strict=True):
                if self.rng.random() < labelled:
                    judgement = read_judgement({"label": intent, "source": source, **say}, trace=own.id, now=self.clock.now())
                    judged.append((judgement, about(own, judgement)))
            Judgements(store).add(judged)
        finally:
            store.close()
        self.clock.advance(DAY)
        return [own.id for own, *_ in traces]

    def review(self, traces: Sequence[str]) -> None:
        """A reviewer says of each of these answers whether it is right, and else what would have been; all were drawn by chance."""
        truth, store = dict(self.pool), self.store()
        try:
            found = traces_by_id(store, traces)
            items = [
                Item(trace=id, day=int(one.at // DAY), reason="random", chance=0.5, at=self.clock.now())
                for id, one in found.items()
            ]
            Reviews(store).put(items)
            desk = Desk(store, "ana")
            while (task := desk.next()) is not None:
                spoken = said(task.trace)
                wanted = truth[spoken.question]
                verdict = Verdict(kind=RIGHT) if spoken.answer == wanted else Verdict(kind=LABEL, wanted=wanted)
                desk.judge(task.item.id, verdict)
        finally:
            store.close()
        self.clock.advance(3_600.0)  # until then a verdict can be taken back

    def _traces(self, store: Store, live: Release, asked: Sequence[tuple[str, str, str]]) -> list[list[Trace]]:
        """The live answer to each question, then those of the shadows."""
        sides = [(one.candidate, one.name) for one in live.variants] + [(id, "shadow") for id in live.shadow]
        texts = [text for _, text, _ in asked]
        answers = {(id, name): self._answers(store, live, id, texts) for id, name in sides}
        found = []
        for n, (unit, text, _) in enumerate(asked):
            variant = variant_of(live, unit)
            at = self.clock.now() + n
            own = self._trace(live, variant.candidate, variant.name, unit, text, answers[variant.candidate, variant.name][n], at)
            shadows = [
                self._trace(live, id, "shadow", unit, text, answers[id, "shadow"][n], at + 0.5, shadow_of=own.id)
                for id in live.shadow
            ]
            found.append([own, *shadows])
        return found

    def _answers(self, store: Store, live: Release, id: str, texts: Sequence[str]) -> list[str]:
        decision, nouns = decision_of(store, live, id), Nouns(store)
        assert decision is not None
        case = nouns.get(UseCase, decision.use_case)
        serving = ready(store, case, self.project.directory, decision, nouns.get(Candidate, id), clock=self.clock)

        async def ask() -> list[str]:
            return [(await collect(serving.responder(Request.of(text)))).text for text in texts]

        return asyncio.run(ask())

    def _trace(
        self,
        live: Release,
        candidate: str,
        name: str,
        unit: str,
        text: str,
        answer: str,
        at: float,
        *,
        shadow_of: str | None = None,
    ) -> Trace:
        return Trace(
            id=new_trace_id(at, self.rng.randbytes(10)),
            at=at,
            seconds=0.01,
            asked="release",
            release=live.id,
            variant=name,
            candidate=candidate,
            conversation=unit,
            request=json.dumps({"messages": [{"role": "user", "content": text}]}),
            response=json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}),
            shadow_of=shadow_of,
        )


def _write(store: Store, traces: Sequence[Trace]) -> None:
    async def add() -> None:
        writer = open_traces(store, worker=0, disk_full="refuse")
        try:
            await asyncio.gather(*(writer.add(one) for one in traces))
        finally:
            await writer.close()

    asyncio.run(add())


def found(
    directory: Path, rows: Sequence[tuple[str, str]], pool: Sequence[tuple[str, str]], *, target: str = "accuracy=0.7", **watch: Any
) -> Town:
    """A town whose project was decided on `rows` by a linear model, and released; `watch` are settings of `watch.reclimb`."""
    clock = StillClock()
    table = directory.parent / "tickets.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    project = Project.create(directory, task="classify", source=table, clock=clock)
    settings = {"least_rows": 5, "shadow_requests": 20, **watch}
    configure(directory, watch={"reclimb": settings, "review": {"per_day": 0}}, serve={"contest": {"metric": "correct"}})
    decision: Decision = project.climb(target, wishes=Wishes(until="classical"), report=False).decision
    assert decision.chosen_rung == "classical", decision.reason
    assert project.releases.release().moved is not None
    clock.advance(DAY)
    return Town(project, clock, list(pool))


def configure(directory: Path, **sections: Any) -> None:
    """Put sections into a project's rungwise.yaml."""
    path = directory / "rungwise.yaml"
    plain: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**plain, **sections}), encoding="utf-8")
