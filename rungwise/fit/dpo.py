"""Direct preference optimisation: a language model learns to give the answers that people chose, and stays near to what it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit, UsageError
from rungwise.engines.fitted.adapters import Lora, adapter_files, with_lora
from rungwise.engines.fitted.chat import Chat
from rungwise.engines.fitted.models import CAUSAL, load_model, model_files
from rungwise.fit.best_weights import BestWeights
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.decoder import check_decoder, seen_tokens, set_dropout
from rungwise.fit.decoder_training import DecoderTraining
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


FULL_LR, LORA_LR = 5e-7, 5e-6
"""Of all weights: Zephyr (Tunstall et al. 2023, arXiv 2310.16944, section 4.2). Of adapters: ten times as high, as is usual."""


@dataclass(frozen=True, kw_only=True)
class DpoSettings(DecoderTraining):
    """How a model is aligned; see `DecoderTraining` for the rest.

    `beta` is how dear it is to move away from the reference (0.1: Rafailov et al. 2023, appendix B). `smoothing` is the share
    of pairs that are taken to be the wrong way round (cDPO: Mitchell 2023, "A note on DPO with noisy preferences"). The usual
    rate, 5e-6 for adapters and 5e-7 for all weights, is for models of billions; small ones need more
    (1e-4 for all of 0.7 million weights, benchmarks/support_alignment.py). A batch has
    `batch_pairs` pairs, laid out in rows of at most `row_tokens` places. Pairs whose prompt and longer answer have more than
    `max_tokens`, or more than the base can see, are left out. Pairs are held out by whole prompts.
    """

    beta: float = 0.1
    smoothing: float = 0.0
    batch_pairs: int = 16
    max_tokens: int = 2_048

    @property
    def training(self) -> Training:
        """The settings of the loop."""
        return self.loop(lora_lr=LORA_LR, full_lr=FULL_LR)


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
    with seeded(settings.seed):
        model = load_model(base, CAUSAL, device=settings.device)
        data = _Data(pairs, chat, settings, most=min(settings.max_tokens, seen_tokens(model) or settings.max_tokens))
        check_decoder(model, max(pair.longest for pair in data.encoded))
        set_dropout(model, 0.0)
        begin = time.perf_counter()
        judge = model if reference is None else load_model(reference, CAUSAL, device=settings.device)
        known = log_probabilities(judge, data.encoded, settings)
        reference_s = time.perf_counter() - begin
        learner = _learner(model, settings)
    held = _Held(learner, data, known, settings)
    best = BestWeights(learner, held.loss if held.pairs else None, patience=settings.patience)
    trained = finetune(
        learner,
        lambda rng: batches_of(data.kept, rng, settings.batch_pairs),
        lambda chosen: _loss(learner, data, known, chosen, settings),
        settings.training,
        tokens_of=lambda chosen: sum(len(data.encoded[row]) for row in chosen),
        weight_of=lambda chosen: float(data.weights[chosen].sum()),
        on_step=on_step,
        stop=best.see,
        checkpoints=checkpoints,
        remembers=best,
        parallel=parallel,
    )
    best.put_back()
    steps = len(trained.losses) - trained.resumed
    told = {
        "parameters": float(sum(one.numel() for one in model.parameters())),
        "trained_parameters": float(sum(one.numel() for one in learner.parameters() if one.requires_grad)),
        "tokens": float(trained.tokens),
        "kept_epoch": float(best.epoch),
        "reference_s": reference_s,
        "pairs_per_s": steps * settings.accumulate * settings.batch_pairs / max(trained.seconds, 1e-9),
        **data.told,
    }
    if held.pairs:
        told |= held.told(reference or base)
    files = adapter_files(learner, base=base_name) if settings.technique == "lora" else model_files(model, like=base)
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


class _Data:
    """The pairs as tokens, split by whole prompts into those that are learned and those that are held out."""

    def __init__(self, pairs: Sequence[Preference], chat: Chat, settings: DpoSettings, *, most: int) -> None:
        whole = [encoded(pair, chat) for pair in pairs]
        fits = [place for place, one in enumerate(whole) if one.longest <= most]
        if len(fits) < LEAST_PAIRS:
            raise CannotFit(
                f"an alignment needs {LEAST_PAIRS} pairs, and there are {len(fits)} of at most {most} tokens, "
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


class _Held:
    """The held-out pairs, and what a model as it stands says of them."""

    def __init__(self, model: Any, data: _Data, known: Table, settings: DpoSettings) -> None:
        self.pairs, self._known = [data.encoded[row] for row in data.held], known[:, data.held]
        self._model, self._settings, self._weights = model, settings, data.weights[data.held]
        self._before = _accuracy(log_probabilities(model, self.pairs, settings)) if self.pairs else 0.0

    def loss(self) -> float:
        """The loss on them now."""
        return self._loss(log_probabilities(self._model, self.pairs, self._settings))

    def told(self, reference: Mapping[str, bytes]) -> dict[str, float]:
        """What `fit_dpo` says it tells, at the end."""
        logs = log_probabilities(self._model, self.pairs, self._settings)
        margin = margins(logs, self._known, beta=self._settings.beta)
        return {
            "accuracy_before": self._before,
            "accuracy_after": _accuracy(logs),
            "preferred": float((margin > 0).mean()),
            "margin": float(margin.mean()),
            "loss": self._loss(logs),
            "kl": _divergence(self._model, reference, self.pairs[:DIVERGENCE_PAIRS], self._settings),
        }

    def _loss(self, logs: Table) -> float:
        import torch

        own, known, weights = (torch.from_numpy(part) for part in (logs, self._known, self._weights))
        return float(dpo_loss(own, known, beta=self._settings.beta, smoothing=self._settings.smoothing, weights=weights))


def _learner(model: Any, settings: DpoSettings) -> Any:
    """The model itself, or with the adapter that learns."""
    if settings.technique == "full":
        return model
    lora = Lora(rank=settings.rank, alpha=settings.alpha, targets=settings.targets)
    return with_lora(model, lora, task="CAUSAL_LM")


def _loss(model: Any, data: _Data, known: Table, chosen: Numbers, settings: DpoSettings) -> Tensor:
    import torch

    logs = answer_log_probabilities(model, paired_rows([data.encoded[row] for row in chosen], settings.row_tokens))
    told, weights = (torch.from_numpy(part).to(logs.device) for part in (known[:, chosen], data.weights[chosen]))
    return dpo_loss(logs, told, beta=settings.beta, smoothing=settings.smoothing, weights=weights)


def _accuracy(logs: Table) -> float:
    return float((logs[0] > logs[1]).mean())


def _divergence(model: Any, reference: Mapping[str, bytes], pairs: Sequence[EncodedPair], settings: DpoSettings) -> float:
    """Mean over the tokens of these answers of KL(model || reference), exact over the vocabulary, in nats."""
    import torch

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


def _check(settings: DpoSettings) -> None:
    if not (settings.beta > 0 and 0 <= settings.smoothing < 0.5 and 0 <= settings.held_out < 1):
        raise UsageError("beta is above 0, smoothing in [0, 0.5) and held_out in [0, 1). Set them so")
    if settings.batch_pairs < 1 or settings.accumulate < 1:
        raise UsageError("a batch has at least one pair, and a step at least one batch. Set batch_pairs and accumulate so")
