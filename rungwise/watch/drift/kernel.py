"""Do two samples of vectors, such as embeddings, come from one distribution: the kernel two-sample test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rungwise.watch.drift.columns import Floats, Ints, codes_of

MEDIAN_ROWS = 1_000
"""So many vectors, drawn from both samples together, tell the median distance."""

EXACT_ROWS = 2_000
"""Up to so many vectors on both sides together the kernel itself is taken, beyond it random features."""

FEATURES = 256


@dataclass(frozen=True, kw_only=True)
class KernelTest:
    """`mmd2` is the squared maximum mean discrepancy, around 0 where nothing changed; `p` counts permutations.

    `bandwidth` is the kernel's, `features` how many random features stood for it (None: the kernel itself). With fewer than two
    units on a side, or vectors that are all equal, `p` is 1 and `why` says so.
    """

    mmd2: float
    p: float
    bandwidth: float
    permutations: int
    features: int | None = None
    n: tuple[int, int] = (0, 0)
    why: str = ""


def kernel_test(
    reference: Floats,
    current: Floats,
    *,
    reference_units: Sequence[Any] | None = None,
    current_units: Sequence[Any] | None = None,
    permutations: int = 200,
    features: int | None = None,
    seed: int = 0,
) -> KernelTest:
    """The two-sample test of A. Gretton et al. (JMLR 13, 2012) on vectors (n, d) and (m, d) with a Gaussian kernel.

    The statistic is the unbiased one, without the pairs within a unit; with each vector its own unit it is theirs. Units change
    sides whole in the permutations; those on both sides swap their two parts. Its p is (1 + as large) / (1 + all).
    The bandwidth is the median distance, over both samples alike. `features`: None decides by EXACT_ROWS, 0 takes the kernel,
    else so many random Fourier features (A. Rahimi and B. Recht, NIPS 2007), linear in n. Rows that are not finite are left out.
    """
    rows, units, sides = _together(reference, current, reference_units, current_units)
    n = (int((~sides).sum()), int(sides.sum()))
    rng = np.random.default_rng([seed, *n])
    blocks = _blocks(units, sides)
    why = _too_little(rows, units, sides)
    if why:
        return KernelTest(mmd2=0.0, p=1.0, bandwidth=0.0, permutations=0, n=n, why=why)
    bandwidth = median_distance(rows, rng)
    count = features if features is not None else (0 if len(rows) <= EXACT_ROWS else FEATURES)
    labels = _labels(blocks, permutations, rng)
    if count:
        statistics = _by_features(fourier_features(rows, bandwidth, count, rng), blocks, labels)
    else:
        statistics = _by_kernel(gaussian(rows, bandwidth), blocks, labels)
    as_large = int(np.count_nonzero(statistics[1:] >= statistics[0] - 1e-12))
    return KernelTest(
        mmd2=float(statistics[0]),
        p=(1 + as_large) / (1 + permutations),
        bandwidth=bandwidth,
        permutations=permutations,
        features=count or None,
        n=n,
    )


def median_distance(rows: Floats, rng: np.random.Generator) -> float:
    """The median distance between two of the vectors (n, d), or the mean one where more than half of them are equal."""
    some = rows if len(rows) <= MEDIAN_ROWS else rows[rng.choice(len(rows), MEDIAN_ROWS, replace=False)]
    apart = np.sqrt(_squares(some)[np.triu_indices(len(some), 1)])
    return float(np.median(apart)) or float(apart.mean()) or 1.0


def _squares(rows: Floats) -> Floats:
    """(n, n) squared distances."""
    centred = rows - rows.mean(axis=0)
    lengths = (centred**2).sum(axis=1)
    squares: Floats = np.maximum(lengths[:, None] + lengths - 2 * centred @ centred.T, 0.0)
    return squares


def gaussian(rows: Floats, bandwidth: float) -> Floats:
    """(n, n) exp(-|x - y|^2 / (2 bandwidth^2))."""
    return np.asarray(np.exp(_squares(rows) / (-2 * bandwidth**2)))


def fourier_features(rows: Floats, bandwidth: float, count: int, rng: np.random.Generator) -> Floats:
    """(n, 2 count) features whose products are the kernel in expectation: cosines and sines of random projections."""
    angles = rows @ (rng.standard_normal((rows.shape[1], count)) / bandwidth)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / math.sqrt(count)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The parts of units on a side, B of them: `of` (n,) the block of each row, `units` (B,), `current` (B,), `sizes` (B,)."""

    of: Ints
    units: Ints
    current: NDArray[np.bool_]
    sizes: Floats


def _together(
    reference: Floats, current: Floats, before: Sequence[Any] | None, after: Sequence[Any] | None
) -> tuple[Floats, Ints, NDArray[np.bool_]]:
    """Both samples as one: rows, units, and which are current; without rows that are not finite."""
    n, m = len(reference), len(current)
    names = np.empty(n + m, dtype=object)
    names[:n] = [None] * n if before is None else list(before)
    names[n:] = [None] * m if after is None else list(after)
    rows = np.concatenate(
        [np.asarray(side, np.float64).reshape(len(side), -1) for side in (reference, current) if len(side)] or [np.empty((0, 1))]
    )
    held = np.isfinite(rows).all(axis=1)
    return rows[held], codes_of(names)[held], np.repeat([False, True], [n, m])[held]


def _too_little(rows: Floats, units: Ints, sides: NDArray[np.bool_]) -> str:
    counts = [len(np.unique(units[side])) for side in (~sides, sides)]
    if min(counts) < 2:
        return f"{counts[0]} and {counts[1]} units are too few: two on each side are needed"
    return "all vectors are equal" if bool((rows == rows[0]).all()) else ""


def _blocks(units: Ints, sides: NDArray[np.bool_]) -> _Blocks:
    keys, of = np.unique(2 * units + sides, return_inverse=True)
    return _Blocks(of=of, units=keys // 2, current=keys % 2 == 1, sizes=np.bincount(of, minlength=len(keys)).astype(np.float64))


def _labels(blocks: _Blocks, permutations: int, rng: np.random.Generator) -> Floats:
    """(B, 1 + permutations) 1 for the blocks on the current side: first as it was, then as it might have been."""
    _, places, parts = np.unique(blocks.units, return_inverse=True, return_counts=True)
    alone = np.flatnonzero(parts[places] == 1)
    paired = np.flatnonzero(parts[places] == 2).reshape(-1, 2)  # blocks of one unit lie side by side
    labels = np.repeat(blocks.current[:, None], 1 + permutations, axis=1).astype(np.float64)
    for one in range(1, 1 + permutations):
        labels[alone, one] = blocks.current[rng.permutation(alone)]
        swapped = paired[rng.random(len(paired)) < 0.5]
        labels[swapped, one] = 1 - labels[swapped, one]
    return labels


def _by_kernel(kernel: Floats, blocks: _Blocks, labels: Floats) -> Floats:
    """(1 + permutations,) the statistic, from sums of the kernel over pairs of blocks."""
    starts = np.unique(blocks.of[np.argsort(blocks.of, kind="stable")], return_index=True)[1]
    order = np.argsort(blocks.of, kind="stable")
    sums = np.add.reduceat(np.add.reduceat(kernel[order][:, order], starts, axis=0), starts, axis=1)
    sums[blocks.units[:, None] == blocks.units] = 0.0
    within = np.einsum("bp,bp->p", labels, sums @ labels)
    others = np.einsum("bp,bp->p", 1 - labels, sums @ (1 - labels))
    return _statistic(blocks, labels, within, others, float(sums.sum()))


def _by_features(features: Floats, blocks: _Blocks, labels: Floats) -> Floats:
    """The same from sums of features over blocks: the pairs within units are taken off again."""
    n = len(blocks.of)
    gather = sparse.csr_matrix((np.ones(n), (blocks.of, np.arange(n))), shape=(len(blocks.units), n))
    sums: Floats = np.asarray(gather @ features)
    own = (sums**2).sum(axis=1)
    between = _pairs(blocks, sums)
    whole, one_side = sums.sum(axis=0), labels.T @ sums
    after = (one_side**2).sum(axis=1) - labels.T @ own
    before = ((whole - one_side) ** 2).sum(axis=1) - (1 - labels).T @ own
    total = float((whole**2).sum() - own.sum() - 2 * between)
    return _statistic(blocks, labels, after, before, total)


def _pairs(blocks: _Blocks, sums: Floats) -> float:
    """The products of the two parts of units that are on both sides."""
    first = np.flatnonzero(blocks.units[1:] == blocks.units[:-1])
    return float((sums[first] * sums[first + 1]).sum())


def _statistic(blocks: _Blocks, labels: Floats, after: Floats, before: Floats, total: float) -> Floats:
    """Mean within the current side, plus within the reference, less twice between, each over pairs of different units."""
    sizes, squares = blocks.sizes, blocks.sizes**2
    first = np.flatnonzero(blocks.units[1:] == blocks.units[:-1])
    crossing = 2 * float((sizes[first] * sizes[first + 1]).sum())  # pairs of one unit across the sides, in both orders
    m, n = labels.T @ sizes, (1 - labels).T @ sizes
    pairs_after, pairs_before = m**2 - labels.T @ squares, n**2 - (1 - labels).T @ squares
    pairs_between = 2 * m * n - crossing
    between = total - after - before
    return np.asarray(after / pairs_after + before / pairs_before - 2 * between / pairs_between)
