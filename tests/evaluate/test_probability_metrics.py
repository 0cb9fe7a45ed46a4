"""AUC and log loss equal scikit-learn's; calibration equals its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.metric import metric, value
from rungwise.evaluate.probabilities import auc, calibration
from rungwise.evaluate.resampling import variance


def draw(seed: int, n: int, classes: int, *, ties: bool = False) -> tuple[list[str], list[Example], Answers]:
    rng = np.random.default_rng(seed)
    labels = tuple(f"c{place}" for place in range(classes))
    wanted = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])  # every class occurs
    strength = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[wanted]
    believed = np.exp(strength) / np.exp(strength).sum(axis=1, keepdims=True)
    if ties:
        believed = np.round(believed, 1) + 1e-3
        believed /= believed.sum(axis=1, keepdims=True)
    believed = believed.astype(np.float32)
    names = [labels[one] for one in wanted]
    answers = Answers(tuple(labels[one] for one in believed.argmax(axis=1)), tuple(believed.max(axis=1).tolist()), labels, believed)
    return names, [Example(text="", references=(name,)) for name in names], answers


@given(st.integers(0, 10_000), st.integers(2, 6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_auc_equals_scikit_learn(seed: int, classes: int, ties: bool) -> None:
    names, examples, answers = draw(seed, 60, classes, ties=ties)
    assert answers.probabilities is not None
    table = answers.probabilities.astype(np.float64)
    table /= table.sum(axis=1, keepdims=True)  # scikit-learn wants exact sums; ranks may only differ where rounding breaks a tie
    if classes == 2:
        expected = reference.roc_auc_score(names, answers.probabilities[:, 1])
    else:
        hot = np.asarray(names)[:, None] == np.asarray(answers.labels)
        expected = reference.roc_auc_score(hot, answers.probabilities, average="macro")
    assert value(metric("auc"), examples, answers) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_log_loss_equals_scikit_learn(seed: int, classes: int) -> None:
    names, examples, answers = draw(seed, 50, classes)
    assert answers.probabilities is not None
    table = answers.probabilities.astype(np.float64)
    table /= table.sum(axis=1, keepdims=True)
    assert value(metric("log_loss"), examples, answers) == pytest.approx(reference.log_loss(names, table), abs=1e-9)
    assert value(metric("perplexity"), examples, answers) == pytest.approx(np.exp(reference.log_loss(names, table)), rel=1e-9)


def test_a_label_that_the_model_does_not_know_costs_the_precision_of_float32() -> None:
    answers = Answers(("a",), (1.0,), ("a", "b"), np.array([[1.0, 0.0]], dtype=np.float32))
    assert value(metric("log_loss"), [Example(text="", references=("new",))], answers) == pytest.approx(-np.log(2**-23))


def test_auc_leaves_out_labels_that_no_row_has() -> None:
    names, examples, answers = draw(3, 80, 3)
    keep = [row for row, name in enumerate(names) if name != "c2"]
    assert answers.probabilities is not None
    wanted = np.asarray([names[row] == "c0" for row in keep])
    table = answers.probabilities[keep]
    expected = (reference.roc_auc_score(wanted, table[:, 0]) + reference.roc_auc_score(~wanted, table[:, 1])) / 2
    assert value(metric("auc"), [examples[row] for row in keep], answers.take(keep)) == pytest.approx(expected, abs=1e-9)


def test_the_variance_of_auc_is_delongs() -> None:
    _, examples, answers = draw(5, 120, 2)
    assert answers.probabilities is not None
    score = answers.probabilities[:, 1].astype(np.float64)
    positive = np.asarray([example.label == "c1" for example in examples])
    yes, no = score[positive][:, None], score[~positive][None, :]
    wins = (yes > no) + 0.5 * (yes == no)
    by_yes, by_no = wins.mean(axis=1), wins.mean(axis=0)
    delong = by_yes.var() / len(by_yes) + by_no.var() / len(by_no)  # population variances: ours multiplies by n / (n - 1)
    assert variance(auc(examples, answers), examples, seed=0) == pytest.approx(delong * 120 / 119, rel=1e-9)


def test_calibration_error_equals_its_definition() -> None:
    rng = np.random.default_rng(2)
    confidence = np.concatenate((rng.random(300), [0.0, 1.0, 0.2, 0.4]))
    right = rng.random(304) < confidence
    examples = [Example(text="", references=("a",))] * 304
    answers = Answers(tuple("a" if one else "b" for one in right), tuple(confidence.tolist()))
    expected = 0.0
    for place in range(10):
        inside = (confidence > place / 10) & (confidence <= (place + 1) / 10) | ((place == 0) & (confidence == 0))
        if inside.any():
            expected += inside.sum() / 304 * abs(right[inside].mean() - confidence[inside].mean())
    found = calibration(examples, answers, bins=10)
    assert found.error == pytest.approx(expected, abs=1e-12)
    assert found.rows.sum() == 304
    assert value(metric("calibration_error"), examples, answers) == pytest.approx(calibration(examples, answers).error, abs=1e-12)


def test_rows_without_confidence_are_left_out_of_the_calibration() -> None:
    examples = [Example(text="", references=("a",))] * 3
    assert calibration(examples, Answers(("a", "a", "b"), (0.75, None, None))).error == pytest.approx(0.25)
