"""Columns of numbers and of names: held against scipy, and against chance by simulation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from rungwise.watch.drift.categories import chi_squared, compare_categories, counted, pooled_counts
from rungwise.watch.drift.columns import (
    bin_edges,
    compare_numbers,
    effective,
    holm,
    ks_p_of_sizes,
    ks_statistic,
    psi,
    size,
    wasserstein,
)

VALUES = st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_subnormal=False)), min_size=1, max_size=60)


def names(values: list[Any]) -> np.ndarray[Any, Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_ks_and_wasserstein_are_those_of_scipy(before: list[float], after: list[float]) -> None:
    first, second = np.array(before), np.array(after)
    found = compare_numbers(first, second)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        wanted = stats.ks_2samp(first, second)
    assert found.ks == pytest.approx(wanted.statistic, abs=1e-12)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9, abs=1e-300)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(first, second), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, lambda rng, n: rng.poisson(1.5, n).astype(float)])
@pytest.mark.parametrize(("n", "m"), [(30_000, 30_000), (40_000, 70_001), (9_000, 50_000)])
def test_large_samples_agree_with_scipy_too(draw: Callable[..., Any], n: int, m: int) -> None:
    rng = np.random.default_rng(n + m)
    first, second = draw(rng, n), draw(rng, m)
    found, wanted = compare_numbers(first, second), stats.ks_2samp(first, second)
    assert found.ks == pytest.approx(wanted.statistic, abs=1e-12)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-6)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(first, second), rel=1e-9)


@pytest.mark.parametrize("squares", [0.1, 1.0, 2.3, 4.0, 8.0])
def test_the_p_of_many_rows_is_scipys_in_six_digits(squares: float) -> None:
    rows = 60_000
    ks = (squares / rows) ** 0.5
    assert ks_p_of_sizes(ks, 2 * rows, 2 * rows) == pytest.approx(float(stats.kstwo.sf(ks, rows)), rel=2e-6)


def test_a_stretch_that_the_grid_steps_over_is_still_found() -> None:
    first = np.sort(np.random.default_rng(0).standard_normal(50_000))
    second = np.sort(np.where(np.abs(first) < 0.003, 0.0029, first))
    assert ks_statistic(first, second) == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-12)


def test_jensen_shannon_is_scipys_squared_and_psi_the_sum_that_is_written() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.gamma(2, size=5_000), rng.gamma(2.5, size=4_000)
    found = compare_numbers(before, after)
    edges = bin_edges(np.sort(before))
    first, second = (
        np.histogram(side, np.concatenate([[-np.inf], np.nextafter(edges, np.inf), [np.inf]]))[0] for side in (before, after)
    )
    assert found.js == pytest.approx(jensenshannon(first, second, base=2) ** 2, rel=1e-9)
    assert first.tolist() == [500] * 10
    p, q = (first + 0.5) / (first + 0.5).sum(), (second + 0.5) / (second + 0.5).sum()
    assert found.psi == pytest.approx(sum((b - a) * np.log(b / a) for a, b in zip(p, q, strict=True)))


def test_a_value_that_many_rows_share_has_a_bin_of_its_own() -> None:
    before = np.concatenate([np.zeros(400), np.linspace(1, 2, 600)])
    below = np.concatenate([np.full(400, -1.0), np.linspace(1, 2, 600)])
    found = compare_numbers(before, below)
    assert found.psi is not None
    assert found.psi > 1


def test_moments_and_quantiles_are_numpys_and_what_is_missing_is_counted() -> None:
    rng = np.random.default_rng(2)
    values = rng.lognormal(size=70_000)
    holed = np.concatenate([values, [np.nan] * 30_000, [np.inf, -np.inf]])
    found = compare_numbers(holed, values)
    assert found.reference.mean == pytest.approx(values.mean())
    assert found.reference.sd == pytest.approx(values.std(ddof=1))
    assert found.reference.quantiles == pytest.approx(np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]))
    assert (found.reference.n, found.reference.missing) == (70_000, pytest.approx(30_000 / 100_002))
    assert found.reference.infinite == pytest.approx(2 / 100_002)
    assert found.ks == 0
    assert found.missing_p is not None
    assert found.missing_p < 1e-300


@pytest.mark.parametrize("n", [12, 400])
def test_the_test_of_missing_values_keeps_its_level(n: int) -> None:
    rng = np.random.default_rng(3)
    shown = 0
    for _ in range(600):
        sides = [np.where(rng.random(n) < 0.3, np.nan, 1.0) for _ in range(2)]
        p = compare_numbers(sides[0], sides[1]).missing_p
        shown += p is not None and p <= 0.05
    assert shown <= stats.binom.ppf(0.999, 600, 0.05)


def test_users_with_habits_do_not_pass_for_drift() -> None:
    rng = np.random.default_rng(4)
    plain = kept = names_kept = 0
    for _ in range(150):
        sides, units, words = [], [], []
        for side in range(2):
            habits = rng.standard_normal(40)
            units.append(np.repeat(np.arange(40) + 1000 * side, 20))
            sides.append(np.repeat(habits, 20) + 0.5 * rng.standard_normal(800))
            own = rng.integers(0, 4, 40)
            words.append(names([f"w{one}" if rng.random() < 0.7 else f"w{rng.integers(0, 4)}" for one in np.repeat(own, 20)]))
        both = (units[0], units[1])
        plain += compare_numbers(sides[0], sides[1]).p <= 0.05  # type: ignore[operator]
        kept += compare_numbers(sides[0], sides[1], units=both).p <= 0.05  # type: ignore[operator]
        names_kept += compare_categories(words[0], words[1], units=both).p <= 0.05  # type: ignore[operator]
    assert plain > 100
    assert kept <= stats.binom.ppf(0.999, 150, 0.07)  # the correction is good to a few hundredths at 40 users a side
    assert names_kept <= stats.binom.ppf(0.999, 150, 0.07)


def test_rows_that_are_their_own_units_are_worth_what_they_are() -> None:
    values = np.random.default_rng(5).standard_normal(50)
    assert effective(values - values.mean(), np.arange(50)) == 50
    assert effective(np.repeat([1.0, -1.0] * 10, 5), np.repeat(np.arange(20), 5)) == pytest.approx(19)


def test_chi_squared_is_scipys_where_nothing_is_rare() -> None:
    first, second = np.array([120, 300, 80]), np.array([90, 250, 160])
    found = chi_squared(first, second)
    wanted = stats.chi2_contingency([first, second], correction=False)
    g = stats.chi2_contingency([first, second], correction=False, lambda_="log-likelihood")
    assert (found["statistic"], found["p"]) == (pytest.approx(wanted.statistic), pytest.approx(wanted.pvalue))
    assert found["g_p"] == pytest.approx(g.pvalue)


def test_rare_categories_are_tested_as_one_and_few_rows_exactly() -> None:
    table, pooled = pooled_counts(np.array([[100.0, 90, 2, 1, 3], [110.0, 85, 1, 2, 4]]))
    assert pooled == 3
    assert table.tolist() == [[100, 90, 6], [110, 85, 7]]
    found = chi_squared(np.array([3, 1]), np.array([1, 4]))
    assert found["p"] == pytest.approx(stats.fisher_exact([[3, 1], [1, 4]]).pvalue)


def test_categories_tell_what_is_new_and_what_is_gone() -> None:
    before, after = names(["a"] * 60 + ["b"] * 40 + [None, " "]), names(["a"] * 30 + ["c"] * 70)
    found = compare_categories(before, after)
    assert (found.new, found.vanished) == (("c",), ("b",))
    assert found.total_variation == pytest.approx(0.7)
    assert found.moved[0].name == "c"
    assert found.reference_missing == pytest.approx(2 / 102)
    assert found.js == pytest.approx(jensenshannon([60, 40, 0], [30, 0, 70], base=2) ** 2)
    assert found.psi == pytest.approx(psi(np.array([60, 40, 0]), np.array([30, 0, 70])))


def test_a_test_of_names_keeps_its_level_with_a_long_tail() -> None:
    rng = np.random.default_rng(6)
    chances = 1 / np.arange(1, 200)
    chances /= chances.sum()
    words = names([f"w{i}" for i in range(199)])
    sides = [(words[rng.choice(199, 300, p=chances)], words[rng.choice(199, 150, p=chances)]) for _ in range(400)]
    shown = sum(compare_categories(*one).p <= 0.05 for one in sides)  # type: ignore[operator]
    assert shown <= stats.binom.ppf(0.999, 400, 0.05)


def test_truth_values_numbers_and_lists_have_names() -> None:
    assert counted(np.array([True, False, True])) == {"true": 2, "false": 1}
    assert counted(names([1, True, 1.0, "1", None, float("nan"), [1, 2], {"a": 1}])) == {
        "1": 3,
        "true": 1,
        "[1, 2]": 1,
        '{"a": 1}': 1,
    }


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_step_down_rule(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    order = sorted(p_values)
    rejected = 0
    while rejected < len(order) and order[rejected] * (len(order) - rejected) <= 0.05:
        rejected += 1
    assert sum(one <= 0.05 for one in adjusted) == rejected
    assert all(one >= p for one, p in zip(adjusted, p_values, strict=True))


def test_a_shift_has_the_size_of_its_standard_deviations() -> None:
    values = np.random.default_rng(7).standard_normal(50_000)
    found = compare_numbers(values, values + 0.05)
    assert found.normed == pytest.approx(0.05, rel=0.02)
    assert found.p is not None
    assert found.p < 1e-9
    assert (size(0.05, "sd"), size(0.3, "sd"), size(0.9, "sd"), size(0.66, "auc")) == ("tiny", "small", "large", "medium")


@pytest.mark.parametrize("side", [[], [1.0], [np.nan], [np.inf], [1e308, -1e308], [5e-324]])
@pytest.mark.parametrize("other", [[], [1.0], [np.nan, 2.0], [np.inf, -np.inf], [1e308], [0.0] * 5])
def test_odd_samples_give_figures_or_none_and_no_error(side: list[float], other: list[float]) -> None:
    found = compare_numbers(np.array(side), np.array(other))
    for value in (found.p, found.ks, found.js):
        assert value is None or 0 <= value <= 1


def test_equal_values_on_both_sides_are_no_distance() -> None:
    found = compare_numbers(np.ones(10), np.ones(20))
    assert (found.ks, found.p, found.wasserstein, found.normed) == (0, 1, 0, None)
    assert wasserstein(np.ones(3), np.full(2, 3.0)) == 2
