"""Embeddings of the climb's rows, computed once per encoder and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rungwise.core.dataset import Example
from rungwise.core.record import digest
from rungwise.core.types import Clock, Executor
from rungwise.data import artefacts
from rungwise.data.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rungwise.engines.encoders.encode import Encoder

    Vectors = NDArray[np.float32]

Encode = Callable[[Sequence[str]], "Vectors"]


class Embeddings:
    """Vectors of rows, (n, d) float32 each. Training and dev vectors are kept in the store; others only while the process lives.

    `engine` gives the encoder of a name; it loads the weights at its first call. What is kept is kept under its identity.
    """

    def __init__(self, store: Store, engine: Callable[[str], Encoder], executor: Executor, clock: Clock) -> None:
        self.store, self.engine, self.executor, self.clock = store, engine, executor, clock
        self._known: dict[str, dict[str, Vectors]] = {}

    async def of_rows(self, encoder: str, rows: Sequence[Example]) -> Vectors:
        """The vectors of the texts of rows, in order. The first call computes and keeps them."""
        import numpy as np

        key = digest(["embed", self.engine(encoder).identity, [row.input_id for row in rows]])
        texts = [row.text for row in rows]
        if artefacts.has(self.store, key):
            vectors = np.frombuffer(artefacts.load(self.store, key)["vectors"], dtype=np.float32).reshape(len(rows), -1)
        else:
            started = self.clock.tick()
            vectors = await self.executor.run(_encode, self.engine(encoder), texts)
            artefacts.save(self.store, key, {"vectors": vectors.tobytes()}, seconds=self.clock.tick() - started)
        self._known.setdefault(encoder, {}).update(zip(texts, vectors, strict=True))
        return vectors

    def keeping(self, encoder: str) -> Encode:
        """An encode function whose vectors are kept beside the store, each text's by itself: chunks that recur are encoded once."""
        from rungwise.data.vectors import VectorCache
        from rungwise.engines.encoders.remembering import with_cache

        engine = self.engine(encoder)
        return lambda texts: with_cache(engine, VectorCache(self.store), engine.identity)(texts)

    def remembering(self, encoder: str) -> Encode:
        """An encode function that looks up what is known and computes, and remembers, the rest."""
        known = self._known.setdefault(encoder, {})

        def encode(texts: Sequence[str]) -> Vectors:
            import numpy as np

            missing = list(dict.fromkeys(text for text in texts if text not in known))
            if missing:
                known.update(zip(missing, self.engine(encoder)(missing), strict=True))
            return np.stack([known[text] for text in texts])

        return encode


def _encode(encode: Encode, texts: Sequence[str]) -> Vectors:
    return encode(texts)
