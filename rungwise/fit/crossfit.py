"""Out-of-fold probabilities: what models that have not seen a row, or any row that belongs with it, say about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rungwise.core.dataset import SEALED, Example
from rungwise.curate.labels import LabelProblems, conflicts, likely_wrong, outliers
from rungwise.curate.step import Finding
from rungwise.data.splits import unit_of
from rungwise.engines.linear import Calibration
from rungwise.engines.tfidf import TfidfSettings, fit_tfidf
from rungwise.fit.calibration import few_rows_doubt, softmax_slope
from rungwise.fit.head import ROUGH, minimise, softmax_loss
from rungwise.fit.linear import label_names
from rungwise.fit.svm import one_vs_rest

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Learner: TypeAlias = Callable[[Rows, Rows], Floats]
"""From rows to learn from and rows to answer to the margins (rows to answer, labels)."""

FOLDS = 5
ROUNDS = 3
LINEAR_C, HEAD_C = 0.3, 30.0
"""Inverse regularisation, from the middle of what the climb tries (`ladder/classical.py`, `ladder/head.py`)."""

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
THREADS = 2


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """What the rows look like from outside.

    `labels` are the columns; `given` (n,) the column of each row's label; `folds` (n,) which fold held it out.
    `members` maps each model's name ("linear", "head") to its calibrated probabilities (n, labels) float32;
    `probabilities` are those of all members together.
    """

    labels: tuple[str, ...]
    given: Rows
    folds: Rows
    members: dict[str, Floats]
    probabilities: Floats


def cross_fit(
    texts: Sequence[str],
    labels: Sequence[str],
    units: Sequence[str],
    *,
    vectors: Floats | None = None,
    without: Sequence[int] = (),
    k: int = FOLDS,
    seed: int = 0,
) -> CrossFit:
    """Probabilities of every row by models fitted on the other folds.

    `units[i]` names what row i must not be parted from (`data.splits.unit_of`): its
    group, or the copies of its text. The linear model on TF-IDF answers always, a head
    on `vectors` (n, d), of unit length, beside it when they are given. Rows `without`
    are answered too, but nothing is fitted on them. The n-grams and their weights are
    counted once over all rows, without their labels. Each model's margins get one slope
    (temperature scaling), fitted on the out-of-fold margins; together they are their
    weighted geometric mean, scaled in the same way: where one is in doubt the other
    decides (`benchmarks/label_problems.py`). Raises ValueError with fewer than two units.
    """
    names = label_names([(label,) for label in labels])
    place = {name: number for number, name in enumerate(names)}
    given = np.array([place[label] for label in labels], dtype=np.int64)
    plan = Plan(
        fold_of(units, labels, k=k, seed=seed), np.isin(np.arange(len(texts)), list(without), invert=True), given, len(names)
    )
    margins = {"linear": held_out(linear_learner(texts, given, len(names), seed=seed), plan)}
    if vectors is not None:
        margins["head"] = held_out(head_learner(vectors, given, len(names)), plan)
    members = {name: scaled(own, plan) for name, own in margins.items()}
    return CrossFit(
        labels=names, given=given, folds=plan.folds, members=members, probabilities=together(list(members.values()), plan)
    )


@dataclass(frozen=True)
class Plan:
    """What is held out when: `folds` (n,), `used` (n,) which rows may be fitted on, `given` (n,) labels out of `count`."""

    folds: Rows
    used: NDArray[np.bool_]
    given: Rows
    count: int

    def parts(self) -> Iterator[tuple[Rows, Rows]]:
        """(fitted on, held out) rows of every fold."""
        for fold in range(int(self.folds.max()) + 1):
            yield np.flatnonzero((self.folds != fold) & self.used), np.flatnonzero(self.folds == fold)


def fold_of(units: Sequence[str], labels: Sequence[str], *, k: int = FOLDS, seed: int = 0) -> Rows:
    """The fold of every row, (n,) in 0..k-1: rows of one unit together, the labels spread evenly over the folds.

    Units come in seeded random order, those of a label (that of the unit's first row)
    behind one another, and are dealt to the folds in turn. With fewer units than `k` there are so many folds.
    """
    first: dict[str, int] = {}
    for row, unit in enumerate(units):
        first.setdefault(unit, row)
    if len(first) < 2:
        raise ValueError("cross-fitting needs rows of at least two units")
    names = list(first)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = sorted((names[place] for place in shuffled), key=lambda unit: labels[first[unit]])
    dealt = {unit: turn % min(k, len(names)) for turn, unit in enumerate(order)}
    return np.array([dealt[unit] for unit in units], dtype=np.int64)


def linear_learner(texts: Sequence[str], given: Rows, count: int, *, c: float = LINEAR_C, seed: int = 0) -> Learner:
    """A linear support vector machine on TF-IDF; n-grams are counted over all texts, without their labels."""
    x = fit_tfidf(texts, TfidfSettings()).transform(texts)

    def learn(kept: Rows, held: Rows) -> Floats:
        positives = [np.flatnonzero(given[kept] == label) for label in range(count)]
        ((_, planes, _),) = one_vs_rest(x[kept], positives, cs=[c], seed=seed)
        return planes.margins(x[held])

    return learn


def head_learner(vectors: Floats, given: Rows, count: int, *, c: float = HEAD_C) -> Learner:
    """A logistic head on `vectors` (n, d)."""
    truth = np.zeros((len(vectors), count), dtype=np.float32)
    truth[np.arange(len(vectors)), given] = 1.0
    start = np.zeros((vectors.shape[1] + 1, count))

    def learn(kept: Rows, held: Rows) -> Floats:
        plane = minimise(vectors[kept], truth[kept], c=c, loss=softmax_loss, start=start, stop=ROUGH).astype(np.float32)
        return np.asarray(vectors[held] @ plane[:-1] + plane[-1], dtype=np.float32)

    return learn


def held_out(learn: Learner, plan: Plan) -> Floats:
    """Margins (n, labels) of every row by the fit without its fold, folds side by side."""
    margins = np.zeros((len(plan.given), plan.count), dtype=np.float32)

    def fit(part: tuple[Rows, Rows]) -> None:
        kept, held = part
        margins[held] = learn(kept, held)

    with one_thread_each(), ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fit, plan.parts()))
    return margins


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Fits within have one thread for their matrices: on a busy machine two wait for each other (`fit/head.py`)."""
    import scipy.optimize  # noqa: F401 - brings its own BLAS, which only then can be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def scaled(margins: Floats, plan: Plan) -> Floats:
    """Margins (n, labels) as probabilities, with the slope that fits the given labels of the rows in use best."""
    if plan.count < 2:
        return np.ones_like(margins)
    slope = softmax_slope(margins[plan.used], plan.given[plan.used], doubt=few_rows_doubt(int(plan.used.sum())))
    return Calibration(slope=slope).probabilities(margins.astype(np.float32, copy=True))


def together(members: Sequence[Floats], plan: Plan) -> Floats:
    """One or two tables of probabilities (n, labels) as one: a weighted geometric mean, scaled anew.

    A logarithmic opinion pool (Genest and Zidek 1986, Statistical Science 1); of five
    weights the one with the least log loss on the given labels, so that a much weaker model does not spoil the other.
    """
    if len(members) == 1:
        return members[0]
    first, second = (np.log(np.maximum(own, 1e-12)) for own in members)
    pools = [scaled(np.asarray((1 - weight) * first + weight * second, dtype=np.float32), plan) for weight in WEIGHTS]
    return min(pools, key=lambda pool: _log_loss(pool, plan))


def _log_loss(probabilities: Floats, plan: Plan) -> float:
    own = probabilities[plan.used, plan.given[plan.used]]
    return float(-np.log(np.maximum(own, 1e-12)).mean())


def review_labels(rows: Sequence[Example], splits: Sequence[str], *, vectors: Floats | None = None, seed: int = 0) -> LabelProblems:
    """Label problems of the train and dev rows of a dataset; row numbers count over all `rows`, sealed ones included.

    `vectors` (n, d) of unit length are those of all rows, in order; the
    sealed rows' are not used (they may be zeros), nor are their texts and labels. Rows with several labels are
    looked at for conflicts and outliers only. Without `vectors` there are no outliers.
    """
    numbers = [row for row, split in enumerate(splits) if split != SEALED]
    open_rows = [rows[number] for number in numbers]
    own = vectors[numbers] if vectors is not None else None
    texts, units = [_content(row) for row in open_rows], [unit_of(row) for row in open_rows]
    found = conflicts(texts, [row.references for row in open_rows])
    labels = label_names([row.references for row in open_rows])
    place = {label: number for number, label in enumerate(labels)}
    given = np.array([place.get(row.label, -1) for row in open_rows], dtype=np.int64)
    if own is not None:
        found += outliers(own, given, labels)
    if len(labels) > 1 and len(set(units)) > 1 and all(len(row.references) == 1 for row in open_rows):
        found += find_wrong(texts, [row.label for row in open_rows], units, vectors=own, seed=seed)[0]
    return LabelProblems.sorted_out(found, [splits[number] for number in numbers], numbers)


def find_wrong(
    texts: Sequence[str],
    labels: Sequence[str],
    units: Sequence[str],
    *,
    vectors: Floats | None = None,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> tuple[list[Finding], CrossFit]:
    """Likely wrong labels, and the probabilities that they were found by. Arguments as for `cross_fit`.

    Each round's models are neither fitted nor calibrated on what the round before found,
    so that wrong labels no longer vouch for each other. The first round alone finds 80 %
    of random flips and 61 % of flips to the nearest class, all three 98 and 89 %
    (`benchmarks/label_problems.py`). Ends early when a round finds what the one before it did.
    """
    wrong: list[int] = []
    for _ in range(rounds):
        fitted = cross_fit(texts, labels, units, vectors=vectors, without=wrong, seed=seed)
        found = likely_wrong(fitted.probabilities, fitted.given, fitted.labels)
        before, wrong = wrong, [one.row for one in found]
        if wrong == before:
            break
    return found, fitted


def _content(row: Example) -> str:
    return row.text if row.passage is None else f"{row.text}\n{row.passage}"
