"""Intervals for people: right in shape, near their level, never used to decide."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rungwise.core.dataset import Example
from rungwise.evaluate import catalogue
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.binomial import wilson
from rungwise.evaluate.display import LARGE, bca, estimate, estimate_scores
from rungwise.evaluate.metric import value


def plain(n: int) -> list[Example]:
    return [Example(text=str(place), references=(("a", "b")[place % 2],)) for place in range(n)]


def test_interval_keeps_its_width_when_every_answer_is_right() -> None:
    low, high = wilson(10, 10)
    assert high == 1.0
    assert low == pytest.approx(0.722, abs=1e-3)  # n / (n + z squared) = 10 / 13.84


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 7), (95, 100), (500, 1000)])
def test_wilson_equals_scipys(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_bca_equals_scipys_within_the_noise_of_resampling() -> None:
    values = np.random.default_rng(0).beta(6, 2, 150)
    expected = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    (low, high), method = bca(values, np.ones(150), level=0.95, seed=0)
    assert method == "BCa"
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.003)


def test_bca_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    outside = 0
    for draw in range(300):
        (low, high), _ = bca(rng.beta(4, 2, 80), np.ones(80), level=0.95, seed=draw)
        outside += not low <= 4 / 6 <= high
    assert 4 <= outside <= 30  # 15 are expected


def test_few_deviating_rows_get_an_interval_all_the_same() -> None:
    values = np.r_[np.ones(19), 0.4]
    (low, high), method = bca(values, np.ones(20), level=0.95, seed=0)
    assert method == "Wilson"
    assert low < 0.87
    assert high > 0.97
    assert bca(np.full(500, 0.5), np.ones(500), level=0.95, seed=0)[1] == "Wilson"  # no variation at all


def test_very_many_rows_get_the_normal_interval() -> None:
    values = np.random.default_rng(0).random(LARGE + 1)
    (low, high), method = bca(values, np.ones(LARGE + 1), level=0.95, seed=0)
    assert method == "normal"
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(LARGE + 1), rel=1e-3)


def test_an_estimate_repeats_to_the_last_digit() -> None:
    scores = np.random.default_rng(0).beta(5, 1, 300)
    examples = plain(300)
    one = estimate_scores(catalogue.TOKEN_F1, examples, scores)
    assert one == estimate_scores(catalogue.TOKEN_F1, examples, scores)
    assert one.low < one.mean < one.high
    assert one.mean == pytest.approx(scores.mean())


def test_each_group_counts_once_in_the_estimate_as_in_the_bounds() -> None:
    examples = [Example(text=str(place), references=("a",), group="big" if place < 8 else f"g{place}") for place in range(10)]
    answers = Answers(("b",) * 8 + ("a", "a"))
    found = estimate(catalogue.ACCURACY, examples, answers)
    assert found.mean == pytest.approx(2 / 3)
    assert "each group" in found.method


@pytest.mark.parametrize("name", ["LOG_LOSS", "PERPLEXITY", "CALIBRATION_ERROR", "MACRO_F1", "AUC", "MICRO_F1", "MCC", "BINARY_F1"])
def test_every_kind_of_metric_has_an_estimate_around_its_value(name: str) -> None:
    rng = np.random.default_rng(0)
    examples = plain(200)
    right = rng.random(200) < 0.85
    sure = np.where(right, 0.5, 0.0) + rng.random(200) * 0.5
    table = np.asarray([[p, 1 - p] if example.label == "a" else [1 - p, p] for p, example in zip(sure, examples, strict=True)])
    texts = tuple("ab"[int(row.argmax())] for row in table)
    answers = Answers(texts, tuple(table.max(axis=1).tolist()), ("a", "b"), table.astype(np.float32))
    metric = getattr(catalogue, name)
    found = estimate(metric, examples, answers)
    assert found.mean == pytest.approx(value(metric, examples, answers))
    assert found.low < found.mean < found.high
    assert found.high - found.low < 0.7


def test_no_counted_rows_are_said_to_be_none() -> None:
    examples = [Example(text="", references=("oos",))]
    for metric in (catalogue.IN_SCOPE_ACCURACY, catalogue.IN_SCOPE_MACRO_F1):
        found = estimate(metric, examples, Answers(("a",)), out_of_scope="oos")
        assert np.isnan(found.mean)
        assert (found.low, found.high, found.n, found.method) == (0.0, 1.0, 0, "no counted rows")
