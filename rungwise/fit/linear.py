"""The classical rung: a linear support vector machine on TF-IDF of words and characters, with calibrated probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.arrays import Files
from rungwise.engines.linear import Linear
from rungwise.engines.tfidf import TfidfSettings, fit_tfidf
from rungwise.fit.calibration import calibrate, folds
from rungwise.fit.svm import Indices, by_label, one_vs_rest

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


def label_names(references: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """All labels that occur, sorted."""
    return tuple(sorted({name for names in references for name in names}))


def fit_linear(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    cs: Sequence[float],
    seed: int = 0,
    multi_label: bool = False,
    settings: TfidfSettings | None = None,
) -> dict[float, Files]:
    """Fit one model per C on the same features; give back the files of each, which `Linear.load` reads.

    `references[i]` holds the labels of `texts[i]`; without `multi_label` the first one
    counts. Probabilities come from margins of rows that were held out (five folds
    under 2,000 rows, else one tenth): the model that answers was fitted on all rows,
    the held-out margins from a second fit on the rest. Raises ValueError without rows.
    """
    if not texts:
        raise ValueError("a linear model needs at least one row")
    names = references if multi_label else [row[:1] for row in references]
    labels = label_names(names)
    tfidf = fit_tfidf(texts, settings)
    x = tfidf.transform(texts)
    positives = by_label(names, labels)
    held = list(folds(names, seed=seed))
    truth = np.zeros((len(texts), len(labels)), dtype=bool)
    for k, rows in enumerate(positives):
        truth[rows, k] = True
    fitted = {}
    for c, planes, near in one_vs_rest(x, positives, cs=cs, seed=seed):
        margins = [_held_out(x, positives, near, fold, c=c, seed=seed) for fold in held]
        shown = np.concatenate([fold[1] for fold in held]) if held else np.zeros(0, dtype=np.int64)
        seen = np.concatenate(margins) if margins else np.zeros((0, len(labels)), dtype=np.float32)
        calibration = calibrate(seen, truth[shown], multi_label=multi_label)
        model = Linear(labels=labels, weights=planes.weights, bias=planes.bias, calibration=calibration, tfidf=tfidf)
        fitted[c] = model.files(c=c, seed=seed, rows=len(texts))
    return fitted


def _held_out(
    x: csr_matrix, positives: Sequence[Indices], near: Sequence[Indices], fold: Fold, *, c: float, seed: int
) -> NDArray[np.float32]:
    """Margins of the held-out rows of one fold, by planes fitted on the others.

    The rows that lie inside a label's margin when all rows take part are the
    working set here too: leaving out a tenth or a fifth hardly moves the others.
    """
    kept, held = fold
    place = np.full(x.shape[0], -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    own = [place[rows][place[rows] >= 0] for rows in positives]
    sets = [place[rows][place[rows] >= 0] for rows in near]
    ((_, planes, _),) = one_vs_rest(x[kept], own, cs=[c], seed=seed, near=sets, rounds=1)
    return planes.margins(x[held])
