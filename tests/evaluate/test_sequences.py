"""Paired sequences may be looked at after every row."""

from __future__ import annotations

import numpy as np
import pytest

from rungwise.evaluate.binomial import binomial_at_least
from rungwise.evaluate.sequences import paired_lead, paired_path


def differences(rng: np.random.Generator, n: int, gained: float, lost: float) -> np.ndarray:
    return rng.choice([1.0, -1.0, 0.0], size=n, p=[gained, lost, 1 - gained - lost])


@pytest.mark.parametrize("rates", [(0.05, 0.05), (0.3, 0.3), (0.12, 0.04)])
def test_the_truth_stays_inside_at_every_look(rates: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(150):
        low, high = paired_path(differences(rng, 500, *rates))
        wrong += bool((low > rates[0] - rates[1]).any() or (high < rates[0] - rates[1]).any())
    assert float(binomial_at_least(wrong, 150, 0.05)) > 0.001


def test_a_fixed_interval_would_not_survive_looking_after_every_row() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(150):
        seen = differences(rng, 500, 0.3, 0.3)
        n = np.arange(20, 501)
        wrong += bool((np.abs(np.cumsum(seen)[19:] / n) > 1.96 * np.sqrt(0.6 / n)).any())
    assert wrong > 30  # this is what the sequence is for


def test_a_clear_lead_is_seen_early_and_a_small_one_later() -> None:
    rng = np.random.default_rng(1)
    clear, _ = paired_path(differences(rng, 400, 0.4, 0.05))
    small, _ = paired_path(differences(rng, 4000, 0.10, 0.05))
    assert 15 < int(np.argmax(clear > 0)) < 150  # first rows at which the lower bound is above 0
    assert 300 < int(np.argmax(small > 0)) < 3500
    assert (np.diff(clear) >= 0).all()  # what was excluded stays excluded


def test_the_path_ends_at_the_lead() -> None:
    seen = differences(np.random.default_rng(2), 300, 0.2, 0.1)
    low, high = paired_path(seen)
    assert paired_lead(seen) == pytest.approx((low[-1], high[-1]), abs=0.011)
    assert low[-1] <= paired_lead(seen)[0]
    assert high[-1] >= paired_lead(seen)[1]


def test_candidates_that_never_differ_come_close_but_never_apart() -> None:
    low, high = paired_lead(np.zeros(1000))
    assert -0.05 < low <= 0 <= high < 0.05
    assert paired_lead(np.zeros(0)) == (-1.0, 1.0)
