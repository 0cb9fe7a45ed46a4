"""Texts in clusters, so that a split can cover all of them: streamed, offline, the same for the same seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

MOST_CLUSTERS = 256
_FEATURES = 1 << 12


def text_clusters(batches: Callable[[], Iterator[Sequence[str]]], count: int, *, seed: int) -> list[int]:
    """The cluster of each of `count` texts, which are read twice in batches.

    Words hashed into 4,096 features, mini-batch k-means (Sculley 2010, WWW) with sqrt(n / 2) clusters (Mardia, Kent and
    Bibby 1979, Multivariate Analysis, p. 365), at most 256.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.feature_extraction.text import HashingVectorizer

    clusters = max(1, min(MOST_CLUSTERS, round(math.sqrt(count / 2))))
    vectors = HashingVectorizer(n_features=_FEATURES, stop_words=None, token_pattern=r"(?u)\w+")
    means = MiniBatchKMeans(clusters, random_state=seed, n_init=1)
    for batch in batches():
        # Each batch must hold as many texts as there are clusters; only the last one may be smaller.
        if len(batch) >= clusters:
            means.partial_fit(vectors.transform(batch))
    return [int(number) for batch in batches() for number in means.predict(vectors.transform(batch))]
