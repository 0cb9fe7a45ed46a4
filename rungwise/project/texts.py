"""`ProjectTexts`: what is trained on text alone: a tokenizer, a language model of one's own, or one that reads on."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.candidate import ON, Candidate, Fitted
from rungwise.core.errors import CannotFit, UnknownName, UsageError
from rungwise.core.progress import Progress
from rungwise.core.record import digest, short, to_plain
from rungwise.core.types import Clock
from rungwise.core.usecase import Base, UseCase
from rungwise.data.spec import FILE, beside, read_use_case
from rungwise.data.store import Store
from rungwise.project.fitting import ARTEFACTS, FitDone, set_aside
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.data.documents import Documents
    from rungwise.fit.forecast import Cost
    from rungwise.fit.scaling import Plan
    from rungwise.ladder.origin import Origin

Say = Callable[[Progress], None]

TEXTS = ("tokenizer", "scratch", "continue")
ENDINGS = (".txt", ".txt.gz", ".text", ".md")
MINUTES = 3.0
"""How long a language model of one's own trains where nobody says: enough to see what it will come to."""

METRICS = (
    "held_out_loss",
    "held_out_loss_per_character",
    "held_out_loss_before",
    "held_out_loss_after",
    "general_loss_before",
    "general_loss_after",
)
"""What is told of a training that measures a language model, in nats."""

VOCABULARY = 8_192
CHARS_PER_PAIR = 3.6
"""Characters of English a token of byte pairs with that vocabulary."""


def is_text(technique: str, source: Path) -> bool:
    """Whether a technique is to learn from text here: a text file, a folder of texts, or a project that has documents alone."""
    if technique == "tokenizer" or source.name.lower().endswith(ENDINGS):
        return True
    if (source / FILE).is_file():
        return not read_use_case(source / FILE).data
    return source.is_dir() and any(one.name.lower().endswith(ENDINGS) for one in source.iterdir())


def text_project(source: Path, project: Path | None, *, base: str | None = None, licence: str | None = None) -> Path:
    """The folder of the project for a text, made if there is none. Raises UsageError when it is one on another text."""
    from rungwise.project import Project

    if (source / FILE).is_file():
        folder = source
    elif not source.exists():
        raise UsageError(f"there is no file and no folder {source}")
    else:
        folder = project or source.with_name(f"{source.name.split('.')[0]}-model")
    told: dict[str, Any] = (
        {"base": Base(path=os.path.relpath(Path(base).resolve(), folder.resolve()), licence=licence)} if base is not None else {}
    )
    if not (folder / FILE).is_file():
        documents = os.path.relpath(source.resolve(), folder.resolve())
        Project.create(folder, task="answer", documents=documents, **told)
        return folder
    found = Project(folder)
    if source != folder and (folder / (found.case.documents or "")).resolve() != source.resolve():
        raise UsageError(f"{folder} is a project on {found.case.documents or 'other data'}. Choose another folder with --project")
    if told:
        found.configure(**told)
    return folder


class ProjectTexts:
    """Pre-training in a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def fit(
        self,
        technique: str,
        *,
        settings: Mapping[str, Any] | None = None,
        minutes: float | None = None,
        characters: bool = False,
        vocabulary: int | None = None,
        seed: int | None = None,
        device: str = "cpu",
        say: Say = lambda _: None,
        wait: bool = True,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> FitDone:
        """Train on the project's documents; the last tenth of the text is held out, and its loss is the metric.

        'scratch' plans the size and the steps from `minutes` and this machine's pace; the plan is the recipe, so that the same
        call gives the same bytes and, killed anywhere, goes on. Raises UnknownName for a technique or a setting, CannotFit when
        there is too little text, UsageError when the project lacks what the technique needs.
        """
        from rungwise.data.lock import project_lock
        from rungwise.fit.memory import check_device

        if technique not in TEXTS:
            raise UnknownName("technique", technique, TEXTS)
        check_device(device)
        with project_lock(self.state, wait=wait, on_wait=on_wait), opened(self.directory, self.state, self.clock) as store:
            case = read_use_case(self.directory / FILE)
            case = dataclasses.replace(
                case,
                seed=case.seed if seed is None else seed,
                train=dataclasses.replace(case.train, device=device, settings={**case.train.settings, **(settings or {})}),
            )
            texts = self._read(case)
            if technique == "tokenizer":
                part, cost = self._tokenizer(case, texts, characters=characters, vocabulary=vocabulary)
            elif technique == "scratch":
                part, cost = self._plan(
                    store, case, texts, MINUTES if minutes is None else minutes, characters=characters, vocabulary=vocabulary
                )
            else:
                part, cost = self._continued(store, case, texts)
            return self._fit(store, case, texts, technique, part, cost, say)

    def _read(self, case: UseCase) -> Documents:
        """The texts of the project. Raises UsageError when it names none, CannotFit when they are empty."""
        from rungwise.data.documents import Document, Documents, read_documents
        from rungwise.fit.corpus import read_text

        if case.documents is None:
            raise UsageError(f"{self.directory} has no text. Add documents: FOLDER to {self.directory / FILE}")
        path = beside(self.directory, case.documents)
        if path.is_file():
            found = Documents((Document(path.name, read_text(path)),))
        else:
            packed = sorted(one for one in path.rglob("*.txt.gz"))
            plain = [one for one in path.rglob("*") if one.is_file() and one not in packed]
            rest = read_documents(path) if plain else Documents()
            found = Documents((*rest.documents, *(Document(one.name, read_text(one)) for one in packed)), rest.quarantine)
        if not any(one.text.strip() for one in found.documents):
            raise CannotFit(f"there is no text in {path}. Add texts")
        return found

    def _tokenizer(self, case: UseCase, texts: Documents, *, characters: bool, vocabulary: int | None) -> tuple[Fitted, Cost]:
        from rungwise.fit.forecast import Cost

        recipe = {"vocabulary": vocabulary or VOCABULARY, "characters": characters}
        size = sum(len(one.text) for one in texts.documents)
        return Fitted(technique="tokenizer", recipe=recipe, inputs=(texts.id,)), Cost(seconds=1.0 + size / 1e6, bytes=0)

    def _plan(
        self, store: Store, case: UseCase, texts: Documents, minutes: float, *, characters: bool, vocabulary: int | None
    ) -> tuple[Fitted, Cost]:
        from rungwise.fit.forecast import START_S, Cost, Work, cost
        from rungwise.fit.scaling import Plan, plan_decoder, seconds_of
        from rungwise.ladder.pace import training_pace
        from rungwise.ladder.training import check_settings

        check_settings(case.train.settings, (Plan,))
        characters = bool(case.train.settings.get("characters", characters))
        vocabulary = case.train.settings.get("vocabulary", vocabulary)
        if not 0.0 < minutes < math.inf:
            raise UsageError(f"a training of {minutes:g} minutes is none. Type --minutes 3")
        pace = training_pace(case.train.device)
        size = sum(len(one.text) for one in texts.documents)
        known = {sign for one in texts.documents for sign in one.text} if characters else ()
        words = len(known) + 3 if characters else vocabulary or VOCABULARY
        tokens = int(0.9 * size / (1.0 if characters else CHARS_PER_PAIR))
        wanted = [texts.id, minutes, words, characters, case.seed, case.train.device, dict(case.train.settings)]

        def planned() -> Plan:
            made = plan_decoder(60.0 * minutes, pace=pace, tokens=tokens, vocabulary=words, characters=characters, seed=case.seed)
            return dataclasses.replace(made, **{"vocabulary": words, **case.train.settings})

        plan = _kept_plan(store, wanted, planned)
        work = Work(
            tokens=plan.tokens,
            batch_tokens=plan.batch * plan.context,
            weights=plan.weights(words),
            body=plan.weights(words),
            trained=plan.weights(words),
            width=plan.width,
            layers=plan.layers,
            logits=words,
        )
        expected = Cost(
            seconds=START_S + seconds_of(plan, pace=pace, vocabulary=words), bytes=cost(work, pace=pace).bytes, work=work
        )
        return Fitted(technique="decoder", recipe=plan.recipe(), inputs=(texts.id,), seed=case.seed), expected

    def _continued(self, store: Store, case: UseCase, texts: Documents) -> tuple[Fitted, Cost]:
        from rungwise.fit.continued import ContinuedSettings
        from rungwise.fit.forecast import CHARS_PER_TOKEN, Work, cost
        from rungwise.ladder.limits import forbidden_origin
        from rungwise.ladder.pace import training_pace
        from rungwise.ladder.training import check_settings, without_replay

        origin = self._origin(case)
        if (why := forbidden_origin(case, origin)) is not None:
            raise UsageError(f"{why}. Choose another base, or allow its licence")
        check_settings(case.train.settings, (ContinuedSettings,))
        own = ContinuedSettings(**{"seed": case.seed, **without_replay(case), **case.train.settings})
        recipe = {name: value for name, value in to_plain(own).items() if name != "seed"}
        tokens = sum(len(one.text) for one in texts.documents) / CHARS_PER_TOKEN * own.passes
        work = Work(
            tokens=tokens,
            batch_tokens=own.batch * own.context,
            weights=origin.weights,
            body=origin.body,
            trained=origin.weights,
            width=origin.width,
            layers=origin.layers,
            logits=origin.vocabulary,
        )
        general = self._general(case)
        inputs = (texts.id, *((digest(general),) if general else ()))
        part = Fitted(technique="continued", recipe={**recipe, ON: to_plain(origin.part)}, inputs=inputs, seed=case.seed)
        return part, cost(work, pace=training_pace(case.train.device))

    def _general(self, case: UseCase) -> list[str]:
        from rungwise.ladder.fitting import general_texts

        return general_texts(beside(self.directory, case.train.general)) if case.train.general is not None else []

    def _origin(self, case: UseCase) -> Origin:
        from rungwise.ladder.origin import language_origin

        origin = language_origin(case, self.directory)
        if origin is None:
            raise UsageError("continue needs a language model to begin from. Type --base FOLDER, or name it in rungwise.yaml")
        return origin

    def _fit(self, store: Store, case: UseCase, texts: Documents, technique: str, part: Fitted, cost: Cost, say: Say) -> FitDone:
        """Train what is missing, keep it with its lineage, and write the folder."""
        from rungwise.data import artefacts
        from rungwise.data.nouns import Nouns
        from rungwise.data.steps import Steps
        from rungwise.engines.executors import InlineExecutor
        from rungwise.fit.card import write_artefact
        from rungwise.fit.forecast import check_memory
        from rungwise.fit.memory import available_bytes
        from rungwise.ladder.fitting import Schooling, made_of, story, took, train_part, training_news
        from rungwise.project import run

        if (work := cost.work) is not None:
            check_memory(work, available=available_bytes(case.train.device))
        schooling = Schooling(
            case=case,
            train=(),
            documents=texts,
            general=self._general(case),
            preferences=(),
            base=lambda part: self._origin(case).files(),
            load=partial(artefacts.load, store),
            executor=InlineExecutor(),
            work=store.directory / "fits",
            clock=self.clock,
            tell=lambda part, step: say(training_news(part, step)),
        )
        nouns = Nouns(store)
        for one in part.line:
            if not artefacts.has(store, one.id):
                run(train_part(store, schooling, one))
            nouns.put(one, made_from=made_of(one))
        candidate = Candidate(task=case.task, model="language-model", head=part, options={"completes": True})
        nouns.put(candidate, made_from=[(one.id, "part") for one in candidate.parts])
        files = artefacts.load(store, part.id)
        step = Steps(store).get(part.id)
        assert step is not None
        card = self._card(case, texts, technique, part, candidate, story(files), step.seconds, took(store, part), cost)
        folder = self.directory / ARTEFACTS / f"{technique}-{short(part.id)}"
        write_artefact(folder, files, card)
        return FitDone.of(card, folder, warnings=set_aside(texts.quarantine))

    def _card(
        self,
        case: UseCase,
        texts: Documents,
        technique: str,
        part: Fitted,
        candidate: Candidate,
        went: Mapping[str, Any],
        seconds: float,
        measured: Mapping[str, float],
        cost: Cost,
    ) -> Any:
        from rungwise.fit.card import ModelCard

        told: Mapping[str, float] = went.get("told", {})
        base = part.beneath
        return ModelCard(
            id=part.id,
            technique=technique,
            task="text",
            use_case=case.name,
            candidate=candidate.id,
            base=str(base.recipe.get("name", "")) if base is not None else "",
            made_from={"texts": texts.id, **({"base": base.id} if base is not None else {})},
            rows=len(texts.documents),
            licences={"the base": case.base.licence or "unknown"} if base is not None and case.base is not None else {},
            settings={name: value for name, value in part.recipe.items() if name != ON},
            seed=part.seed,
            metrics={name: {"mean": told[name]} for name in METRICS if name in told},
            told=told,
            seconds=seconds,
            bytes=int(measured.get("bytes", 0)),
            tokens_per_s=float(measured.get("tokens_per_s", 0.0)),
            forecast={"seconds": cost.seconds, "bytes": float(cost.bytes)},
            intended_use="To go on with text of the kind that it has read, and as the base of a model that is taught a task.",
            limits=_limits(told),
            version=importlib.metadata.version("rungwise"),
        )


def _kept_plan(store: Store, wanted: Sequence[Any], planned: Callable[[], Plan]) -> Plan:
    """The plan that was first made for what is wanted: on another day this machine is faster or slower, and the plan the same."""
    from rungwise.data.steps import Steps
    from rungwise.fit.scaling import Plan

    steps, key = Steps(store), digest(["plan", *wanted])
    if steps.get(key) is None:
        steps.put(key, "plan", planned().recipe(), seconds=0.0)
    step = steps.get(key)
    assert step is not None
    return Plan(**step.output)


def _limits(told: Mapping[str, float]) -> Sequence[str]:
    return [
        "It was trained on this text alone: it knows nothing else, and says what sounds like it.",
        f"The loss is that of the last tenth of the text, {int(told.get('held_out_tokens', 0)):,} tokens.",
    ]
