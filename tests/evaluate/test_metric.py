"""Metrics come through one door, know their scope and say what they cannot do."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rungwise.core.content import Response, Scores
from rungwise.core.dataset import Example
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.tasks import TASKS
from rungwise.core.usecase import Target
from rungwise.evaluate import catalogue
from rungwise.evaluate.answers import Answers, unit_codes, unit_means
from rungwise.evaluate.metric import (
    CorpusMetric,
    RatioMetric,
    ReportMetric,
    RowMetric,
    is_computable,
    metric,
    metric_names,
    row_scores,
    target_metric,
    value,
)


def rows(*labels: str, group: str | None = None) -> list[Example]:
    return [Example(text=f"row {place}", references=(label,), group=group) for place, label in enumerate(labels)]


def test_every_metric_of_the_catalogue_is_registered_under_its_name() -> None:
    declared = {
        one.name for one in vars(catalogue).values() if isinstance(one, RowMetric | RatioMetric | CorpusMetric | ReportMetric)
    }
    assert declared == set(metric_names())
    assert all(metric(name).name == name for name in metric_names())


def test_every_task_names_metrics_that_exist() -> None:
    for task in TASKS.values():
        assert target_metric(task.metric)
        assert all(metric(name) for name in task.metrics)


def test_a_misspelt_metric_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'accuracy'"):
        metric("acuracy")


@pytest.mark.parametrize("name", ["log_loss", "perplexity", "calibration_error", "mse"])
def test_a_metric_that_cannot_be_shown_is_no_target_and_says_what_to_choose(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} can be reported but not be a target: .* Aim for accuracy"):
        target_metric(name)


def test_a_positive_label_stands_after_an_at_sign() -> None:
    found = metric("binary_f1@spam")
    assert isinstance(found, RatioMetric)
    assert (found.name, found.positive) == ("binary_f1@spam", "spam")
    with pytest.raises(UsageError, match="accuracy has no positive label"):
        metric("accuracy@spam")


@pytest.mark.parametrize("name", [*metric_names(), "binary_f1@spam", "binary_recall@Not Spam"])
def test_a_target_can_be_written_for_every_metric_name(name: str) -> None:
    assert Target.parse(f"{name}=0.9").metric == name
    assert Target.parse(f"{name}=0.9@coverage=0.8") == Target(metric=name, value=0.9, coverage=0.8)


def test_in_scope_metrics_leave_out_the_rows_of_the_out_of_scope_label() -> None:
    examples = rows("a", "a", "oos", "oos")
    answers = Answers(("a", "b", "oos", "a"))
    scores = row_scores(catalogue.IN_SCOPE_ACCURACY, examples, answers, out_of_scope="oos")
    assert scores.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(scores[2:]).all()
    assert value(catalogue.IN_SCOPE_ACCURACY, examples, answers, out_of_scope="oos") == 0.5
    assert value(catalogue.OUT_OF_SCOPE_RECALL, examples, answers, out_of_scope="oos") == 0.5
    assert value(catalogue.ACCURACY, examples, answers) == 0.5


def test_in_scope_macro_f1_does_not_average_over_the_out_of_scope_label() -> None:
    examples, answers = rows("a", "b", "oos"), Answers(("a", "oos", "oos"))
    # a: F1 1; b: F1 0. Were the answer 'oos' a class of its own, this would be 1/3.
    assert value(catalogue.IN_SCOPE_MACRO_F1, examples, answers, out_of_scope="oos") == 0.5


def test_a_scope_that_is_not_known_is_an_error_that_says_what_to_set() -> None:
    with pytest.raises(UsageError, match=r"set out_of_scope in rungwise\.yaml"):
        value(catalogue.IN_SCOPE_ACCURACY, rows("a"), Answers(("a",)))
    assert not is_computable(catalogue.IN_SCOPE_ACCURACY, Answers(("a",)))


def test_missing_probabilities_are_an_error_and_can_be_asked_for_beforehand() -> None:
    assert not is_computable(catalogue.AUC, Answers(("a",)))
    with pytest.raises(UsageError, match="auc needs probabilities"):
        value(catalogue.AUC, rows("a"), Answers(("a",)))


@pytest.mark.parametrize("name", sorted(set(metric_names()) - {"mse"}))
def test_no_rows_give_nan_and_never_an_error(name: str) -> None:
    found = metric(name)
    empty = Answers((), (), ("a", "b"), np.zeros((0, 2), dtype=np.float32))
    if not isinstance(found, RatioMetric) and is_computable(found, empty, "oos"):
        assert np.isnan(value(found, [], empty, out_of_scope="oos"))


def test_answers_keep_probabilities_only_when_all_have_the_same_labels() -> None:
    both = [Response("a", scores=Scores(("a", "b"), [0.75, 0.25]), confidence=0.75), Response("b", confidence=None)]
    assert Answers.of(both).probabilities is None
    kept = Answers.of([both[0], both[0]])
    assert kept.probabilities is not None
    assert kept.probabilities.dtype == np.float32
    assert kept.response(1) == Response("a", scores=Scores(("a", "b"), [0.75, 0.25]), confidence=0.75)
    assert Answers.of(both).confidences == (0.75, None)


def test_answers_refuse_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="2 answers but 1 confidences"):
        Answers(("a", "b"), (0.5,))
    with pytest.raises(ValueError, match="probabilities have the shape"):
        Answers(("a",), labels=("a", "b"), probabilities=np.zeros((1, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="1 rows but 2 answers"):
        value(catalogue.MACRO_F1, rows("a"), Answers(("a", "b")))


def test_rows_of_a_group_are_one_unit_and_rows_without_group_their_own() -> None:
    examples = [Example(text="1", group="g"), Example(text="2"), Example(text="3", group="g"), Example(text="4")]
    codes, grouped = unit_codes(examples)
    assert codes.tolist() == [0, 1, 0, 2]
    assert grouped
    assert unit_means(np.array([1.0, 0.0, 0.0, 1.0]), codes).tolist() == [0.5, 0.0, 1.0]
    assert not unit_codes(examples[:2])[1]  # each group once: plain rows


def test_mse_says_which_text_is_no_number() -> None:
    assert value(catalogue.MSE, rows("1", "3"), Answers(("2", "3"))) == 0.5
    with pytest.raises(UsageError, match="not the answer 'two'"):
        value(catalogue.MSE, rows("1"), Answers(("two",)))


def test_the_door_is_not_opened_and_scipy_not_loaded_before_first_use() -> None:
    code = "import sys, rungwise.evaluate.metric as m; assert m._door.cache_info().misses == 0; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
