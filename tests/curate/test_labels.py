"""Label problems from probabilities: what is found, and what may be done about it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.curate.labels import (
    CONFLICT,
    LIKELY_WRONG,
    OUTLIER,
    LabelProblems,
    confident_joint,
    conflicts,
    likely_wrong,
    outliers,
    true_labels,
)
from rungwise.curate.step import Finding

NAMES = ["refund", "invoice", "parcel"]


def drawn(n: int, *, sure: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True labels and the probabilities of a model that is right with `sure` and says so."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % 3
    said = np.where(rng.random(n) < sure, true, (true + rng.integers(1, 3, n)) % 3)
    table = np.full((n, 3), (1 - sure) / 2, dtype=np.float32)
    table[np.arange(n), said] = sure
    return true, table


def plain_joint(table: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The published definition, row by row."""
    count = table.shape[1]
    thresholds = [np.mean([table[i, k] for i in range(len(given)) if given[i] == k] or [np.inf]) for k in range(count)]
    joint = np.zeros((count, count), dtype=int)
    for i, label in enumerate(given):
        over = [k for k in range(count) if table[i, k] >= thresholds[k] - 1e-6]
        if over:
            joint[max(over, key=lambda k: (table[i, k], -k)), label] += 1
    return joint


@settings(max_examples=60)
@given(st.integers(2, 5), st.integers(1, 60), st.integers(0, 10_000))
def test_the_confident_joint_is_the_published_one(count: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.ones(count) * 0.5, n).astype(np.float32)
    told = rng.integers(0, count, n)
    assert (confident_joint(table, told) == plain_joint(table, told)).all()


@settings(max_examples=40)
@given(st.integers(2, 5), st.integers(1, 60), st.integers(0, 10_000))
def test_the_chances_of_the_true_label_add_up_to_one(count: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = true_labels(rng.dirichlet(np.ones(count), n).astype(np.float32), rng.integers(0, count, n))
    assert true.shape == (n, count)
    assert (true >= 0).all()
    assert np.allclose(true.sum(axis=1), 1)


def test_flipped_labels_are_found_and_the_right_ones_suggested() -> None:
    true, table = drawn(600, sure=0.97)
    told = true.copy()
    told[:60] = (told[:60] + 1) % 3
    found = likely_wrong(table, told, NAMES)
    hits = [one for one in found if one.row < 60]
    assert len(hits) >= 55
    assert len(found) - len(hits) <= 25  # 3 in 100 of the others are those that the model itself gets wrong
    assert found == sorted(found, key=lambda one: one.row)
    assert {one.reason for one in found} == {LIKELY_WRONG}
    assert hits[0].evidence.startswith("given 'invoice', suggested 'refund' (probability 0.8")


def test_a_mistake_that_many_make_needs_less_evidence_than_a_single_one() -> None:
    # The model leans to refund at 0.85 in both cases; only the first kind of mistake is common.
    true, table = drawn(900, sure=0.99)
    told = true.copy()
    refunds = np.flatnonzero(true == 0)
    told[refunds[:60]] = 1
    doubtful = np.array([[0.85, 0.15, 0.0], [0.85, 0.0, 0.15]], dtype=np.float32)
    chances = true_labels(np.concatenate((table, doubtful)), np.append(told, [1, 2]))[-2:]
    assert chances[0, 1] < chances[1, 2]


def test_a_model_that_knows_nothing_contradicts_nobody() -> None:
    told = np.arange(300) % 3
    assert likely_wrong(np.full((300, 3), 1 / 3, dtype=np.float32), told, NAMES) == []
    assert likely_wrong(np.zeros((0, 3), dtype=np.float32), told[:0], NAMES) == []


def test_a_label_with_few_rows_is_left_alone() -> None:
    true, table = drawn(300, sure=0.99)
    told = np.where(true == 2, 0, true)
    told[np.flatnonzero(true == 0)[:9]] = 2  # nine rows say parcel, and the model denies it
    table = table[:, [0, 1, 2]] * np.array([1, 1, 0.1], dtype=np.float32)
    table /= table.sum(axis=1, keepdims=True)
    assert not [one for one in likely_wrong(table, told, NAMES) if told[one.row] == 2]


def test_of_no_label_more_than_half_the_rows_are_called_wrong() -> None:
    true, table = drawn(300, sure=0.99)
    told = true.copy()
    told[true == 0] = 1  # nobody says refund, and half of the invoices are none
    told[np.flatnonzero(true == 1)[:60]] = 0
    for label in range(3):
        named = [one for one in likely_wrong(table, told, NAMES) if told[one.row] == label]
        assert len(named) <= (told == label).sum() / 2


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_rows_like_no_others_are_outliers() -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(3, 40), 100, axis=0)
    strange = rng.normal(size=(3, 40))
    vectors = unit(np.concatenate((centres + rng.normal(0, 0.05, (300, 40)), strange)))
    told = np.append(np.repeat([0, 1, 2], 100), [0, 1, 2])
    found = outliers(vectors, told, NAMES)
    assert {300, 301, 302} <= {one.row for one in found}
    assert len(found) <= 6
    assert found[-1].reason == OUTLIER
    assert "is usual" in found[-1].evidence


def test_a_label_for_everything_else_is_not_an_outlier_as_such() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(
        np.concatenate((np.repeat(np.eye(2, 40), 100, axis=0) + rng.normal(0, 0.05, (200, 40)), rng.normal(size=(60, 40))))
    )
    told = np.repeat([0, 1, 2], [100, 100, 60])
    assert len([one for one in outliers(vectors, told, NAMES) if told[one.row] == 2]) <= 3


def test_too_few_rows_have_no_outliers() -> None:
    assert outliers(np.eye(20, dtype=np.float32), np.zeros(20, dtype=np.int64), NAMES) == []


def test_copies_that_contradict_each_other_are_named() -> None:
    texts = ["Where is it?", "where is it", "Refund me", "refund me!", "REFUND ME", "alone"]
    labels = [("a",), ("b",), ("c",), ("c",), ("d",), ("a",)]
    found = conflicts(texts, labels)
    assert [(one.row, one.reason) for one in found] == [(0, CONFLICT), (1, CONFLICT), (4, CONFLICT)]
    assert found[0].evidence == "2 copies of this text are labelled a (1), b (1)"
    assert conflicts(["x", "X"], [("a", "b"), ("b", "a")]) == []


def test_only_training_rows_are_set_aside_and_dev_rows_are_suggestions() -> None:
    found = [Finding(2, LIKELY_WRONG, "w"), Finding(0, OUTLIER, "o"), Finding(2, CONFLICT, "c"), Finding(1, LIKELY_WRONG, "d")]
    problems = LabelProblems.sorted_out(found, ["train", "dev", "train"], [10, 20, 30])
    assert problems.quarantined == (Finding(10, OUTLIER, "o"), Finding(30, CONFLICT, "c"))
    assert problems.suggested == (Finding(20, LIKELY_WRONG, "d"),)


def test_sealed_rows_are_never_judged() -> None:
    with pytest.raises(ValueError, match="sealed"):
        LabelProblems.sorted_out([], ["train", "sealed"], [0, 1])
