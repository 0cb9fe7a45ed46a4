"""An order of passages learned from solved queries: by a few features, and by a cross-encoder that is heard among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rungwise.inference.reranking import features_over

if TYPE_CHECKING:
    from rungwise.engines.search.index import SearchIndex
    from rungwise.fit.rank_features import Found


def fit_order(found: Sequence[Found], index: SearchIndex, *, reads: bool, seed: int) -> Mapping[str, bytes]:
    """The files of an order.

    A cross-encoder alone, fitted on some hundred queries, orders worse than the search does (-0.26 nDCG@10 on SciFact,
    benchmarks/scifact.py). So it `reads` for one half of the queries' families, and the other half says how far to listen to it.
    Raises CannotFit with too few queries for either half.
    """
    from rungwise.fit.rank_features import fit_rank_features

    if not reads:
        return fit_rank_features(found, features_over(index, None), seed=seed)
    from rungwise.engines.cross_encoder import CrossEncoder
    from rungwise.engines.encoders.minilm import minilm_folder
    from rungwise.fit.families import families, folds_by_family
    from rungwise.fit.rerank import RerankSettings, fit_reranker
    from rungwise.ladder.near_misses import judged

    family = families([one.sources or (f"query {place}",) for place, one in enumerate(found)])
    taught, heard = next(folds_by_family(family, 2, seed=seed))
    settings = RerankSettings(seed=seed, max_tokens=160, negatives=3, epochs=2)
    files = fit_reranker(judged([found[row] for row in taught]), minilm_folder(), settings)
    features = features_over(index, CrossEncoder(files).logits)
    return {**files, **fit_rank_features([found[row] for row in heard], features, seed=seed)}
