"""The one-vs-rest machines against LIBLINEAR on all rows at once, on messages and on labels that no plane separates."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.svm import LinearSVC

from rungwise.engines.tfidf import fit_tfidf
from rungwise.fit import svm
from rungwise.fit.svm import Indices, Planes, one_vs_rest

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
CS = (0.1, 1.0, 3.0)

Task = tuple[csr_matrix, np.ndarray, csr_matrix, np.ndarray]


def objective(x: csr_matrix, y: np.ndarray, weights: np.ndarray, bias: float, c: float) -> float:
    """1/2 |w|^2 + 1/2 b^2 + C sum max(0, 1 - y f)^2: LIBLINEAR's primal with a regularised bias."""
    margins = np.where(y, 1.0, -1.0) * (x @ weights.astype(np.float64) + bias)
    return float(0.5 * (weights.astype(np.float64) @ weights + bias * bias) + c * (np.maximum(0.0, 1 - margins) ** 2).sum())


def reference(x: csr_matrix, y: np.ndarray, c: float) -> LinearSVC:
    """scikit-learn's on all rows, solved more tightly than by default (1e-4)."""
    return LinearSVC(C=c, tol=1e-5, max_iter=20_000, dual=True, random_state=0).fit(x, y)


@pytest.fixture(scope="module")
def intents() -> Task:
    """30 intents of CLINC150 with 100 messages each: 2,400 rows to fit, more than the first guess of 2,000, and 600 to test."""
    path = DATA / "clinc150" / "train.jsonl.gz"
    if not path.exists():
        pytest.skip("needs the shared data set clinc150")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    names = sorted({row["intent"] for row in rows} - {"oos"})[:30]
    rows = [row for row in rows if row["intent"] in names]
    y = np.array([names.index(row["intent"]) for row in rows])
    x = fit_tfidf([row["text"] for row in rows]).transform([row["text"] for row in rows])
    test = np.arange(len(rows)) % 5 == 0
    return x[~test], y[~test], x[test], y[test]


@pytest.fixture(scope="module")
def made_up() -> Task:
    """6 labels on 3,000 sparse rows, a tenth of them mislabelled, so that no plane separates."""
    rng = np.random.default_rng(0)
    x = csr_matrix(random_array((3_600, 400), density=0.05, rng=rng, dtype=np.float32))
    truth = rng.normal(size=(400, 6))
    y = (x @ truth).argmax(axis=1)
    y = np.where(rng.random(3_600) < 0.1, rng.integers(0, 6, 3_600), y)
    return x[:3_000], y[:3_000], x[3_000:], y[3_000:]


def rows_of(y: np.ndarray) -> list[Indices]:
    return [np.flatnonzero(y == k) for k in range(y.max() + 1)]


@pytest.mark.parametrize("task", ["intents", "made_up"])
def test_objective_margins_and_accuracy_are_those_of_liblinear_on_all_rows(task: str, request: pytest.FixtureRequest) -> None:
    x, y, unseen, labels = request.getfixturevalue(task)
    for c, planes, _ in one_vs_rest(x, rows_of(y), cs=CS, seed=0):
        peer = reference(x, y, c)
        for k in range(y.max() + 1):
            ours = objective(x, y == k, planes.weights[:, k], float(planes.bias[k]), c)
            best = objective(x, y == k, peer.coef_[k], float(peer.intercept_[k]), c)
            assert ours <= 1.005 * best  # the minimum is the peer's; ours stops a little above it
        margins, theirs = planes.margins(unseen), peer.decision_function(unseen)
        assert np.abs(margins - theirs).max() < 0.05
        assert (margins.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.99
        right, peer_right = margins.argmax(axis=1) == labels, theirs.argmax(axis=1) == labels
        assert abs(right.mean() - peer_right.mean()) <= 0.005


def test_rows_inside_the_margin_are_found_even_when_the_first_guess_is_bad(made_up: Task) -> None:
    """Working sets that begin with the positives and ten negatives end at the same solution."""
    x, y, unseen, _ = made_up
    poor = [np.union1d(rows, np.flatnonzero(y != k)[:10]) for k, rows in enumerate(rows_of(y))]
    ((_, planes, _),) = one_vs_rest(x, rows_of(y), cs=[1.0], seed=0, near=poor)
    theirs = reference(x, y, 1.0).decision_function(unseen)
    assert np.abs(planes.margins(unseen) - theirs).max() < 0.05
    ((_, unchecked, _),) = one_vs_rest(x, rows_of(y), cs=[1.0], seed=0, near=poor, rounds=1)
    assert np.abs(unchecked.margins(unseen) - theirs).max() > 0.2  # without the check they do not


def test_fits_at_the_same_time_in_threads_give_the_same_bytes_as_one_alone(intents: Task) -> None:
    """LIBLINEAR has one random generator per process: two fits at once would take each other's draws."""
    x, y, _, _ = intents

    def fit(seed: int) -> bytes:
        ((_, planes, _),) = one_vs_rest(x, rows_of(y), cs=[1.0], seed=seed)
        return planes.weights.tobytes() + planes.bias.tobytes()

    alone = fit(0)
    with ThreadPoolExecutor(3) as pool:
        first, other, second = pool.map(fit, [0, 1, 0])
    assert first == second == alone
    assert other != alone


def test_pieces_of_rows_change_nothing(intents: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, _, _ = intents
    ((_, whole, sets),) = one_vs_rest(x, rows_of(y), cs=[1.0], seed=0)
    monkeypatch.setattr(svm, "_ROWS_AT_ONCE", 700)
    ((_, pieces, again),) = one_vs_rest(x, rows_of(y), cs=[1.0], seed=0)
    assert whole.weights.tobytes() == pieces.weights.tobytes()
    assert all(np.array_equal(a, b) for a, b in zip(sets, again, strict=True))


def test_a_label_with_one_row_among_thousands_is_found(made_up: Task) -> None:
    x, _, _, _ = made_up
    ((_, planes, _),) = one_vs_rest(x, [np.array([17])], cs=[1000.0], seed=0)
    margins = planes.margins(x)[:, 0]
    assert margins.argmax() == 17
    assert margins[17] > 0


def test_margins_of_named_labels_are_columns_of_all_margins() -> None:
    rng = np.random.default_rng(1)
    planes = Planes(rng.normal(size=(4, 3)).astype(np.float32), np.arange(3, dtype=np.float32))
    x = csr_matrix(np.eye(4, dtype=np.float32))
    np.testing.assert_allclose(planes.margins(x, [2, 0]), planes.margins(x)[:, [2, 0]], rtol=1e-6)
