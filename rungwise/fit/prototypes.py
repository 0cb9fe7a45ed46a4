"""Few-shot classifiers on embeddings: class means, and nearest examples, with slopes fitted by leaving one out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.arrays import Files
from rungwise.engines.neighbours import Neighbours, Prototypes, nearest
from rungwise.fit.calibration import few_rows_doubt, micro_f1_threshold, softmax_slope
from rungwise.fit.linear import label_names

Floats = NDArray[np.float32]

# Rows on which a slope is fitted; more change it by less than a hundredth.
MOST_ROWS = 4_000


def fit_prototypes(vectors: Floats, references: Sequence[Sequence[str]]) -> Files:
    """The mean vector of each label, of unit length. Source: Snell et al. 2017, arXiv 1703.05175, with cosine.

    The slope of the softmax is fitted on cosines of rows to the prototypes without
    the row itself. vectors (n, d) of unit length. Raises ValueError without rows.
    """
    if not len(vectors):
        raise ValueError("prototypes need at least one row")
    labels, codes = _codes(references)
    sums = np.zeros((len(labels), vectors.shape[1]))
    np.add.at(sums, codes, vectors)
    counts = np.bincount(codes, minlength=len(labels))
    rows = _some(len(vectors))
    cosines = np.asarray(vectors[rows] @ _unit(sums).T, dtype=np.float32)
    without = sums[codes[rows]] - vectors[rows]
    own = np.einsum("nd,nd->n", vectors[rows], _unit(without))
    kept = counts[codes[rows]] > 1
    cosines[np.arange(len(rows)), codes[rows]] = own
    slope = softmax_slope(cosines[kept], codes[rows][kept], doubt=few_rows_doubt(int(kept.sum()))) if kept.any() else 20.0
    return Prototypes(labels=labels, vectors=_unit(sums).astype(np.float32), slope=slope).files()


def fit_neighbours(vectors: Floats, references: Sequence[Sequence[str]], *, k: int, multi_label: bool = False) -> Files:
    """All examples, and the slope of their votes with the least log loss when each row is left out.

    For several labels also the share of votes from which a label is given, with the
    highest micro-F1. vectors (n, d) of unit length. Raises ValueError without rows.
    """
    if not len(vectors):
        raise ValueError("nearest neighbours need at least one row")
    names = references if multi_label else [row[:1] for row in references]
    labels = label_names(names)
    place = {label: number for number, label in enumerate(labels)}
    truth = np.zeros((len(vectors), len(labels)), dtype=np.uint8)
    for row, own in enumerate(names):
        truth[row, [place[label] for label in own]] = 1
    rows = _some(len(vectors))
    near, cosines = _others(vectors, rows, k)
    found = [(_loss(_shares(truth, near, cosines, slope), truth[rows]), slope) for slope in (1.0, 3.0, 10.0, 30.0, 100.0)]
    slope = min(found)[1]
    threshold = micro_f1_threshold(_shares(truth, near, cosines, slope), truth[rows] > 0) if multi_label else 0.5
    return Neighbours(
        labels=labels, vectors=vectors, truth=truth, k=k, slope=slope, multi_label=multi_label, threshold=threshold
    ).files()


def _codes(references: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    labels = label_names([row[:1] for row in references])
    place = {label: number for number, label in enumerate(labels)}
    return labels, np.asarray([place[row[0]] for row in references])


def _some(n: int) -> NDArray[np.int64]:
    """At most `MOST_ROWS` rows, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, MOST_ROWS)).astype(np.int64))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _others(vectors: Floats, rows: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], Floats]:
    """The k nearest other rows of each of some rows."""
    places, cosines = [], []
    for start in range(0, len(rows), 1_024):
        own = rows[start : start + 1_024]
        near, found = nearest(vectors[own], vectors, k + 1)
        # The row itself is as near as can be; where a twin comes first, the last one is left out instead.
        others = near != own[:, None]
        others[others.all(axis=1), -1] = False
        width = near.shape[1] - 1
        places.append(near[others].reshape(len(own), width))
        cosines.append(found[others].reshape(len(own), width))
    return np.concatenate(places), np.concatenate(cosines)


def _shares(truth: NDArray[np.uint8], near: NDArray[np.int64], cosines: Floats, slope: float) -> Floats:
    """(n, labels) share of the votes."""
    if not near.shape[1]:
        return np.full((len(near), truth.shape[1]), 1.0 / truth.shape[1], dtype=np.float32)
    weight = np.exp(slope * (cosines - cosines.max(axis=1, keepdims=True)))
    share = np.zeros((len(near), truth.shape[1]), dtype=np.float32)
    for place in range(near.shape[1]):
        share += weight[:, place, None] * truth[near[:, place]]
    return np.asarray(share / weight.sum(axis=1, keepdims=True), dtype=np.float32)


def _loss(share: Floats, truth: NDArray[np.uint8]) -> float:
    """Mean log loss of the shares, smoothed as they will be."""
    smooth = np.clip(share, 1e-3, 1 - 1e-3)
    return float(-(truth * np.log(smooth)).sum(axis=1).mean())
