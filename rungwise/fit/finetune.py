"""The one training loop: AdamW with a warm-up, bf16 where the processor has it, checkpoints, a curve, the same every time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import MissingExtra, TrainingFailed
from rungwise.engines.encoders.processor import has_bf16
from rungwise.fit.checkpoints import Checkpoints, Snapshot
from rungwise.fit.parallel import ALONE, Parallel
from rungwise.fit.spikes import Spikes

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


NO_MEMORY = ("not enough memory", "can't allocate memory", "Cannot allocate memory", "out of memory")
"""What torch's allocators say when there is none, on one system or another."""


class Diverged(TrainingFailed):
    """The loss or the gradient of a training is not a number, or the loss has leapt and stayed up."""


class NoMemory(TrainingFailed):
    """A batch does not fit into the memory that is left."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How to train: `lr` is the highest learning rate, reached after the share `warmup` of the steps.

    Then it falls to `floor` times itself, in a straight line or as half a cosine (Loshchilov and Hutter 2017, eq. 5).
    One step takes `accumulate` batches. `rate_of` gives parameters a share of the rate (`layer_rates`); with None those
    that need a gradient already (an adapter's) get all of it. `bf16` None means where the processor multiplies it natively.
    """

    lr: float
    epochs: int
    seed: int = 0
    warmup: float = WARMUP
    weight_decay: float = WEIGHT_DECAY
    clip: float = CLIP
    schedule: Literal["linear", "cosine"] = "linear"
    floor: float = 0.0
    accumulate: int = 1
    betas: tuple[float, float] = (0.9, 0.999)
    rate_of: RateOf | None = lambda name: 1.0
    bf16: bool | None = None
    device: str = "cpu"

    @property
    def half(self) -> bool:
        """Whether products are computed in bf16."""
        return self.bf16 if self.bf16 is not None else self.device != "cpu" or has_bf16()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a training is: `done` of `total` steps, the loss of the last one, padded tokens a second, seconds left.

    `grad_norm` is the norm of the gradient before clipping, `lr` the learning rate of the step.
    """

    done: int
    total: int
    epoch: int
    loss: float
    tokens_per_s: float
    left_s: float
    grad_norm: float = 0.0
    lr: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How a training went: the mean loss of every epoch, and of every step its loss, gradient norm and learning rate.

    `tokens` counts what `tokens_of` said of all batches, `seconds` what this run of it took, `resumed` the steps that an
    earlier run had taken.
    """

    epochs: list[float]
    losses: list[float]
    grad_norms: list[float]
    rates: list[float]
    tokens: int
    seconds: float
    resumed: int = 0

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second of this run."""
        share = (len(self.losses) - self.resumed) / max(1, len(self.losses))
        return self.tokens * share / max(self.seconds, 1e-9)


class Remembers(Protocol):
    """What a technique keeps between epochs (its best weights so far) and a resumed training must find again."""

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tensors by name, and plain JSON data."""
        ...

    def restore(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        ...


def finetune(
    model: torch.nn.Module,
    batches: Callable[[np.random.Generator], Sequence[Batch]],
    loss: Callable[[Batch], Tensor],
    training: Training,
    *,
    tokens_of: Callable[[Batch], int] = lambda batch: 0,
    weight_of: Callable[[Batch], float] = lambda batch: 1.0,
    on_step: Callable[[Step], None] | None = None,
    stop: Callable[[int, float], bool] | None = None,
    checkpoints: Checkpoints | None = None,
    remembers: Remembers | None = None,
    parallel: Parallel = ALONE,
    clock: Callable[[], float] = time.perf_counter,
) -> Trained:
    """Train `model` in place; it is left in evaluation mode.

    `batches` makes the batches of one epoch from a seeded generator (`batches_by_length`),
    and `loss` the mean loss of one of them, a scalar, which counts `weight_of` times in the mean of its step. AdamW
    (Loshchilov and Hutter 2019) without decay on biases and norms; gradients are clipped in their norm (Pascanu et al.
    2013). `stop(epoch, mean loss)` ends it early; the falling rate is still that of all
    epochs. With `checkpoints` a killed training goes on where the last one was written, and ends in the weights
    that it would have had. Equal arguments give equal weights on one machine with one number of threads.
    With `parallel` the batches of a step are dealt to its processes. Raises Diverged when a loss is not finite or has leapt
    up and stayed there, NoMemory when a batch does not fit, MissingExtra without torch.
    """
    rng = np.random.default_rng(training.seed)
    rounds = [_steps(batches(rng), training.accumulate) for _ in range(training.epochs)]
    run = _Run(model, loss, weight_of, training, total=sum(map(len, rounds)), parallel=parallel)
    begin, ended = clock(), -1
    model.to(training.device).train()
    with seeded(training.seed):
        run.begin(remembers)
        if checkpoints is not None and (found := checkpoints.load()) is not None:
            ended = run.resume(found, remembers)
        first = run.done
        for epoch, own in enumerate(rounds):
            if epoch <= ended:
                continue
            offset = sum(map(len, rounds[:epoch]))
            for place in range(max(0, run.done - offset), len(own)):
                run.advance(own[place], sum(map(tokens_of, own[place])))
                if on_step is not None:
                    on_step(run.news(epoch, first, max(clock() - begin, 1e-9)))
                if checkpoints is not None and place + 1 < len(own) and checkpoints.due() and parallel.is_main:
                    checkpoints.save(run.snapshot(epoch - 1, remembers))
            run.epochs.append(float(np.mean(run.losses[offset:])) if own else 0.0)
            finished = stop is not None and stop(epoch, run.epochs[-1])
            if finished:
                break
            if checkpoints is not None and checkpoints.due() and parallel.is_main:
                checkpoints.save(run.snapshot(epoch, remembers))
    model.eval()
    return run.trained(first, clock() - begin)


@dataclass
class _Run(Generic[Batch]):
    """A training under way."""

    model: torch.nn.Module
    loss: Callable[[Batch], Tensor]
    weight_of: Callable[[Batch], float]
    training: Training
    total: int
    parallel: Parallel
    done: int = 0
    tokens: int = 0
    tokens_before: int = 0
    epochs: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def begin(self, remembers: Remembers | None) -> None:
        torch = _torch()
        groups = _groups(self.model, self.training)
        self._parameters = [one for group in groups for one in group["params"]]
        self._optimiser = torch.optim.AdamW(groups, lr=self.training.lr, betas=self.training.betas, fused=True)
        self._rates = [float(group["lr"]) for group in groups]
        self._kind = torch.device(self.training.device).type
        self._spikes = Spikes()

    def advance(self, batches: Sequence[Batch], tokens: int) -> None:
        """One optimiser step on the batches of a step."""
        torch = _torch()
        share = _share(self.done, self.total, self.training)
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        self._optimiser.zero_grad(set_to_none=True)
        weights = [self.weight_of(batch) for batch in batches]
        whole, mean = sum(weights) or 1.0, 0.0
        with _telling_memory(tokens // max(1, len(batches))):
            for batch, weight in self.parallel.dealt(list(zip(batches, weights, strict=True))):
                with torch.autocast(self._kind, dtype=torch.bfloat16, enabled=self.training.half):
                    value = self.loss(batch)
                (value * (weight / whole)).backward()
                mean += float(value.detach()) * weight / whole
        mean = self.parallel.summed(mean, self._parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self.training.clip))
        self._check(mean, norm)
        self._optimiser.step()
        self.done, self.tokens = self.done + 1, self.tokens + tokens
        self.losses.append(mean)
        self.grad_norms.append(norm)
        self.rates.append(self.training.lr * share)

    def _check(self, mean: float, norm: float) -> None:
        lower = f"Try a lower learning rate than {self.training.lr:g}"
        if not math.isfinite(mean):
            raise Diverged(f"the training went astray: the loss of step {self.done + 1} is {mean}. {lower}")
        if not math.isfinite(norm):
            raise Diverged(f"the training went astray: the gradient of step {self.done + 1} is {norm}. {lower}")
        if (usual := self._spikes.see(mean)) is not None:
            raise Diverged(f"the training went astray: the loss leapt from {usual:.3g} to {mean:.3g} and stayed there. {lower}")

    def news(self, epoch: int, first: int, spent: float) -> Step:
        pace, left = (self.tokens - self.tokens_before) / spent, spent / max(1, self.done - first) * (self.total - self.done)
        return Step(
            done=self.done,
            total=self.total,
            epoch=epoch,
            loss=self.losses[-1],
            tokens_per_s=pace,
            left_s=left,
            grad_norm=self.grad_norms[-1],
            lr=self.rates[-1],
        )

    def snapshot(self, epoch: int, remembers: Remembers | None) -> Snapshot:
        """All that the next step depends on; `epoch` is the last one that is whole and was judged."""
        torch = _torch()
        named = {name: one for name, one in self.model.named_parameters() if one.requires_grad}
        tensors = {f"model.{name}": one for name, one in named.items()}
        tensors |= {f"buffer.{name}": one for name, one in self.model.named_buffers()}
        for place, one in enumerate(self._parameters):
            tensors |= {f"adam.{place}.{name}": value for name, value in self._optimiser.state[one].items()}
        tensors["random"] = torch.random.get_rng_state()
        own, plain = remembers.state() if remembers is not None else ({}, {})
        tensors |= {f"remembered.{name}": one.clone() for name, one in own.items()}
        curve = {"epochs": self.epochs, "losses": self.losses, "grad_norms": self.grad_norms, "rates": self.rates}
        return Snapshot(self.done, tensors, {"epoch": epoch, "tokens": self.tokens, "remembered": plain, **curve})

    def resume(self, found: Snapshot, remembers: Remembers | None) -> int:
        """Stand where the snapshot stands; the last whole epoch comes back."""
        torch = _torch()
        with torch.no_grad():
            for name, one in [*self.model.named_parameters(), *self.model.named_buffers()]:
                for kind in ("model", "buffer"):
                    if f"{kind}.{name}" in found.tensors:
                        one.copy_(found.tensors[f"{kind}.{name}"])
        for place, one in enumerate(self._parameters):
            head = f"adam.{place}."
            state = {name.removeprefix(head): value for name, value in found.tensors.items() if name.startswith(head)}
            # The count of steps stays on the processor, where the fused optimiser of a processor wants it.
            self._optimiser.state[one] = {name: value.to(one.device) for name, value in state.items()}
        torch.random.set_rng_state(found.tensors["random"])
        plain = dict(found.plain)
        self.done, self.tokens, self.tokens_before = found.step, plain["tokens"], plain["tokens"]
        self.epochs, self.losses = list(plain["epochs"]), list(plain["losses"])
        self.grad_norms, self.rates = list(plain["grad_norms"]), list(plain["rates"])
        for loss in self.losses:
            self._spikes.see(loss)
        if remembers is not None:
            head = "remembered."
            own = {name.removeprefix(head): one for name, one in found.tensors.items() if name.startswith(head)}
            remembers.restore(own, plain["remembered"])
        return int(plain["epoch"])

    def trained(self, first: int, seconds: float) -> Trained:
        return Trained(
            epochs=self.epochs,
            losses=self.losses,
            grad_norms=self.grad_norms,
            rates=self.rates,
            tokens=self.tokens,
            seconds=seconds,
            resumed=first,
        )


def _steps(batches: Sequence[Batch], size: int) -> list[Sequence[Batch]]:
    """The batches of an epoch, so many to a step."""
    return [batches[start : start + size] for start in range(0, len(batches), size)]


@contextmanager
def _telling_memory(tokens: int) -> Iterator[None]:
    """Turn an allocator's refusal into NoMemory, with a batch that is half as large."""
    torch = _torch()
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not any(sign in str(error) for sign in NO_MEMORY):
            raise
        half = max(1, tokens // 2)
        tried = f"--set batch_tokens={half} --set accumulate=2; for pairs of answers a smaller batch_pairs"
        raise NoMemory(f"no memory is left for a batch of {tokens:,} tokens. Try {tried}") from error


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
        rate = training.rate_of(name) if training.rate_of is not None else float(parameter.requires_grad)
        parameter.requires_grad_(rate > 0)
        if rate > 0:
            decay = 0.0 if parameter.ndim < 2 or "LayerNorm" in name else training.weight_decay
            groups.setdefault((decay, rate), []).append(parameter)
    return [{"params": own, "weight_decay": decay, "lr": training.lr * rate} for (decay, rate), own in groups.items()]


def _share(step: int, total: int, training: Training) -> float:
    """The share of the full rate at a step, in (0, 1]: up over the warm-up, then down to the floor."""
    rise = max(1, math.ceil(training.warmup * total))
    if step < rise:
        return (step + 1) / rise
    left = max(0.0, (total - step) / max(1, total - rise))
    fallen = left if training.schedule == "linear" else 0.5 * (1.0 - math.cos(math.pi * left))
    return training.floor + (1.0 - training.floor) * fallen


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("training an encoder", "local") from error
    return torch
