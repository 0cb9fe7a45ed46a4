"""The light reranker's weights, learned from solved queries: which features tell relevant passages from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage
from rungwise.core.errors import CannotFit
from rungwise.engines.arrays import Files
from rungwise.engines.rank_features import RankFeatures, ranker_files
from rungwise.fit.calibration import platt
from rungwise.fit.families import families, folds_by_family

LEAST_QUERIES = 10
FOLDS = 5
# On the squared weights of standardised features, against a sum over queries. The search's own score is all but free of
# it: with few queries the order stays the search's. With 60 to 650 claims of SciFact to learn from, nDCG@10 is the same
# within 0.002 from 10 to 100.
PENALTY, FREE = 10.0, 0.01

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found for a solved query, and which of it is relevant; `sources` are ids of the documents that answer it."""

    query: str
    passages: tuple[Passage, ...]
    relevant: tuple[bool, ...]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Lists:
    """Feature rows of several queries under each other: `starts` (Q,) where each begins, `owner` (n,) whose a row is."""

    rows: Floats
    relevant: NDArray[np.bool_]
    starts: NDArray[np.int64]
    owner: NDArray[np.int64]


def fit_rank_features(found: Sequence[Found], features: RankFeatures, *, seed: int = 0) -> Files:
    """Fit the light reranker on solved queries.

    The weights make the relevant passages of each query likely among all that were found for it: the loss is
    -log of the relevant share of softmax, plus a penalty on squared weights (ListNet's top-one loss, Cao et al., ICML 2007; a
    conditional logit, McFadden 1974). Probabilities are calibrated on queries left out in five folds; those with a source in
    common are left out together. Raises CannotFit with fewer than 10 queries that have both relevant and other passages.
    """
    usable = [one for one in found if any(one.relevant) and not all(one.relevant)]
    if len(usable) < LEAST_QUERIES:
        raise CannotFit(
            f"a reranker needs {LEAST_QUERIES} queries whose search finds something relevant among other things, "
            f"and there are {len(usable)}. Add solved queries"
        )
    rows = [features.of(one.query, one.passages) for one in usable]
    flags = [np.array(one.relevant) for one in usable]
    family = families([one.sources or (f"query {place}",) for place, one in enumerate(usable)])
    penalties = np.array([FREE if name == "first" else PENALTY for name in features.names])
    margins, truth = [], []
    for kept, held in folds_by_family(family, FOLDS, seed=seed):
        weights, means = _fit(_lists([rows[row] for row in kept], [flags[row] for row in kept]), penalties)
        margins += [(rows[row] - means) @ weights for row in held]
        truth += [flags[row] for row in held]
    unseen = np.concatenate(margins) if margins else np.zeros(0)
    slope, offset = platt(unseen[:, None].astype(np.float32), np.concatenate(truth)[:, None]) if margins else (1.0, 0.0)
    weights, means = _fit(_lists(rows, flags), penalties)
    return ranker_files(features.names, weights, means, slope=slope, offset=offset)


def _lists(rows: Sequence[Floats], relevant: Sequence[NDArray[np.bool_]]) -> _Lists:
    sizes = np.array([len(own) for own in rows])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    return _Lists(np.concatenate(rows), np.concatenate(relevant), starts, np.repeat(np.arange(len(rows)), sizes))


def _fit(lists: _Lists, penalties: Floats) -> tuple[Floats, Floats]:
    """Weights and means (features,), so that (features - means) @ weights is the margin of a row."""
    from scipy.optimize import minimize

    means, scale = lists.rows.mean(axis=0), lists.rows.std(axis=0)
    scale[scale == 0] = 1.0
    standard = (lists.rows - means) / scale

    def objective(weights: Floats) -> tuple[float, Floats]:
        value, slope = softmax_loss(standard @ weights, lists.relevant, lists.starts, lists.owner)
        return value + float(penalties @ weights**2) / 2, standard.T @ slope + penalties * weights

    solved: Any = minimize(objective, np.zeros(standard.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(solved.x / scale, np.float64), means


def softmax_loss(
    margins: Floats, relevant: NDArray[np.bool_], starts: NDArray[np.int64], owner: NDArray[np.int64]
) -> tuple[float, Floats]:
    """Sum over lists of -log of the relevant share of softmax(margins), in nats, and its gradient (n,).

    List q is the rows from `starts[q]` on, and `owner` (n,) the list of each row; each has a relevant row.
    """
    top = np.maximum.reduceat(margins, starts)[owner]
    mass = np.exp(margins - top)
    whole, part = np.add.reduceat(mass, starts), np.maximum(np.add.reduceat(mass * relevant, starts), 1e-300)
    return float((np.log(whole) - np.log(part)).sum()), mass / whole[owner] - mass * relevant / part[owner]
