"""The forecast of an opening agrees with what then happens."""

from __future__ import annotations

import numpy as np
import pytest

from rungwise.core.dataset import Example
from rungwise.data.ledger import opening_level
from rungwise.evaluate import catalogue
from rungwise.evaluate.answers import Answers, FloatArray
from rungwise.evaluate.binomial import beta_binomial, critical_hits
from rungwise.evaluate.bounds import bound_units
from rungwise.evaluate.chance import (
    _units_needed,
    chance_of_count,
    chance_of_met,
    chance_of_units,
    expected_gain,
    power,
    rows_needed,
    rows_to_show,
    selection_gain,
)
from rungwise.evaluate.metric import target_metric, value
from rungwise.evaluate.pooling import Units


@pytest.mark.parametrize(
    ("target", "truth", "expected"),  # computed apart from this code, at n = 200, 500, 1,000, 2,400
    [(0.90, 0.93, (0.25, 0.68, 0.94, 1.00)), (0.85, 0.90, (0.56, 0.92, 1.00, 1.00)), (0.90, 0.95, (0.70, 0.99, 1.00, 1.00))],
)
def test_power_of_the_first_opening_is_the_published_one(target: float, truth: float, expected: tuple[float, ...]) -> None:
    found = [power(target, truth, n, opening_level(1, 0.05)) for n in (200, 500, 1000, 2400)]
    assert found == pytest.approx(expected, abs=0.006)


def test_rows_needed_reaches_the_power_and_keeps_it() -> None:
    needed = rows_needed(0.9, 0.93, opening_level(1, 0.05))
    assert needed is not None
    assert 600 < needed < 800
    assert all(power(0.9, 0.93, needed + more, opening_level(1, 0.05)) >= 0.8 for more in range(300))
    assert any(power(0.9, 0.93, needed - less, opening_level(1, 0.05)) < 0.8 for less in range(1, 12))


def test_more_rows_are_needed_for_smaller_leads_later_openings_and_more_power() -> None:
    level = opening_level(1, 0.05)
    close, far = rows_needed(0.9, 0.91, level), rows_needed(0.9, 0.96, level)
    assert close is not None
    assert far is not None
    assert close > 10 * far
    assert (rows_needed(0.9, 0.96, opening_level(5, 0.05)) or 0) > far
    assert (rows_needed(0.9, 0.96, level, power=0.95) or 0) > far


def test_no_number_of_rows_shows_a_target_that_is_not_exceeded() -> None:
    assert rows_needed(0.9, 0.9, 0.03) is None
    assert rows_needed(0.9, 0.85, 0.03) is None
    assert rows_needed(0.9, 0.9001, 0.03) is None  # more than a million


def test_the_beta_binomial_adds_up_and_matches_its_moments() -> None:
    chances = beta_binomial(500, 46.5, 4.5)
    assert chances.sum() == pytest.approx(1.0)
    assert (chances * np.arange(501)).sum() == pytest.approx(500 * 46.5 / 51)


def test_the_chance_of_a_count_is_what_a_simulation_sees() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(184.5, 16.5, 200_000)
    seen = (rng.binomial(800, truth) >= critical_hits(0.9, 800, 0.03)).mean()
    assert chance_of_count(184, 200, target=0.9, n_sealed=800, level=0.03) == pytest.approx(seen, abs=0.005)


def test_selection_and_fewer_rows_lower_the_chance() -> None:
    plain = chance_of_count(565, 600, target=0.92, n_sealed=2400, level=0.03)
    assert chance_of_count(565, 600, target=0.92, n_sealed=2400, level=0.03, gain=0.01) < plain - 0.1
    assert chance_of_count(565, 600, target=0.92, n_sealed=300, level=0.03) < plain - 0.1
    assert chance_of_count(0, 0, target=0.9, n_sealed=100, level=0.03) == 0.0


def scores(rng: np.random.Generator, n: int, mean: float) -> FloatArray:
    between = rng.beta(2 * mean, 2 * (1 - mean), size=n)
    return np.where(rng.random(n) < 0.6, rng.random(n) < mean, between).astype(np.float64)


@pytest.mark.parametrize("truth", [0.78, 0.82, 0.86])
def test_the_chance_of_a_mean_agrees_with_what_the_real_bound_then_does(truth: float) -> None:
    rng = np.random.default_rng(int(truth * 100))
    forecast, met = [], []
    for _ in range(250):
        dev, sealed = scores(rng, 300, truth), scores(rng, 600, truth)
        units = Units(dev, np.ones(300), "mean", False, 300)
        forecast.append(chance_of_units(units, target=0.8, growth=2.0, level=0.03))
        later = Units(sealed, np.ones(600), "mean", False, 600)
        met.append(bound_units(later, level_low=0.03, level_high=0.05).low >= 0.8)
    # at a single truth the forecast, made from a noisy dev score, is drawn towards the middle
    assert np.mean(forecast) == pytest.approx(np.mean(met), abs=0.15)


def test_forecasts_over_many_candidates_are_calibrated() -> None:
    rng = np.random.default_rng(11)
    sure: list[tuple[float, bool]] = []
    for _ in range(3000):
        dev_rate = rng.uniform(0.84, 0.96)
        dev, sealed = rng.binomial(600, dev_rate), rng.binomial(1500, dev_rate)
        sure.append((chance_of_count(dev, 600, target=0.9, n_sealed=1500, level=0.03), sealed >= critical_hits(0.9, 1500, 0.03)))
    chances, met = np.asarray([one for one, _ in sure]), np.asarray([one for _, one in sure])
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        inside = (chances >= low) & (chances < high)
        assert met[inside].mean() == pytest.approx(chances[inside].mean(), abs=0.08)


@pytest.mark.parametrize("name", ["accuracy", "micro_f1", "macro_f1", "in_scope_accuracy"])
def test_rows_to_show_counts_what_rows_needed_does_on_the_rows_that_count(name: str) -> None:
    wanted = [("yes", "no", "oos")[place % 3] for place in range(300)]
    told = [want if place % 12 else "no" for place, want in enumerate(wanted)]
    examples, answers = [Example(text=str(place), references=(want,)) for place, want in enumerate(wanted)], Answers(tuple(told))
    seen = value(target_metric(name), examples, answers, out_of_scope="oos")
    found = rows_to_show(target_metric(name), examples, answers, target=0.8, level=0.03, out_of_scope="oos")
    plain = rows_needed(0.8, seen, 0.03)
    assert found is not None
    assert plain is not None
    if name == "in_scope_accuracy":
        assert found == pytest.approx(1.5 * plain, abs=1)  # a third of the new rows will be out of scope
    else:
        assert found == pytest.approx(plain, rel=0.4 if name == "macro_f1" else 1e-9)
    assert rows_to_show(target_metric(name), examples, answers, target=0.95, level=0.03, out_of_scope="oos") is None


def test_rows_to_show_gives_the_real_bound_its_power_on_bounded_scores() -> None:
    rng = np.random.default_rng(0)
    dev = scores(rng, 4000, 0.85)
    units = Units(dev, np.ones(4000), "mean", False, 4000)
    needed = _units_needed(units, 0.8, 0.03, 0.8, seed=0)
    assert needed is not None
    met = 0
    for _ in range(300):
        sealed = scores(rng, round(needed), float(dev.mean()))
        met += bound_units(Units(sealed, np.ones(len(sealed)), "mean", False, 1), level_low=0.03, level_high=0.05).low >= 0.8
    assert met / 300 == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "micro_f1", "token_f1", "balanced_accuracy"])
def test_every_kind_of_metric_has_a_chance_that_falls_with_the_target(name: str) -> None:
    wanted = [("yes", "no", "maybe")[place % 3] for place in range(300)]
    told = [want if place % 12 else "no" if want == "yes" else "yes" for place, want in enumerate(wanted)]  # 0.917
    examples = [Example(text=str(place), references=(want,)) for place, want in enumerate(wanted)]
    easy, even, hard = (
        chance_of_met(target_metric(name), examples, Answers(tuple(told)), target=target, n_sealed=1000, level=0.03)
        for target in (0.85, 0.90, 0.95)
    )
    assert easy > 0.9
    assert 0.1 < even < 0.9
    assert hard < 0.02


def test_rows_out_of_scope_do_not_count_towards_the_sealed_rows() -> None:
    examples = [Example(text=str(place), references=("a" if place % 2 else "oos",)) for place in range(400)]
    answers = Answers(tuple("a" if place % 20 != 1 else "b" for place in range(400)))  # 180 of 200 in scope
    chance = chance_of_met(
        catalogue.IN_SCOPE_ACCURACY, examples, answers, target=0.85, n_sealed=1000, level=0.03, out_of_scope="oos"
    )
    assert chance == pytest.approx(chance_of_count(180, 200, target=0.85, n_sealed=500, level=0.03))


def test_the_selection_gain_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(5)
    expected, real = [], []
    for _ in range(400):
        truth = rng.normal(0.9, 0.01, 8)
        table = (rng.random((8, 300)) < truth[:, None]).astype(np.float64)
        best = int(table.mean(axis=1).argmax())
        expected.append(selection_gain(table, best))
        real.append(table[best].mean() - truth[best])
    assert np.mean(expected) == pytest.approx(np.mean(real), abs=0.004)
    assert np.mean(real) > 0.01  # there is something to correct


def test_candidates_that_err_alike_gain_nothing_from_being_many() -> None:
    row = (np.random.default_rng(0).random(300) < 0.9).astype(np.float64)
    assert selection_gain(np.tile(row, (10, 1)), 3) == 0.0
    assert selection_gain(row[None, :], 0) == 0.0
    assert expected_gain(1, 0.01) == 0.0
    assert expected_gain(10, 0.01, likeness=0.0) == pytest.approx(0.0154, abs=2e-4)  # the mean of the largest of ten normals
