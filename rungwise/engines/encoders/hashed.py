"""The encoder that needs no model: hashed words and characters under a random projection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from rungwise.core.record import digest
from rungwise.engines.encoders.encode import Vectors

HASHED_FEATURES = 2**15
HASHED_DIMENSIONS = 384


class HashedEncoder:
    """`encode_hashed` with a name: the same texts give the same vectors on every machine."""

    identity = digest(["hashed", 1, HASHED_FEATURES, HASHED_DIMENSIONS])
    cut = 0

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """See `encode_hashed`."""
        return encode_hashed(texts)


def encode_hashed(texts: Sequence[str]) -> Vectors:
    """(n, 384) float32: hashed TF words and character 3-5-grams, folded by a fixed random projection. Needs no extra.

    The projection is +-1 / sqrt(d) with a fixed seed (Achlioptas, JCSS 66, 2003); it keeps cosines to about 0.05.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    if not texts:
        return np.zeros((0, HASHED_DIMENSIONS), dtype=np.float32)
    words = HashingVectorizer(n_features=HASHED_FEATURES, alternate_sign=False, ngram_range=(1, 2), norm="l2", dtype=np.float32)
    grams = HashingVectorizer(
        n_features=HASHED_FEATURES, alternate_sign=False, analyzer="char_wb", ngram_range=(3, 5), norm="l2", dtype=np.float32
    )
    folded = words.transform(texts) @ _projection(0) + grams.transform(texts) @ _projection(1)
    norms = np.linalg.norm(folded, axis=1, keepdims=True)
    return np.asarray(folded / np.maximum(norms, 1e-12), dtype=np.float32)


@cache
def _projection(seed: int) -> Vectors:
    signs = np.random.default_rng(seed).integers(0, 2, (HASHED_FEATURES, HASHED_DIMENSIONS), dtype=np.int8)
    return np.asarray((2 * signs - 1) / np.sqrt(HASHED_DIMENSIONS), dtype=np.float32)
