"""Direct preference optimisation: a language model learns to give the answers that people chose, and stays near to what it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit, UsageError
from rungwise.engines.fitted.adapters import Lora, adapter_files, with_lora
from rungwise.engines.fitted.chat import Chat
from rungwise.engines.fitted.models import CAUSAL, load_model, model_files
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.decoder import check_decoder
from rungwise.fit.finetune import Step, Training, batches_by_length, finetune, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.packing import Numbers
from rungwise.fit.paired_rows import EncodedPair, answer_log_probabilities, answers_of, encoded, paired_rows
from rungwise.fit.parallel import ALONE, Parallel
from rungwise.fit.preferences import Preference

if TYPE_CHECKING:
    from torch import Tensor

Table = NDArray[np.float32]

LEAST_PAIRS = 8
DIVERGENCE_PAIRS = 64  # held-out pairs that the distance from the reference is measured on
EVALUATION_TOKENS = 8_192


@dataclass(frozen=True, kw_only=True)
class DpoSettings:
    """How a model is aligned.

    `beta` is how dear it is to move away from the reference (0.1: Rafailov et al. 2023, appendix B). `smoothing` is the share
    of pairs that are taken to be the wrong way round (cDPO: Mitchell 2023, "A note on DPO with noisy preferences"). With
    `lora` an adapter learns, without it all weights. One step takes `accumulate` batches of `batch_pairs` pairs, laid out in
    rows of at most `row_tokens` places; pairs whose prompt and longer answer have more than `max_tokens` are left out.
    About `held_out` of the pairs, by whole prompts, are kept from the training: they choose the epoch, and after `patience`
    epochs without a lower loss on them it ends. The learning rate of full training is far below that of supervised
    fine-tuning; small models bear more (benchmarks/support_alignment.py).
    """

    beta: float = 0.1
    smoothing: float = 0.0
    lora: Lora | None = None
    lr: float = 5e-6
    epochs: int = 3
    seed: int = 0
    warmup: float = 0.1
    schedule: Literal["linear", "cosine"] = "linear"
    floor: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    batch_pairs: int = 16
    accumulate: int = 1
    row_tokens: int = 512
    max_tokens: int = 2_048
    held_out: float = 0.1
    patience: int = 1
    bf16: bool | None = None
    device: str = "cpu"

    @property
    def training(self) -> Training:
        """The settings of the loop."""
        return Training(
            lr=self.lr,
            epochs=self.epochs,
            seed=self.seed,
            warmup=self.warmup,
            schedule=self.schedule,
            floor=self.floor,
            weight_decay=self.weight_decay,
            clip=self.clip,
            accumulate=self.accumulate,
            rate_of=None,
            bf16=self.bf16,
            device=self.device,
        )


def fit_dpo(
    pairs: Sequence[Preference],
    base: Mapping[str, bytes],
    settings: DpoSettings | None = None,
    *,
    base_name: str = "",
    reference: Mapping[str, bytes] | None = None,
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Align the causal language model `base` with the pairs; the files are a PEFT folder's on `base_name`, or a whole model's.

    The loss is that of `dpo_loss`; the log-probabilities of the reference (the base itself unless another is given) are
    computed once, before the first step. Dropout is off throughout, so that model and reference are compared as they answer.
    The weights kept are those of the epoch with the lowest loss on the held-out pairs; those of the base where no epoch is
    below it. `told` says on the held-out pairs: `accuracy_before` and `accuracy_after`, the share in which the chosen answer
    is the likelier one; `preferred`, the share whose chosen answer gained on the rejected one (the implicit reward); the mean
    `margin` of that reward, the `loss`, and `kl`, nats per token from the reference over the whole vocabulary, at the
    places of those answers (not of the model's own). Equal arguments give equal bytes on one machine with one number of
    threads. Raises CannotFit with fewer than 8 usable pairs, UsageError when the base is none that this can train, Diverged
    and NoMemory as `finetune`, MissingExtra without the libraries.
    """
    settings = settings or DpoSettings()
    _check(settings)
    chat = Chat(base)
    data = _Data(pairs, chat, settings)
    with seeded(settings.seed):
        model = load_model(base, CAUSAL, device=settings.device)
        check_decoder(model, max(map(_longest, data.encoded)))
        without_dropout(model)
        judge = model if reference is None else load_model(reference, CAUSAL, device=settings.device)
        begin = time.perf_counter()
        known = log_probabilities(judge, data.encoded, settings)
        reference_s = time.perf_counter() - begin
        if settings.lora is not None:
            model = with_lora(model, settings.lora, task="CAUSAL_LM")
    best = _Best(model, data, known, settings)
    rows, weights = data.kept, data.weights

    def loss(chosen: Numbers) -> Tensor:
        import torch

        logs = answer_log_probabilities(model, paired_rows([data.encoded[row] for row in chosen], settings.row_tokens))
        told, weighed = (torch.from_numpy(part).to(logs.device) for part in (known[:, chosen], weights[chosen]))
        return dpo_loss(logs, told, beta=settings.beta, smoothing=settings.smoothing, weights=weighed)

    trained = finetune(
        model,
        lambda rng: batches_of(rows, rng, settings.batch_pairs),
        loss,
        settings.training,
        tokens_of=lambda chosen: sum(len(data.encoded[row]) for row in chosen),
        weight_of=lambda chosen: float(weights[chosen].sum()),
        on_step=on_step,
        stop=best.see,
        checkpoints=checkpoints,
        remembers=best,
        parallel=parallel,
    )
    best.put_back()
    files = adapter_files(model, base=base_name) if settings.lora is not None else model_files(model, like=base)
    told = {
        **data.told,
        **best.told(trained.epochs),
        "kl": _divergence(model, reference or base, [data.encoded[row] for row in data.held[:DIVERGENCE_PAIRS]], settings),
        "reference_s": reference_s,
        "pairs_per_s": _pace(trained.losses, trained.resumed, trained.seconds, settings),
        "parameters": float(sum(one.numel() for one in model.parameters())),
        "trained_parameters": float(sum(one.numel() for one in model.parameters() if one.requires_grad)),
    }
    return Fit(files={**files, **chat.files}, trained=trained, told=told)


def dpo_loss(logs: Tensor, reference: Tensor, *, beta: float, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """Mean of -log sigmoid(m), m the margin of the implicit rewards: Rafailov et al. 2023, arXiv 2305.18290, equation 7.

    `logs` and `reference` (2, P) are log-probabilities of the chosen and the rejected answers under model and reference, in
    nats. With `smoothing` e it is (1 - e) of that and e of -log sigmoid(-m) (cDPO); with `weights` (P,) the weighted mean.
    """
    from torch.nn.functional import logsigmoid

    margin = margins(logs, reference, beta=beta)
    each = -(1.0 - smoothing) * logsigmoid(margin) - smoothing * logsigmoid(-margin)
    return each.mean() if weights is None else (each * weights).sum() / weights.sum()


def margins(logs: Any, reference: Any, *, beta: float) -> Any:
    """(P,): by how much the implicit reward, beta log(model / reference), of the chosen answers is above the rejected ones'."""
    gained = logs - reference
    return beta * (gained[0] - gained[1])


def batches_of(rows: Numbers, rng: np.random.Generator, size: int) -> list[Numbers]:
    """The rows in random order, `size` to a batch; a rest makes a smaller batch."""
    order = rows[rng.permutation(len(rows))]
    return [order[start : start + size] for start in range(0, len(order), size)]


def log_probabilities(model: Any, pairs: Sequence[EncodedPair], settings: DpoSettings) -> Table:
    """(2, P): the log-probability of every chosen and rejected answer, without gradients, computed as in the training."""
    import torch

    found = np.zeros((2, len(pairs)), np.float32)
    was, kind = model.training, torch.device(settings.device).type
    model.eval()
    with torch.no_grad(), torch.autocast(kind, dtype=torch.bfloat16, enabled=settings.training.half):
        for some in batches_by_length([len(pair) for pair in pairs], np.random.default_rng(0), tokens=EVALUATION_TOKENS):
            rows = paired_rows([pairs[row] for row in some], settings.row_tokens)
            found[:, some] = answer_log_probabilities(model, rows).cpu().numpy()
    model.train(was)
    return found


def without_dropout(model: Any) -> None:
    """Set every dropout of a model to 0, those inside its attention too."""
    import torch

    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        for name in ("attention_dropout", "dropout"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)


class _Data:
    """The pairs as tokens, split by whole prompts into those that are learned and those that are held out."""

    def __init__(self, pairs: Sequence[Preference], chat: Chat, settings: DpoSettings) -> None:
        whole = [encoded(pair, chat) for pair in pairs]
        fits = [place for place, one in enumerate(whole) if one.longest <= settings.max_tokens]
        if len(fits) < LEAST_PAIRS:
            raise CannotFit(
                f"an alignment needs {LEAST_PAIRS} pairs, and there are {len(fits)} of at most {settings.max_tokens} tokens, "
                f"of {len(pairs)} in all. Add preferences, or raise max_tokens"
            )
        self.encoded = [whole[place] for place in fits]
        self.weights = np.array([pairs[place].weight for place in fits], np.float32)
        self.kept, self.held = _split([pairs[place].asked for place in fits], settings)
        self.told: dict[str, float] = {
            "pairs": float(len(self.kept)),
            "held_pairs": float(len(self.held)),
            "too_long": float(len(pairs) - len(fits)),
        }


class _Best:
    """The weights of the epoch with the lowest loss on the held-out pairs; at the outset those of the base, whose loss is log 2."""

    def __init__(self, model: Any, data: _Data, known: Table, settings: DpoSettings) -> None:
        self._model, self._settings, self._weights = model, settings, data.weights[data.held]
        self._pairs, self._known = [data.encoded[row] for row in data.held], known[:, data.held]
        self._kept: dict[str, Any] = self._trained() if self._pairs else {}
        self._best = self._loss() if self._pairs else float("inf")
        self._before = self._accuracy(self._logs) if self._pairs else 0.0
        self._epoch = self._since = 0

    def see(self, epoch: int, loss: float) -> bool:
        """Judge an epoch; whether to end after it."""
        if not self._pairs:
            return False
        if (now := self._loss()) < self._best:
            self._best, self._kept, self._epoch, self._since = now, self._trained(), epoch + 1, 0
            return False
        self._since += 1
        return self._since >= self._settings.patience

    def put_back(self) -> None:
        """Give the model the best weights."""
        import torch

        with torch.no_grad():
            for name, one in self._model.named_parameters():
                if name in self._kept:
                    one.copy_(self._kept[name])

    def told(self, epochs: Sequence[float]) -> dict[str, float]:
        """What there is to say of the held-out pairs; without any, nothing but the epoch."""
        if not self._pairs:
            return {"kept_epoch": float(len(epochs))}
        loss = self._loss()
        margin = margins(self._logs, self._known, beta=self._settings.beta)
        return {
            "kept_epoch": float(self._epoch),
            "accuracy_before": self._before,
            "accuracy_after": self._accuracy(self._logs),
            "preferred": float((margin > 0).mean()),
            "margin": float(margin.mean()),
            "loss": loss,
        }

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        plain = {"best": self._best, "epoch": self._epoch, "since": self._since, "before": self._before}
        return self._kept, plain if self._pairs else {}

    def restore(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        if self._pairs:
            self._kept, self._best, self._before = tensors, plain["best"], plain["before"]
            self._epoch, self._since = plain["epoch"], plain["since"]

    def _loss(self) -> float:
        import torch

        self._logs = log_probabilities(self._model, self._pairs, self._settings)
        parts = (torch.from_numpy(part) for part in (self._logs, self._known, self._weights))
        logs, known, weights = parts
        return float(dpo_loss(logs, known, beta=self._settings.beta, smoothing=self._settings.smoothing, weights=weights))

    def _accuracy(self, logs: Table) -> float:
        return float((logs[0] > logs[1]).mean())

    def _trained(self) -> dict[str, Any]:
        return {name: one.detach().cpu().clone() for name, one in self._model.named_parameters() if one.requires_grad}


def _divergence(model: Any, reference: Mapping[str, bytes], pairs: Sequence[EncodedPair], settings: DpoSettings) -> float:
    """Mean over the tokens of these answers of KL(model || reference), exact over the vocabulary, in nats; 0 without pairs."""
    import torch

    if not pairs:
        return 0.0
    other = load_model(reference, CAUSAL, device=settings.device)
    total = count = 0.0
    with torch.no_grad():
        for pair in pairs:
            rows = paired_rows([pair], settings.row_tokens)
            one, two = (
                torch.log_softmax((found.hidden @ found.head.t()).float(), dim=-1)
                for found in (answers_of(model, rows), answers_of(other, rows))
            )
            total += float((one.exp() * (one - two)).sum())
            count += len(one)
    return max(0.0, total / count)


def _split(asked: Sequence[str], settings: DpoSettings) -> tuple[Numbers, Numbers]:
    """(kept, held out) places, in order: prompts in random order are held until their pairs are about the share."""
    prompts = list(dict.fromkeys(asked))
    sizes = dict.fromkeys(prompts, 0)
    for one in asked:
        sizes[one] += 1
    wanted, held, size = settings.held_out * len(asked), set[str](), 0
    for place in np.random.default_rng(settings.seed).permutation(len(prompts)):
        if size + sizes[prompts[place]] / 2 > wanted or len(held) + 1 == len(prompts):
            break
        held.add(prompts[place])
        size += sizes[prompts[place]]
    apart = np.array([one in held for one in asked])
    return np.flatnonzero(~apart), np.flatnonzero(apart)


def _pace(losses: Sequence[float], resumed: int, seconds: float, settings: DpoSettings) -> float:
    return (len(losses) - resumed) * settings.accumulate * settings.batch_pairs / max(seconds, 1e-9)


def _longest(pair: EncodedPair) -> int:
    return pair.longest


def _check(settings: DpoSettings) -> None:
    if not (settings.beta > 0 and 0 <= settings.smoothing < 0.5 and 0 <= settings.held_out < 1):
        raise UsageError("beta is above 0, smoothing in [0, 0.5) and held_out in [0, 1). Set them so")
    if settings.batch_pairs < 1 or settings.accumulate < 1:
        raise UsageError("a batch has at least one pair, and a step at least one batch. Set batch_pairs and accumulate so")
