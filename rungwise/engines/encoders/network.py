"""What computes vectors from token ids, whatever library does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rungwise.engines.encoders.batches import Batch
from rungwise.engines.encoders.encode import Vectors


class Network(Protocol):
    """A loaded model. Any thread may call it; equal batches give equal bytes."""

    @property
    def kind(self) -> str:
        """Library and number format, for instance `openvino bf16`: vectors of two kinds are not quite the same."""
        ...

    def batches(self, encoded: Sequence[Sequence[int]]) -> list[Batch]:
        """Token ids of texts, cut into the batches that this network likes best."""
        ...

    def run(self, batches: Sequence[Batch], vectors: Vectors) -> None:
        """Write the vectors of the batches, of unit length, into their rows of (n, d)."""
        ...
