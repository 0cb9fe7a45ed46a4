"""The cheapest can flip with the number of answers."""

from __future__ import annotations

from rungwise.core.decision import Decision
from rungwise.core.usecase import UseCase
from rungwise.web.costs import Cost, costs, crossings


def test_development_is_the_measured_total_less_the_forecast_answers(met: Decision) -> None:
    case = UseCase(name="tickets", task="classify")  # 100,000 answers
    classical = next(cost for cost in costs(met, case, {}) if cost.rung == "classical")
    assert round(classical.development_usd, 6) == 0.01  # 0.41 - 100 * 0.004
    assert round(classical.total_usd(1_000_000), 6) == 4.01


def test_rungs_without_a_price_are_left_out(met: Decision) -> None:
    assert [cost.rung for cost in costs(met, UseCase(name="t", task="classify"), {})] == ["floor", "classical"]


def test_finds_where_dear_development_pays_off() -> None:
    prompt = Cost(rung="prompt", state="met", development_usd=1.0, usd_per_1k=2.0)
    trained = Cost(rung="head", state="met", development_usd=41.0, usd_per_1k=0.0)
    (crossing,) = crossings([prompt, trained])
    assert (crossing.cheaper, crossing.dearer, crossing.answers) == ("head", "prompt", 20_000)  # 40 / 0.002


def test_a_rung_shown_to_miss_the_target_is_no_choice() -> None:
    floor = Cost(rung="floor", state="not_met", development_usd=0.0, usd_per_1k=2.0)
    head = Cost(rung="head", state="met", development_usd=1.0, usd_per_1k=0.0)
    assert crossings([floor, head]) == []
