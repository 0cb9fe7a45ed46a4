"""What an encoder is: a function from texts to vectors of unit length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
"""Texts to vectors (n, d) float32 of unit length; no texts give (0, d)."""


class Encoder(Protocol):
    """An encode function that says who it is, so that its vectors can be kept."""

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        """(n, d) float32 of unit length."""
        ...

    @property
    def identity(self) -> str:
        """A digest of everything that shapes a vector: two encoders of one identity give the same vectors up to rounding."""
        ...

    @property
    def cut(self) -> int:
        """How many texts so far were longer than the model reads."""
        ...


def encodable(text: str) -> str:
    """The text with `?` for halves of characters, which stand alone in damaged text and which no encoder reads."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
