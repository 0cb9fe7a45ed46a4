"""How far people agree in what they say of the same items, beyond what chance would bring."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Said: TypeAlias = Mapping[str, Hashable]
"""What each person said of one item."""

Measure: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""(resamples, items) how often each item counts, to (resamples,) values."""

RESAMPLES = 1_000
LEVEL = 0.95
_CELLS = 4_000_000  # of a table of weights at a time: 32 MB

ONE_LABEL = "everybody said the same of everything, so that chance explains all agreement"
NO_PAIRS = "no item was judged by two people"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A measure of agreement with its interval at `level`; `n` items count. Where `value` is None, `why` says why.

    `value` is at most 1: complete agreement. For kappa and alpha 0 is what chance brings, and less is worse than chance. `low`
    and `high` are None for a single item.
    """

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    level: float = LEVEL
    why: str = ""


def raw_agreement(items: Sequence[Said], *, seed: int = 0, level: float = LEVEL) -> Agreement:
    """The share of pairs of verdicts on the same item that are equal."""
    counts = _counts(items)
    many = counts.sum(axis=1)
    same, pairs = (counts * (counts - 1)).sum(axis=1), many * (many - 1)
    if not len(counts):
        return Agreement(value=None, n=0, level=level, why=NO_PAIRS)

    def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = (weights @ same) / (weights @ pairs)
        return found

    return _estimated(measure, len(counts), seed, level)


def cohen_kappa(items: Sequence[Said], first: str, second: str, *, seed: int = 0, level: float = LEVEL) -> Agreement:
    """Cohen's kappa of two people over the items that both judged: (p_o - p_e) / (1 - p_e).

    p_o is the share on which they agree, p_e the sum over labels of the product of the shares in which each says it.
    Source: J. Cohen, Educational and Psychological Measurement 20 (1960), formula 1.
    """
    both = [(one[first], one[second]) for one in items if first in one and second in one]
    if not both:
        return Agreement(value=None, n=0, level=level, why=NO_PAIRS)
    codes = _codes([label for pair in both for label in pair]).reshape(-1, 2)
    hot = np.eye(int(codes.max()) + 1)
    agree = (codes[:, 0] == codes[:, 1]).astype(np.float64)

    def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        total = weights.sum(axis=1)
        by_chance = ((weights @ hot[codes[:, 0]]) * (weights @ hot[codes[:, 1]])).sum(axis=1) / total**2
        return _beyond(weights @ agree / total, by_chance)

    return _estimated(measure, len(both), seed, level)


def krippendorff_alpha(items: Sequence[Said], *, seed: int = 0, level: float = LEVEL) -> Agreement:
    """Krippendorff's alpha for labels without order; any number of people, who need not judge every item.

    1 - D_o / D_e out of the matrix of coincidences: D_o is the share of unequal pairs within items, each item weighing as its
    verdicts; D_e that of all pairs of verdicts there are. Items with one verdict do not count. Source: K. Krippendorff,
    Computing Krippendorff's Alpha-Reliability (2011), section C.
    """
    counts = _counts(items)
    if not len(counts):
        return Agreement(value=None, n=0, level=level, why=NO_PAIRS)
    many = counts.sum(axis=1)
    equal = (counts * (counts - 1)).sum(axis=1) / (many - 1)

    def measure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        labels = weights @ counts
        total = labels.sum(axis=1)
        by_chance = (labels * (labels - 1)).sum(axis=1) / (total * (total - 1))
        return _beyond(weights @ equal / total, by_chance)

    return _estimated(measure, len(counts), seed, level)


def chance_of_sameness(n: int, *, same: int, others: int) -> float:
    """The chance that somebody who judges as the others do says one thing `n` times running, of `others` verdicts by whom `same`
    said it.

    The predictive distribution after a uniform prior: the product of (same + 1 + i) / (others + 2 + i) for i < n (Laplace's rule
    of succession, n times).
    """
    i = np.arange(n)
    return float(np.exp(np.log((same + 1 + i) / (others + 2 + i)).sum()))


def _beyond(seen: NDArray[np.float64], by_chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(seen - by_chance) / (1 - by_chance); NaN where chance explains all."""
    left = 1.0 - by_chance
    found = np.full(len(seen), np.nan)
    np.divide(seen - by_chance, left, out=found, where=left > 1e-12)
    return found


def _estimated(measure: Measure, n: int, seed: int, level: float) -> Agreement:
    """The measure with the percentile interval of the bootstrap over items (Efron, Annals of Statistics 7, 1979).

    Resamples in which everybody says one thing have no kappa and no alpha; they are left out.
    """
    value = float(measure(np.ones((1, n)))[0])
    if np.isnan(value):
        return Agreement(value=None, n=n, level=level, why=ONE_LABEL)
    if n == 1:
        return Agreement(value=value, n=n, level=level, why="one item shows no spread")
    rng, block = np.random.default_rng([seed, n]), max(1, _CELLS // n)
    parts = []
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        parts.append(measure(np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)))
    found = np.concatenate(parts)
    tail = (1.0 - level) / 2
    low, high = np.quantile(found[~np.isnan(found)], (tail, 1.0 - tail))
    return Agreement(value=value, n=n, low=min(float(low), value), high=max(float(high), value), level=level)


def _counts(items: Sequence[Said]) -> NDArray[np.float64]:
    """(items, labels) how many people said what, of the items on which two or more said something."""
    usable = [list(one.values()) for one in items if len(one) > 1]
    codes = _codes([label for labels in usable for label in labels])
    rows = np.repeat(np.arange(len(usable)), [len(labels) for labels in usable])
    counts = np.zeros((len(usable), int(codes.max(initial=-1)) + 1))
    np.add.at(counts, (rows, codes), 1.0)
    return counts


def _codes(labels: Sequence[Hashable]) -> NDArray[np.int64]:
    """Labels as numbers, in the order in which they first come."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in labels], dtype=np.int64)
