"""`ProjectFitting`: one technique trained on a project's rows, measured on dev, and written as a folder that others can load."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.progress import Progress
from rungwise.core.record import short
from rungwise.core.tasks import TASKS
from rungwise.core.types import Clock
from rungwise.core.usecase import Target, UseCase
from rungwise.data.readers import Quarantined
from rungwise.data.spec import FILE, read_use_case
from rungwise.data.store import Store
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.core.evaluation import Evaluation
    from rungwise.fit.card import ModelCard
    from rungwise.ladder.expedition import Expedition
    from rungwise.ladder.rung import Ground, Stair

Say = Callable[[Progress], None]

ARTEFACTS = "artefacts"
"""The folder of a project with the models that were fitted in it, each in a folder of its own."""

CONTRASTED = "contrastive"
"""An encoder with a linear head beside it, which `full` may find better with few rows: its folder loads otherwise, and says so."""

TAUGHT = "taught"
"""The setting of a project that names the candidate which last learned to answer."""

LEAST = 0.5
"""The target that stands in where the use case has none: to fit is to measure, and nothing is decided."""


@dataclass(frozen=True)
class RowTechnique:
    """A technique that learns from the rows: the rung that it is of, and which of that rung's candidates it made."""

    rung: str
    made: Callable[[Candidate], bool]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _of(technique: str, slot: str = "head") -> Callable[[Candidate], bool]:
    return lambda candidate: (part := getattr(candidate, slot)) is not None and part.technique == technique


ROWS: Mapping[str, RowTechnique] = {
    "head": RowTechnique("head", _of("head")),
    "rerank": RowTechnique("head", _of("rerank", "adapter")),
    "reader": RowTechnique("head", _of("reader")),
    "lora": RowTechnique("adapt", lambda candidate: True),
    "sft": RowTechnique("adapt", lambda candidate: True),
    "full": RowTechnique("full", lambda candidate: True),
    "dpo": RowTechnique("align", lambda candidate: True),
    "continue": RowTechnique("continue", lambda candidate: True),
    "scratch": RowTechnique("scratch", lambda candidate: True),
}
"""What learns from rows, by the name that people type."""

WANTS = {
    "adapt": "it needs a language model to begin from. Name its folder in rungwise.yaml: base: {path: FOLDER}",
    "full": "it needs a language model to begin from. Name its folder in rungwise.yaml: base: {path: FOLDER}",
    "align": "it needs a language model and pairs of answers. Add to rungwise.yaml: base: {path: FOLDER} and preferences: FILE",
    "continue": "it needs a language model and documents. Add to rungwise.yaml: base: {path: FOLDER} and documents: FOLDER",
    "scratch": "it needs at least 1,000 training rows",
    "head": "it is not of this task",
}
"""What to do when a rung has nothing to work with in a project."""


@dataclass(frozen=True, kw_only=True)
class FitDone:
    """What was fitted: the candidate, the folder of its files, metrics of the dev rows, what it took and what was expected."""

    technique: str
    candidate: str
    artefact: Path
    metrics: Mapping[str, Mapping[str, Any]]
    tokens_per_s: float
    seconds: float
    peak_bytes: int
    forecast_s: float
    forecast_bytes: int
    told: Mapping[str, float]
    trials: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()

    @classmethod
    def of(
        cls, card: ModelCard, folder: Path, *, trials: Sequence[Mapping[str, Any]] = (), warnings: Sequence[str] = ()
    ) -> FitDone:
        """What a card says of a model that lies in a folder."""
        return cls(
            technique=card.technique,
            candidate=card.candidate,
            artefact=folder,
            metrics=card.metrics,
            tokens_per_s=card.tokens_per_s,
            seconds=card.seconds,
            peak_bytes=card.bytes,
            forecast_s=card.forecast["seconds"],
            forecast_bytes=int(card.forecast["bytes"]),
            told=card.told,
            trials=trials,
            warnings=warnings,
        )

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "technique": self.technique,
            "candidate": self.candidate,
            "artefact": str(self.artefact),
            "metrics": {name: dict(one) for name, one in self.metrics.items()},
            "tokens_per_s": self.tokens_per_s,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "forecast": {"seconds": self.forecast_s, "bytes": self.forecast_bytes},
            "told": dict(self.told),
            "trials": [dict(one) for one in self.trials],
            "warnings": list(self.warnings),
        }


class ProjectFitting:
    """Training in a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def fit(
        self,
        technique: str,
        *,
        settings: Mapping[str, Any] | None = None,
        metric: str | None = None,
        trials: int = 1,
        search: str = "bayesian",
        device: str | None = None,
        allow_leaks: bool = False,
        say: Say = lambda _: None,
        wait: bool = True,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> FitDone:
        """Fit a technique on the training rows, measure it on dev, and write it to artefacts/.

        `metric` is what is measured first and searched by, where it is not to be that of the target or the task.
        `settings` replace the technique's own by name; with `trials` the others are searched on dev. Killed anywhere, the same
        call goes on from the last checkpoint. Raises UnknownName for a technique or a setting, UsageError when the project lacks
        what it needs, TooLarge when it does not fit into the memory that is left.
        """
        from rungwise.data.lock import project_lock
        from rungwise.fit.memory import check_device
        from rungwise.ladder.fitting import shapes
        from rungwise.ladder.training import check_settings
        from rungwise.project import run

        if technique not in ROWS:
            raise UnknownName("technique", technique, ROWS)
        check_settings(settings or {}, shapes(ROWS[technique].rung, read_use_case(self.directory / FILE).task))
        if trials < 1:
            raise UsageError(f"a search of {trials} trials is none. Leave --trials out to take the usual settings")
        with project_lock(self.state, wait=wait, on_wait=on_wait), opened(self.directory, self.state, self.clock) as store:
            asked = self._asked(settings or {}, metric, trials, search, device)
            check_device(asked.train.device)
            expedition, stair = self._stair(store, asked, technique, say, allow_leaks=allow_leaks)
            return run(self._fit(store, expedition, stair, technique))

    def _asked(self, settings: Mapping[str, Any], metric: str | None, trials: int, search: str, device: str | None) -> UseCase:
        """The use case with what this call asks of the training."""
        case = read_use_case(self.directory / FILE)
        own = case.train
        train = dataclasses.replace(
            own,
            trials=max(trials, own.trials),
            search=search,
            device=device or own.device,
            settings={**own.settings, **settings},
        )
        target = Target(metric=metric, value=LEAST) if metric is not None else case.target
        target = target or Target(metric=TASKS[case.task].metric, value=LEAST)
        return dataclasses.replace(case, train=train, target=target)

    def _stair(self, store: Store, case: UseCase, technique: str, say: Say, *, allow_leaks: bool) -> tuple[Expedition, Stair]:
        """The climb of the project as far as its data and its bench, and the rung that the technique is of."""
        from rungwise.ladder.expedition import Expedition, Wishes, survey
        from rungwise.ladder.limits import forbidden_origin
        from rungwise.ladder.order import build_ladder

        wishes = Wishes(allow_leaks=allow_leaks)
        terrain = survey(case, self.directory, store, wishes)
        ground = dataclasses.replace(terrain.ground, pace=_kept_pace(store, terrain.ground))
        terrain = dataclasses.replace(terrain, ground=ground, ladder=build_ladder(ground))
        rung = ROWS[technique].rung
        stair = next((one for one in terrain.ladder if one.kind.name == rung), None)
        if stair is None:
            raise UsageError(f"{technique} cannot be fitted in {self.directory}: {WANTS[rung]}")
        if (why := forbidden_origin(case, stair.kind.origin(ground))) is not None:
            raise UsageError(f"{technique} cannot be fitted in {self.directory}: {why}. Choose another base, or allow its licence")
        return Expedition(terrain, store, wishes, self.clock, say), stair

    async def _fit(self, store: Store, expedition: Expedition, stair: Stair, technique: str) -> FitDone:
        started = self.clock.tick()
        tried: list[tuple[Candidate, Evaluation]] = []
        try:
            start = self._below(store, stair) if technique == "dpo" else stair.ground.start
            while proposals := await stair.propose(start, expedition.terrain.splits.train, [one for _, one in tried]):
                tried += zip(proposals, await expedition.bench.measure(stair, proposals), strict=True)
        finally:
            await expedition.kit.aclose()
        own = [pair for pair in tried if ROWS[technique].made(pair[0])]
        if not own:
            raise UsageError(
                f"{technique} is not of the task {expedition.terrain.case.task}. {WANTS[stair.kind.name].capitalize()}"
            )
        metric = expedition.terrain.target.metric
        candidate, evaluation = max(own, key=lambda pair: pair[1].estimates[metric].mean)
        seconds = self.clock.tick() - started
        part = candidate.head or candidate.adapter
        assert part is not None
        return self._done(store, expedition, stair, technique, part, candidate, evaluation, seconds, tried)

    def _below(self, store: Store, stair: Stair) -> Candidate:
        """What an alignment stands on: the answerer that was taught here last, if it learned from these rows."""
        from rungwise.data.nouns import Nouns

        id = store.setting(TAUGHT)
        found = Nouns(store).get(Candidate, id) if id is not None else stair.ground.start
        known = found.head is not None and stair.ground.train_id in found.head.inputs
        return found if known else stair.ground.start

    def _done(
        self,
        store: Store,
        expedition: Expedition,
        stair: Stair,
        technique: str,
        part: Fitted,
        candidate: Candidate,
        evaluation: Evaluation,
        seconds: float,
        tried: Sequence[tuple[Candidate, Evaluation]],
    ) -> FitDone:
        """Write the artefact with its card, and say what there is to say."""
        from rungwise.data import artefacts
        from rungwise.fit.card import write_artefact
        from rungwise.ladder.cards import card_of
        from rungwise.ladder.fitting import story

        if part.technique == "sft":
            store.set_setting(TAUGHT, candidate.id)
        files = {**artefacts.load(store, part.id), **_tokenizer_beside(store, part)}
        took = expedition.maker.took(part)
        # A fit that was kept before costs nothing now: what it took then is told.
        whole = max(seconds, sum(expedition.maker.seconds(one) for one in part.line) + evaluation.seconds)
        card = card_of(
            expedition.terrain,
            stair,
            technique=technique,
            part=part,
            candidate=candidate,
            evaluation=evaluation,
            story=story(files),
            seconds=whole,
            took=took,
        )
        kind = CONTRASTED if part.technique == CONTRASTED else technique
        folder = self.directory / ARTEFACTS / f"{kind}-{short(part.id)}"
        write_artefact(folder, files, card)
        trials = _trials(tried) if len(tried) > 1 else ()
        return FitDone.of(card, folder, trials=trials, warnings=expedition.terrain.warnings)


def _tokenizer_beside(store: Store, part: Fitted) -> dict[str, bytes]:
    """The tokenizer of the base for the folder of an adapter, which has none of its own."""
    from rungwise.data import artefacts
    from rungwise.engines.fitted.beneath import part_files
    from rungwise.engines.fitted.models import TOKENIZER, TOKENIZER_CONFIG

    if part.beneath is None or part.recipe.get("technique") != "lora":
        return {}
    below = part_files(part.line[0], partial(artefacts.load, store))
    return {name: below[name] for name in (TOKENIZER, TOKENIZER_CONFIG) if name in below}


def set_aside(quarantine: Sequence[Quarantined]) -> tuple[str, ...]:
    """What could not be read, in a sentence."""
    if not quarantine:
        return ()
    first = quarantine[0]
    return (f"{len(quarantine):,} could not be used and were set aside. The first: {first.place}: {first.reason}",)


def _kept_pace(store: Store, ground: Ground) -> float:
    """The pace at which this training was first planned: on another day this machine is faster or slower, and the plan the same."""
    from rungwise.core.record import digest, to_plain
    from rungwise.data.steps import Steps
    from rungwise.ladder.pace import training_pace

    steps, key = Steps(store), digest(["planned at", ground.train_id, to_plain(ground.case.train), ground.case.seed])
    if steps.get(key) is None:
        steps.put(key, "pace", training_pace(ground.case.train.device), seconds=0.0)
    step = steps.get(key)
    assert step is not None
    return float(step.output)


def _trials(tried: Sequence[tuple[Candidate, Evaluation]]) -> list[dict[str, Any]]:
    """Every trial of a search with its settings and what it measured."""
    told = []
    for candidate, evaluation in tried:
        part = candidate.head or candidate.adapter
        recipe = {name: value for name, value in part.recipe.items() if name != "on"} if part is not None else {}
        means = {name: one.mean for name, one in evaluation.estimates.items()}
        told.append({"candidate": candidate.id, "settings": recipe, "metrics": means, "fit_s": evaluation.fit_s})
    return told
