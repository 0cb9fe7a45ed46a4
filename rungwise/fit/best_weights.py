"""The weights of the epoch with the lowest loss on held-out rows, and when to stop looking for lower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class BestWeights:
    """The best trained weights of a model so far, to begin with its own; a `finetune` remembers them in its checkpoints.

    `judge` measures the model as it stands: the lower, the better. Without a judge the last weights are the best.
    """

    def __init__(self, model: Any, judge: Callable[[], float] | None, *, patience: int) -> None:
        self._model, self._judge, self._patience = model, judge, patience
        self.before = self.lowest = judge() if judge is not None else 0.0
        self.epoch = self._since = 0
        self._kept = self._trained() if judge is not None else {}

    def see(self, epoch: int, loss: float) -> bool:
        """Judge an epoch (the `stop` of `finetune`): True after `patience` epochs that were no better."""
        if self._judge is None:
            self.epoch = epoch + 1
            return False
        if (now := self._judge()) < self.lowest:
            self.lowest, self.epoch, self._since, self._kept = now, epoch + 1, 0, self._trained()
            return False
        self._since += 1
        return self._since >= self._patience

    def put_back(self) -> None:
        """Give the model its best weights."""
        import torch

        with torch.no_grad():
            for name, one in self._model.named_parameters():
                if name in self._kept:
                    one.copy_(self._kept[name])

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a resumed training must find again."""
        return self._kept, {"before": self.before, "lowest": self.lowest, "epoch": self.epoch, "since": self._since}

    def restore(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self._kept = tensors
        self.before, self.lowest, self.epoch, self._since = (plain[name] for name in ("before", "lowest", "epoch", "since"))

    def _trained(self) -> dict[str, Any]:
        return {name: one.detach().to("cpu", copy=True) for name, one in self._model.named_parameters() if one.requires_grad}
