"""What the trainings of a language model have in common: all weights or an adapter, and the settings of the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rungwise.fit.finetune import Training


@dataclass(frozen=True, kw_only=True)
class DecoderTraining:
    """`technique` lora trains adapters of `rank` and scale `alpha` (`targets` None: on all linear layers but the head), full
    all weights. `lr` None is the usual rate of each. One step takes `accumulate` batches. About `held_out` of the rows choose the
    epoch; training ends when `patience` epochs were no better.
    """

    technique: Literal["lora", "full"] = "lora"
    lr: float | None = None
    epochs: int = 3
    seed: int = 0
    warmup: float = 0.1
    schedule: Literal["linear", "cosine"] = "linear"
    floor: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    rank: int = 16
    alpha: int = 32
    targets: tuple[str, ...] | None = None
    accumulate: int = 1
    row_tokens: int = 512
    held_out: float = 0.1
    patience: int = 1
    bf16: bool | None = None
    device: str = "cpu"

    def loop(self, *, lora_lr: float, full_lr: float) -> Training:
        """The settings of the loop, given the usual rates."""
        usual = lora_lr if self.technique == "lora" else full_lr
        return Training(
            lr=usual if self.lr is None else self.lr,
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
