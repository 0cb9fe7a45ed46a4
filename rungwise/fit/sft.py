"""Supervised fine-tuning: a causal language model learns to answer as the rows do, in all its weights or in a low-rank adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rungwise.core.errors import UsageError
from rungwise.engines.fitted.adapters import Lora, adapter_files, with_lora
from rungwise.engines.fitted.chat import Chat, Conversation
from rungwise.engines.fitted.models import CAUSAL, load_model, model_files
from rungwise.fit.best_weights import BestWeights
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.conversations import material_of
from rungwise.fit.cross_entropy import mean_cross_entropy
from rungwise.fit.decoder import check_decoder, seen_tokens, set_dropout, states_of
from rungwise.fit.decoder_training import DecoderTraining
from rungwise.fit.finetune import Step, Training, finetune, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.forgetting import forgetting, mean_loss
from rungwise.fit.packing import Document, Packed, bucketed_batches, pack, packed_batches
from rungwise.fit.parallel import ALONE, Parallel

if TYPE_CHECKING:
    from torch import Tensor

LORA_LR = 2e-4
"""Learning rate of adapters: QLoRA (Dettmers et al. 2023, arXiv 2305.14314), table 9, models up to 13B."""
FULL_LR = 2e-5
"""Learning rate of all weights: Llama 2 (Touvron et al. 2023, arXiv 2307.09288), section 3.1, as is the cosine."""


@dataclass(frozen=True, kw_only=True)
class SftSettings(DecoderTraining):
    """How a model is taught; see `DecoderTraining` for the rest.

    The usual rate is 2e-4 for adapters and 2e-5 for all weights; small models bear more. Adapters have `lora_dropout`.
    Rows of a conversation are packed into rows of `row_tokens` (`layout` packed), or laid one to a row in batches of like
    length (buckets: for a base that must not see several in a row); a batch has `batch_tokens`
    places. Conversations `longer` than a row are left out, or split. `dropout` is put into the base where it has some; None
    leaves it.
    """

    warmup: float = 0.03
    schedule: Literal["linear", "cosine"] = "cosine"
    floor: float = 0.1
    lora_dropout: float = 0.0
    dropout: float | None = None
    layout: Literal["packed", "buckets"] = "packed"
    batch_tokens: int = 4_096
    longer: Literal["leave_out", "split"] = "leave_out"

    @property
    def training(self) -> Training:
        """The settings of the loop."""
        return self.loop(lora_lr=LORA_LR, full_lr=FULL_LR)


def fit_sft(
    rows: Sequence[Conversation],
    base: Mapping[str, bytes],
    settings: SftSettings | None = None,
    *,
    base_name: str = "",
    general: Sequence[str] = (),
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Teach the causal language model `base` the answers of the rows; the loss is on what the assistant says alone.

    The files are a PEFT folder's on `base_name`, or a whole model's, with the chat template beside. The weights kept are
    those of the epoch with the lowest loss on the held-out rows; those of the base where no epoch is below it. `told` has
    parameters, trained_parameters, tokens, fill, rows, held_rows, empty_answers (left out), cut_rows (longer than a row),
    kept_epoch, held_out_loss_before and _after (nats per token of an answer); with texts of a `general` set also
    perplexity_ratio, _low and _high, as `forgetting` says. Equal arguments give equal bytes on one machine with one number
    of threads. Raises CannotFit when no row can be learned from, UsageError when base or tokenizer are none that this can
    train, Diverged and NoMemory as `finetune`, MissingExtra without the libraries.
    """
    settings = settings or SftSettings()
    chat = Chat(base)
    with seeded(settings.seed):
        model = load_model(base, CAUSAL, device=settings.device)
        room = min(settings.row_tokens, seen_tokens(model) or settings.row_tokens)
        check_decoder(model, room)
        if settings.dropout is not None:
            set_dropout(model, settings.dropout)
        material = material_of(rows, chat, row_tokens=room, longer=settings.longer, held_out=settings.held_out, seed=settings.seed)
        weights = float(sum(one.numel() for one in model.parameters()))
        learner = _learner(model, settings)
    half, held = settings.training.half, material.held
    best = BestWeights(learner, (lambda: mean_loss(learner, held, half=half)) if held else None, patience=settings.patience)
    laid = _Laid(material.learned, room, settings)
    trained = finetune(
        learner,
        laid.batches,
        lambda batch: _loss(learner, batch),
        settings.training,
        tokens_of=lambda batch: batch.tokens,
        weight_of=lambda batch: batch.learned,
        on_step=on_step,
        stop=best.see,
        checkpoints=checkpoints,
        remembers=best,
        parallel=parallel,
    )
    best.put_back()
    told = {
        "parameters": weights,
        "trained_parameters": float(sum(one.numel() for one in learner.parameters() if one.requires_grad)),
        "tokens": float(trained.tokens),
        "fill": laid.fill,
        "kept_epoch": float(best.epoch),
        **material.told,
    }
    if held:
        told |= {"held_out_loss_before": best.before, "held_out_loss_after": best.lowest}
    if general:
        told |= forgetting(load_model(base, CAUSAL, device=settings.device), learner, chat.tokenizer, general, half=half).told
    files = adapter_files(learner, base=base_name) if settings.technique == "lora" else model_files(model, like=base)
    return Fit(files={**files, **chat.files}, trained=trained, told=told)


class _Laid:
    """The documents in batches, anew for every epoch."""

    def __init__(self, documents: Sequence[Document], room: int, settings: SftSettings) -> None:
        if settings.layout not in ("packed", "buckets"):
            raise UsageError(f"there is no layout '{settings.layout}'. Known: packed, buckets")
        self._documents, self._settings = documents, settings
        self._packed = pack(documents, room) if settings.layout == "packed" else None

    @property
    def fill(self) -> float:
        """The share of places of an epoch that hold a token."""
        batches = self.batches(np.random.default_rng(self._settings.seed))
        return sum(one.tokens for one in batches) / max(1, sum(one.ids.size for one in batches))

    def batches(self, rng: np.random.Generator) -> list[Packed]:
        size = self._settings.batch_tokens
        if self._packed is None:
            return bucketed_batches(self._documents, rng, batch_tokens=size)
        return packed_batches(self._packed, rng, batch_tokens=size)


def _learner(model: Any, settings: SftSettings) -> Any:
    """What is trained: the model itself, or adapters on it."""
    if settings.technique == "full":
        return model.requires_grad_(True)
    if settings.technique != "lora":
        raise UsageError(f"there is no technique '{settings.technique}'. Known: lora, full")
    lora = Lora(rank=settings.rank, alpha=settings.alpha, dropout=settings.lora_dropout, targets=settings.targets)
    return with_lora(model, lora, task="CAUSAL_LM")


def _loss(model: Any, batch: Packed) -> Tensor:
    """Mean cross-entropy of the answers of a batch, in nats."""
    states = states_of(model, batch)
    return mean_cross_entropy(states.hidden, states.head, states.targets)
