"""Label metrics equal scikit-learn's."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.preprocessing import MultiLabelBinarizer

from rungwise.core.dataset import Example
from rungwise.core.errors import UsageError
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.labels import confusion_matrix
from rungwise.evaluate.metric import metric, value

CLINC = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "clinc150" / "train.jsonl.gz"
CLASSES = ("a", "b", "ç", "日本", "e e")

REFERENCES = {
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "mcc": reference.matthews_corrcoef,
    **{
        f"{average}_{part}": (
            lambda y, p, part=part, average=average: getattr(reference, f"{part}_score")(y, p, average=average, zero_division=0)
        )
        for average in ("macro", "micro")
        for part in ("f1", "precision", "recall")
    },
    "weighted_f1": lambda y, p: reference.f1_score(y, p, average="weighted", zero_division=0),
}


def single(wanted: list[str]) -> list[Example]:
    return [Example(text="", references=(label,)) for label in wanted]


def expect_equal(wanted: list[str], given_texts: list[str], names: dict[str, object] = REFERENCES) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns where a class is missing on one side
        for name, other in names.items():
            ours = value(metric(name), single(wanted), Answers(tuple(given_texts)))
            assert ours == pytest.approx(other(wanted, given_texts), abs=1e-9), name  # type: ignore[operator]


@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from((*CLASSES, "never asked"))), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_label_metrics_equal_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    expect_equal([want for want, _ in pairs], [give for _, give in pairs])


@pytest.mark.skipif(not CLINC.exists(), reason="clinc150 is not beside the checkout")
def test_label_metrics_equal_scikit_learn_on_real_intents_with_real_class_counts() -> None:
    with gzip.open(CLINC, "rt", encoding="utf-8") as lines:
        wanted = [json.loads(line)["intent"] for line in lines][::7]
    rng = np.random.default_rng(0)
    expect_equal(wanted, [want if rng.random() < 0.9 else wanted[rng.integers(len(wanted))] for want in wanted])


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(CLASSES), max_size=4), st.sets(st.sampled_from(CLASSES), max_size=4)),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=100, deadline=None)
def test_multi_label_metrics_equal_scikit_learn(pairs: list[tuple[set[str], set[str]]]) -> None:
    examples = [Example(text="", references=tuple(sorted(want))) for want, _ in pairs]
    answers = Answers(tuple("\n".join(sorted(give)) for _, give in pairs))
    occurring = sorted({label for want, give in pairs for label in want | give})
    if len(occurring) < 2:  # scikit-learn takes one column for a binary task
        return
    table = MultiLabelBinarizer(classes=occurring)
    wanted, told = table.fit_transform([want for want, _ in pairs]), table.transform([give for _, give in pairs])
    assert value(metric("subset_accuracy"), examples, answers) == pytest.approx(reference.accuracy_score(wanted, told), abs=1e-9)
    for name in ("micro_f1", "macro_f1", "micro_precision", "micro_recall", "macro_precision", "macro_recall", "weighted_f1"):
        average, part = name.split("_")
        other = getattr(reference, f"{part}_score")(wanted, told, average=average, zero_division=0)
        assert value(metric(name), examples, answers) == pytest.approx(other, abs=1e-9), name
    filled = [row for row, (want, give) in enumerate(pairs) if want | give]  # rows without any label count 1 here, 0 there
    other = reference.jaccard_score(wanted[filled], told[filled], average="samples")
    ours = value(metric("jaccard"), [examples[row] for row in filled], answers.take(filled))
    assert ours == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize("part", ["f1", "precision", "recall"])
def test_binary_metrics_equal_scikit_learn_and_take_the_last_label_as_positive(part: str) -> None:
    rng = np.random.default_rng(1)
    wanted = [("ham", "spam")[one] for one in rng.integers(0, 2, 200)]
    told = [("ham", "spam")[one] for one in rng.integers(0, 2, 200)]
    score = getattr(reference, f"{part}_score")
    assert value(metric(f"binary_{part}"), single(wanted), Answers(tuple(told))) == pytest.approx(
        score(wanted, told, pos_label="spam"), abs=1e-9
    )
    ham = value(metric(f"binary_{part}@ham"), single(wanted), Answers(tuple(told)))
    assert ham == pytest.approx(score(wanted, told, pos_label="ham"), abs=1e-9)


def test_a_binary_metric_on_three_labels_asks_for_the_positive_one() -> None:
    with pytest.raises(UsageError, match=r"here are 3\. Choose macro_f1, or name the positive label"):
        value(metric("binary_f1"), single(["a", "b", "c"]), Answers(("a", "b", "c")))


def test_slips_of_a_language_model_are_errors_but_no_classes_of_their_own() -> None:
    examples = single(["a", "a", "b", "b"])
    slips = Answers(("a", "I think it is a", "b", ""), labels=("a", "b"))
    # a: 1 of 2 found, none wrongly: F1 2/3; b the same. scikit-learn: the two slips are classes with F1 0, so 1/3.
    assert value(metric("macro_f1"), examples, slips) == pytest.approx(2 / 3)
    assert value(metric("accuracy"), examples, slips) == 0.5


def test_confusion_matrix_equals_scikit_learn() -> None:
    wanted, told = ["a", "b", "b", "c"], ["a", "c", "b", "d"]
    classes, matrix = confusion_matrix(single(wanted), Answers(tuple(told)))
    assert classes == ("a", "b", "c", "d")
    assert matrix.tolist() == reference.confusion_matrix(wanted, told).tolist()
