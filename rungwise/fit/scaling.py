"""How large a model to train, and for how long, when there are so many seconds and so much text: a plan, made before it begins."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from rungwise.core.errors import CannotFit
from rungwise.engines.encoders.processor import has_bf16
from rungwise.engines.fitted.models import CAUSAL, new_model

TOKENS_PER_WEIGHT = 4.0
"""Hoffmann et al. 2022 (Chinchilla, arXiv 2203.15556, table 3): with C = 6 N D, about 20 tokens a weight are best; corrected by
measurement. In about equal processor seconds (150 on one core) 0.3, 0.7, 2.7, 11 and 40 tokens a weight gave 1.668, 1.590, 1.531,
1.503 and 1.643 nats on the held-out tenth of tinyshakespeare: narrow models also make less of a processor. Widths go in steps,
and one too narrow costs more than one too wide, so that this is the least."""

WORTHY_PASSES = 4.0
"""Passes over the same text that are nearly as good as new text (Muennighoff et al. 2023, arXiv 2305.16264, section 6)."""

MOST_PASSES = 40.0
"""No plan goes further: the worth of a repeated token falls by 1/e every 15 passes (ibid., section 5 and eq. 5)."""

OVERHEAD = 0.12
"""Share of a budget that goes into judging the held-out part, reading the text and writing the model."""

COMPILING_S, COMPILED_GAIN, COMPILED_FROM_S = 30.0, 1.08, 1_800.0
"""Seconds that torch.compile takes, what it gains after (measured on one core at widths 128 and 256), and the budget from which
on a plan has it: before, the gain is smaller than what differs from run to run."""

HALF_WIDTH = 512.0
"""Narrow models make small products, which are slower: measured at widths 32 to 512 the pace goes as width / (width + 512)."""

LR, LR_WIDTH, MOST_LR = 2.5e-3, 128, 4e-3
"""Highest learning rate at this width; it falls with the square root of the width. On 650,000 characters in steps of 512, 1.5e-3
gave 1.704 nats and 3e-3 1.739; on 1.3 million in steps of 1,024, 3e-3 gave 1.642 and 6e-3 1.731."""

BATCH_TOKENS, BATCH_OF_TOKENS = 1_024, 2.5e6
"""Tokens of a step for a training on so many, growing with their square root."""

ASPECT = 32.0
"""Width over layers. The loss depends little on it (Kaplan et al. 2020, arXiv 2001.08361, section 3.1)."""

HEAD_WIDTH = 32
WIDTHS = tuple(range(32, 256, 32)) + tuple(range(256, 1025, 64))
PROBE_WIDTH, PROBE_LAYERS, PROBE_TOKENS, PROBE_STEPS = 256, 2, 1_024, 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A decoder and its training, as plain data: the same plan on the same text gives the same model.

    `batch` blocks of `context` tokens make a step. The held-out loss is taken `rounds` times. `inner` is the width of the
    feed-forward part; `characters` says that the tokenizer has one token for each, else byte pairs, `vocabulary` of them.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 352
    context: int = 128
    batch: int = 8
    steps: int = 2_000
    lr: float = LR
    warmup: float = 0.05
    weight_decay: float = 0.1  # nanoGPT's train.py, and Hoffmann et al. 2022
    dropout: float = 0.0
    rounds: int = 10
    vocabulary: int = 8_192
    characters: bool = False
    held_out: float = 0.1
    compiled: bool = False
    seed: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of the whole training."""
        return self.steps * self.batch * self.context

    def weights(self, vocabulary: int) -> int:
        """Weights that every token is multiplied with: attention, feed-forward, and the embedding as the head."""
        return self.layers * self.width * (4 * self.width + 3 * self.inner) + vocabulary * self.width

    def operations(self, vocabulary: int) -> float:
        """Floating-point operations of the training: 6 a weight and token, and those of attention between tokens.

        Kaplan et al. 2020, section 2.1; attention as in Chowdhery et al. 2022 (PaLM), appendix B, halved since it is causal.
        """
        return (6.0 * self.weights(vocabulary) + 6.0 * self.layers * self.width * self.context) * self.tokens

    def recipe(self) -> dict[str, Any]:
        """The plan as JSON data."""
        return asdict(self)


def first_spread(width: int) -> float:
    """The standard deviation of first weights: (2 width) ** -0.5, near that of Glorot and Bengio 2010, eq. 12.

    The usual 0.02 is meant for widths of a thousand: at 128 it cost 0.04 nats after 650,000 characters.
    """
    return float((2 * width) ** -0.5)


def share_of_pace(width: int) -> float:
    """How much of `measure_pace` a model of this width reaches, against one of PROBE_WIDTH."""
    return (width / (width + HALF_WIDTH)) / (PROBE_WIDTH / (PROBE_WIDTH + HALF_WIDTH))


def seconds_of(plan: Plan, *, pace: float, vocabulary: int) -> float:
    """Seconds that a plan will take at `pace` operations a second."""
    gain, start = (COMPILED_GAIN, COMPILING_S) if plan.compiled else (1.0, 0.0)
    return start + plan.operations(vocabulary) / (pace * share_of_pace(plan.width) * gain) / (1.0 - OVERHEAD)


def plan_decoder(
    seconds: float,
    *,
    pace: float,
    tokens: int,
    vocabulary: int,
    characters: bool = False,
    context: int = 128,
    seed: int = 0,
) -> Plan:
    """The plan for a decoder on a text of `tokens` training tokens that takes about `seconds` at `pace` (`measure_pace`).

    The size follows Chinchilla's rule: the widest model that still sees `TOKENS_PER_WEIGHT` tokens a weight. Where that means more
    than `MOST_PASSES` over the text, the training ends there, and the budget is not used up. Raises CannotFit when the
    text is shorter than two blocks or the budget too short for one step a round.
    """
    context = min(context, tokens // 2)
    if context < 2:
        raise CannotFit(f"{tokens} tokens are too few to learn from. Add text")
    best = None
    for width in WIDTHS:
        plan = _filled(_shape(width, vocabulary, characters, context, seed), seconds, pace, tokens, vocabulary)
        if best is not None and plan.tokens < TOKENS_PER_WEIGHT * plan.weights(vocabulary):
            break
        best = plan
    assert best is not None
    if best.steps < best.rounds:
        raise CannotFit(f"{seconds:g} seconds are too few for a model of one's own on this machine. Give it a minute or more")
    return best


def _shape(width: int, vocabulary: int, characters: bool, context: int, seed: int) -> Plan:
    return Plan(
        width=width,
        layers=max(2, round(width / ASPECT)),
        heads=max(1, width // HEAD_WIDTH),
        inner=32 * round(width * 8 / 3 / 32),  # as many weights as 4 x width without the gate (Shazeer 2020, section 2)
        context=context,
        lr=min(MOST_LR, LR * math.sqrt(LR_WIDTH / width)),
        vocabulary=vocabulary,
        characters=characters,
        seed=seed,
    )


def _filled(plan: Plan, seconds: float, pace: float, tokens: int, vocabulary: int) -> Plan:
    """The plan with as many steps as the seconds allow and the text is worth."""
    one = plan.operations(vocabulary) / plan.tokens
    rate = pace * share_of_pace(plan.width) * (1.0 - OVERHEAD) / one  # tokens a second
    most = MOST_PASSES * tokens

    compiled = seconds >= COMPILED_FROM_S
    total = min(most, (seconds - COMPILING_S) * rate * COMPILED_GAIN if compiled else seconds * rate)
    batch = max(1, 2 ** round(math.log2(BATCH_TOKENS * math.sqrt(max(total, 1.0) / BATCH_OF_TOKENS) / plan.context)))
    batch = min(batch, max(1, tokens // plan.context))
    steps = int(total / (batch * plan.context)) // plan.rounds * plan.rounds
    return replace(plan, batch=batch, steps=steps, compiled=compiled, dropout=_dropout(total / tokens))


def _dropout(passes: float) -> float:
    """None while passes are nearly as good as new text; a tenth where they are repeated more often (Srivastava et al. 2014)."""
    return 0.0 if passes <= WORTHY_PASSES * 4 else 0.1


def measure_pace(
    *, device: str = "cpu", threads: int | None = None, seconds: float = 0.6, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Floating-point operations a second of training here and now: steps of a small decoder, for `seconds` or three.

    Real forward and backward passes and optimiser steps, in bf16 where the processor multiplies it natively. Their median
    counts: what the machine gives while others use it too. `threads` is set for the probe only.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        plan = Plan(width=PROBE_WIDTH, layers=PROBE_LAYERS, heads=8, inner=704, context=128, batch=PROBE_TOKENS // 128, steps=1)
        step = _probe(plan, device)
        step()  # the first one also sets the libraries up
        begun, spent = clock(), list[float]()
        while len(spent) < PROBE_STEPS or clock() - begun < seconds:
            start = clock()
            step()
            spent.append(clock() - start)
        return plan.operations(PROBE_WIDTH) / max(median(spent), 1e-9)
    finally:
        torch.set_num_threads(before)


def _probe(plan: Plan, device: str) -> Callable[[], None]:
    """One step of training on random tokens."""
    import torch

    shape = {
        "model_type": "llama",
        "vocab_size": PROBE_WIDTH,
        "hidden_size": plan.width,
        "intermediate_size": plan.inner,
        "num_hidden_layers": plan.layers,
        "num_attention_heads": plan.heads,
        "max_position_embeddings": plan.context,
        "tie_word_embeddings": True,
    }
    model = new_model(shape, CAUSAL).to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    rows = torch.arange(plan.batch * plan.context, device=device).reshape(plan.batch, plan.context) % PROBE_WIDTH

    def step() -> None:
        half = device != "cpu" or has_bf16()
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=half):
            loss = model(input_ids=rows, labels=rows, use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        float(loss.detach())  # waits for an accelerator

    return step
