"""One-vs-rest linear support vector machines, solved on the few rows of each label that matter."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Indices = NDArray[np.int64]

_FIRST_NEGATIVES = 1_000
"""So many nearest negatives of a label are tried first; at C = 1 about 400 of 15,000 end up mattering (clinc150)."""
_ROUNDS = 6
_TOLERANCE = 0.05
"""How far inside the margin a row may be and still be left out of a label's working set."""
_LIBLINEAR_TOLERANCE = 0.01
_ROWS_AT_ONCE = 50_000

_alone = threading.Lock()


@dataclass
class Planes:
    """One hyperplane a label: margins of a row x are `x @ weights + bias`. weights (features, labels), bias (labels,)."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def margins(self, x: csr_matrix, columns: Sequence[int] | None = None) -> NDArray[np.float32]:
        """(rows, labels) float32, or only the named labels."""
        if columns is None:
            return np.asarray(x @ self.weights + self.bias, dtype=np.float32)
        return np.asarray(x @ np.ascontiguousarray(self.weights[:, columns]) + self.bias[columns], dtype=np.float32)


def one_vs_rest(
    x: csr_matrix,
    positives: Sequence[Indices],
    *,
    cs: Sequence[float],
    seed: int,
    near: Sequence[Indices] | None = None,
    rounds: int = _ROUNDS,
) -> Iterator[tuple[float, Planes, list[Indices]]]:
    """Fit a plane a label for every C, smallest C first, and say which rows lie inside each label's margin.

    Minimises 1/2 |w|^2 + C sum max(0, 1 - y f)^2 with a regularised bias, the
    problem of scikit-learn's `LinearSVC` (Fan et al. 2008, LIBLINEAR), to which each
    sub-problem is given. A row whose margin is beyond 1 has no part in the solution,
    so each label is solved on a working set, all margins are then computed, and rows
    found inside the margin join the set, until there are none: the solution is that of
    the whole problem (the scheme is known as chunking; Joachims 1999). `x` is (n, features)
    CSR; `positives[k]` the rows of label k; `near` a first guess of the working sets. With `rounds` = 1 that guess is not checked.
    """
    sets = list(near) if near is not None else _nearest(x, positives)
    exact = x.astype(np.float64)  # what LIBLINEAR computes in; converted once for all labels
    for c in sorted(cs):
        planes = Planes(np.zeros((x.shape[1], len(positives)), np.float32), np.zeros(len(positives), np.float32))
        pending: Sequence[int] = range(len(positives))
        for turn in range(rounds):
            _solve(exact, positives, sets, planes, pending, c=c, seed=seed)
            pending = _enlarge(x, planes, sets, pending) if turn + 1 < rounds else ()
        sets = _inside(x, planes, positives)
        yield c, planes, sets


def _nearest(x: csr_matrix, positives: Sequence[Indices]) -> list[Indices]:
    """For each label its rows and the negatives most like their mean."""
    n = x.shape[0]
    if n <= 2 * _FIRST_NEGATIVES:
        return [np.arange(n) for _ in positives]
    centres = np.stack([np.asarray(x[rows].mean(axis=0)).ravel() for rows in positives], axis=1).astype(np.float32)
    sets = []
    scores = x @ centres  # (n, labels)
    for k, rows in enumerate(positives):
        own = scores[:, k]
        own[rows] = np.inf
        size = min(n, len(rows) + _FIRST_NEGATIVES)
        sets.append(np.sort(np.argpartition(-own, size - 1)[:size]))
    return sets


def _solve(
    x: csr_matrix,
    positives: Sequence[Indices],
    sets: Sequence[Indices],
    planes: Planes,
    pending: Sequence[int],
    *,
    c: float,
    seed: int,
) -> None:
    """Write the planes of the `pending` labels, each solved on its working set.

    One after the other: LIBLINEAR draws from one generator per process, so that in
    threads the same seed would not give the same planes.
    """
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=c, tol=_LIBLINEAR_TOLERANCE, random_state=seed, max_iter=3_000, dual=True)
    with _alone, warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)
        for k in pending:
            rows = sets[k]
            y = np.isin(rows, positives[k], assume_unique=True)
            if y.all() or not y.any():  # one side only: every margin is that side's
                planes.bias[k] = 1.0 if y.any() else -1.0
                continue
            model.fit(x[rows], y)
            planes.weights[:, k], planes.bias[k] = model.coef_[0], model.intercept_[0]


def _pieces(n: int) -> Iterator[slice]:
    for start in range(0, n, _ROWS_AT_ONCE):
        yield slice(start, min(n, start + _ROWS_AT_ONCE))


def _enlarge(x: csr_matrix, planes: Planes, sets: list[Indices], pending: Sequence[int]) -> list[int]:
    """Add to each set the rows left out of it that lie inside the margin; give back the labels that gained any."""
    n = x.shape[0]
    again = [k for k in pending if len(sets[k]) < n]
    found: dict[int, list[Indices]] = {k: [] for k in again}
    for piece in _pieces(n):
        margins = planes.margins(x[piece], again)
        for column, k in enumerate(again):
            found[k].append(np.flatnonzero(margins[:, column] > -1.0 + _TOLERANCE) + piece.start)
    grown = []
    for k in again:
        joined = np.union1d(sets[k], np.concatenate(found[k]))
        if len(joined) > len(sets[k]):
            sets[k] = joined
            grown.append(k)
    return grown


def _inside(x: csr_matrix, planes: Planes, positives: Sequence[Indices]) -> list[Indices]:
    """For each label its rows and those inside the margin: the working sets of the next C."""
    found: list[list[Indices]] = [[rows] for rows in positives]
    for piece in _pieces(x.shape[0]):
        close = (planes.margins(x[piece]) > -1.0).T
        for k, own in enumerate(close):
            found[k].append(np.flatnonzero(own) + piece.start)
    return [np.unique(np.concatenate(rows)) for rows in found]


def by_label(references: Sequence[Sequence[str]], labels: Sequence[str]) -> list[Indices]:
    """For each label the rows that carry it."""
    index: Mapping[str, int] = {label: k for k, label in enumerate(labels)}
    rows: list[list[int]] = [[] for _ in labels]
    for row, names in enumerate(references):
        for name in names:
            rows[index[name]].append(row)
    return [np.array(sorted(set(own)), dtype=np.int64) for own in rows]
