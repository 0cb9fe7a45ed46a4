"""The arithmetic of the drift monitors against straight recomputation and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rungwise.watch.drift.baseline import shape_of
from rungwise.watch.drift.features import MEANING, Feature, waves
from rungwise.watch.drift.promise import HORIZONS, MONTH, level
from rungwise.watch.drift.season import Days, usual, weekdays
from rungwise.watch.drift.tails import counts_tail, ratio_tail, spectrum


def days_of(means: np.ndarray, *, first: int = 20_000, size: float = 1e6) -> Days:
    return Days(days=np.arange(first, first + len(means)), means=means, sizes=np.full(len(means), size))


def test_the_weekday_of_the_first_day_of_1970_is_a_thursday() -> None:
    assert weekdays(np.array([0, 4])).tolist() == [3, 0]


def test_one_column_without_season_is_the_t_test_of_a_prediction() -> None:
    rng = np.random.default_rng(0)
    known, now = rng.normal(size=(10, 1)), rng.normal(size=(1, 1)) + 2.0  # ten days: fewer than two of each weekday
    found = usual(days_of(known), np.array([1e-9])).each(days_of(now, first=20_010))
    t = (now[0, 0] - known.mean()) / (known.std(ddof=1) * np.sqrt(1 + 1 / 10 + 0.01))
    assert found[0] == pytest.approx(2 * stats.t.sf(abs(t), 9), rel=1e-6)


def test_a_week_of_seasons_moves_nothing_and_a_level_shift_does() -> None:
    rng = np.random.default_rng(1)
    season = np.array([0, 0, 0, 0, 0, 9, 9.0])
    days = np.arange(20_000, 20_035)
    means = season[weekdays(days)][:, None] + 0.1 * rng.normal(size=(35, 1))
    learned = usual(Days(days=days[:28], means=means[:28], sizes=np.full(28, 1e6)), np.array([1e-9]))
    week = Days(days=days[28:], means=means[28:], sizes=np.full(7, 1e6))
    assert learned.each(week)[0] > 0.01
    moved = Days(days=week.days, means=week.means + 1.0, sizes=week.sizes)
    assert learned.each(moved)[0] < 1e-6


def test_the_tail_of_one_dimension_is_that_of_f() -> None:
    assert ratio_tail(12.0, np.ones(1), np.ones(1), 21.0) == pytest.approx(stats.f.sf(12.0, 1, 21), rel=1e-9)


@pytest.mark.parametrize(("ratio", "rel"), [(2.0, 0.05), (4.0, 0.05), (8.0, 0.2)])
def test_the_tail_of_many_dimensions_is_that_of_simulated_lengths(ratio: float, rel: float) -> None:
    rng, freedom = np.random.default_rng(2), 21
    values, counts = np.array([0.5, 0.05]), np.array([1.0, 10.0])
    n = 400_000
    length = 0.5 * rng.chisquare(1, n) + 0.05 * rng.chisquare(10, n)
    mean = (0.5 * rng.chisquare(freedom, n) + 0.05 * rng.chisquare(10 * freedom, n)) / freedom
    simulated = float((length > ratio * mean).mean())
    assert ratio_tail(ratio, values, counts, freedom) == pytest.approx(simulated, rel=rel)


@given(st.floats(1.01, 1e6), st.integers(2, 40), st.floats(2, 60))
def test_a_tail_is_a_chance_and_falls(ratio: float, dims: int, freedom: float) -> None:
    values = np.linspace(1, 2, dims) / np.linspace(1, 2, dims).sum()
    near, far = (ratio_tail(one, values, np.ones(dims), freedom) for one in (ratio, 1.1 * ratio))
    assert 0.0 <= far <= near + 1e-9 <= 1.0 + 1e-9


def test_the_spectrum_adds_up_to_one_and_finds_a_spike_among_many_dimensions() -> None:
    rng = np.random.default_rng(3)
    deviations = np.concatenate([[10.0], np.ones(300)])
    residuals = rng.normal(size=(22, 301)) * deviations
    residuals -= residuals.mean(axis=0)
    values, counts = spectrum(residuals @ residuals.T, 21, 301)
    assert float((values * counts).sum()) == pytest.approx(1.0)
    assert values[0] == pytest.approx(0.25, abs=0.12)  # 100 of 400
    assert values[-1] < 0.02
    assert counts[-1] > 40


def test_counting_people_is_the_binomial_test_of_two_rates_where_days_are_alike() -> None:
    assert counts_tail(9.0, 1.0, 28.0, 28.0, 1e6) == pytest.approx(2 * stats.binom.sf(8, 37, 1 / 29), rel=1e-3)
    assert counts_tail(30.0, 1.0, 0.0, 14.0, 1e7) == pytest.approx(2 * 15.0**-30, rel=1e-3)  # far below what 1 - cdf can tell


@pytest.mark.parametrize("shape", [0.5, 5.0])
def test_counting_people_keeps_its_level_where_counts_come_in_clumps(shape: float) -> None:
    rng, n = np.random.default_rng(4), 4_000
    counts = rng.negative_binomial(shape, shape / (shape + 0.7), (n, 29)).astype(np.float64)
    p = np.array([counts_tail(row[0], 1.0, row[1:].sum(), 28.0, shape) for row in counts])
    assert (p <= 0.01).mean() <= 0.01 + 3 * np.sqrt(0.01 / n)


def test_the_shape_of_clumped_counts_is_found_and_that_of_rare_ones_is_prudent() -> None:
    rng = np.random.default_rng(6)
    people = np.full(2_000, 100.0)
    assert shape_of(rng.negative_binomial(2.0, 2.0 / 22.0, 2_000).astype(np.float64), people) == pytest.approx(2.0, rel=0.15)
    assert shape_of(rng.poisson(20.0, 2_000).astype(np.float64), people) > 100
    assert shape_of(np.zeros(28), np.full(28, 100.0)) == pytest.approx(1 / 0.09)


@pytest.mark.parametrize("carry", [0.0, 0.3])
@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_window_alarms_no_more_often_than_its_level(horizon: int, carry: float) -> None:
    """500 references, each with one window; the deviation of such a share at 1 % is 0.0045."""
    rng, found = np.random.default_rng(5), []
    for _ in range(500):
        noise = rng.normal(size=28 + horizon)
        for day in range(1, len(noise)):
            noise[day] = carry * noise[day - 1] + np.sqrt(1 - carry**2) * noise[day]
        means = noise[:, None] + rng.normal(size=(28 + horizon, 1))
        learned = usual(days_of(means[:28], size=1.0), np.array([1.0]))
        found.append(learned.each(days_of(means[28:], first=20_028, size=1.0))[0])
    assert np.mean(np.array(found) < 0.01) < 0.01 + (0.0135 if not carry else 0.025)


def test_the_levels_of_a_month_add_up_to_the_promise() -> None:
    assert level(0.1, 200) * 200 * MONTH == pytest.approx(0.1)
    assert level(1e9, 1) == 0.05


def test_too_few_days_tell_nothing() -> None:
    with pytest.raises(ValueError, match="fewer than 3 days"):
        usual(days_of(np.zeros((2, 1))), np.ones(1))


def test_the_distance_of_mean_waves_is_that_of_the_kernel_means() -> None:
    """MMD by its definition: the mean kernel within each sample less twice that between them, V-statistics."""
    rng, width = np.random.default_rng(3), 1.5
    one, other = rng.normal(size=(150, 6)), rng.normal(size=(120, 6)) + 0.8

    def kernel(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.exp(-((first[:, None] - second) ** 2).sum(axis=2) / (2 * width**2)).mean())

    exact = kernel(one, one) + kernel(other, other) - 2 * kernel(one, other)
    found = [
        float(((waves(one, feature).mean(axis=0) - waves(other, feature).mean(axis=0)) ** 2).sum())
        for feature in (Feature(monitor="drift.input.meaning", kind=MEANING, scale=width, seed=seed) for seed in range(40))
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert exact > 0.05
    assert abs(np.mean(found) - exact) < 4 * error
