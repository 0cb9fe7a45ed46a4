from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random
from sklearn.svm import LinearSVC

from rungwise.fit import svm
from rungwise.fit.svm import Planes, by_label, one_vs_rest


def _problem(n: int = 600, labels: int = 6) -> tuple[csr_matrix, np.ndarray]:
    """Sparse rows around `labels` sparse centres."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, labels, n)
    centres = random(labels, 200, density=0.1, random_state=1).toarray()
    x = centres[y] + random(n, 200, density=0.1, random_state=2).toarray()
    return csr_matrix((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)), y


def _objective(planes: Planes, x: csr_matrix, y: np.ndarray, k: int, c: float) -> float:
    sign = np.where(y == k, 1.0, -1.0)
    loss = np.maximum(0.0, 1.0 - sign * planes.margins(x)[:, k]) ** 2
    return float(0.5 * (planes.weights[:, k].astype(float) ** 2).sum() + 0.5 * planes.bias[k] ** 2 + c * loss.sum())


@pytest.mark.parametrize("first", [20, 10_000])
def test_working_sets_reach_the_minimum_of_the_whole_problem(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objective is within half a percent of what LinearSVC reaches on all rows at a tight tolerance."""
    monkeypatch.setattr(svm, "_FIRST_NEGATIVES", first)
    x, y = _problem()
    rows = [np.flatnonzero(y == k) for k in range(6)]
    for c, planes, _ in one_vs_rest(x, rows, cs=(3.0, 0.1), seed=0):
        for k in range(6):
            whole = LinearSVC(C=c, tol=1e-6, max_iter=100_000, random_state=0).fit(x.astype(np.float64), y == k)
            best = Planes(whole.coef_.T.astype(np.float32), whole.intercept_.astype(np.float32))
            assert _objective(planes, x, y, k, c) <= 1.005 * _objective(best, x, np.where(y == k, 0, 1), 0, c) + 1e-6


def test_only_few_rows_are_solved_on_when_few_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "_FIRST_NEGATIVES", 20)
    x, y = _problem()
    rows = [np.flatnonzero(y == k) for k in range(6)]
    ((_, planes, inside),) = one_vs_rest(x, rows, cs=[10.0], seed=0)
    margins = planes.margins(x)
    for k in range(6):
        outside = np.setdiff1d(np.arange(len(y)), inside[k])
        assert margins[outside, k].max() <= -1.0
        assert np.isin(rows[k], inside[k]).all()
        assert len(inside[k]) < len(y)


def test_one_seed_gives_one_solution_and_small_c_comes_first() -> None:
    x, y = _problem(200)
    rows = [np.flatnonzero(y == k) for k in range(6)]
    runs = [list(one_vs_rest(x, rows, cs=(1.0, 0.3), seed=5)) for _ in range(2)]
    assert [c for c, _, _ in runs[0]] == [0.3, 1.0]
    assert all(np.array_equal(a.weights, b.weights) for (_, a, _), (_, b, _) in zip(*runs, strict=True))


def test_a_label_that_every_row_has_or_that_none_has_gets_a_constant_margin() -> None:
    x, _ = _problem(50)
    ((_, planes, _),) = one_vs_rest(x, [np.arange(50), np.zeros(0, dtype=np.int64)], cs=[1.0], seed=0)
    assert planes.margins(x)[:, 0].tolist() == [1.0] * 50
    assert planes.margins(x)[:, 1].tolist() == [-1.0] * 50


def test_rows_by_label_count_a_label_once_per_row() -> None:
    found = by_label([("a", "b"), ("b", "b"), ()], ("a", "b", "c"))
    assert [rows.tolist() for rows in found] == [[0], [0, 1], []]
