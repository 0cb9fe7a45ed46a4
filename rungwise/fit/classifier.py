"""A sentence encoder that learns the user's labels: all of its weights, or a low-rank adapter and a new head."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rungwise.engines.fitted.adapters import Lora, adapter_files, with_lora
from rungwise.engines.fitted.classifier import ABOUT, About, base_digest
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import CLASSIFIER, CONFIG, load_model, model_files, read_config
from rungwise.engines.fitted.token_ids import TokenIds
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import RateOf, Step, layer_rates, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.label_learning import LabelTraining, learn_labels, probe
from rungwise.fit.labelled import Row, labelled, labels_of
from rungwise.fit.parallel import ALONE, Parallel


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(LabelTraining):
    """How an encoder learns labels; see `LabelTraining` for the rest.

    `technique` full trains all layers but the word embeddings, each `decay` times as fast as the one above, and the head
    `head` times as fast; lora trains adapters of `rank` and scale `alpha` on the encoder's linear layers (`targets` None: on
    all of them), and pooling layer and head in full. With `probed` the head is fitted first on the untrained encoder.
    `dropout` None leaves that of the base.
    """

    technique: Literal["lora", "full"] = "full"
    decay: float = 1.0
    head: float = 5.0
    rank: int = 16
    alpha: int = 32
    targets: tuple[str, ...] | None = None
    probed: bool = False
    dropout: float | None = None


FULL, LORA = ClassifierSettings(), ClassifierSettings(technique="lora", lr=1e-3, epochs=5)
"""The usual settings of each technique, tried on a part of the training rows of clinc150; see benchmarks/clinc_training.py."""


def fit_classifier(
    rows: Sequence[Row],
    base: Mapping[str, bytes],
    settings: ClassifierSettings | None = None,
    *,
    base_name: str = "",
    labels: Sequence[str] | None = None,
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Fit a classifier on the encoder in the files `base`, which a user knows as `base_name`.

    The files of a full one are a `...ForSequenceClassification` folder that plain transformers loads; those of a LoRA a PEFT
    folder for that class on the base, with its config.json. `classifier.json` holds the temperature that held-out rows gave.
    Equal arguments give equal bytes on one machine with one number of threads. Raises CannotFit for rows that cannot be
    learned from, UnknownName for a label that is not among `labels`, Corrupt for a base that is no encoder.
    """
    settings = settings or FULL
    found = labels_of(rows, labels, multi_label=settings.multi_label)
    room = min(settings.max_tokens, int(read_config(base).get("max_position_embeddings", settings.max_tokens)))
    tokens = TokenIds(base, max_tokens=room)
    data = labelled(rows, found, tokens, multi_label=settings.multi_label, held_out=settings.held_out, seed=settings.seed)
    with seeded(settings.seed):
        model = classifier_of(base, found, settings)
        if settings.probed:
            probe(model, model.get_submodule(head_name(model)), data, settings)
        adapted = _adapted(model, settings) if settings.technique == "lora" else model
    learned = learn_labels(
        adapted,
        data,
        settings,
        rate_of=None if settings.technique == "lora" else _rates(model, settings),
        on_step=on_step,
        checkpoints=checkpoints,
        parallel=parallel,
    )
    about = About(labels=found, max_tokens=room, calibration=learned.calibration, base=base_name, base_digest=base_digest(base))
    files = _files(adapted, model, base, settings, base_name)
    return Fit(files={**files, ABOUT: about.data()}, trained=learned.trained, told=learned.told)


def classifier_of(base: Mapping[str, bytes], labels: Sequence[str], settings: ClassifierSettings) -> Any:
    """The encoder of a base under a new head for the labels, drawn from torch's generator."""
    changes: dict[str, Any] = naming(labels, multi_label=settings.multi_label)
    if settings.dropout is not None:
        changes |= {name: settings.dropout for name in read_config(base) if name.endswith(("_dropout_prob", "dropout"))}
    return load_model(base, CLASSIFIER, **changes)


def naming(labels: Sequence[str], *, multi_label: bool) -> dict[str, Any]:
    """What config.json says of the labels and of how they are told apart."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {name: place for place, name in enumerate(labels)},
        "problem_type": "multi_label_classification" if multi_label else "single_label_classification",
    }


def head_name(model: Any) -> str:
    """The name of the linear layer that gives the logits: the last one with as many outputs as there are labels."""
    import torch

    linear = [str(name) for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    found: str = [name for name in linear if model.get_submodule(name).out_features == model.config.num_labels][-1]
    return found


def _adapted(model: Any, settings: ClassifierSettings) -> Any:
    """The model under new adapters on the linear layers of its encoder; what lies above it is trained in full."""
    import torch

    prefix = f"{model.base_model_prefix}."
    above = sorted({name for name, _ in model.named_children() if name != model.base_model_prefix and name != "dropout"})
    pooler = [f"{prefix}pooler"] if getattr(model.base_model, "pooler", None) is not None else []
    linear = [
        name
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear) and name.startswith(prefix) and not name.startswith(f"{prefix}pooler")
    ]
    lora = Lora(rank=settings.rank, alpha=settings.alpha, targets=settings.targets or linear, whole=[*above, *pooler])
    return with_lora(model, lora, task="SEQ_CLS")


def _rates(model: Any, settings: ClassifierSettings) -> RateOf:
    """Pooling layer and layers at their shares of the rate, the word embeddings at none."""
    layers = int(getattr(model.config, "num_hidden_layers", 1))
    return layer_rates(layers, decay=settings.decay, head=settings.head)


def _files(adapted: Any, model: Any, base: Mapping[str, bytes], settings: ClassifierSettings, base_name: str) -> Files:
    """A whole folder, or the adapter with the settings of the model that it makes of its base."""
    if settings.technique == "full":
        return model_files(model, base)
    config = {**model.config.to_dict(), "architectures": [type(model).__name__]}
    config.pop("_name_or_path", None)
    return {
        **adapter_files(adapted, base=base_name),
        CONFIG: (json.dumps(config, indent=1, sort_keys=True, default=str) + "\n").encode(),
    }
