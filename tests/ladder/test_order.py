"""The ladder stands in the order of its costs; who asks for another order gets it."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UnknownName
from rungwise.core.usecase import Endpoint, Included, UseCase
from rungwise.ladder.order import build_ladder, sort_by_cost
from rungwise.ladder.rung import Forecast, Ground, RungKind, Stair

CASE = UseCase(name="x", task="classify")
GROUND = Ground(case=CASE, labels=("a", "b"), train_id="t", n_train=1000, n_dev=200)


def stair(name: str, usd: float) -> Stair:
    kind = RungKind(name=name, place=0, tasks=("classify",), make=lambda _: None, forecast=lambda _: Forecast())  # type: ignore[arg-type,return-value]
    return Stair(name=name, kind=kind, ground=GROUND, line="local", forecast=Forecast(usd=usd))


def order(*prices: float) -> list[int]:
    stairs = [stair(str(place), usd) for place, usd in enumerate(prices)]
    return [int(one.name) for one in sort_by_cost(stairs, CASE)]


def test_rungs_within_a_factor_of_two_keep_the_order_of_the_table() -> None:
    assert order(1.9, 1.0, 1.5) == [0, 1, 2]


def test_a_clearly_cheaper_rung_goes_first() -> None:
    assert order(10.0, 4.9, 1.0) == [2, 1, 0]


def test_a_rung_passes_only_those_that_are_clearly_dearer() -> None:
    assert order(1.0, 10.0, 3.0) == [0, 2, 1]


@given(st.lists(st.floats(0, 1e6), max_size=9))
def test_sorting_loses_no_rung_and_never_puts_one_right_behind_a_clearly_dearer_one(prices: list[float]) -> None:
    found = order(*prices)
    assert sorted(found) == list(range(len(prices)))
    assert all(not prices[later] * 2 < prices[earlier] for earlier, later in itertools.pairwise(found))


@given(st.lists(st.floats(0.01, 1e6), max_size=9))
def test_sorting_twice_changes_nothing(prices: list[float]) -> None:
    once = sort_by_cost([stair(str(place), usd) for place, usd in enumerate(prices)], CASE)
    assert [one.name for one in sort_by_cost(once, CASE)] == [one.name for one in once]


def test_the_offline_ladder_begins_with_the_floor_and_the_classical_rung() -> None:
    names = [one.name for one in build_ladder(GROUND)]
    assert names[:2] == ["floor", "classical"]
    assert "head" in names


def test_a_rung_that_needs_an_endpoint_stands_once_for_each() -> None:
    assert not any(":" in one.name for one in build_ladder(GROUND))
    endpoints = tuple(Endpoint(name=name, base_url="http://localhost:1", model="m", usd_per_hour=1.0) for name in ("one", "two"))
    ground = dataclasses.replace(GROUND, case=dataclasses.replace(CASE, endpoints=endpoints))
    names = {one.name for one in build_ladder(ground)}
    assert {"prompt:one", "prompt:two", "few-shot:one", "few-shot:two"} <= names


def test_an_included_system_is_a_rung_of_its_own() -> None:
    case = dataclasses.replace(CASE, include=(Included(path="old.csv", name="old"),))
    ground = dataclasses.replace(GROUND, case=case, recorded={"old": "digest"})
    assert "included:old" in [one.name for one in build_ladder(ground)]


def test_until_cuts_off_what_stands_above() -> None:
    assert [one.name for one in build_ladder(GROUND, until="classical")] == ["floor", "classical"]


def test_order_puts_the_named_rungs_first_and_keeps_the_others() -> None:
    plain = [one.name for one in build_ladder(GROUND)]
    asked = [one.name for one in build_ladder(GROUND, order=("head", "floor"))]
    assert asked[:2] == ["head", "floor"]
    assert sorted(asked) == sorted(plain)


@pytest.mark.parametrize("wish", [{"until": "clasical"}, {"order": ("clasical",)}])
def test_a_misspelt_rung_gets_the_nearest_name(wish: dict[str, str]) -> None:
    with pytest.raises(UnknownName, match="classical"):
        build_ladder(GROUND, **wish)  # type: ignore[arg-type]
