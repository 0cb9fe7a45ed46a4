"""The one training loop for encoders: AdamW with a warm-up, in bf16 where the processor has it, the same every time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import MissingExtra, RungwiseError
from rungwise.engines.encoders.processor import has_bf16

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Batch = TypeVar("Batch")
Rows = NDArray[np.int64]
RateOf = Callable[[str], float]
"""From the name of a parameter to how many times the learning rate it gets; 0 leaves it as it is."""

WARMUP, WEIGHT_DECAY, CLIP = 0.1, 0.01, 1.0
"""The fine-tuning settings of the BERT code (Devlin et al. 2018, google-research/bert optimization.py and run_squad.py)."""

BATCH_TOKENS = 4_096  # padded tokens of one batch: 32 windows of 128, the batch size of run_squad.py


class Diverged(RungwiseError):
    """The loss of a training is not a number."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How to train: `lr` is the highest learning rate, reached after the share `warmup` of the steps, then falling to 0.

    `rate_of` gives parameters a share of it (`layer_rates`). `bf16` None means where the processor multiplies it natively.
    """

    lr: float
    epochs: int
    seed: int = 0
    warmup: float = WARMUP
    weight_decay: float = WEIGHT_DECAY
    clip: float = CLIP
    rate_of: RateOf = lambda name: 1.0
    bf16: bool | None = None
    device: str = "cpu"

    @property
    def half(self) -> bool:
        """Whether products are computed in bf16."""
        return self.bf16 if self.bf16 is not None else self.device != "cpu" or has_bf16()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a training is: `done` of `total` steps, the loss of the last one, padded tokens a second, seconds left."""

    done: int
    total: int
    epoch: int
    loss: float
    tokens_per_s: float
    left_s: float


def finetune(
    model: torch.nn.Module,
    batches: Callable[[np.random.Generator], Sequence[Batch]],
    loss: Callable[[Batch], Tensor],
    training: Training,
    *,
    tokens_of: Callable[[Batch], int] = lambda batch: 0,
    on_step: Callable[[Step], None] | None = None,
    stop: Callable[[int, float], bool] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Train `model` in place; the mean loss of every epoch comes back, and the model is left in evaluation mode.

    `batches` makes the batches of one epoch from a seeded generator (`batches_by_length`),
    and `loss` the mean loss of one of them, a scalar. AdamW (Loshchilov and Hutter 2019)
    without decay on biases and norms; gradients are clipped in their norm (Pascanu et al.
    2013). `stop(epoch, mean loss)` ends it early; the falling rate is still that of all
    epochs. Equal arguments give equal weights on one machine with one number of threads.
    Raises Diverged when a loss is not finite, MissingExtra without torch.
    """
    rng = np.random.default_rng(training.seed)
    rounds = [batches(rng) for _ in range(training.epochs)]
    total, begin = sum(map(len, rounds)), clock()
    model.to(training.device).train()
    advance = _stepper(model, loss, training, total)
    means: list[float] = []
    done = tokens = 0
    with seeded(training.seed):
        for epoch, own in enumerate(rounds):
            losses = []
            for batch in own:
                losses.append(advance(batch, done))
                done, tokens = done + 1, tokens + tokens_of(batch)
                if on_step is not None:
                    spent = max(clock() - begin, 1e-9)
                    pace, left = tokens / spent, spent / done * (total - done)
                    on_step(Step(done=done, total=total, epoch=epoch, loss=losses[-1], tokens_per_s=pace, left_s=left))
            means.append(float(np.mean(losses)) if losses else 0.0)
            if stop is not None and stop(epoch, means[-1]):
                break
    model.eval()
    return means


def _stepper(
    model: torch.nn.Module, loss: Callable[[Batch], Tensor], training: Training, total: int
) -> Callable[[Batch, int], float]:
    """What takes one step on a batch, given how many were taken before, and says its loss."""
    torch = _torch()
    groups = _groups(model, training)
    parameters = [one for group in groups for one in group["params"]]
    optimiser = torch.optim.AdamW(groups, lr=training.lr, fused=True)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _triangle(step, total, training.warmup))
    kind = torch.device(training.device).type

    def advance(batch: Batch, done: int) -> float:
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=training.half):
            value = loss(batch)
        number = float(value.detach())
        if not math.isfinite(number):
            raise Diverged(
                f"the training went astray: the loss of step {done + 1} is {number}. Try a lower learning rate than {training.lr:g}"
            )
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, training.clip)
        optimiser.step()
        rates.step()
        return number

    return advance


def batches_by_length(lengths: Sequence[int], rng: np.random.Generator, *, tokens: int = BATCH_TOKENS) -> list[Rows]:
    """Row numbers in random batches of like length, at most `tokens` padded tokens each (a longer row stands alone).

    Rows are sorted by length with a noise of a tenth, so that batches differ from epoch to epoch, and the batches come
    in random order: short and long ones take turns. Every row is in exactly one batch.
    """
    sizes = np.asarray(lengths, dtype=np.float64)
    order = np.argsort(sizes * rng.uniform(0.9, 1.1, len(sizes)), kind="stable")
    found: list[Rows] = []
    begin, longest = 0, 0.0
    for place, row in enumerate(order):
        longest = max(longest, sizes[row])
        if place > begin and longest * (place - begin + 1) > tokens:
            found.append(order[begin:place])
            begin, longest = place, float(sizes[row])
    if begin < len(order):
        found.append(order[begin:])
    return [found[number] for number in rng.permutation(len(found))]


def layer_rates(layers: int, *, frozen: int = 0, decay: float = 1.0, head: float = 1.0) -> RateOf:
    """Rates for a BERT-like encoder of `layers` layers under a new head.

    The embeddings and the `frozen` lowest layers stay as they are; each layer learns `decay` times as fast as the one
    above it (layer-wise decay: Howard and Ruder 2018, section 3.2), and whatever is not of the encoder `head` times.
    """

    def rate(name: str) -> float:
        if ".layer." in name:
            place = int(name.split(".layer.")[1].split(".")[0])
            return 0.0 if place < frozen else decay ** (layers - 1 - place)
        return 0.0 if "embeddings" in name else head

    return rate


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what torch draws within (new heads, dropout) from `seed`, and leave its generator as it was."""
    torch = _torch()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _groups(model: torch.nn.Module, training: Training) -> list[dict[str, Any]]:
    """One parameter group per decay and rate; frozen parameters get no gradient, which also saves their backward pass."""
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in model.named_parameters():
        rate = training.rate_of(name)
        parameter.requires_grad_(rate > 0)
        if rate > 0:
            decay = 0.0 if parameter.ndim < 2 or "LayerNorm" in name else training.weight_decay
            groups.setdefault((decay, rate), []).append(parameter)
    return [{"params": own, "weight_decay": decay, "lr": training.lr * rate} for (decay, rate), own in groups.items()]


def _triangle(step: int, total: int, warmup: float) -> float:
    """The share of the full rate at a step, in (0, 1]: up over the warm-up, then down in a straight line."""
    rise = max(1, math.ceil(warmup * total))
    return (step + 1) / rise if step < rise else max(0.0, (total - step) / max(1, total - rise))


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("training an encoder", "local") from error
    return torch
