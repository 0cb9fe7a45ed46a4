"""Few-shot learning of labels: an encoder whose vectors draw near to their label's others and away from the rest, and a head.

What SetFit does with pairs of texts (Tunstall et al. 2022, arXiv 2209.11055), each text here does with all labels at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit, UsageError
from rungwise.engines.fitted.sentence_classifier import HEAD
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step, Training, batches_by_length, finetune, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.head import fit_head
from rungwise.fit.linear import label_names
from rungwise.fit.parallel import ALONE, Parallel
from rungwise.fit.sentence_model import SentenceModel

if TYPE_CHECKING:
    from torch import Tensor

Row = tuple[str, tuple[str, ...]]
"""A text and its labels; of several, a single-label classifier learns the first."""

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

FAR = -1e4  # in place of minus infinity


@dataclass(frozen=True, kw_only=True)
class ContrastiveSettings:
    """How it is fitted; the values are those of benchmarks/setfit_few_shot.py, chosen on clinc150 with 8 texts a label.

    Cosines are multiplied by `scale`, and the own label's is lowered by `margin` first (CosFace: Wang et al. 2018, arXiv
    1801.09414, eq. 4). The `frozen` lowest layers stay as they are. A batch has at most `batch_tokens` padded tokens. `c` is
    the loss of the head against its weights, as in `fit.head`. Texts are read up to `max_tokens` (None: as the base says).
    """

    lr: float = 1e-4
    epochs: int = 2
    seed: int = 0
    scale: float = 20.0
    margin: float = 0.1
    frozen: int = 0
    dropout: float = 0.1
    batch_tokens: int = 384
    max_tokens: int | None = None
    c: float = 30.0
    multi_label: bool = False
    weight_decay: float = 0.01
    bf16: bool | None = None
    device: str = "cpu"


def fit_contrastive(
    rows: Sequence[Row],
    base: Mapping[str, bytes],
    settings: ContrastiveSettings | None = None,
    *,
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Fine-tune the sentence encoder in the files `base` on few texts of each label, then fit a calibrated head on its vectors.

    The files are a sentence encoder's folder, as plain transformers loads it, and the head's under `head/`; together they
    are a `SentenceClassifier`. Equal arguments give equal bytes on one machine with one number of threads. Raises CannotFit
    with fewer than two labels or no label with two texts, UsageError in several processes: a set of few texts is one's work.
    """
    settings = settings or ContrastiveSettings()
    if parallel.world > 1:
        raise UsageError("few-shot fine-tuning takes one process. Start it without accelerate launch or torchrun")
    references = [labels if settings.multi_label else labels[:1] for _, labels in rows]
    truth = _truth(references)
    model = SentenceModel(base, max_tokens=settings.max_tokens, device=settings.device, dropout=settings.dropout)
    ids = model.tokens([text for text, _ in rows])
    lengths = [len(own) for own in ids]
    centres = Centres(model.encode(ids, bf16=settings.bf16), truth, settings)
    with seeded(settings.seed):
        trained = finetune(
            model.network,
            lambda rng: batches_by_length(lengths, rng, tokens=settings.batch_tokens),
            lambda batch: centres.loss(model.vectors([ids[row] for row in batch]), batch),
            _training(model, settings),
            tokens_of=lambda batch: max(lengths[row] for row in batch) * len(batch),
            weight_of=len,
            on_step=on_step,
            checkpoints=checkpoints,
            remembers=centres,
        )
    vectors = model.encode(ids, bf16=settings.bf16)
    head = fit_head(vectors, references, cs=(settings.c,), seed=settings.seed, multi_label=settings.multi_label)[settings.c]
    parameters = list(model.network.parameters())
    told = {
        "rows": len(rows),
        "labels": truth.shape[1],
        "cut_rows": model.cut,
        "parameters": sum(one.numel() for one in parameters),
        "trained_parameters": sum(one.numel() for one in parameters if one.requires_grad),
    }
    files = model.files() | {HEAD + name: data for name, data in head.items()}
    return Fit(files=files, trained=trained, told={name: float(one) for name, one in told.items()})


class Centres:
    """The mean vector of each label, from the last vector that every text had: what texts are drawn to and pushed from.

    `vectors` are (n, D) of unit length, `truth` (n, labels) is 1 for the labels of a text. Vectors of earlier steps stand in
    for new ones (cross-batch memory: Wang et al. 2020, arXiv 1912.06798), so that a text that is encoded once meets all
    labels, whatever the batch it came in.
    """

    def __init__(self, vectors: Floats, truth: Floats, settings: ContrastiveSettings) -> None:
        import torch

        self._vectors = torch.from_numpy(vectors).to(settings.device)
        self._truth = torch.from_numpy(truth).to(settings.device)
        self._scale, self._margin, self._device = settings.scale, settings.margin, settings.device

    def loss(self, vectors: Tensor, rows: Rows) -> Tensor:
        """Mean over the texts (B, D) and their labels of -log softmax, in nats, of scaled cosines with the labels' centres.

        A prototypical network's loss (Snell et al. 2017, arXiv 1703.05175, eq. 2) with cosines. A text is left out of the
        centre of its own label (Wan et al. 2018, arXiv 1710.10467, eq. 8), else it would be near without learning anything; a
        label's only text stands for itself. The other labels of a text that has several take no part.
        """
        import torch

        with torch.autocast(torch.device(self._device).type, enabled=False):
            own = torch.from_numpy(rows).to(self._device)
            truth = self._truth[own] > 0  # (B, L)
            sums = self._truth.T @ self._vectors  # (L, D)
            cosines = vectors @ torch.nn.functional.normalize(sums, dim=1).T
            text, label = truth.nonzero(as_tuple=True)  # (P,) each: every text with each of its labels
            several = (self._truth.sum(dim=0)[label] > 1).to(vectors.dtype)[:, None]
            rest = torch.nn.functional.normalize(sums[label] - several * self._vectors[own[text]], dim=1)
            near = (vectors[text] * rest).sum(dim=1) - self._margin
            others = cosines.masked_fill(truth, FAR)[text]
            self._vectors[own] = vectors.detach()
            logits = self._scale * torch.cat([near[:, None], others], dim=1)  # (P, 1 + L)
            return -torch.log_softmax(logits, dim=1)[:, 0].mean()

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """See `Remembers`."""
        return {"vectors": self._vectors}, {}

    def restore(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        """See `Remembers`."""
        self._vectors = tensors["vectors"].to(self._device)


def _truth(references: Sequence[Sequence[str]]) -> Floats:
    """(n, labels) with a 1 for each label of a text, the labels in the order of `label_names`."""
    labels = label_names(references)
    counts = {label: sum(label in own for own in references) for label in labels}
    if len(labels) < 2 or max(counts.values(), default=0) < 2:
        raise CannotFit(
            f"few-shot learning needs two labels, and two texts of one of them; there are {len(labels)} labels "
            f"in {len(references)} texts. Label more texts"
        )
    if empty := [row for row, own in enumerate(references) if not own]:
        raise CannotFit(f"row {empty[0] + 1} has no label. Label it, or take it out of the training rows")
    place = {label: number for number, label in enumerate(labels)}
    truth = np.zeros((len(references), len(labels)), np.float32)
    for row, own in enumerate(references):
        truth[row, [place[label] for label in own]] = 1.0
    return truth


def _training(model: SentenceModel, settings: ContrastiveSettings) -> Training:
    return Training(
        lr=settings.lr,
        epochs=settings.epochs,
        seed=settings.seed,
        weight_decay=settings.weight_decay,
        rate_of=model.rates(frozen=settings.frozen),
        bf16=settings.bf16,
        device=settings.device,
    )
