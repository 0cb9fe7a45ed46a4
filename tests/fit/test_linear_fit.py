from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rungwise.engines.linear import Linear
from rungwise.fit.linear import fit_linear, label_names

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WORDS = {
    "parcel": ["parcel", "delivery", "courier"],
    "refund": ["refund", "money", "charged"],
    "login": ["password", "login", "locked"],
}


def _rows(n: int, *, noise: float = 0.0, seed: int = 0) -> tuple[list[str], list[tuple[str, ...]]]:
    """Sentences with one telling word out of three; `noise` of the labels are wrong."""
    rng = random.Random(seed)
    texts, labels = [], []
    for _ in range(n):
        label = rng.choice(list(WORDS))
        texts.append(f"hello please my {rng.choice(WORDS[label])} is {rng.choice(['gone', 'wrong', 'late', 'odd'])}")
        labels.append((rng.choice(list(WORDS)) if rng.random() < noise else label,))
    return texts, labels


def test_every_c_gets_its_own_files_on_shared_features() -> None:
    texts, labels = _rows(120)
    fitted = fit_linear(texts, labels, cs=(1.0, 0.1))
    assert set(fitted) == {0.1, 1.0}
    small, large = (Linear.load(fitted[c]) for c in (0.1, 1.0))
    assert np.array_equal(small.tfidf.blocks[0].buckets, large.tfidf.blocks[0].buckets)
    assert np.abs(large.weights).sum() > np.abs(small.weights).sum()  # less regularised


def test_it_learns_what_there_is_to_learn() -> None:
    model = Linear.load(fit_linear(*_rows(150), cs=[1.0])[1.0])
    texts, labels = _rows(60, seed=9)
    assert [model.labels[place] for place in model.probabilities(texts).argmax(axis=1)] == [label for (label,) in labels]


def test_confidence_is_near_the_share_that_is_right_when_labels_are_noisy() -> None:
    """With 40 % of the labels drawn at random, 1 - 0.4 x 2/3 = 73 % of the answers can be right."""
    texts, labels = _rows(900, noise=0.4)
    model = Linear.load(fit_linear(texts, labels, cs=[0.1])[0.1])
    fresh, truth = _rows(1_500, noise=0.4, seed=7)
    shown = model.probabilities(fresh)
    right = np.mean([model.labels[place] == label for place, (label,) in zip(shown.argmax(axis=1), truth, strict=True)])
    assert right == pytest.approx(0.733, abs=0.04)
    assert shown.max(axis=1).mean() == pytest.approx(right, abs=0.05)


def test_the_same_rows_and_seed_give_the_same_bytes() -> None:
    texts, labels = _rows(100, noise=0.2)
    assert fit_linear(texts, labels, cs=[1.0], seed=3) == fit_linear(texts, labels, cs=[1.0], seed=3)


def test_several_labels_are_given_by_a_threshold_chosen_out_of_fold() -> None:
    rng = random.Random(4)
    texts, labels = [], []
    for _ in range(400):
        own = tuple(label for label in WORDS if rng.random() < 0.4)
        texts.append("hello " + " and ".join(rng.choice(WORDS[label]) for label in own) + " thanks")
        labels.append(own)
    model = Linear.load(fit_linear(texts[:300], labels[:300], cs=[1.0], multi_label=True)[1.0])
    given = model.probabilities(texts[300:]) >= model.calibration.threshold
    truth = np.array([[label in own for label in model.labels] for own in labels[300:]])
    assert model.calibration.multi_label
    assert f1_score(truth, given, average="micro") > 0.97


@pytest.mark.parametrize("rows", [[("only",)], [("only",)] * 5, [("a",), ("b",)], [("a",), ("a",), ("b",)]])
def test_one_row_one_label_or_a_label_with_one_example_can_be_fitted(rows: list[tuple[str, ...]]) -> None:
    texts = [f"text {name} number {place}" for place, (name,) in enumerate(rows)]
    model = Linear.load(fit_linear(texts, rows, cs=[1.0])[1.0])
    assert model.labels == label_names(rows)
    assert model.probabilities(texts).sum(axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        fit_linear([], [], cs=[1.0])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not there")
def test_dev_accuracy_on_clinc150_is_what_the_goal_asks() -> None:
    """The goal is 0.915 on the 600 dev rows of the published split; with C = 1 alone about 0.945 is reached."""
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
    from clinc150 import load_clinc150

    data = load_clinc150(SHARED)
    train, dev = ([row for row in data if row["split"] == split] for split in ("train", "dev"))
    assert (len(train), len(dev), len(data)) == (15_000, 600, 18_000)
    fitted = fit_linear([row["text"] for row in train], [(row["intent"],) for row in train], cs=[1.0])
    model = Linear.load(fitted[1.0])
    shown = model.probabilities([row["text"] for row in dev])
    truth = np.array([model.labels.index(row["intent"]) for row in dev])
    assert np.mean(shown.argmax(axis=1) == truth) >= 0.93
    assert -np.mean(np.log(shown[np.arange(600), truth])) < 0.32  # nats; calibrated
