"""Bounds that decide cover at their level, and are not wider than that needs."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rungwise.core.dataset import Example
from rungwise.evaluate import betting, catalogue
from rungwise.evaluate.answers import Answers, FloatArray
from rungwise.evaluate.binomial import binomial_at_least, clopper_pearson_high, clopper_pearson_low, critical_hits
from rungwise.evaluate.bounds import bound, bound_scores, bound_units
from rungwise.evaluate.metric import metric, target_metric, value
from rungwise.evaluate.pooling import Units, pool


def labelled(right: list[bool], groups: list[str] | None = None) -> tuple[list[Example], Answers]:
    """Rows with the labels 'yes' and 'no' in turn, answered right or not."""
    wanted = [("yes", "no")[place % 2] for place in range(len(right))]
    told = [want if one else ("no" if want == "yes" else "yes") for want, one in zip(wanted, right, strict=True)]
    return [
        Example(text=str(place), references=(want,), group=groups[place] if groups else None) for place, want in enumerate(wanted)
    ], Answers(tuple(told))


@given(st.integers(1, 400), st.integers(0, 400), st.sampled_from([0.05, 0.03, 0.002, 0.5]))
@settings(max_examples=200, deadline=None)
def test_clopper_pearson_is_the_beta_quantile(n: int, hits: int, level: float) -> None:
    hits = min(hits, n)
    low = 0.0 if hits == 0 else stats.beta.ppf(level, hits, n - hits + 1)
    high = 1.0 if hits == n else stats.beta.ppf(1 - level, hits + 1, n - hits)
    assert float(clopper_pearson_low(hits, n, level)) == pytest.approx(low, abs=1e-9)
    assert float(clopper_pearson_high(hits, n, level)) == pytest.approx(high, abs=1e-9)


@pytest.mark.parametrize("n", [1, 20, 333, 2000])
@pytest.mark.parametrize("target", [0.02, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("level", [0.05, 0.002])
def test_the_critical_count_is_the_first_whose_lower_bound_reaches_the_target(n: int, target: float, level: float) -> None:
    reached = np.flatnonzero(clopper_pearson_low(np.arange(n + 1), n, level) >= target)
    assert critical_hits(target, n, level) == (int(reached[0]) if len(reached) else n + 1)
    assert float(binomial_at_least(critical_hits(target, n, level), n, target)) <= level


def test_the_needed_score_on_the_sealed_rows_of_clinc150_is_the_published_one() -> None:
    level = 0.05 * 6 / np.pi**2  # the level of the first opening
    for target, needed in ((0.90, 0.9117), (0.93, 0.9400), (0.94, 0.9492)):
        assert critical_hits(target, 2400, level) / 2400 == pytest.approx(needed, abs=5e-4)


def test_right_answers_alone_do_not_make_the_bound_one() -> None:
    examples, answers = labelled([True] * 10)
    found = bound(catalogue.ACCURACY, examples, answers, level_low=0.05, level_high=0.05)
    assert found.low == pytest.approx(0.05**0.1)  # the rate at which 10 of 10 happen one time in twenty
    assert found.high == 1.0
    assert (found.control, found.n, found.units) == ("exact", 10, 10)


@pytest.mark.parametrize("level", [0.05, 0.002])
@pytest.mark.parametrize("n", [20, 200, 1000])
@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9, 0.98])
def test_betting_covers_and_is_nearly_as_tight_as_the_exact_binomial(n: int, rate: float, level: float) -> None:
    rng = np.random.default_rng([n, int(rate * 100)])
    draws = 3000
    values = (rng.random((n, draws)) < rate).astype(np.float64)
    wrong = betting.rejects_at_most(values, betting.bets(values, level), np.full(draws, rate), level).sum()
    assert float(binomial_at_least(wrong, draws, level)) > 0.001  # no more misses than the level allows
    some = np.asarray([betting.betting_low(values[:, column], level) for column in range(60)])
    exact = clopper_pearson_low(values.sum(axis=0), n, level)
    # not absurdly wide: on the same rows, at most 0.4 of the exact test's mean distance to the truth is lost
    assert (exact[:60] - some).mean() <= 0.4 * (rate - exact.mean()) + 1e-9


def test_betting_uses_the_small_variance_that_the_binomial_cannot_see() -> None:
    values = np.clip(np.random.default_rng(0).normal(0.8, 0.05, 400), 0, 1)
    low = betting.betting_low(values, 0.05)
    assert 0.785 < low < 0.8  # a 0-1 score with that mean would have the bound 0.764
    assert low > betting.empirical_bernstein_low(values, 0.05)


def test_the_whole_bound_rejects_exactly_what_its_test_rejects() -> None:
    rng = np.random.default_rng(4)
    for n in (5, 60, 700):
        values = rng.beta(4, 1, n)
        low = betting.betting_low(values, 0.03)
        around = np.asarray([max(0.0, low - 1e-4), low + 1e-4])
        assert betting.rejects_at_most(values, betting.bets(values, 0.03), around, 0.03).tolist() == [low > 1e-4, False]


def test_the_upper_bound_mirrors_the_lower() -> None:
    values = np.random.default_rng(1).beta(2, 5, 300)
    assert betting.betting_high(values, 0.02) == pytest.approx(1 - betting.betting_low(1 - values, 0.02))


@pytest.mark.parametrize("values", [np.zeros(50), np.ones(50), np.full(50, 0.5), np.asarray([0.3]), np.zeros(0)])
def test_betting_is_solid_at_the_edges(values: FloatArray) -> None:
    low, high = betting.betting_low(values, 0.01), betting.betting_high(values, 0.01)
    assert 0.0 <= low <= high <= 1.0
    if len(values):
        assert low <= values.mean() <= high


def test_five_thousand_rows_are_bounded_in_a_fifth_of_a_second() -> None:
    values = np.random.default_rng(0).random(5000)
    start = time.process_time()
    betting.betting_low(values, 0.03)
    assert time.process_time() - start < 0.2


def test_very_many_rows_use_the_closed_form() -> None:
    values = np.random.default_rng(0).random(betting.LARGE + 1)
    assert 0.49 < betting.betting_low(values, 0.03) < 0.5
    assert (
        bound_units(Units(values, np.ones(len(values)), "mean", False, 1), level_low=0.03, level_high=0.03).method
        == "empirical Bernstein"
    )


def test_a_sorted_table_gives_a_bound_like_a_shuffled_one() -> None:
    scores = np.sort(np.random.default_rng(3).beta(5, 1, 500))
    examples = [Example(text=str(place)) for place in range(500)]
    one = bound_scores(catalogue.TOKEN_F1, examples, scores, level_low=0.03, level_high=0.03)
    other = bound_scores(catalogue.TOKEN_F1, examples, scores[::-1], level_low=0.03, level_high=0.03)
    assert one.low == pytest.approx(other.low, abs=0.01)
    assert one == bound_scores(catalogue.TOKEN_F1, examples, scores, level_low=0.03, level_high=0.03)


def test_rows_of_a_group_count_once_together() -> None:
    right = [True] * 90 + [False] * 10
    apart, answers = labelled(right)
    together, _ = labelled(right, [f"g{place // 10}" for place in range(100)])
    free = bound(catalogue.ACCURACY, apart, answers, level_low=0.05, level_high=0.05)
    bound_together = bound(catalogue.ACCURACY, together, answers, level_low=0.05, level_high=0.05)
    assert (bound_together.units, bound_together.n) == (10, 100)
    assert "group" in bound_together.method
    assert bound_together.low < free.low - 0.1  # ten units know far less than a hundred rows: one of ten failed
    assert bound_together.low > 0.4


def test_treating_clustered_rows_as_independent_would_not_cover_but_groups_do() -> None:
    rng = np.random.default_rng(7)
    naive = grouped = 0
    groups = [f"g{place // 10}" for place in range(400)]
    for _ in range(200):
        own = np.repeat(rng.beta(3.6, 0.4, 40), 10)  # mean 0.9, rows of a group much alike
        examples, answers = labelled((rng.random(400) < own).tolist(), groups)
        plain = [replace(example, group=None) for example in examples]
        naive += bound(catalogue.ACCURACY, plain, answers, level_low=0.05, level_high=0.05).low > 0.9
        grouped += bound(catalogue.ACCURACY, examples, answers, level_low=0.05, level_high=0.05).low > 0.9
    assert naive > 30
    assert float(binomial_at_least(grouped, 200, 0.05)) > 0.001


def test_micro_f1_of_single_labels_is_bounded_like_accuracy() -> None:
    examples, answers = labelled([True] * 180 + [False] * 20)
    levels = {"level_low": 0.03, "level_high": 0.03}
    micro, plain = bound(catalogue.MICRO_F1, examples, answers, **levels), bound(catalogue.ACCURACY, examples, answers, **levels)
    assert micro.low == pytest.approx(plain.low)
    assert plain.high <= micro.high <= plain.high + 0.02  # it might have abstained: the upper bound pays for that
    assert bound(catalogue.MICRO_RECALL, examples, answers, **levels).low == pytest.approx(plain.low)


def test_binary_f1_covers_by_enumeration_of_its_trials() -> None:
    # F1 = 2q / (1 + q) with q the share of hits among rows that count, so 20 trials can be summed over
    for rate in (0.3, 0.5, 0.7):
        truth = 2 * rate / (1 + rate)
        miss = 0.0
        for hits in range(21):
            units = Units(
                np.r_[np.full(hits, 2.0), np.zeros(20 - hits)], np.r_[np.full(hits, 2.0), np.ones(20 - hits)], "f1", False, 20
            )
            if bound_units(units, level_low=0.05, level_high=0.05).low > truth:
                miss += stats.binom.pmf(hits, 20, rate)
        assert 0.005 < miss <= 0.05


def multi_label(rng: np.random.Generator, n: int, rate: float) -> tuple[list[Example], Answers]:
    """Rows with one or two of five labels, each found at `rate`, and a false one at 1 - rate."""
    labels = np.asarray(list("abcde"))
    examples, texts = [], []
    for row in range(n):
        wanted = rng.choice(labels, size=1 + row % 2, replace=False)
        others = [label for label in labels if label not in wanted]
        told = [label for label in wanted if rng.random() < rate] + ([others[0]] if rng.random() < 1 - rate else [])
        examples.append(Example(text=str(row), references=tuple(wanted)))
        texts.append("\n".join(told))
    return examples, Answers(tuple(texts), labels=tuple(labels))


def test_micro_f1_of_several_labels_covers_and_is_not_absurdly_wide() -> None:
    rng = np.random.default_rng(0)
    truth = value(catalogue.MICRO_F1, *multi_label(rng, 40_000, 0.8))
    low_wrong = high_wrong = 0
    rooms = []
    for _ in range(150):
        examples, answers = multi_label(rng, 300, 0.8)
        found = bound(catalogue.MICRO_F1, examples, answers, level_low=0.05, level_high=0.05)
        assert pool(catalogue.MICRO_F1, examples, answers).form == "ratio"
        low_wrong += found.low > truth
        high_wrong += found.high < truth
        rooms.append(truth - found.low)
    assert float(binomial_at_least(low_wrong, 150, 0.05)) > 0.001
    assert float(binomial_at_least(high_wrong, 150, 0.05)) > 0.001
    assert np.mean(rooms) < 0.06  # about 1.9 standard errors of 0.02; accuracy of 300 rows would need 0.04


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy", "mcc", "weighted_f1"])
def test_corpus_bounds_are_approximate_and_near_those_of_accuracy_on_even_classes(name: str) -> None:
    examples, answers = labelled(([True] * 18 + [False] * 2) * 20)
    found = bound(target_metric(name), examples, answers, level_low=0.03, level_high=0.03)
    seen = value(metric(name), examples, answers)
    assert found.control == "approximate"
    plain = bound(catalogue.ACCURACY, examples, answers, level_low=0.03, level_high=0.03)
    room = (seen - found.low) / (0.9 - plain.low)
    assert 0.8 < room < (2.6 if name == "mcc" else 1.3)  # of two even classes MCC = 2 accuracy - 1: twice the room


def test_a_perfect_macro_score_of_small_classes_still_has_room_below() -> None:
    wanted = ["a"] * 190 + ["b"] * 10
    examples = [Example(text=str(place), references=(want,)) for place, want in enumerate(wanted)]
    found = bound(catalogue.BALANCED_ACCURACY, examples, Answers(tuple(wanted)), level_low=0.05, level_high=0.05)
    # b's ten rows alone allow a recall of 0.74, which would make 0.87; 200 rows of accuracy would say 0.985
    assert 0.87 < found.low < 0.95
    assert found.high == 1.0


def test_groups_widen_a_corpus_bound_when_their_rows_err_together() -> None:
    right = [place // 10 % 10 != 0 for place in range(400)]  # every tenth group of ten rows is wrong as a whole
    together, answers = labelled(right, [f"g{place // 10}" for place in range(400)])
    apart, _ = labelled(right)
    wide = bound(catalogue.MACRO_F1, together, answers, level_low=0.03, level_high=0.03)
    narrow = bound(catalogue.MACRO_F1, apart, answers, level_low=0.03, level_high=0.03)
    assert (wide.units, wide.n, narrow.units) == (40, 400, 400)
    assert wide.low < narrow.low - 0.05
    assert wide.low > 0.7


def test_auc_is_bounded_by_delong() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.random(400) < 0.3
    believed = 1 / (1 + np.exp(-(rng.normal(size=400) + 2 * wanted)))
    table = np.stack([1 - believed, believed], axis=1).astype(np.float32)
    examples = [Example(text=str(row), references=("yes" if one else "no",)) for row, one in enumerate(wanted)]
    answers = Answers(("no",) * 400, labels=("no", "yes"), probabilities=table)
    found = bound(catalogue.AUC, examples, answers, level_low=0.05, level_high=0.05)
    seen = value(catalogue.AUC, examples, answers)
    assert found.method == "DeLong"
    assert 0.01 < seen - found.low < 0.05
    assert 0.005 < found.high - seen < 0.05


def test_without_counted_rows_nothing_is_known() -> None:
    examples, answers = labelled([True] * 3)
    for name in ("in_scope_accuracy", "in_scope_macro_f1"):
        every = [replace(example, references=("oos",)) for example in examples]
        found = bound(target_metric(name), every, answers, level_low=0.05, level_high=0.05, out_of_scope="oos")
        assert (found.low, found.high, found.n) == (0.0, 1.0, 0)
    found = bound(target_metric("binary_f1@maybe"), examples, answers, level_low=0.05, level_high=0.05)
    assert (found.low, found.high) == (0.0, 1.0)


def test_a_level_outside_zero_to_one_is_refused() -> None:
    examples, answers = labelled([True])
    with pytest.raises(ValueError, match="a level must lie between 0 and 1"):
        bound(catalogue.ACCURACY, examples, answers, level_low=0.0, level_high=0.05)
