"""A fitted linear classifier, on TF-IDF of texts or on vectors of an encoder: loads its files and gives probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.arrays import Files, pack, rebuilding, require_shape, unpack
from rungwise.engines.tfidf import Tfidf, TfidfSettings

Floats = NDArray[np.float32]

LINEAR, HEAD = "linear", "head"


def softmax(logits: Floats) -> Floats:
    """Rows of logits (n, labels) to probabilities that add up to 1. Overwrites and returns `logits`."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-z)), without overflow. Overwrites and returns `logits`."""
    np.clip(logits, -60.0, 60.0, out=logits)
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Margins m to probabilities: softmax(slope m), or for several labels sigmoid(slope m + offset).

    `threshold` is the probability from which a label of a multi-label answer is given.
    """

    slope: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5
    multi_label: bool = False

    def probabilities(self, margins: Floats) -> Floats:
        """(n, labels) float32. Overwrites `margins`."""
        margins *= np.float32(self.slope)
        if not self.multi_label:
            return softmax(margins)
        margins += np.float32(self.offset)
        return sigmoid(margins)


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Margins x @ weights + bias of TF-IDF vectors x. weights (features, labels) and bias (labels,) float32."""

    labels: tuple[str, ...]
    weights: Floats
    bias: Floats
    calibration: Calibration
    tfidf: Tfidf

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Linear:
        """Read what `files()` wrote. Raises Corrupt when that is not what they are."""
        arrays, settings = unpack(files, technique=LINEAR)
        with rebuilding(LINEAR):
            low, high = settings["tfidf"]["characters"]
            model = cls(
                labels=tuple(settings["labels"]),
                weights=arrays["weights"],
                bias=arrays["bias"],
                calibration=Calibration(**settings["calibration"]),
                tfidf=Tfidf.read(arrays, TfidfSettings(**settings["tfidf"] | {"characters": (low, high)})),
            )
            _check_shapes(model, model.tfidf.features)
        return model

    def files(self, **recorded: Any) -> Files:
        """Its safetensors and JSON, with whatever else is worth recording among the settings."""
        arrays = {"weights": self.weights, "bias": self.bias, **self.tfidf.arrays()}
        return pack(arrays, _settings(LINEAR, self.labels, self.calibration, recorded) | {"tfidf": asdict(self.tfidf.settings)})

    def margins(self, texts: Sequence[str]) -> Floats:
        """(n, labels) float32."""
        margins = np.asarray(self.tfidf.transform(texts) @ self.weights, dtype=np.float32)
        margins += self.bias
        return margins

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(n, labels) float32."""
        return self.calibration.probabilities(self.margins(texts))


@dataclass(frozen=True, kw_only=True)
class Head:
    """A linear classifier on an encoder's vectors. weights (dimensions, labels) and bias (labels,) float32."""

    labels: tuple[str, ...]
    weights: Floats
    bias: Floats
    calibration: Calibration

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Head:
        """Read what `files()` wrote. Raises Corrupt when that is not what they are."""
        arrays, settings = unpack(files, technique=HEAD)
        with rebuilding(HEAD):
            head = cls(
                labels=tuple(settings["labels"]),
                weights=arrays["weights"],
                bias=arrays["bias"],
                calibration=Calibration(**settings["calibration"]),
            )
            _check_shapes(head, len(head.weights))
        return head

    def files(self, **recorded: Any) -> Files:
        """Its safetensors and JSON, with whatever else is worth recording among the settings."""
        return pack({"weights": self.weights, "bias": self.bias}, _settings(HEAD, self.labels, self.calibration, recorded))

    def probabilities(self, vectors: Floats) -> Floats:
        """(n, dimensions) to (n, labels) float32."""
        return self.calibration.probabilities(np.asarray(vectors @ self.weights + self.bias, dtype=np.float32))


def _check_shapes(model: Linear | Head, width: int) -> None:
    require_shape("weights", model.weights, (width, len(model.labels)))
    require_shape("bias", model.bias, (len(model.labels),))


def _settings(technique: str, labels: tuple[str, ...], calibration: Calibration, recorded: Mapping[str, Any]) -> dict[str, Any]:
    return {"technique": technique, "labels": list(labels), "calibration": asdict(calibration), **recorded}
