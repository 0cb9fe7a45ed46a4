"""What a model has forgotten: how much likelier general texts were to its base than they are to it, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit
from rungwise.evaluate.resampling import resampled_weights
from rungwise.fit.cross_entropy import sequence_log_probabilities
from rungwise.fit.decoder import seen_tokens, states_of
from rungwise.fit.packing import Document, bucketed_batches, fitted_to

JUDGED_TOKENS = 4_096  # padded tokens of a batch without gradients
LONGEST_PIECE = 512  # general texts are judged in pieces of this many tokens

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """Losses on general texts in nats per token, and the ratio of the perplexities, fitted to base, with a 95 % interval.

    A ratio of 1.05 says that the fitted model is 5 % more perplexed by ordinary texts than its base was.
    """

    base_loss: float
    fitted_loss: float
    ratio: float
    low: float
    high: float
    texts: int
    tokens: int

    @property
    def told(self) -> dict[str, float]:
        """The figures by the names that a `Fit` tells them under."""
        return {
            "general_loss_before": self.base_loss,
            "general_loss_after": self.fitted_loss,
            "perplexity_ratio": self.ratio,
            "perplexity_ratio_low": self.low,
            "perplexity_ratio_high": self.high,
        }


def forgetting(base: Any, fitted: Any, tokenizer: Any, texts: Sequence[str], *, half: bool = False, seed: int = 0) -> Forgetting:
    """Compare two causal language models with one tokenizer on the same texts.

    Perplexity is exp of the mean loss over all tokens; the interval is the percentile bootstrap over the texts, both models
    on the same draws (Efron and Tibshirani 1993, section 13.3). Long texts are judged in pieces of 512 tokens.
    Raises CannotFit with fewer than two texts of two tokens.
    """
    encoded = [Document.of(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    encoded = [one for one in encoded if len(one) >= 2]
    if len(encoded) < 2:
        raise CannotFit(f"what was forgotten is measured on two texts at least, and there are {len(encoded)}. Add general texts")
    room = min(one for one in (seen_tokens(base), seen_tokens(fitted), LONGEST_PIECE) if one)
    pieces = fitted_to(encoded, room, longer="split")
    sources = np.array(pieces.sources)
    tokens = np.bincount(sources, [int(one.learned[1:].sum()) for one in pieces.documents])
    before, after = (np.bincount(sources, losses_of(model, pieces.documents, half=half)) for model in (base, fitted))
    draws = resampled_weights(np.zeros(len(tokens), np.int64), np.arange(len(tokens)), seed=seed)
    low, high = np.exp(np.quantile((draws @ (after - before)) / (draws @ tokens), [0.025, 0.975]))
    whole = float(tokens.sum())
    return Forgetting(
        base_loss=float(before.sum()) / whole,
        fitted_loss=float(after.sum()) / whole,
        ratio=math.exp(float((after - before).sum()) / whole),
        low=float(low),
        high=float(high),
        texts=len(encoded),
        tokens=int(whole),
    )


def losses_of(model: Any, documents: Sequence[Document], *, half: bool = False, batch_tokens: int = JUDGED_TOKENS) -> Floats:
    """(n,) the summed loss of the learned tokens of every document, in nats, without gradients; `half` has products in bf16."""
    import torch

    found, was = np.zeros(len(documents)), model.training
    kind = next(model.parameters()).device.type
    model.eval()
    with torch.no_grad(), torch.autocast(kind, dtype=torch.bfloat16, enabled=half):
        for batch in bucketed_batches(documents, np.random.default_rng(0), batch_tokens=batch_tokens):
            states = states_of(model, batch)
            logs = sequence_log_probabilities(states.hidden, states.head, states.targets, states.documents, len(documents))
            found -= logs.double().cpu().numpy()  # 0 for documents of other batches
    model.train(was)
    return found


def mean_loss(model: Any, documents: Sequence[Document], *, half: bool = False) -> float:
    """Mean loss over all learned tokens of the documents, in nats."""
    tokens = sum(int(one.learned[1:].sum()) for one in documents)
    return float(losses_of(model, documents, half=half).sum()) / max(1, tokens)
