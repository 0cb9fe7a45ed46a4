"""The fits of the training rungs: from the rows, documents and pairs of a project to the files of a model, with checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rungwise.core.candidate import Fitted
from rungwise.core.dataset import Example
from rungwise.core.errors import CannotFit, UsageError
from rungwise.core.progress import Progress
from rungwise.core.record import canonical_json, digest, from_plain
from rungwise.core.types import Clock, Executor
from rungwise.core.usecase import UseCase
from rungwise.data import artefacts
from rungwise.data.documents import Documents, read_documents
from rungwise.data.steps import Steps
from rungwise.data.store import Store
from rungwise.engines.fitted.asking import conversation, question
from rungwise.engines.fitted.beneath import BASE, MINILM, whole_files
from rungwise.engines.fitted.chat import Message
from rungwise.engines.fitted.models import CAUSAL, MASKED
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.memory import watching_memory

if TYPE_CHECKING:
    from rungwise.fit.finetune import Step
    from rungwise.fit.fit import Fit
    from rungwise.fit.preferences import Preference
    from rungwise.fit.tagging import Tagged

Files = Mapping[str, bytes]
Shape = TypeVar("Shape")

TRAINING = "training.json"
"""The file of a fitted model that tells how its training went: losses, gradient norms and rates of all steps, and counts."""

TRAINING_RUNGS = ("adapt", "full", "align", "continue", "scratch")

MINILM_ID = "sentence-transformers/all-MiniLM-L6-v2"
"""What the installed encoder is called where others look for it."""

LEAST_GENERAL, PIECE_CHARACTERS = 2, 1_000

EVERY_S = 30.0
"""Seconds between checkpoints: what a kill -9 can cost."""


@dataclass(frozen=True, kw_only=True)
class Schooling:
    """What a training may use: training rows, documents, general texts, pairs of answers, the base. Never dev, never sealed.

    `tell` hears each step of a part's training; checkpoints are kept under `work` until the part is.
    """

    case: UseCase
    train: Sequence[Example]
    documents: Documents
    preferences: Sequence[Preference]
    base: Callable[[Fitted], Files]
    load: Callable[[str], Files]
    executor: Executor
    work: Path
    clock: Clock
    tell: Callable[[Fitted, Step], None]
    general: Sequence[str] = ()
    tagged: Sequence[Tagged] = ()


async def train_part(store: Store, given: Schooling, part: Fitted) -> None:
    """Fit one part and keep it with how its training went. What a run that was killed left is taken up, and cleared at the end."""
    started = given.clock.tick()
    with watching_memory(given.case.train.device) as peak:
        files, pace = await _fit_part(given, part)
    Steps(store).put(_took_key(part), "took", {"bytes": peak.bytes, "tokens_per_s": pace}, seconds=0.0)
    artefacts.save(store, part.id, files, seconds=given.clock.tick() - started)
    _checkpoints(given, part).clear()


def took(store: Store, part: Fitted) -> Mapping[str, float]:
    """`bytes`, the most memory that the process held while a part was trained, and `tokens_per_s`; empty for the others."""
    step = Steps(store).get(_took_key(part))
    return dict(step.output) if step else {}


def _took_key(part: Fitted) -> str:
    """The step that keeps what a training took beside its seconds: measured once, as they are."""
    return digest(["took", part.id])


def made_of(part: Fitted) -> list[tuple[str, str]]:
    """What a part was made from, for its lineage: its inputs, and the part beneath it."""
    below = [] if part.beneath is None else [(part.beneath.id, "base")]
    return [*((one, "input") for one in part.inputs), *below]


def shapes(rung: str, task: str) -> list[type]:
    """The settings of the techniques that a rung of a task tries; none for a rung that does not train."""
    from rungwise.fit.classifier import ClassifierSettings
    from rungwise.fit.continued import ContinuedSettings
    from rungwise.fit.contrastive import ContrastiveSettings
    from rungwise.fit.dpo import DpoSettings
    from rungwise.fit.masked import MaskedSettings
    from rungwise.fit.sft import SftSettings
    from rungwise.fit.small_encoder import SmallEncoderSettings
    from rungwise.fit.translator import TranslatorPlan

    if task == "classify":
        found: dict[str, list[type]] = {
            "adapt": [ClassifierSettings],
            "full": [ClassifierSettings, ContrastiveSettings],
            "continue": [ClassifierSettings, MaskedSettings],
            "scratch": [SmallEncoderSettings],
        }
    else:
        found = {
            "adapt": [SftSettings],
            "full": [SftSettings],
            "align": [DpoSettings, SftSettings],
            "continue": [ContinuedSettings, SftSettings],
            "scratch": [TranslatorPlan],
        }
    return found.get(rung, [])


def general_texts(path: Path) -> list[str]:
    """The general texts of a use case, of a file or of the documents of a folder: whole paragraphs, some thousand characters each.

    Raises CannotFit when there are fewer than two, since what was forgotten is measured over texts.
    """
    found = [piece for one in read_documents(path).documents for piece in _pieces(one.text)]
    if len(found) < LEAST_GENERAL:
        raise CannotFit(f"{path} holds {len(found)} general texts and at least {LEAST_GENERAL} are needed. Add paragraphs")
    return found


def _pieces(text: str) -> list[str]:
    """A text as runs of its paragraphs."""
    pieces: list[str] = []
    for paragraph in filter(str.strip, text.split("\n\n")):
        if pieces and len(pieces[-1]) + len(paragraph) < PIECE_CHARACTERS:
            pieces[-1] += "\n\n" + paragraph
        else:
            pieces.append(paragraph)
    return pieces


def _checkpoints(given: Schooling, part: Fitted) -> Checkpoints:
    return Checkpoints(given.work / part.id, key=part.id, every_s=EVERY_S, clock=given.clock.tick)


async def _fit_part(given: Schooling, part: Fitted) -> tuple[Files, float]:
    """The files of one part with how its training went, and its tokens a second."""
    if part.technique == BASE:
        return await given.executor.run(given.base, part), 0.0
    fit = await given.executor.run(FITS[part.technique], given, part, _checkpoints(given, part), partial(given.tell, part))
    return {**fit.files, TRAINING: _story(fit)}, fit.trained.tokens_per_s


def story(files: Files) -> dict[str, Any]:
    """How the training of a fitted model went; empty for what was fitted without one."""
    return dict(json.loads(files[TRAINING])) if TRAINING in files else {}


def training_news(part: Fitted, step: Step) -> Progress:
    """Where a training is, with its loss and tokens a second."""
    left = f"{step.left_s / 60:.0f} min left" if step.left_s >= 90 else f"{step.left_s:.0f} s left"
    note = f"loss {step.loss:.3f}, {step.tokens_per_s:,.0f} tokens/s, {left}"
    usual = "adapt" if part.recipe.get("technique") == "lora" else "full"
    return Progress(rung=RUNG_OF.get(part.technique, usual), step="train", done=step.done, total=step.total, note=note)


def _story(fit: Fit) -> bytes:
    went = fit.trained
    curve = {"epochs": went.epochs, "losses": went.losses, "grad_norms": went.grad_norms, "rates": went.rates}
    rounded = {name: [float(f"{value:.6g}") for value in values] for name, values in curve.items()}
    return canonical_json({"told": dict(fit.told), "tokens": went.tokens, **rounded}).encode()


RUNG_OF = {
    "masked": "continue",
    "continued": "continue",
    "dpo": "align",
    "small-encoder": "scratch",
    "translator": "scratch",
    "decoder": "scratch",
}
"""The rung that a technique belongs to, where it has another name; the others say in their settings how they train."""

Hear = Callable[["Step"], None]


def _classifier(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.classifier import ClassifierSettings, fit_classifier

    base = _below(given, part, MASKED)
    name = _name(part)
    return fit_classifier(
        _labelled(given), base, _settings(ClassifierSettings, part), base_name=name, on_step=hear, checkpoints=checkpoints
    )


def _contrastive(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.contrastive import ContrastiveSettings, fit_contrastive

    own = _settings(ContrastiveSettings, part)
    return fit_contrastive(_labelled(given), _below(given, part, MASKED), own, on_step=hear, checkpoints=checkpoints)


def _masked(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.masked import MaskedSettings, fit_masked

    texts = [row.text for row in given.train] + [one.text for one in given.documents.documents]
    return fit_masked(texts, _below(given, part, MASKED), _settings(MaskedSettings, part), on_step=hear, checkpoints=checkpoints)


def _small_encoder(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.small_encoder import SmallEncoderSettings, fit_small_encoder

    own = _settings(SmallEncoderSettings, part)
    return fit_small_encoder(_labelled(given), own, on_step=hear, checkpoints=checkpoints)


def _sft(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.sft import SftSettings, fit_sft

    base, own = _below(given, part, CAUSAL), _settings(SftSettings, part)
    return fit_sft(
        _conversations(given), base, own, base_name=_name(part), general=given.general, on_step=hear, checkpoints=checkpoints
    )


def _dpo(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.dpo import DpoSettings, fit_dpo

    base, own = _below(given, part, CAUSAL), _settings(DpoSettings, part)
    return fit_dpo(given.preferences, base, own, base_name=_name(part), on_step=hear, checkpoints=checkpoints)


def _continued(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.continued import ContinuedSettings, fit_continued

    texts = [one.text for one in given.documents.documents]
    base, own = _below(given, part, CAUSAL), _settings(ContinuedSettings, part)
    return fit_continued(
        base, texts, own, general=given.general, device=given.case.train.device, on_step=hear, checkpoints=checkpoints
    )


def _translator(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.translator import TranslatorPlan, fit_translator

    pairs = [(question(row.text, row.request.passages), row.label) for row in given.train if row.references]
    plan = _settings(TranslatorPlan, part)
    return fit_translator(pairs, plan, device=given.case.train.device, on_step=hear, checkpoints=checkpoints)


def _language_model(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.scaling import Plan
    from rungwise.fit.scratch import fit_scratch

    texts = [one.text for one in given.documents.documents]
    return fit_scratch(texts, _settings(Plan, part), device=given.case.train.device, on_step=hear, checkpoints=checkpoints)


def _tokenizer(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.finetune import Trained
    from rungwise.fit.fit import Fit
    from rungwise.fit.tokenizer import train_tokenizer

    texts = [one.text for one in given.documents.documents]
    size, characters = int(part.recipe["vocabulary"]), bool(part.recipe["characters"])
    files = train_tokenizer(texts, vocabulary=size, characters=characters)
    return Fit(files=files, trained=Trained(epochs=[], losses=[], grad_norms=[], rates=[], tokens=0, seconds=0.0))


def _tagger(given: Schooling, part: Fitted, checkpoints: Checkpoints, hear: Hear) -> Fit:
    from rungwise.fit.tagging import TaggingSettings, fit_tagger

    base = _below(given, part, MASKED)
    return fit_tagger(given.tagged, base, _settings(TaggingSettings, part), on_step=hear, checkpoints=checkpoints)


FITS: Mapping[str, Callable[[Schooling, Fitted, Checkpoints, Hear], Fit]] = {
    "classifier": _classifier,
    "contrastive": _contrastive,
    "masked": _masked,
    "small-encoder": _small_encoder,
    "sft": _sft,
    "dpo": _dpo,
    "continued": _continued,
    "translator": _translator,
    "decoder": _language_model,
    "tokenizer": _tokenizer,
    "tag": _tagger,
}


def _labelled(given: Schooling) -> list[tuple[str, tuple[str, ...]]]:
    return [(row.text, row.references if given.case.multi_label else row.references[:1]) for row in given.train]


def _conversations(given: Schooling) -> list[list[Message]]:
    """Each question with each of its answers; one without an answer is not learned from."""
    return [conversation(row.text, row.request.passages, answer=answer) for row in given.train for answer in row.references]


def _below(given: Schooling, part: Fitted, kind: str) -> Files:
    below = part.beneath
    if below is None:
        raise UsageError(f"the part {part.technique} stands on no base. Run the climb again")
    return whole_files(below, given.load, kind)


def _name(part: Fitted) -> str:
    """What the base is called in the files of an adapter: its name, else the id of the part."""
    below = part.beneath
    assert below is not None
    name = str(below.recipe.get("name", below.id))
    return MINILM_ID if name == MINILM else name


def _settings(shape: type[Shape], part: Fitted) -> Shape:
    """The settings that a recipe holds."""
    known = {field.name for field in fields(shape)}  # type: ignore[arg-type]
    plain = {name: value for name, value in {**part.recipe, "seed": part.seed}.items() if name in known}
    return from_plain(shape, plain)
