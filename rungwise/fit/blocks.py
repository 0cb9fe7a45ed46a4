"""The loss of a causal language model on blocks of a stream, and the part of a stream that is held out to judge it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from rungwise.engines.encoders.processor import has_bf16
from rungwise.fit.corpus import Starts, Tokens, cut_blocks
from rungwise.fit.cross_entropy import mean_cross_entropy
from rungwise.fit.decoder import body_of, head_of

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_TOKENS = 16_384
"""Held-out tokens that a point of the curve is taken on: a standard error of about 0.015 nats at 2 nats a token."""

BATCH_TOKENS = 8_192  # of a batch that is only judged


def blocks_loss(model: Any, stream: Tokens, starts: Starts, context: int, *, body: Any = None) -> Tensor:
    """Mean loss in nats per token over the blocks that begin at `starts` (B,), each `context` tokens and the one after.

    `body` stands for the model's own where it was compiled.
    """
    import torch

    device = next(model.parameters()).device
    rows = torch.from_numpy(cut_blocks(stream, starts, context)).to(device)  # (B, context + 1)
    hidden = (body_of(model) if body is None else body)(input_ids=rows[:, :-1], use_cache=False).last_hidden_state
    return mean_cross_entropy(hidden.flatten(0, 1), head_of(model), rows[:, 1:].flatten())


def compiled(model: Any) -> Any | None:
    """The body of a model compiled for one shape of batch, or None where there is no compiler for it."""
    import torch

    if next(model.parameters()).device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        return None
    return torch.compile(body_of(model), dynamic=False)


class Held:
    """Held-out blocks: the curve of the loss on a sample of them, and the weights that had the lowest so far.

    It is what `finetune` keeps in a checkpoint (`Remembers`). Blocks lie side by side; the tokens left at the end,
    fewer than `context`, are not judged.
    """

    def __init__(self, model: Any, stream: Tokens, context: int, *, device: str = "cpu") -> None:
        self._model, self._stream, self._context, self._device = model, stream, context, device
        self._starts: Starts = np.arange((len(stream) - 1) // context) * context
        self.curve: list[float] = []
        self._best: dict[str, Tensor] = {}

    def see(self, epoch: int, loss: float) -> bool:
        """After a round: a point of the curve, and the weights when it is the lowest. Never says to stop."""
        every = max(1, len(self._starts) * self._context // SAMPLE_TOKENS)
        self.curve.append(self._loss(self._starts[::every]))
        if self.curve[-1] <= min(self.curve):
            self._best = {name: one.detach().clone() for name, one in self._model.named_parameters() if one.requires_grad}
        return False

    def whole(self) -> float:
        """Nats per token over all held-out blocks."""
        return self._loss(self._starts)

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

    def _loss(self, starts: Starts) -> float:
        import torch

        training, total = self._model.training, 0.0
        self._model.to(self._device).eval()
        size = max(1, BATCH_TOKENS // self._context)
        half = self._device != "cpu" or has_bf16()
        with torch.no_grad(), torch.autocast(torch.device(self._device).type, dtype=torch.bfloat16, enabled=half):
            for begin in range(0, len(starts), size):
                part = starts[begin : begin + size]
                total += float(blocks_loss(self._model, self._stream, part, self._context)) * len(part)
        self._model.train(training)
        return total / len(starts)
