"""Folds, slopes, offsets and thresholds, each against the definition it claims."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import f1_score

from rungwise.engines.linear import Calibration
from rungwise.fit.calibration import calibrate, folds, micro_f1_threshold, platt, softmax_slope

names = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=2).map(tuple), min_size=1, max_size=60)


def log_loss(slope: float, margins: np.ndarray, truth: np.ndarray) -> float:
    return float(-log_softmax(slope * margins.astype(np.float64), axis=1)[np.arange(len(truth)), truth].mean())


def drawn(rng: np.random.Generator, slope: float, n: int = 4_000, labels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose labels are drawn from softmax(slope x margins): the slope to be found again."""
    margins = rng.normal(size=(n, labels)).astype(np.float32)
    chances = softmax(slope * margins, axis=1)
    truth = (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return margins, np.minimum(truth, labels - 1)


@given(names, st.integers(0, 3))
def test_folds_never_hold_out_the_only_row_of_a_label_and_no_row_twice(references: list[tuple[str, ...]], seed: int) -> None:
    everything = {name for row in references for name in row}
    shown: list[int] = []
    for kept, held in folds(references, seed=seed):
        assert np.array_equal(np.union1d(kept, held), np.arange(len(references)))
        assert not set(kept) & set(held)
        assert {name for row in kept for name in references[row]} == everything
        shown.extend(held)
    assert len(shown) == len(set(shown))
    assert len(shown) >= len(references) - len(everything)  # all but at most one row a label are held out once


def test_many_rows_have_one_fold_of_a_tenth() -> None:
    ((kept, held),) = folds([("a",), ("b",)] * 1_000, seed=0)
    assert len(held) == 200  # (2,000 - 2 that are never held out) / 10, rounded up
    assert len(kept) == 1_800


def test_one_row_has_no_fold() -> None:
    assert list(folds([("a",)], seed=0)) == []


def test_the_seed_decides_the_folds() -> None:
    references = [("a",), ("b",)] * 20

    def held(seed: int) -> list[list[int]]:
        return [fold.tolist() for _, fold in folds(references, seed=seed)]

    assert held(1) == held(1) != held(2)


@pytest.mark.parametrize("slope", [0.3, 1.0, 8.0])
def test_the_slope_that_labels_were_drawn_with_is_found(slope: float) -> None:
    margins, truth = drawn(np.random.default_rng(0), slope)
    assert softmax_slope(margins, truth) == pytest.approx(slope, rel=0.1)  # 4,000 rows


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_no_slope_has_a_lower_log_loss(seed: int, slope: float) -> None:
    margins, truth = drawn(np.random.default_rng(seed), slope, n=60, labels=3)
    found = softmax_slope(margins, truth)
    best = minimize_scalar(lambda log: log_loss(np.exp(log), margins, truth), bounds=(-3.9, 3.9), method="bounded")
    assert log_loss(found, margins, truth) <= best.fun + 1e-6


def test_slopes_stay_finite_where_every_answer_is_right_or_wrong() -> None:
    margins = np.array([[1.0, -1.0]] * 9, dtype=np.float32)
    assert 10 < softmax_slope(margins, np.zeros(9, dtype=np.int64)) <= 50  # from 18 on the loss is 0 to the last bit
    assert softmax_slope(margins, np.ones(9, dtype=np.int64)) == pytest.approx(1 / 50, rel=0.01)  # the end of the search


def test_platt_minimises_the_loss_with_platts_targets() -> None:
    rng = np.random.default_rng(3)
    margins = rng.normal(size=(300, 4)).astype(np.float32)
    truth = rng.random((300, 4)) < expit(2.5 * margins - 1.5)
    positive, negative = truth.sum(), (~truth).sum()
    target = np.where(truth, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(both: np.ndarray) -> float:
        z = both[0] * margins.astype(np.float64) + both[1]
        return float((np.logaddexp(0, z) - target * z).sum())

    best = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-6})
    slope, offset = platt(margins, truth)
    assert (slope, offset) == pytest.approx(tuple(best.x), abs=2e-3)
    assert (slope, offset) == pytest.approx((2.5, -1.5), abs=0.35)  # what the labels were drawn with


@pytest.mark.parametrize("given_", [True, False])
def test_platt_stays_finite_where_all_labels_or_none_are_given(given_: bool) -> None:
    margins = np.linspace(-2, 2, 10, dtype=np.float32).reshape(5, 2)
    slope, offset = platt(margins, np.full((5, 2), given_))
    assert 0 < slope < 50
    assert abs(offset) < 50
    shown = expit(slope * margins + offset)
    assert np.all((shown > 0.5) == given_)


def test_platt_never_turns_the_order_around() -> None:
    """Margins that point the wrong way give a slope near 0, not a negative one: the answer would otherwise not be the top label."""
    margins = np.array([[1.0], [2.0], [-1.0], [-2.0]], dtype=np.float32)
    slope, _ = platt(margins, np.array([[False], [False], [True], [True]]))
    assert slope == pytest.approx(1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 4))
def test_no_threshold_of_the_grid_has_a_higher_micro_f1(seed: int, rows: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    shown = rng.random((rows, labels)).astype(np.float32)
    truth = rng.random((rows, labels)) < shown
    found = micro_f1_threshold(shown, truth)

    def f1(level: float) -> float:
        return float(f1_score(truth.ravel(), (shown >= level).ravel(), zero_division=0))

    assert f1(found) >= max(f1(round(0.05 + 0.01 * step, 2)) for step in range(91)) - 1e-9


def test_of_equally_good_thresholds_the_middle_one_is_taken() -> None:
    shown = np.array([[0.95, 0.02]], dtype=np.float32)
    assert micro_f1_threshold(shown, np.array([[True, False]])) == 0.5


def test_without_held_out_rows_the_calibration_is_neutral() -> None:
    nothing = np.zeros((0, 3), dtype=np.float32)
    assert calibrate(nothing, np.zeros((0, 3), dtype=bool), multi_label=False) == Calibration()
    assert calibrate(nothing, np.zeros((0, 3), dtype=bool), multi_label=True) == Calibration(multi_label=True)


def test_a_single_label_needs_no_slope() -> None:
    margins = np.ones((5, 1), dtype=np.float32)
    assert calibrate(margins, np.ones((5, 1), dtype=bool), multi_label=False) == Calibration()


def test_calibration_leaves_the_margins_as_they_were() -> None:
    margins, truth = drawn(np.random.default_rng(1), 2.0, n=50)
    before = margins.copy()
    for multi_label in (False, True):
        calibrate(margins, np.eye(5, dtype=bool)[truth], multi_label=multi_label)
        assert np.array_equal(margins, before)


def test_a_few_rows_that_are_all_right_do_not_make_it_certain() -> None:
    """Ten of ten right call for (10 + 1) / (10 + 2), as Platt's targets have it, and not for certainty."""
    margins = np.array([[1.0, -1.0]] * 10, np.float32)
    found = calibrate(margins, np.array([[True, False]] * 10), multi_label=False)
    assert expit(2 * found.slope) == pytest.approx(11 / 12, abs=1e-3)
