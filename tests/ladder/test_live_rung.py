"""Who answers users now stands on the ladder of a re-climb, placed by the price of its answers."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.decision import MET, RungResult
from rungwise.core.usecase import Endpoint, Included, UseCase
from rungwise.data.datasets import Sealed, Splits
from rungwise.ladder.climb import Plan, _why_not_run
from rungwise.ladder.live import is_live, live_stair
from rungwise.ladder.order import build_ladder
from rungwise.ladder.rung import Ground, Incumbent, Stair

CASE = UseCase(name="x", task="classify", forecast_volume=100_000)
GROUND = Ground(case=CASE, labels=("a", "b"), train_id="t", n_train=1_000, n_dev=200)
CANDIDATE = Candidate(
    task="classify", model="linear", labels=("a",), head=Fitted(technique="linear", inputs=("old",)), threshold=0.4
)


def incumbent(usd_per_1k: float = 0.0, candidate: Candidate = CANDIDATE) -> Incumbent:
    return Incumbent(candidate=candidate, release="r", dataset="d", usd_per_1k=usd_per_1k)


def names(live: Incumbent | None, **more: str) -> list[str]:
    return [stair.name for stair in build_ladder(dataclasses.replace(GROUND, live=live), **more)]


async def _proposed(stair: Stair, seen: Any) -> object:
    return await stair.propose(GROUND.start, (), seen)


def test_a_climb_without_a_live_candidate_has_the_ladder_that_it_had() -> None:
    assert "live" not in names(None)


def test_only_what_is_clearly_cheaper_stands_before_the_live_candidate() -> None:
    assert names(incumbent())[0] == "live"
    dear = names(incumbent(1_000.0))
    assert dear[-1] == "live"
    assert [name for name in dear if name != "live"] == names(None)


def test_the_rung_that_the_live_candidate_was_made_on_never_passes_it_for_a_price_that_a_busy_machine_measured() -> None:
    busy = dataclasses.replace(incumbent(1_000.0), rung="classical")
    found = names(busy)
    assert found.index("live") < found.index("classical")
    assert names(dataclasses.replace(incumbent(1_000.0), rung="prompt:gone"))[-1] == "live"


def test_until_never_cuts_the_live_candidate_off() -> None:
    assert names(incumbent(1_000.0), until="classical") == ["floor", "classical", "live"]


def test_it_proposes_the_live_candidate_once_as_it_was_measured() -> None:
    stair = live_stair(incumbent(), dataclasses.replace(GROUND, live=incumbent()))
    assert is_live(stair)
    proposed: object = asyncio.run(_proposed(stair, ()))
    assert proposed == (CANDIDATE.but(threshold=None),)
    assert asyncio.run(_proposed(stair, (object(),))) == ()


def test_it_is_asked_where_it_answers() -> None:
    endpoint = Endpoint(name="local", base_url="http://localhost:1", model="small")
    case = dataclasses.replace(CASE, endpoints=(endpoint,), include=(Included(path="old.csv", name="old"),))
    ground = dataclasses.replace(GROUND, case=case)
    remote = live_stair(
        incumbent(2.0, Candidate(task="classify", model="local/small")), dataclasses.replace(ground, live=incumbent(2.0))
    )
    assert (remote.kind.each, remote.ground.endpoint) == ("endpoint", endpoint)
    assert remote.forecast.calls == 200
    recorded = live_stair(incumbent(2.0, Candidate(task="classify", model="recorded", options={"name": "old"})), ground)
    assert recorded.kind.each == "included"


@pytest.mark.parametrize(("total", "runs"), [(1.0, False), (60.0, True)])
def test_it_is_left_out_only_where_the_winner_costs_clearly_less(total: float, runs: bool) -> None:
    live = incumbent(1.0)  # 100 USD for 100,000 answers
    plan = Plan(case=CASE, splits=Splits("d", (), (), Sealed(()), ("a", "b")), live=live)
    winner = RungResult(rung="classical", state=MET, why="", total_usd=total)
    stair = live_stair(live, dataclasses.replace(GROUND, live=live))
    assert (_why_not_run(stair, winner, plan) is None) is runs


def test_a_re_climb_is_another_climb_than_one_without_the_live_candidate() -> None:
    splits = Splits("d", (), (), Sealed(()), ("a", "b"))
    plain, again = Plan(case=CASE, splits=splits), Plan(case=CASE, splits=splits, live=incumbent(), because={"reason": "x"})
    assert plain.key != again.key
    assert plain.options == {"exhaustive": False, "order": [], "until": None}
    assert again.options["because"] == {"reason": "x"}
    assert again.key == dataclasses.replace(again, because={}).key
