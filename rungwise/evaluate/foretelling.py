"""The share of right answers where nobody drew a sample: from who answered when asked, and from confidences alone."""

from __future__ import annotations

import math

import numpy as np

from rungwise.evaluate.answers import FloatArray, IntArray
from rungwise.evaluate.estimation import LEVEL, Share, interval_of, weighted_share
from rungwise.evaluate.odds import fit_odds

RAREST = 0.02
"""No answer stands for more than fifty rows."""
_EDGE = 1e-4


def log_odds(confidences: FloatArray) -> FloatArray:
    """ln(c / (1 - c)), at most about 9 either way."""
    inside = np.clip(confidences, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)), dtype=np.float64)


def answered_share(said: FloatArray, features: FloatArray, units: IntArray, *, level: float = LEVEL) -> Share:
    """The mean of what people said of some rows, `said` (N,) with NaN elsewhere, each standing for one over the chance that
    people say anything of a row with its features (N, k).

    Right only if, of rows with equal features, whether people answer does not depend on what they would say ("missing at
    random"), which nothing here can check. Raises ValueError where nobody answered.
    """
    answered = ~np.isnan(said)
    chances = fit_odds(features, answered.astype(np.float64), np.ones(len(said))).of(features)
    return weighted_share(said[answered], 1 / np.maximum(chances[answered], RAREST), units[answered], level=level)


def confident_share(
    confidences: FloatArray, units: IntArray, known: FloatArray, right: FloatArray, *, level: float = LEVEL
) -> Share:
    """The mean over rows of what their confidence (N,) means, learnt on rows with confidences `known` (m,) that were `right` (m,).

    A line through the log odds (Platt 1999), its doubt carried over by the delta method. It holds as long as a confidence means
    what it meant then: it says nothing of answers that became wrong without becoming less sure. Raises ValueError without rows.
    """
    if not len(confidences) or not len(known):
        raise ValueError("a share needs confidences, and rows of which it is known whether they were right")
    line = fit_odds(log_odds(known)[:, None], right, np.ones(len(known)), ridge=1e-3)
    own = log_odds(confidences)[:, None]
    chances = line.of(own)
    mean = float(chances.mean())
    slope = (chances * (1 - chances)) @ line.design(own) / len(own)
    doubt = float(slope @ line.doubt @ slope)
    _, codes = np.unique(units, return_inverse=True)
    parts = np.bincount(codes, weights=(chances - mean) / len(own))
    return interval_of(mean, np.append(parts, math.sqrt(doubt)), evenly=math.inf, errors=0.0, n=len(own), level=level)
