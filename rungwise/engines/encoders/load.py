"""Encoders by name; a model is loaded at its first call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.errors import UnknownName, UsageError
from rungwise.engines.encoders.backends import sentence_encoder
from rungwise.engines.encoders.encode import Encoder, Vectors
from rungwise.engines.encoders.folder import tokenizer_of
from rungwise.engines.encoders.hashed import HashedEncoder
from rungwise.engines.encoders.minilm import MINILM_SHA256, minilm_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_encoder(name: str, *, backend: str | None = None, cache: Path | None = None) -> Encoder:
    """The encoder `minilm`, `hashed`, of a local Hugging Face folder with a BERT-like model, or URL#MODEL; call it with texts.

    Vectors are (n, d) float32 of unit length. Weights are loaded, and their digest
    checked, at the first call; nothing is ever downloaded. `backend` and `cache` are those of `sentence_encoder`.
    Raises MissingExtra when torch is not installed,
    Corrupt when the weights are not the known ones, UnknownName for another name.
    """
    if name == "hashed":
        return HashedEncoder()
    if name == "minilm":
        return _Lazily(lambda: sentence_encoder(minilm_folder(), sha256=MINILM_SHA256, backend=backend, cache=cache))
    if Path(name).is_dir():
        return _Lazily(lambda: sentence_encoder(Path(name), backend=backend, cache=cache))
    if name.startswith(("http://", "https://")):
        return _remote(name)
    raise UnknownName("encoder", name, ["minilm", "hashed"])


def _remote(name: str) -> Encoder:
    """URL#MODEL, or URL#MODEL#KEY_ENV with the name of the environment variable that holds the key."""
    from random import Random

    from rungwise.core.usecase import Endpoint
    from rungwise.engines.clock import SystemClock
    from rungwise.engines.encoders.remote import RemoteEncoder

    url, _, rest = name.partition("#")
    model, _, key_env = rest.partition("#")
    if not model:
        raise UsageError(
            f"cannot read the encoder '{name}'. Write it as https://host/v1#model, or https://host/v1#model#KEY_VARIABLE"
        )
    endpoint = Endpoint(name=model, base_url=url, model=model, key_env=key_env or None)
    return RemoteEncoder(endpoint, clock=SystemClock(), rng=Random(0))


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of the encoder `minilm` or of a folder, for texts of any length. Raises MissingExtra, Corrupt, UnknownName."""
    if name != "minilm" and not Path(name).is_dir():
        raise UnknownName("tokenizer", name, ["minilm"])
    tokenizer = tokenizer_of(minilm_folder() if name == "minilm" else Path(name))
    tokenizer.no_truncation()
    return tokenizer


class _Lazily:
    """An encoder that is made at the first call, once for all threads."""

    def __init__(self, make: Callable[[], Encoder]) -> None:
        self._make, self._made, self._lock = make, list[Encoder](), threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        return self._encoder(texts)

    @property
    def identity(self) -> str:
        return self._encoder.identity

    @property
    def cut(self) -> int:
        return self._made[0].cut if self._made else 0

    @property
    def _encoder(self) -> Encoder:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
        return self._made[0]
