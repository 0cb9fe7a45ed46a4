"""Out-of-fold probabilities: no row, nor a copy of it, is ever judged by a model that has seen it."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal import ticket_rows

from rungwise.core.dataset import DEV, SEALED, TRAIN, Example
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.fit.crossfit import cross_fit, fold_of, review_labels


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=2, max_size=60), st.integers(2, 6))
def test_rows_of_one_unit_are_never_in_two_folds(rows: list[tuple[str, str]], k: int) -> None:
    units, labels = [unit for unit, _ in rows], [label for _, label in rows]
    if len(set(units)) < 2:
        with pytest.raises(ValueError, match="two units"):
            fold_of(units, labels, k=k)
        return
    folds = fold_of(units, labels, k=k)
    where = defaultdict(set)
    for unit, fold in zip(units, folds, strict=True):
        where[unit].add(int(fold))
    assert all(len(own) == 1 for own in where.values())
    assert set(folds.tolist()) == set(range(min(k, len(set(units)))))


@given(st.lists(st.sampled_from("xyz"), min_size=2, max_size=80), st.integers(0, 3))
def test_labels_are_spread_evenly_over_the_folds(labels: list[str], seed: int) -> None:
    folds = fold_of([str(row) for row in range(len(labels))], labels, k=5, seed=seed)
    for label, size in Counter(labels).items():
        held = Counter(int(fold) for fold, own in zip(folds, labels, strict=True) if own == label)
        assert max(held.values()) <= -(-size // min(5, len(labels)))


@pytest.fixture(scope="module")
def tickets() -> tuple[list[str], list[str]]:
    rows = ticket_rows()
    return [row["message"] for row in rows], [row["intent"] for row in rows]


def test_a_row_is_judged_by_others_and_the_models_together_are_best(tickets: tuple[list[str], list[str]]) -> None:
    texts, labels = tickets
    found = cross_fit(texts, labels, texts, vectors=encode_hashed(texts))
    assert found.probabilities.shape == (480, 6)
    assert np.allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    right = {name: float((table.argmax(axis=1) == found.given).mean()) for name, table in found.members.items()}
    both = float((found.probabilities.argmax(axis=1) == found.given).mean())
    assert sorted(right) == ["head", "linear"]
    assert both > 0.85
    assert both >= max(right.values()) - 0.01
    sure = float(found.probabilities.max(axis=1).mean())
    assert sure == pytest.approx(both, abs=0.05)  # calibrated: as sure as right


def test_a_label_of_its_own_row_does_not_reach_its_probabilities(tickets: tuple[list[str], list[str]]) -> None:
    texts, labels = tickets
    row = next(place for place, label in enumerate(labels) if label == "track_order")
    before = cross_fit(texts, labels, texts)
    assert before.labels[before.probabilities[row].argmax()] == "track_order"
    changed = [*labels[:row], "loyalty_points", *labels[row + 1 :]]
    after = cross_fit(texts, changed, texts)
    assert after.labels[after.given[row]] == "loyalty_points"
    assert after.labels[after.probabilities[row].argmax()] == "track_order"


def test_the_same_seed_gives_the_same_probabilities(tickets: tuple[list[str], list[str]]) -> None:
    texts, labels = tickets
    vectors = encode_hashed(texts)
    one, two = (cross_fit(texts, labels, texts, vectors=vectors, seed=3) for _ in range(2))
    assert (one.probabilities == two.probabilities).all()
    assert (one.folds != cross_fit(texts, labels, texts, seed=4).folds).any()


def test_rows_left_out_are_answered_but_not_learned_from(tickets: tuple[list[str], list[str]]) -> None:
    texts, labels = tickets
    gone = [row for row, label in enumerate(labels) if label == "track_order"]
    found = cross_fit(texts, labels, texts, without=gone)
    column = found.labels.index("track_order")
    assert (found.probabilities.argmax(axis=1)[gone] != column).all()
    assert found.probabilities.shape == (480, 6)


def examples(tickets: tuple[list[str], list[str]]) -> tuple[list[Example], list[str], set[int]]:
    """The tickets with one in ten labels flipped in each split; every tenth row is sealed, another tenth dev."""
    texts, labels = tickets
    names = sorted(set(labels))
    rng = np.random.default_rng(0)
    wrong = set(rng.permutation(len(texts))[:48].tolist())
    told = [names[(names.index(label) + 1 + row % 5) % 6] if row in wrong else label for row, label in enumerate(labels)]
    rows = [Example(text=text, references=(label,)) for text, label in zip(texts, told, strict=True)]
    return rows, [SEALED if row % 10 == 0 else DEV if row % 10 == 1 else TRAIN for row in range(len(texts))], wrong


def test_flipped_labels_of_training_rows_are_set_aside_and_of_dev_rows_suggested(tickets: tuple[list[str], list[str]]) -> None:
    rows, splits, wrong = examples(tickets)
    found = review_labels(rows, splits, vectors=encode_hashed([row.text for row in rows]))
    named = [one.row for one in found.quarantined if one.reason == "labels:likely_wrong"]
    truly = {row for row in wrong if splits[row] == TRAIN}
    assert len(truly & set(named)) / len(named) >= 0.9
    assert len(truly & set(named)) / len(truly) >= 0.6  # of so few rows models cannot be sure about more
    assert {splits[one.row] for one in found.quarantined} == {TRAIN}
    assert {splits[one.row] for one in found.suggested} == {DEV}


def test_what_sealed_rows_say_changes_nothing(tickets: tuple[list[str], list[str]]) -> None:
    rows, splits, _ = examples(tickets)
    other = [
        Example(text="?", references=("track_order",)) if split == SEALED else row for row, split in zip(rows, splits, strict=True)
    ]
    assert review_labels(rows, splits) == review_labels(other, splits)


def test_rows_with_several_labels_are_looked_at_for_conflicts() -> None:
    rows = [Example(text="a b c", references=("x", "y")), Example(text="A b c", references=("x",)), Example(text="d")]
    found = review_labels(rows, [TRAIN, DEV, TRAIN])
    assert [(one.row, one.reason) for one in (*found.quarantined, *found.suggested)] == [
        (0, "labels:conflict"),
        (1, "labels:conflict"),
    ]


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "A!"], ["a", "b"]])
def test_very_few_rows_have_no_wrong_labels(texts: list[str]) -> None:
    rows = [Example(text=text, references=("x" if place else "y",)) for place, text in enumerate(texts)]
    found = review_labels(rows, [TRAIN] * len(rows), vectors=encode_hashed(texts))
    assert {one.reason for one in found.quarantined} <= {"labels:conflict"}


@pytest.mark.slow
def test_one_in_ten_flipped_labels_of_banking77_are_found(shared_data: Path) -> None:
    from benchmarks.label_problems import at_default, flipped, read

    texts, labels = read("banking77", "intent")
    names = sorted(set(labels))
    codes = np.array([names.index(label) for label in labels])
    rng = np.random.default_rng(7)
    vectors = encode_hashed(texts)  # MiniLM finds more; this needs nothing installed
    given = flipped(codes, vectors, rng.permutation(len(codes))[: len(codes) // 10], "random", rng)
    rows = [Example(text=text, references=(names[code],)) for text, code in zip(texts, given, strict=True)]
    found = review_labels(rows, [TRAIN] * len(rows), vectors=vectors)
    figures = at_default([one.row for one in found.quarantined if one.reason == "labels:likely_wrong"], given != codes)
    assert figures["P"] >= 0.8
    assert figures["R"] >= 0.8
