"""What an encoder is: a function from texts to vectors of unit length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
"""Texts to vectors (n, d) float32 of unit length; no texts give (0, d)."""


def encodable(text: str) -> str:
    """The text with `?` for halves of characters, which stand alone in damaged text and which no encoder reads."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
