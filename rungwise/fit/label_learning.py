"""Teaching labels to an encoder with a head: the loss, the best epoch by held-out rows, and probabilities that are honest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit
from rungwise.engines.encoders.batches import in_batches
from rungwise.engines.linear import Calibration
from rungwise.fit.calibration import calibrate
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import RateOf, Step, Trained, Training, batches_by_length, finetune
from rungwise.fit.head import minimise, sigmoid_loss, softmax_loss
from rungwise.fit.labelled import Labelled
from rungwise.fit.parallel import ALONE, Parallel

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

MOST_EPOCHS = 40
PROBED_C = 1.0
"""Loss against weights of the head that is fitted before the encoder learns, on features of unit variance."""


@dataclass(frozen=True, kw_only=True)
class LabelTraining:
    """How labels are taught.

    A step takes about `rows` rows, at most `batch_tokens` padded tokens of them at once. Few rows are gone through more often
    than `epochs` times, until there are `least_steps` steps, or 40 epochs: small sets need many steps (Mosbach et al. 2021,
    arXiv 2006.04884, section 6). Texts are read up to `max_tokens`. `smoothing` is the share of each target that goes to all
    labels alike (Szegedy et al. 2016, section 7). About `held_out` of the rows say which epoch was best and calibrate;
    training ends when `patience` epochs were no better (more, where few rows are gone through more often).
    """

    lr: float = 2e-4
    epochs: int = 4
    least_steps: int = 200
    rows: int = 80
    batch_tokens: int = 4_096
    max_tokens: int = 256
    smoothing: float = 0.0
    held_out: float = 0.05
    patience: int = 3
    multi_label: bool = False
    seed: int = 0
    weight_decay: float = 0.01
    bf16: bool | None = None
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class Learned:
    """How it went, the calibration of the weights that were kept, and what there is to tell."""

    trained: Trained
    calibration: Calibration
    told: dict[str, float]


def learn_labels(
    model: Any,
    data: Labelled,
    settings: LabelTraining,
    *,
    rate_of: RateOf | None,
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Learned:
    """Train a sequence classification model in place and leave it with the weights of its best epoch.

    Best is by accuracy on the held-out rows (of several labels: the share of rows whose labels are all right), then by loss.
    """
    if settings.epochs < 1 or settings.rows < 1 or settings.max_tokens < 3:
        raise CannotFit("training needs at least one epoch, one row to a step and room for 3 tokens")
    lengths = data.lengths[data.kept]
    tokens, accumulate = _batch(settings, float(lengths.mean()))
    epochs = _epochs(settings, tokens * accumulate, int(lengths.sum()))
    best = _Best(model, data, settings, patience=math.ceil(settings.patience * epochs / settings.epochs))

    def loss(rows: Rows) -> Any:
        own = data.kept[rows]
        return label_loss(_logits(model, data, own, settings), data.truth[own], settings)

    trained = finetune(
        model,
        lambda rng: batches_by_length(lengths.tolist(), rng, tokens=tokens),
        loss,
        Training(
            lr=settings.lr,
            epochs=epochs,
            seed=settings.seed,
            weight_decay=settings.weight_decay,
            accumulate=accumulate,
            rate_of=rate_of,
            bf16=settings.bf16,
            device=settings.device,
        ),
        tokens_of=lambda rows: int(lengths[rows].max() * len(rows)),
        weight_of=lambda rows: float(len(rows)),
        on_step=on_step,
        stop=best.see,
        checkpoints=checkpoints,
        remembers=best,
        parallel=parallel,
    )
    best.put_back()
    calibration, measured = best.judged()
    weights = list(model.parameters())
    told = {
        "rows": float(len(data.kept)),
        "held_out_rows": float(len(data.held)),
        "cut_rows": float(data.cut),
        "tokens": float(trained.tokens),
        "parameters": float(sum(one.numel() for one in weights)),
        "trained_parameters": float(sum(one.numel() for one in weights if one.requires_grad)),
        "labels_without_rows": float((data.truth.sum(axis=0) == 0).sum()),
        **measured,
    }
    return Learned(trained=trained, calibration=calibration, told=told)


def label_loss(logits: Any, truth: Floats, settings: LabelTraining) -> Any:
    """Mean loss of a batch in nats: cross-entropy, or the mean logistic loss over all labels. logits and truth (B, labels)."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    wanted = torch.from_numpy(truth).to(logits.device)
    if settings.multi_label:
        return binary_cross_entropy_with_logits(logits.float(), wanted)
    return cross_entropy(logits.float(), wanted, label_smoothing=settings.smoothing)


def probe(model: Any, head: Any, data: Labelled, settings: LabelTraining) -> None:
    """Fit the linear layer `head` of a model on what the untrained encoder gives it, before anything else learns.

    A drawn head would first push the encoder about at random (Kumar et al. 2022, arXiv 2202.10054: probe, then fine-tune).
    """
    import torch

    seen: list[Any] = []
    hook = head.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().float().cpu()))
    places: list[Rows] = []
    for rows, _ in _evaluated(model, data, data.kept, settings):
        places.append(rows)
    hook.remove()
    order = np.concatenate(places)
    features = torch.cat(seen).numpy()
    mean, spread = features.mean(axis=0), max(float(features.std()), 1e-6)
    scaled = np.ascontiguousarray((features - mean) / spread)
    truth = data.truth[data.kept][order]
    start = np.zeros((scaled.shape[1] + 1, truth.shape[1]))
    plane = minimise(
        scaled, truth, c=PROBED_C, loss=sigmoid_loss if settings.multi_label else softmax_loss, start=start, stop=(1e-4, 1e-5)
    )
    weights = plane[:-1] / spread
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights.T))
        head.bias.copy_(torch.from_numpy(plane[-1] - mean @ weights))


def held_out_logits(model: Any, data: Labelled, settings: LabelTraining) -> Floats:
    """(held out, labels) float32."""
    found = np.zeros((len(data.held), len(data.labels)), dtype=np.float32)
    for rows, logits in _evaluated(model, data, data.held, settings):
        found[rows] = logits
    return found


def _evaluated(model: Any, data: Labelled, rows: Rows, settings: LabelTraining) -> list[tuple[Rows, Floats]]:
    """Places in `rows` and their logits, batch by batch, without dropout or gradient."""
    import torch

    training = model.training
    model.to(settings.device).eval()
    found = []
    with torch.inference_mode():
        for batch in in_batches([data.ids[row] for row in rows], limit_tokens=settings.batch_tokens):
            with torch.autocast(torch.device(settings.device).type, dtype=torch.bfloat16, enabled=_half(settings)):
                logits = _logits(model, data, rows[batch.rows], settings)
            found.append((batch.rows, logits.float().cpu().numpy()))
    model.train(training)
    return found


def _logits(model: Any, data: Labelled, rows: Sequence[int] | Rows, settings: LabelTraining) -> Any:
    """Logits (B, labels) of some rows, padded to the longest of them."""
    import torch

    own = [data.ids[row] for row in rows]
    width = max(map(len, own))
    ids = torch.zeros((len(own), width), dtype=torch.int64)
    mask = torch.zeros((len(own), width), dtype=torch.int64)
    for place, one in enumerate(own):
        ids[place, : len(one)] = torch.tensor(one)
        mask[place, : len(one)] = 1
    return model(input_ids=ids.to(settings.device), attention_mask=mask.to(settings.device)).logits


class _Best:
    """The weights of the best epoch so far, by the held-out rows."""

    def __init__(self, model: Any, data: Labelled, settings: LabelTraining, *, patience: int) -> None:
        self._model, self._data, self._settings, self._patience = model, data, settings, patience
        self._weights: dict[str, Any] = {}
        self._goodness, self._epoch = (-1.0, 0.0), 0

    def see(self, epoch: int, loss: float) -> bool:
        """After an epoch: keep its weights when they are better; end when `patience` epochs were not."""
        if not len(self._data.held):
            return False
        logits = held_out_logits(self._model, self._data, self._settings)
        goodness = self._measure(logits)
        if goodness > self._goodness:
            self._goodness, self._epoch = goodness, epoch
            self._weights = {name: one.detach().clone() for name, one in self._model.named_parameters() if one.requires_grad}
        return epoch >= self._epoch + self._patience

    def _measure(self, logits: Floats) -> tuple[float, float]:
        """Share of rows that are right, and the loss, less being more, of uncalibrated logits."""
        truth = self._data.truth[self._data.held] > 0
        right = (
            ((logits > 0) == truth).all(axis=1)
            if self._settings.multi_label
            else truth[np.arange(len(truth)), logits.argmax(axis=1)]
        )
        loss = float(label_loss(_tensor(logits), truth.astype(np.float32), self._settings))
        return float(right.mean()), -loss if math.isfinite(loss) else -math.inf

    def put_back(self) -> None:
        """Give the model the best weights."""
        import torch

        with torch.no_grad():
            for name, one in self._model.named_parameters():
                if name in self._weights:
                    one.copy_(self._weights[name])

    def judged(self) -> tuple[Calibration, dict[str, float]]:
        """The calibration of the model as it is, and how it does on the held-out rows."""
        many = self._settings.multi_label
        if not len(self._data.held):
            return Calibration(multi_label=many), {}
        logits = held_out_logits(self._model, self._data, self._settings)
        found = calibrate(logits, self._data.truth[self._data.held] > 0, multi_label=many)
        measured = {"held_out_right": self._goodness[0], "held_out_loss": -self._goodness[1], "best_epoch": float(self._epoch + 1)}
        return found, measured

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """See `Remembers`."""
        return self._weights, {"goodness": list(self._goodness), "epoch": self._epoch}

    def restore(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        """See `Remembers`."""
        self._weights = {name: one.to(self._settings.device) for name, one in tensors.items()}
        self._goodness, self._epoch = (plain["goodness"][0], plain["goodness"][1]), plain["epoch"]


def _tensor(logits: Floats) -> Any:
    import torch

    return torch.from_numpy(logits)


def _batch(settings: LabelTraining, mean_tokens: float) -> tuple[int, int]:
    """Padded tokens of a batch, and how many batches make a step of about `rows` rows."""
    wanted = max(1.0, settings.rows * mean_tokens)
    accumulate = max(1, math.ceil(wanted / settings.batch_tokens))
    return max(1, round(wanted / accumulate)), accumulate


def _epochs(settings: LabelTraining, step_tokens: int, tokens: int) -> int:
    """Epochs until there are enough steps."""
    steps = max(1.0, tokens / step_tokens)
    return max(settings.epochs, min(MOST_EPOCHS, math.ceil(settings.least_steps / steps)))


def _half(settings: LabelTraining) -> bool:
    return Training(lr=settings.lr, epochs=1, bf16=settings.bf16, device=settings.device).half
