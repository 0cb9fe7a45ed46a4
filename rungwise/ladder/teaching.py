"""Candidates that were taught: what is fitted for labels and for answers, and what that will take."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.record import to_plain
from rungwise.core.tasks import TASKS
from rungwise.fit.forecast import CHARS_PER_TOKEN, START_S, Work, cost
from rungwise.fit.label_learning import MOST_EPOCHS
from rungwise.inference.fitted import CLASSIFIES, GENERATES
from rungwise.ladder.origin import Origin, encoder_origin
from rungwise.ladder.rung import Forecast, Ground
from rungwise.ladder.training import Recipe, fitted, settings, unset

if TYPE_CHECKING:
    from rungwise.fit.translator import TranslatorPlan

__all__ = ["CLASSIFIES", "GENERATES"]

LORA_SHARE = 0.02
"""Weights of an adapter of rank 16 in all linear layers, as a share of the model's; it has little part in the time."""
TEMPLATE_TOKENS = 8
"""Tokens of a chat template around a question and its answer."""
LABEL_S, TOKEN_S = 1.5e-3, 4e-3
"""Seconds of an encoder's answer in a batch, and of one written token of a model of ten million weights."""


def taught_labels(ground: Ground, on: Fitted, trial: Recipe, *, technique: str) -> Candidate:
    """An encoder with adapters or trained whole, and a head, for the labels of the training rows."""
    return ground.start.but(model=CLASSIFIES, head=fitted("classifier", ground, _label_settings(ground, trial, technique), on=on))


def _label_settings(ground: Ground, trial: Recipe, technique: str) -> dict[str, Any]:
    from rungwise.fit.classifier import FULL, LORA, ClassifierSettings

    usual = to_plain(LORA if technique == "lora" else FULL)
    known = {name: value for name, value in usual.items() if name not in ("seed", "device")}
    if "epochs" in ground.case.train.settings:  # whoever says how often means it, also where the rows are few
        known["least_steps"] = 1
    return settings(ClassifierSettings, ground, trial, **{**known, "multi_label": ground.case.multi_label})


def general(ground: Ground) -> tuple[str, ...]:
    """The general texts as an input, where there are some: what is replayed shapes the weights, what is measured the card."""
    return () if ground.general is None else (ground.general,)


def contrasted_labels(ground: Ground, on: Fitted) -> Candidate:
    """An encoder whose vectors were drawn together by label, and a linear head on them."""
    from rungwise.fit.contrastive import ContrastiveSettings

    own = settings(ContrastiveSettings, ground, multi_label=ground.case.multi_label)
    return ground.start.but(model=CLASSIFIES, head=fitted("contrastive", ground, own, on=on))


def taught_answers(ground: Ground, on: Fitted, trial: Recipe, *, technique: str) -> Candidate:
    """A language model with adapters or trained whole on the questions and answers of the training rows."""
    from rungwise.fit.sft import SftSettings

    own = settings(SftSettings, ground, trial, technique=technique)
    return ground.start.but(model=GENERATES, head=fitted("sft", ground, own, on=on, inputs=general(ground)))


def label_forecast(ground: Ground, *, technique: str) -> Forecast:
    """Adapters on the installed encoder, or all of it."""
    return _labels(ground, encoder_origin(), _label_settings(ground, {}, technique), technique)


def continue_labels_forecast(ground: Ground) -> Forecast:
    """Reading the texts and documents, then adapters."""
    from rungwise.fit.masked import MaskedSettings

    origin, own = encoder_origin(), settings(MaskedSettings, ground)
    tokens = (ground.n_train * ground.chars + ground.document_chars) / CHARS_PER_TOKEN * own["epochs"]
    reading = _cost(ground, origin, tokens, own["batch_tokens"], origin.weights, logits=origin.vocabulary)
    then = label_forecast(ground, technique="lora")
    return _sum(reading, then)


def scratch_labels_forecast(ground: Ground) -> Forecast:
    """A small encoder of one's own."""
    from rungwise.fit.small_encoder import SmallEncoderSettings

    own = settings(SmallEncoderSettings, ground)
    body = 12 * own["layers"] * own["width"] ** 2
    origin = Origin(
        part=Fitted(technique="scratch"),
        name="scratch",
        licence=None,
        weights=body + own["words"] * own["width"],
        body=body,
        vocabulary=own["words"],
        width=own["width"],
        layers=own["layers"],
    )
    return _labels(ground, origin, own, "full")


def answer_forecast(ground: Ground, *, technique: str) -> Forecast:
    """Adapters on the use case's language model, or all of it."""
    from rungwise.fit.sft import SftSettings

    assert ground.origin is not None
    return _answers(ground, ground.origin, settings(SftSettings, ground, technique=technique), technique, _pair_tokens(ground))


def align_forecast(ground: Ground) -> Forecast:
    """Pairs of answers, each scored by the policy with a gradient and by the reference without one."""
    from rungwise.fit.dpo import EVALUATION_TOKENS, DpoSettings

    assert ground.origin is not None
    own = settings(DpoSettings, ground)
    rows = ground.pairs * 2 * (1 + 1 / (3 * own["epochs"]))  # the reference: forwards alone, once
    tokens = rows * _pair_tokens(ground) * own["epochs"]
    trained = _trained(ground.origin, own["technique"])
    batch = max(EVALUATION_TOKENS, 2 * own["batch_pairs"] * int(_pair_tokens(ground)))
    found = _cost(ground, ground.origin, tokens, batch, trained, logits=ground.origin.vocabulary)
    # What it stands on may have to be taught first.
    return _sum(answer_forecast(unset(ground), technique="lora"), _with_answers(ground, ground.origin.body, found))


def continue_answers_forecast(ground: Ground) -> Forecast:
    """Reading the documents, then adapters."""
    from rungwise.fit.continued import ContinuedSettings

    assert ground.origin is not None
    own = settings(ContinuedSettings, ground)
    tokens = ground.document_chars / CHARS_PER_TOKEN * own["passes"]
    origin = ground.origin
    reading = _cost(ground, origin, tokens, own["batch"] * own["context"], origin.weights, logits=origin.vocabulary)
    return _sum(reading, answer_forecast(ground, technique="lora"))


def translator_recipe(ground: Ground) -> dict[str, Any]:
    """An encoder-decoder of one's own, as large as the minutes and the rows are worth, and what the user set."""
    return {name: value for name, value in asdict(_translator(ground)).items() if name != "seed"}


def scratch_answers_forecast(ground: Ground) -> Forecast:
    """An encoder-decoder of one's own."""
    from rungwise.fit.scaling import OVERHEAD, share_of_pace

    plan = _translator(ground)
    body = plan.weights()
    weights = 2 * body
    work = Work(
        tokens=float(plan.steps * plan.batch_tokens),
        batch_tokens=plan.batch_tokens,
        weights=weights,
        body=body,
        trained=weights,
        width=plan.width,
        layers=plan.encoder_layers + plan.decoder_layers,
        logits=plan.vocabulary,
    )
    pace = ground.pace * share_of_pace(plan.width) * (1.0 - OVERHEAD)
    found = Forecast(seconds=START_S + 6.0 * body * work.tokens / pace, bytes=cost(work, pace=ground.pace).bytes, work=work)
    return _with_answers(ground, body, found)


def _translator(ground: Ground) -> TranslatorPlan:
    from rungwise.fit.translator import TranslatorPlan, plan_translator

    train = ground.case.train
    plan = plan_translator(60.0 * train.minutes, pace=ground.pace, pairs=ground.n_train, seed=ground.case.seed)
    known = {field.name for field in fields(TranslatorPlan)}
    return replace(plan, **{name: value for name, value in train.settings.items() if name in known})


def _pair_tokens(ground: Ground) -> float:
    return (ground.chars + ground.answer_chars + len(TASKS[ground.case.task].prompt)) / CHARS_PER_TOKEN + TEMPLATE_TOKENS


def _labels(ground: Ground, origin: Origin, own: Recipe, technique: str) -> Forecast:
    row = ground.chars / CHARS_PER_TOKEN + 2
    epochs = max(own["epochs"], min(MOST_EPOCHS, own["least_steps"] * own["rows"] / max(1, ground.n_train)))
    tokens = ground.n_train * row * epochs
    found = _cost(ground, origin, tokens, own["batch_tokens"], _trained(origin, technique))
    return _plus(found, seconds=LABEL_S * ground.n_dev, answer_s=6e-3)


def _answers(ground: Ground, origin: Origin, own: Recipe, technique: str, row: float) -> Forecast:
    tokens = ground.n_train * row * own["epochs"]
    found = _cost(ground, origin, tokens, own["batch_tokens"], _trained(origin, technique), logits=origin.vocabulary)
    return _with_answers(ground, origin.body, found)


def _with_answers(ground: Ground, body: int, found: Forecast) -> Forecast:
    answer_s = TOKEN_S * max(1.0, body / 1e7) * (ground.answer_chars / CHARS_PER_TOKEN + 1)
    return _plus(found, seconds=answer_s * ground.n_dev / 8, answer_s=answer_s)


def _trained(origin: Origin, technique: str) -> int:
    return int(origin.weights * LORA_SHARE) if technique == "lora" else origin.weights


def _cost(ground: Ground, origin: Origin, tokens: float, batch_tokens: int, trained: int, *, logits: int = 0) -> Forecast:
    work = Work(
        tokens=tokens,
        batch_tokens=batch_tokens,
        weights=origin.weights,
        body=origin.body,
        trained=trained,
        width=origin.width,
        layers=origin.layers,
        logits=logits,
    )
    found = cost(work, pace=ground.pace)
    return Forecast(seconds=found.seconds * ground.case.train.trials, bytes=found.bytes, work=work)


def _plus(one: Forecast, *, seconds: float, answer_s: float) -> Forecast:
    return replace(one, seconds=one.seconds + seconds, answer_s=answer_s)


def _sum(first: Forecast, then: Forecast) -> Forecast:
    larger = max(first, then, key=lambda one: one.bytes)
    return replace(larger, seconds=first.seconds + then.seconds, answer_s=then.answer_s)
