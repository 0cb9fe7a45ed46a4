"""`ProjectTags`: a tagger of spans, fitted on a file of texts with spans, measured on texts that it never saw."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.candidate import ON, Candidate, Fitted
from rungwise.core.errors import CannotFit
from rungwise.core.record import digest, short, to_plain
from rungwise.core.types import Clock
from rungwise.data.store import Store
from rungwise.project.fitting import ARTEFACTS, FitDone, Say, set_aside

if TYPE_CHECKING:
    from rungwise.fit.forecast import Work
    from rungwise.fit.tagging import Tagged, TaggingSettings

DEV = 0.2
"""The share of the texts that the tagger is measured on."""

TAGS = "tag"


class ProjectTags:
    """Fitting a tagger in a project folder; the folder needs no rungwise.yaml, since no climb has this task yet."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def fit(
        self,
        source: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: str = "cpu",
        say: Say = lambda _: None,
        wait: bool = True,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> FitDone:
        """Fit on four fifths of the texts of a file, by a hash of the text, and measure strict F1 on the rest.

        Raises BadData for a file that cannot be used, UnknownName for a setting, CannotFit with too few texts.
        """
        from rungwise.data.lock import project_lock
        from rungwise.fit.memory import check_device
        from rungwise.fit.tagged_rows import read_tagged
        from rungwise.fit.tagging import TaggingSettings
        from rungwise.ladder.training import check_settings

        check_settings(settings or {}, (TaggingSettings,))
        check_device(device)
        own = TaggingSettings(**{"seed": seed, "device": device, **(settings or {})})
        found = read_tagged(source)
        rows = found.rows
        train = [row for row in rows if not _is_dev(row)]
        dev = [row for row in rows if _is_dev(row)]
        if not train or not dev:
            raise CannotFit(f"{source} has {len(rows)} texts, too few to learn from some and measure on others. Add texts")
        with project_lock(self.state, wait=wait, on_wait=on_wait):
            store = Store.open(self.state, clock=self.clock)
            try:
                return dataclasses.replace(
                    self._fit(store, source.name, train, dev, own, say), warnings=set_aside(found.quarantine)
                )
            finally:
                store.close()

    def _fit(
        self, store: Store, name: str, train: Sequence[Tagged], dev: Sequence[Tagged], own: TaggingSettings, say: Say
    ) -> FitDone:
        from rungwise.core.usecase import Trainings, UseCase
        from rungwise.data import artefacts
        from rungwise.data.documents import Documents
        from rungwise.data.nouns import Nouns
        from rungwise.data.steps import Steps
        from rungwise.engines.executors import InlineExecutor
        from rungwise.engines.fitted.beneath import minilm_base, minilm_files
        from rungwise.fit.card import ModelCard, write_artefact
        from rungwise.fit.forecast import check_memory, cost
        from rungwise.fit.memory import available_bytes
        from rungwise.ladder.fitting import Schooling, made_of, story, took, train_part, training_news
        from rungwise.ladder.pace import training_pace
        from rungwise.project import run

        recipe = {key: value for key, value in to_plain(own).items() if key != "seed"}
        texts = digest([[text, [list(span) for span in spans]] for text, spans in train])
        part = Fitted(technique=TAGS, recipe={**recipe, ON: to_plain(minilm_base())}, inputs=(texts,), seed=own.seed)
        schooling = Schooling(
            case=UseCase(name=name, task=TAGS, train=Trainings(device=own.device)),
            train=(),
            documents=Documents(),
            preferences=(),
            base=lambda _: minilm_files(),
            load=partial(artefacts.load, store),
            executor=InlineExecutor(),
            work=store.directory / "fits",
            clock=self.clock,
            tell=lambda part, step: say(training_news(part, step)),
            tagged=train,
        )
        nouns, work = Nouns(store), _work(train, own)
        check_memory(work, available=available_bytes(own.device))
        expected = cost(work, pace=training_pace(own.device))
        for one in part.line:
            if not artefacts.has(store, one.id):
                run(train_part(store, schooling, one))
            nouns.put(one, made_from=made_of(one))
        candidate = Candidate(task=TAGS, model="tagger", head=part)
        nouns.put(candidate, made_from=[(one.id, "part") for one in candidate.parts])
        files, step, measured = artefacts.load(store, part.id), Steps(store).get(part.id), took(store, part)
        assert step is not None
        card = ModelCard(
            id=part.id,
            technique=TAGS,
            task=TAGS,
            use_case=name,
            candidate=candidate.id,
            base="all-MiniLM-L6-v2",
            made_from={"texts with spans": texts},
            rows=len(train),
            licences={"the base": "Apache-2.0"},
            settings=recipe,
            seed=own.seed,
            metrics={"span_f1": _measured(files, dev, own)},
            told=story(files).get("told", {}),
            seconds=step.seconds,
            bytes=int(measured.get("bytes", 0)),
            tokens_per_s=float(measured.get("tokens_per_s", 0.0)),
            forecast={"seconds": expected.seconds, "bytes": float(expected.bytes)},
            intended_use=f"To mark spans in texts like those of {name}.",
            limits=[f"Measured on {len(dev):,} texts of the same file, which chose nothing.", "It reads English best."],
            version=importlib.metadata.version("rungwise"),
        )
        folder = self.directory / ARTEFACTS / f"{TAGS}-{short(part.id)}"
        write_artefact(folder, files, card)
        return FitDone.of(card, folder)


def _is_dev(row: Tagged) -> bool:
    return int(digest(["tagged", row[0]])[:8], 16) < DEV * 2**32


def _measured(files: Mapping[str, bytes], dev: Sequence[Tagged], own: TaggingSettings) -> dict[str, Any]:
    """Strict F1 on texts that were not learned from, with its interval."""
    from rungwise.engines.fitted.beneath import minilm_files
    from rungwise.engines.fitted.tagger import TokenTagger
    from rungwise.evaluate.spans import span_score

    tagger = TokenTagger.load(files, minilm_files() if own.method == "lora" else None)
    found = [[span[:3] for span in spans] for spans in tagger.spans([text for text, _ in dev])]
    score = span_score([list(spans) for _, spans in dev], found)
    told = {"precision": score.precision, "recall": score.recall, "spans": score.gold}
    return {"mean": score.f1, "low": score.low, "high": score.high, "level": 0.95, "n": score.texts, **told}


def _work(train: Sequence[Tagged], own: TaggingSettings) -> Work:
    from rungwise.fit.forecast import CHARS_PER_TOKEN, Work
    from rungwise.ladder.origin import encoder_origin
    from rungwise.ladder.teaching import LORA_SHARE

    origin = encoder_origin()
    tokens = sum(len(text) for text, _ in train) / CHARS_PER_TOKEN * own.epochs
    return Work(
        tokens=tokens,
        batch_tokens=own.batch_tokens,
        weights=origin.weights,
        body=origin.body,
        trained=int(origin.weights * LORA_SHARE) if own.method == "lora" else origin.weights,
        width=origin.width,
        layers=origin.layers,
    )
