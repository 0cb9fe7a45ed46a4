from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from rungwise.engines.linear import Head
from rungwise.fit.head import fit_head, minimise, sigmoid_loss, softmax_loss


def _vectors(n: int, labels: int, *, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around `labels` fixed directions in 12 dimensions, and the label of each."""
    centres = np.random.default_rng(99).normal(size=(labels, 12))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, labels, n)
    x = centres[y] + spread * rng.normal(size=(n, 12))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y


def _loss(x: np.ndarray, y: np.ndarray, weights: np.ndarray, bias: np.ndarray, c: float) -> float:
    margins = (x @ weights + bias).astype(np.float64)
    logs = margins - np.log(np.exp(margins).sum(axis=1, keepdims=True))
    return float(-c * logs[np.arange(len(y)), y].sum() + 0.5 * (weights**2).sum())


@pytest.mark.parametrize("c", [0.1, 1.0, 30.0])
def test_it_reaches_the_minimum_of_scikit_learn(c: float) -> None:
    """Same loss to a hundred-thousandth, same probabilities to a thousandth, with scikit-learn run to 1e-8."""
    x, y = _vectors(400, 5, spread=1.0)
    truth = np.eye(5, dtype=np.float32)[y]
    plane = minimise(x, truth, c=c, loss=softmax_loss, start=np.zeros((13, 5)))
    reference = LogisticRegression(C=c, tol=1e-8, max_iter=10_000).fit(x.astype(np.float64), y)
    best = _loss(x, y, reference.coef_.T, reference.intercept_, c)
    assert _loss(x, y, plane[:-1], plane[-1], c) == pytest.approx(best, rel=1e-5)
    margins = x @ plane[:-1] + plane[-1]
    shown = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    assert shown == pytest.approx(reference.predict_proba(x), abs=2e-3)


@pytest.mark.parametrize("loss", [softmax_loss, sigmoid_loss])
def test_gradients_are_those_of_the_losses(loss: object) -> None:
    truth = np.eye(4)[[0, 2, 3]]
    shape = truth.shape

    def value(flat: np.ndarray) -> float:
        return loss(flat.reshape(shape).copy(), truth)[0]  # type: ignore[operator,no-any-return]

    def gradient(flat: np.ndarray) -> np.ndarray:
        return np.asarray(loss(flat.reshape(shape).copy(), truth)[1]).ravel()  # type: ignore[operator]

    assert check_grad(value, gradient, np.random.default_rng(0).normal(size=12)) < 1e-5


def test_confidence_is_near_the_share_that_is_right_however_strong_the_shrinking() -> None:
    x, y = _vectors(1_200, 6, spread=1.2)
    fresh, truth = _vectors(3_000, 6, spread=1.2, seed=1)
    fitted = fit_head(x, [(f"label {k}",) for k in y], cs=(0.01, 0.1, 1.0, 100.0))
    for files in fitted.values():
        head = Head.load(files)
        shown = head.probabilities(fresh)
        right = np.mean([head.labels[place] == f"label {k}" for place, k in zip(shown.argmax(axis=1), truth, strict=True)])
        assert shown.max(axis=1).mean() == pytest.approx(right, abs=0.03)


def test_few_examples_do_not_make_it_too_sure() -> None:
    """60 rows in 12 dimensions: in sample all are right with a confidence near 1, out of sample about 58 % are.

    One such fit may be 15 points too sure or too modest; over six they must be right on average.
    """
    fresh, truth = _vectors(2_000, 6, spread=1.5, seed=1)
    gaps = []
    for seed in range(10, 16):
        x, y = _vectors(60, 6, spread=1.5, seed=seed)
        head = Head.load(fit_head(x, [(str(k),) for k in y], cs=[1_000.0])[1_000.0])
        shown = head.probabilities(fresh)
        right = np.mean([head.labels[place] == str(k) for place, k in zip(shown.argmax(axis=1), truth, strict=True)])
        gaps.append(shown.max(axis=1).mean() - right)
    assert np.mean(gaps) == pytest.approx(0.0, abs=0.1)


def test_several_labels_get_a_threshold_from_rows_that_were_held_out() -> None:
    x, y = _vectors(600, 4, spread=0.5)
    references = [(f"l{k}", "even") if k % 2 == 0 else (f"l{k}",) for k in y]
    head = Head.load(fit_head(x[:400], references[:400], cs=[10.0], multi_label=True)[10.0])
    truth = np.array([[label in own for label in head.labels] for own in references[400:]])
    assert head.calibration.multi_label
    assert f1_score(truth, head.probabilities(x[400:]) >= head.calibration.threshold, average="micro") > 0.95


def test_every_c_asked_for_is_there_in_the_order_asked() -> None:
    x, y = _vectors(60, 3, spread=0.5)
    assert list(fit_head(x, [(str(k),) for k in y], cs=(10.0, 1.0))) == [10.0, 1.0]


def test_the_same_rows_and_seed_give_the_same_bytes() -> None:
    x, y = _vectors(200, 3, spread=1.0)
    references = [(str(k),) for k in y]
    assert fit_head(x, references, cs=[1.0], seed=4) == fit_head(x, references, cs=[1.0], seed=4)


def test_one_label_is_certain_and_no_rows_are_an_error() -> None:
    x, _ = _vectors(5, 1, spread=0.5)
    head = Head.load(fit_head(x, [("only",)] * 5, cs=[1.0])[1.0])
    assert head.probabilities(x).tolist() == [[1.0]] * 5
    with pytest.raises(ValueError, match="at least one row"):
        fit_head(x[:0], [], cs=[1.0])
