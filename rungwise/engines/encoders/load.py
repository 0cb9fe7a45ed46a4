"""Encoders by name; a model is loaded at its first call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rungwise.core.errors import UnknownName
from rungwise.engines.encoders.encode import Encode, Vectors
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.engines.encoders.minilm import MINILM_SHA256, minilm_folder
from rungwise.engines.encoders.pytorch import TransformerEncoder


def load_encoder(name: str) -> Encode:
    """The encode function of `minilm`, `hashed`, or a local Hugging Face folder with a BERT-like encoder.

    Vectors are (n, d) float32 of unit length. Weights are loaded, and their digest
    checked, at the first call. Raises MissingExtra when torch is not installed,
    Corrupt when the weights are not the known ones, UnknownName for another name.
    """
    if name == "hashed":
        return encode_hashed
    if name == "minilm":
        return _lazily(lambda: TransformerEncoder(minilm_folder(), sha256=MINILM_SHA256))
    if Path(name).is_dir():
        return _lazily(lambda: TransformerEncoder(Path(name)))
    raise UnknownName("encoder", name, ["minilm", "hashed"])


def _lazily(make: Callable[[], TransformerEncoder]) -> Encode:
    made: list[TransformerEncoder] = []
    lock = threading.Lock()

    def encode(texts: Sequence[str]) -> Vectors:
        with lock:
            if not made:
                made.append(make())
        return made[0].encode(texts)

    return encode
