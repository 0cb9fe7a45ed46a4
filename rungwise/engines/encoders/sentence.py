"""A sentence encoder: a tokenizer, and a network that makes one vector of each text."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from rungwise.core.errors import Corrupt
from rungwise.core.record import digest
from rungwise.engines.encoders.encode import Vectors, encodable
from rungwise.engines.encoders.folder import digest_of, max_tokens_of, tokenizer_of, width_of
from rungwise.engines.encoders.network import Network

_log = logging.getLogger(__name__)


class SentenceEncoder:
    """The encoder of a local Hugging Face folder, computed by a network. For any number of threads.

    `cut` counts the texts so far that had more tokens than the model reads; what is beyond them is in no vector.
    """

    def __init__(self, folder: Path, network: Network) -> None:
        self.network, self.folder = network, folder
        self.width, self.max_tokens, self.cut = width_of(folder), max_tokens_of(folder), 0
        self._tokenizer = tokenizer_of(folder)
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 of unit length, also for empty texts. Raises Corrupt when the model gives something else."""
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        if not texts:
            return vectors
        encoded = self._tokenizer.encode_batch_fast([encodable(text) for text in texts])
        self._count(sum(bool(one.overflowing) for one in encoded))
        try:
            self.network.run(self.network.batches([one.ids for one in encoded]), vectors)
        except ValueError as error:  # numpy's word for rows of another length
            raise Corrupt(
                f"the model in {self.folder} gives no vectors of {self.width} numbers ({error}). Install it again"
            ) from error
        if not np.isfinite(vectors).all():
            raise Corrupt(f"the model in {self.folder} gives vectors that are no numbers. Install it again")
        return vectors

    def encode(self, texts: Sequence[str]) -> Vectors:
        """The same as a call."""
        return self(texts)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of everything that shapes a vector: the model's files, how many tokens it reads, library and number format."""
        return digest(["sentence encoder", digest_of(self.folder), self.max_tokens, self.network.kind])

    def _count(self, cut: int) -> None:
        if not cut:
            return
        with self._lock:
            self.cut += cut
        _log.debug("%d texts were cut at %d tokens", cut, self.max_tokens)
