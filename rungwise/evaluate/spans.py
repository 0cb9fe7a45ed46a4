"""Marked spans of texts against those that are right: strict precision, recall and F1, with intervals over texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int, str]
"""Characters from and up to, and a type."""

RESAMPLES = 2_000


@dataclass(frozen=True, kw_only=True)
class SpanScore:
    """Strict F1 with a two-sided 95 % interval; `right` spans of `found` ones stand in `gold`, in `texts` texts."""

    precision: float
    recall: float
    f1: float
    low: float
    high: float
    right: int
    found: int
    gold: int
    texts: int


def strict_counts(gold: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> NDArray[np.int64]:
    """(texts, 3): per text how many found spans are right, how many were found, how many there are.

    A span is right when start, end and type are those of a gold one (the evaluation of CoNLL: Tjong Kim Sang and De
    Meulder 2003, W03-0419).
    """
    counts = np.zeros((len(gold), 3), np.int64)
    for row, (true, seen) in enumerate(zip(gold, found, strict=True)):
        counts[row] = len(set(true) & set(seen)), len(set(seen)), len(set(true))
    return counts


def span_score(gold: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]], *, seed: int = 0) -> SpanScore:
    """Micro-averaged F1 over all texts; the interval is a percentile bootstrap over texts (Efron 1979)."""
    counts = strict_counts(gold, found)
    right, seen, true = (int(one) for one in counts.sum(axis=0))
    drawn = np.random.default_rng(seed).integers(0, len(counts), (RESAMPLES, len(counts))) if len(counts) else np.zeros((1, 0), int)
    low, high = np.quantile([_f1(*counts[rows].sum(axis=0)) for rows in drawn], [0.025, 0.975])
    return SpanScore(
        precision=right / max(1, seen),
        recall=right / max(1, true),
        f1=_f1(right, seen, true),
        low=float(low),
        high=float(high),
        right=right,
        found=seen,
        gold=true,
        texts=len(counts),
    )


def _f1(right: int, found: int, gold: int) -> float:
    """2 right / (found + gold); 1 where there is nothing to find and nothing was found."""
    return float(2 * right / (found + gold)) if found + gold else 1.0
