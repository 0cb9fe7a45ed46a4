"""What puts the hits of a search in a better order, from the files that a fit has made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage
from rungwise.engines.bert import WEIGHTS
from rungwise.engines.rank_features import FeatureRanker, RankFeatures
from rungwise.engines.search.index import SearchIndex
from rungwise.inference.searching import Score

HEARD = ("first", "sentence", "reading")
"""The features of an order that hears a model which reads: the search's own score, the nearest sentence, and the reading."""

Read = Callable[[Sequence[tuple[str, str]]], NDArray[np.float32]]


def load_order(files: Mapping[str, bytes], index: SearchIndex) -> Score:
    """The score of passages; with the files of a cross-encoder among them, it reads them. Raises Corrupt."""
    read: Read | None = None
    if WEIGHTS in files:
        from rungwise.engines.cross_encoder import CrossEncoder

        read = CrossEncoder(files).logits
    ranker = FeatureRanker(files, features_over(index, read))

    def score(query: str, passages: Sequence[Passage]) -> Sequence[float]:
        return list(map(float, ranker.score(query, passages)))

    return score


def features_over(index: SearchIndex, read: Read | None) -> RankFeatures:
    """What speaks for a passage of an index, with or without a model that reads it."""
    names = () if read is None else HEARD
    return RankFeatures(index.recipe.words, index.lexical.rarity, index.encode, read=read, names=names)
