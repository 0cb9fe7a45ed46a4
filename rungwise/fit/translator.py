"""A translator of one's own, from nothing but pairs of sentences: a small encoder-decoder over one joint tokenizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit
from rungwise.engines.encoders.processor import has_bf16
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import SEQ2SEQ, load_tokenizer, model_files, new_model
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.families import families
from rungwise.fit.finetune import Rows, Step, Training, batches_by_length, finetune, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.parallel import ALONE, Parallel
from rungwise.fit.scaling import LR_WIDTH, OVERHEAD, first_spread, share_of_pace
from rungwise.fit.tokenizer import END, PAD, UNKNOWN, check_texts, train_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

Ids = NDArray[np.int64]

LEAST_PAIRS = 20
IGNORED = -100
TOKENS_PER_PAIR = 24.0
"""Padded tokens of a pair of everyday sentences, both sides (tatoeba, 8,192 joint byte pairs): 19 real ones, 77 % of a batch."""

SHARE_OF_DECODER = 0.8
"""Its pace against a decoder's of equal width: the scores of 8,192 words, dropout and padding (measured at widths 64 to 320)."""

WIDTHS = (64, 128, 192, 256, 320, 384, 512)
PASSES = 2.0
"""The widest model that still goes so often over the pairs within the budget. On one core with 5 the plan was 64 wide and came to
BLEU 13.7 in 16 minutes; with 2 it was 192 wide and came to 29 in 14 and 35 in 25 (benchmarks/translator.py)."""


@dataclass(frozen=True, kw_only=True)
class TranslatorPlan:
    """An encoder-decoder and its training, as plain data.

    Label smoothing as in Vaswani et al. 2017, section 5.4. Batches hold at most `batch_tokens` padded tokens of both
    sides together. Pairs of more than `max_tokens` on a side are left out and counted. `held_out` pairs, of sources that
    nothing is learned from, are judged `rounds` times.
    """

    width: int = 256
    encoder_layers: int = 3
    decoder_layers: int = 3
    heads: int = 4
    inner: int = 1_024
    vocabulary: int = 8_192
    max_tokens: int = 128
    batch_tokens: int = 4_096
    steps: int = 2_000
    lr: float = 2e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    smoothing: float = 0.1
    rounds: int = 10
    held_out: int = 500
    seed: int = 0

    def weights(self) -> int:
        """Weights that a token of one of the two sides is multiplied with, about: half a pair's tokens are on either side."""
        one = self.width * (4 * self.width + 2 * self.inner)
        across = self.decoder_layers * 4 * self.width**2
        return ((self.encoder_layers + self.decoder_layers) * one + across + self.vocabulary * self.width) // 2


def plan_translator(seconds: float, *, pace: float, pairs: int, seed: int = 0) -> TranslatorPlan:
    """The plan for about `seconds` at `pace` operations a second (`scaling.measure_pace`) on so many pairs.

    The widest model that still sees every pair `PASSES` times, with the steps that fill the budget, but not beyond 40
    passes (Muennighoff et al. 2023: the worth of repeated text falls by 1/e every 15).
    """
    best = TranslatorPlan()
    for width in WIDTHS:
        plan = TranslatorPlan(
            width=width,
            heads=max(1, width // 64),
            inner=4 * width,
            vocabulary=int(min(8_192, max(512, pairs // 12))),
            lr=min(2e-3, 2e-3 * math.sqrt(LR_WIDTH / width)),
            dropout=0.1 if pairs > 10_000 else 0.2,
            seed=seed,
        )
        tokens = seconds * (1.0 - OVERHEAD) * pace * share_of_pace(width) * SHARE_OF_DECODER / (6.0 * plan.weights())
        passes = tokens / (pairs * TOKENS_PER_PAIR)
        batch = int(min(plan.batch_tokens, max(256, pairs * TOKENS_PER_PAIR // 20)))
        steps = int(min(tokens, 40 * pairs * TOKENS_PER_PAIR) / batch)
        if width > WIDTHS[0] and passes < PASSES:
            break
        best = replace(plan, batch_tokens=batch, steps=max(plan.rounds, steps))
    return best


def fit_translator(
    pairs: Sequence[tuple[str, str]],
    plan: TranslatorPlan,
    *,
    device: str = "cpu",
    on_step: Callable[[Step], None] | None = None,
    on_round: Callable[[Any, Mapping[str, bytes]], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Train an encoder-decoder on (source, target) pairs; loads as `MBartForConditionalGeneration` in plain transformers.

    Its layers normalise first, which trains without a long warm-up (Xiong et al. 2020). The weights kept are those of the
    round with the lowest held-out loss. `on_round(model, tokenizer files)` may look at the model after each round. Equal
    arguments give equal bytes on one machine with one number of threads. Raises CannotFit with fewer than 20 usable pairs.
    """
    check_texts([text for pair in pairs for text in pair])
    usable = [(source, target) for source, target in pairs if source.strip() and target.strip()]
    if len(usable) < LEAST_PAIRS:
        raise CannotFit(f"a translator needs {LEAST_PAIRS} pairs with text on both sides, and there are {len(usable)}. Add pairs")
    kept, held = hold_out_sources(usable, plan.held_out, seed=plan.seed)
    words = train_tokenizer(
        [text for row in kept for text in usable[row]], vocabulary=plan.vocabulary, special=(END, PAD, UNKNOWN), ended=True
    )
    data, judged = _Pairs([usable[row] for row in kept], words, plan), _Pairs([usable[row] for row in held], words, plan)
    if len(data) < LEAST_PAIRS or not len(judged):
        raise CannotFit(f"only {len(data)} pairs are no longer than {plan.max_tokens} tokens. Raise max_tokens, or add pairs")
    model = _new_model(plan, words)
    best = _Best(model, judged, plan, device, lambda: on_round(model, words) if on_round is not None else None)
    training = Training(
        lr=plan.lr,
        epochs=plan.rounds,
        seed=plan.seed,
        warmup=plan.warmup,
        weight_decay=plan.weight_decay,
        schedule="cosine",
        betas=(0.9, 0.98),  # Vaswani et al. 2017, section 5.3
        device=device,
    )
    trained = finetune(
        model,
        data.batches,
        lambda rows: _loss(model, data, rows, plan.smoothing),
        training,
        tokens_of=data.tokens_of,
        on_step=on_step,
        stop=best.see,
        checkpoints=checkpoints,
        remembers=best,
        parallel=parallel,
    )
    best.restore_best()
    told = {
        "held_out_loss": min(best.curve),
        "pairs": float(len(data)),
        "held_out_pairs": float(len(judged)),
        "pairs_too_long": float(data.too_long + judged.too_long),
        "pairs_empty": float(len(pairs) - len(usable)),
        "parameters": float(sum(one.numel() for one in model.parameters())),
        **{f"held_out_loss_{place}": loss for place, loss in enumerate(best.curve, start=1)},
    }
    return Fit(files=model_files(model, words), trained=trained, told=told)


def hold_out_sources(pairs: Sequence[tuple[str, str]], count: int, *, seed: int) -> tuple[list[int], list[int]]:
    """(kept, held out) rows: about `count` of them, a tenth at most, such that no source or target stands on both sides."""
    family = families([(f"s {source}", f"t {target}") for source, target in pairs])
    order = np.random.default_rng(seed).permutation(np.unique(family))
    rows = np.argsort(family, kind="stable")
    starts = np.searchsorted(family[rows], order)
    ends = np.searchsorted(family[rows], order, side="right")
    wanted = max(1, min(count, len(pairs) // 10))
    held: list[int] = []
    for start, end in zip(starts, ends, strict=True):
        if len(held) >= wanted:
            break
        if end - start <= wanted:  # a family as large as the part would be all of it
            held.extend(rows[start:end].tolist())
    return sorted(set(range(len(pairs))) - set(held)), sorted(held)


class _Pairs:
    """Pairs as tokens, and the batches that they make."""

    def __init__(self, pairs: Sequence[tuple[str, str]], words: Mapping[str, bytes], plan: TranslatorPlan) -> None:
        tokenizer = load_tokenizer(words)
        sides = [tokenizer([pair[side] for pair in pairs])["input_ids"] if pairs else [] for side in (0, 1)]
        whole = list(zip(*sides, strict=True))
        kept = [(a, b) for a, b in whole if max(len(a), len(b)) <= plan.max_tokens]
        self.too_long = len(whole) - len(kept)
        self.sources, self.targets = [a for a, _ in kept], [b for _, b in kept]
        self.pad, self.end = int(tokenizer.pad_token_id), int(tokenizer.eos_token_id)
        self._sizes = [len(a) + len(b) for a, b in kept]
        self._plan, self._left = plan, list[Rows]()

    def __len__(self) -> int:
        return len(self._sizes)

    def batches(self, rng: np.random.Generator) -> list[Rows]:
        """The batches of one round: pass after pass over all pairs, in batches of like length."""
        wanted = max(1, self._plan.steps // self._plan.rounds)
        while len(self._left) < wanted:
            self._left += batches_by_length(self._sizes, rng, tokens=self._plan.batch_tokens)
        found, self._left = self._left[:wanted], self._left[wanted:]
        return found

    def in_order(self) -> list[Rows]:
        """Every pair once, in batches of like length."""
        return batches_by_length(self._sizes, np.random.default_rng(0), tokens=self._plan.batch_tokens)

    def tokens_of(self, rows: Rows) -> int:
        """Real tokens of a batch, both sides."""
        return sum(self._sizes[row] for row in rows)

    def padded(self, rows: Rows) -> tuple[Ids, Ids, Ids]:
        """Sources (B, S), what the decoder is given (B, T), and what it is to say (B, T), `IGNORED` beyond the end."""
        sources = _filled([self.sources[row] for row in rows], self.pad)
        labels = _filled([self.targets[row] for row in rows], IGNORED)
        given = np.full_like(labels, self.pad)
        given[:, 0] = self.end
        given[:, 1:] = np.where(labels[:, :-1] == IGNORED, self.pad, labels[:, :-1])
        return sources, given, labels


class _Best:
    """The weights of the round with the lowest loss on held-out pairs; what `finetune` keeps in a checkpoint."""

    def __init__(self, model: Any, judged: _Pairs, plan: TranslatorPlan, device: str, after: Callable[[], None]) -> None:
        self._model, self._judged, self._plan, self._device, self._after = model, judged, plan, device, after
        self.curve: list[float] = []
        self._best: dict[str, Tensor] = {}

    def see(self, epoch: int, loss: float) -> bool:
        """After a round: a point of the curve, and the weights when it is the lowest. Never says to stop."""
        self._model.to(self._device).eval()
        self.curve.append(self._loss())
        if self.curve[-1] <= min(self.curve):
            self._best = {name: one.detach().clone() for name, one in self._model.named_parameters() if one.requires_grad}
        self._after()
        self._model.train()
        return False

    def restore_best(self) -> None:
        """Put back the weights with the lowest loss that was seen."""
        import torch

        with torch.no_grad():
            for name, one in self._model.named_parameters():
                if name in self._best:
                    one.copy_(self._best[name])

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The best weights, and the curve."""
        return self._best, {"curve": self.curve}

    def restore(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self._best, self.curve = dict(tensors), list(plain["curve"])

    def _loss(self) -> float:
        """Nats per target token, without smoothing."""
        import torch

        total, count = 0.0, 0
        half = self._device != "cpu" or has_bf16()
        with torch.no_grad(), torch.autocast(torch.device(self._device).type, dtype=torch.bfloat16, enabled=half):
            for rows in self._judged.in_order():
                size = sum(len(self._judged.targets[row]) for row in rows)
                total += float(_loss(self._model, self._judged, rows, 0.0)) * size
                count += size
        return total / count


def _loss(model: Any, data: _Pairs, rows: Rows, smoothing: float) -> Tensor:
    """Mean cross-entropy over the target tokens of a batch, in nats."""
    import torch
    from torch.nn.functional import cross_entropy

    device = next(model.parameters()).device
    sources, given, labels = (torch.from_numpy(part).to(device) for part in data.padded(rows))
    states = model.model(
        input_ids=sources, attention_mask=(sources != data.pad).long(), decoder_input_ids=given, use_cache=False
    ).last_hidden_state
    said = labels != IGNORED
    logits = model.lm_head(states[said])  # (N, V): padding has none
    return cross_entropy(logits.float(), labels[said], label_smoothing=smoothing)


def _filled(rows: Sequence[Sequence[int]], value: int) -> Ids:
    found = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


def _new_model(plan: TranslatorPlan, words: Files) -> Any:
    """An MBartForConditionalGeneration with weights drawn from the plan's seed; all embeddings are one (Press and Wolf 2017)."""
    tokenizer = load_tokenizer(words)
    end = int(tokenizer.eos_token_id)
    shape = {
        "model_type": "mbart",
        "vocab_size": len(tokenizer),
        "d_model": plan.width,
        "encoder_layers": plan.encoder_layers,
        "decoder_layers": plan.decoder_layers,
        "encoder_attention_heads": plan.heads,
        "decoder_attention_heads": plan.heads,
        "encoder_ffn_dim": plan.inner,
        "decoder_ffn_dim": plan.inner,
        "max_position_embeddings": plan.max_tokens,
        "dropout": plan.dropout,
        "activation_function": "relu",
        "init_std": first_spread(plan.width),
        "scale_embedding": False,  # so that words and places begin equally strong: a norm follows their sum
        "normalize_before": True,  # what ctranslate2 asks of the settings; the transformers class always does so
        "normalize_embedding": True,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": int(tokenizer.pad_token_id),
        "decoder_start_token_id": end,
        "forced_eos_token_id": None,
    }
    with seeded(plan.seed):
        return new_model(shape, SEQ2SEQ)


def recipe(plan: TranslatorPlan) -> dict[str, Any]:
    """The plan as JSON data."""
    return asdict(plan)
