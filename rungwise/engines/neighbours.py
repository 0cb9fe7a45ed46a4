"""Classifiers that compare vectors: class prototypes, nearest examples, label names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.arrays import Files, pack, unpack
from rungwise.engines.linear import softmax

Floats = NDArray[np.float32]

PROTOTYPES, NEIGHBOURS = "prototypes", "neighbours"
# Cosines of this encoder family lie close together; without a fitted slope this one is used (label names have nothing to fit on).
NEUTRAL_SLOPE = 20.0
ROWS_AT_ONCE = 1_024
SMOOTHING = 0.1  # votes spread over all labels


@dataclass(frozen=True, kw_only=True)
class Prototypes:
    """One unit vector per label (labels, d); probabilities are softmax(slope * cosine)."""

    labels: tuple[str, ...]
    vectors: Floats
    slope: float = NEUTRAL_SLOPE

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Prototypes:
        """Read what `files()` wrote. Raises Corrupt when that is not what they are."""
        arrays, settings = unpack(files, technique=PROTOTYPES)
        return cls(labels=tuple(settings["labels"]), vectors=arrays["vectors"], slope=settings["slope"])

    def files(self) -> Files:
        """Its safetensors and JSON."""
        return pack({"vectors": self.vectors}, {"technique": PROTOTYPES, "labels": list(self.labels), "slope": self.slope})

    def probabilities(self, vectors: Floats) -> Floats:
        """(n, d) to (n, labels) float32."""
        return softmax(np.asarray(self.slope * (vectors @ self.vectors.T), dtype=np.float32))


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The k nearest examples vote, each with exp(slope * cosine). vectors (rows, d); `truth` (rows, labels) 0-1.

    For several labels a label is given when it has at least `threshold` of the votes.
    """

    labels: tuple[str, ...]
    vectors: Floats
    truth: NDArray[np.uint8]
    k: int
    slope: float
    multi_label: bool = False
    threshold: float = 0.5

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Neighbours:
        """Read what `files()` wrote. Raises Corrupt when that is not what they are."""
        arrays, settings = unpack(files, technique=NEIGHBOURS)
        rest: dict[str, Any] = {name: settings[name] for name in ("k", "slope", "multi_label", "threshold")}
        return cls(labels=tuple(settings["labels"]), vectors=arrays["vectors"], truth=arrays["truth"], **rest)

    def files(self) -> Files:
        """Its safetensors and JSON."""
        settings = {"technique": NEIGHBOURS, "labels": list(self.labels), "k": self.k, "slope": self.slope}
        settings |= {"multi_label": self.multi_label, "threshold": self.threshold}
        return pack({"vectors": self.vectors, "truth": self.truth}, settings)

    def probabilities(self, vectors: Floats) -> Floats:
        """(n, d) to (n, labels) float32: each label's share of the votes, smoothed so that none is exactly 0."""
        return np.concatenate([self._votes(vectors[i : i + ROWS_AT_ONCE]) for i in range(0, len(vectors), ROWS_AT_ONCE)])

    def _votes(self, vectors: Floats) -> Floats:
        near, cosines = nearest(vectors, self.vectors, self.k)
        weight = np.exp(self.slope * (cosines - cosines.max(axis=1, keepdims=True)))  # (n, k)
        votes = np.einsum("nk,nkl->nl", weight, self.truth[near].astype(np.float32))
        share = votes / weight.sum(axis=1, keepdims=True)
        smoothed = (share * self.k + SMOOTHING / len(self.labels)) / (self.k + SMOOTHING)
        return np.asarray(np.minimum(smoothed, 1.0), dtype=np.float32)


def nearest(vectors: Floats, examples: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
    """The k examples nearest to each vector: (n, k) places and cosines, nearest first; of equals the earlier one."""
    k = min(k, len(examples))
    cosines = vectors @ examples.T
    near = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    found = np.take_along_axis(cosines, near, axis=1)
    order = np.lexsort((near, -found), axis=1)
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(found, order, axis=1)
