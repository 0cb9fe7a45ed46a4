"""The one door to accelerate: one training in several processes, each with a share of every step's batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rungwise.core.errors import MissingExtra

Item = TypeVar("Item")


@dataclass(frozen=True)
class Parallel:
    """The place of this process among `world`: it takes every world-th batch of a step, and gradients are added up over all."""

    rank: int = 0
    world: int = 1
    accelerator: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def dealt(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's share."""
        return items[self.rank :: self.world]

    def summed(self, mean: float, parameters: Sequence[Any]) -> float:
        """Add up the shares of the mean loss, and of every gradient in place, over all processes."""
        if self.world == 1:
            return mean
        import torch

        for one in parameters:
            own = one.grad if one.grad is not None else torch.zeros_like(one)
            one.grad = self.accelerator.reduce(own, reduction="sum")
        told = torch.tensor([mean], dtype=torch.float64, device=self.accelerator.device)
        return float(self.accelerator.reduce(told, reduction="sum"))


ALONE = Parallel()


def joined(*, cpu: bool = False) -> Parallel:
    """This process's place among those that `accelerate launch` or torchrun started; alone when none did."""
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise MissingExtra("training in several processes", "train") from error
    accelerator = Accelerator(cpu=cpu)
    return Parallel(accelerator.process_index, accelerator.num_processes, accelerator)
