"""An encoder that looks up what it has encoded before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rungwise.data.vectors import VectorCache
from rungwise.engines.encoders.encode import Encode, Vectors

BATCH_TEXTS = 512
"""Texts that are encoded and committed together: what a killed run loses at most."""


def with_cache(encode: Encode, cache: VectorCache, encoder: str) -> Encode:
    """Wrap `encode` so that each text is encoded once; vectors are kept under `encoder`, the identity of what computes them.

    Vectors are committed batch by batch, so that after a kill the same call goes on where it stood. A damaged entry, or one of
    another length than the encoder gives, is computed again.
    """

    def remember(texts: Sequence[str]) -> Vectors:
        if not texts:
            return encode(texts)
        known = dict(zip(texts, cache.get(encoder, texts), strict=True))
        missing = [text for text, vector in known.items() if vector is None]
        # texts of like length beside each other make batches with little padding
        missing.sort(key=len)
        for start in range(0, len(missing), BATCH_TEXTS):
            some = missing[start : start + BATCH_TEXTS]
            vectors = encode(some)
            cache.put(encoder, some, vectors)
            known.update(zip(some, vectors, strict=True))
        lengths = {len(vector) for vector in known.values() if vector is not None}
        if len(lengths) > 1:
            vectors = encode(list(known))
            cache.put(encoder, list(known), vectors)
            known.update(zip(known, vectors, strict=True))
        return np.stack([vector for text in texts if (vector := known[text]) is not None])

    return remember
