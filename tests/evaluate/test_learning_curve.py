"""Learning curves: the law is found where there is one, and the forecast's interval holds what then happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from rungwise.evaluate.learning_curve import EXPONENTS, Curve, Fits, fit_curve, forecast_gain

SIZES = np.array([100, 200, 400, 800])


@pytest.mark.parametrize("law", [Curve(0.0, 20.0, 0.5), Curve(0.1, 50.0, 0.8), Curve(0.02, 5.0, 0.25)])
def test_a_law_that_the_errors_follow_is_found(law: Curve) -> None:
    found = fit_curve(SIZES, np.array([law.error(size) for size in SIZES]), floored=True)
    for more in (800, 1_600, 6_400):
        assert found.error(more) == pytest.approx(law.error(more), abs=2e-3)


@given(st.lists(st.floats(0.01, 0.99), min_size=4, max_size=4), st.booleans())
def test_the_curve_is_the_least_squares_one_that_scipy_finds(errors: list[float], floored: bool) -> None:
    odds = np.array(errors) / (1 - np.array(errors))
    weight = np.sqrt(SIZES / SIZES.sum()) * (1 - np.array(errors)) ** 2
    columns = [np.stack((weight * floored, weight * (SIZES / 800) ** -power), axis=1) for power in EXPONENTS]
    best = min(nnls(own, weight * odds)[1] for own in columns)
    curve = fit_curve(SIZES, np.array(errors), floored=floored)
    found = np.array([curve.error(size) for size in SIZES])
    assert np.linalg.norm(weight * (found / (1 - found) - odds)) == pytest.approx(best, abs=1e-6)


def test_without_a_floor_the_error_falls_to_nothing_and_never_rises() -> None:
    curve = fit_curve(SIZES, np.array([0.4, 0.3, 0.25, 0.22]), floored=False)
    assert curve.floor == 0
    assert 0.2 > curve.error(1_600) > curve.error(1e4) > curve.error(1e8)
    rising = fit_curve(SIZES, np.array([0.1, 0.2, 0.3, 0.4]), floored=True)
    assert rising.error(1_600) <= rising.error(800)


def test_an_error_stays_below_one_however_few_the_rows() -> None:
    curve = fit_curve(SIZES, np.array([0.99, 0.97, 0.9, 0.7]), floored=False)
    assert 0.9 < curve.error(1) < 1


def test_one_size_makes_no_curve() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        fit_curve([100, 100], np.array([0.3, 0.3]), floored=True)


def fits(law: Curve, n_dev: int, rng: np.random.Generator, *, now: int, more: int) -> tuple[Fits, float]:
    """Fits that follow a law, right on a dev row by how easy it is and a little chance; and what `more` rows then bring."""
    ease = rng.normal(size=n_dev)

    def right(size: int) -> np.ndarray:
        wanted = law.error(size)
        seen = ease + rng.normal(0, 0.3, n_dev)  # a refit moves single answers
        return seen > np.quantile(np.random.default_rng(0).normal(0, np.sqrt(1.09), 20_000), wanted)

    sizes = [size for size in (now // 8, now // 4, now // 2) for _ in range(4)] + [now]
    table = np.stack([right(size) for size in sizes])
    return Fits(np.array(sizes), table), float(right(now + more).mean() - table[-1].mean())


def test_the_interval_holds_what_happens_nine_times_in_ten() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for trial in range(30):
        seen, then = fits(Curve(0.03, 30.0, 0.6), 500, rng, now=800, more=400)
        found = forecast_gain(seen, now=800, more=400, seed=trial)
        inside.append(found.low <= then <= found.high)
    assert sum(inside) >= 24  # 27 expected; fewer than 24 of 30 come about once in 40 times


def test_more_dev_rows_make_the_interval_narrower_and_more_labels_the_gain_larger() -> None:
    law = Curve(0.0, 30.0, 0.6)
    seen = [fits(law, n_dev, np.random.default_rng(1), now=800, more=400)[0] for n_dev in (200, 3_000)]
    few, many = (forecast_gain(one, now=800, more=400, seed=0) for one in seen)
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert forecast_gain(seen[1], now=800, more=1_600, seed=0).mean > many.mean > 0
    assert forecast_gain(seen[1], now=800, more=400, seed=0) == many
