"""What a decision means for who answers users: somebody better, somebody cheaper, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rungwise.core.candidate import Candidate
from rungwise.core.decision import CANNOT_TELL, MET, NOT_MET, NOT_RUN, Decision, RungResult
from rungwise.core.usecase import Target, UseCase
from rungwise.ladder.rung import Incumbent
from rungwise.watch.reclimb.choice import BETTER, CHEAPER, NOBODY, choose

OLD, NEW = Candidate(task="classify", model="linear", labels=("a",)), Candidate(task="classify", model="linear", labels=("a", "b"))
LIVE = Incumbent(candidate=OLD, release="r", dataset="d", usd_per_1k=1.0)
CASE = UseCase(name="x", task="classify", forecast_volume=100_000)  # the live one costs 100 USD for it


def result(rung: str, state: str, candidate: Candidate | None, *, total: float = 1.0, price: float = 0.01) -> RungResult:
    if candidate is None:
        return RungResult(rung=rung, state=state, why="so")
    return RungResult(rung=rung, state=state, why="so", candidate=candidate.id, total_usd=total, usd_per_1k=price)


def decided(*rungs: RungResult, chosen: RungResult | None = None) -> Decision:
    more: dict[str, Any] = {} if chosen is None else {"chosen_rung": chosen.rung, "chosen": chosen.candidate}
    return Decision(
        use_case="u",
        dataset="d",
        target=Target.parse("accuracy=0.9"),
        verdict=MET if chosen else CANNOT_TELL,
        control="exact",
        reason="because",
        ladder=tuple(one.rung for one in rungs),
        rungs=rungs,
        alpha_total=0.05,
        alpha_spent_before=0.0,
        alpha_spent=0.01,
        **more,
    )


@pytest.mark.parametrize("state", [NOT_MET, CANNOT_TELL])
def test_who_meets_the_target_where_the_live_one_is_not_shown_to_is_better(state: str) -> None:
    won = result("head", MET, NEW, total=500.0, price=9.0)
    found = choose(decided(result("live", state, OLD), won, chosen=won), LIVE, CASE)
    assert (found.action, found.candidate, found.rung) == (BETTER, NEW.id, "head")


def test_a_live_candidate_that_is_still_enough_stays() -> None:
    own = result("live", MET, OLD)
    assert choose(decided(own, result("head", NOT_RUN, None), chosen=own), LIVE, CASE).action == NOBODY


def test_the_same_candidate_proposed_by_another_rung_is_nobody_new() -> None:
    own = result("classical", MET, OLD)
    assert choose(decided(own, chosen=own), LIVE, CASE).action == NOBODY


def test_without_a_winner_nothing_changes_and_the_reason_is_told() -> None:
    found = choose(decided(result("live", NOT_MET, OLD), result("head", NOT_MET, NEW)), LIVE, CASE)
    assert (found.action, found.candidate) == (NOBODY, None)
    assert "who answers now is 'not_met'" in found.why


@pytest.mark.parametrize(("total", "action"), [(49.0, CHEAPER), (51.0, NOBODY), (150.0, NOBODY)])
def test_cheaper_is_less_than_half_of_what_the_live_one_costs_at_volume(total: float, action: str) -> None:
    won = result("classical", MET, NEW, total=total, price=0.9)
    found = choose(decided(won, result("live", NOT_RUN, None), chosen=won), LIVE, CASE)
    assert found.action == action


def test_cheaper_is_also_half_the_price_of_an_answer_where_that_pays_the_development_back() -> None:
    won = result("classical", MET, NEW, total=80.0, price=0.4)
    assert choose(decided(won, result("live", NOT_RUN, None), chosen=won), LIVE, CASE).action == CHEAPER


def test_what_the_live_one_costs_is_what_was_measured_now_where_it_was() -> None:
    won, own = result("classical", MET, NEW, total=49.0, price=0.4), result("live", MET, OLD, price=0.2)
    assert choose(decided(won, own, chosen=won), LIVE, CASE).action == NOBODY


def test_the_same_recipe_on_other_rows_is_not_cheaper_whatever_a_clock_says() -> None:
    won = result("classical", MET, NEW, total=1.0, price=0.001)
    found = decided(won, result("live", NOT_RUN, None), chosen=won)
    again = choose(found, LIVE, CASE, chosen=NEW)
    assert again.action == NOBODY
    assert "the same recipe" in again.why
    assert choose(found, LIVE, CASE, chosen=NEW.but(model="neighbours", encoder="minilm")).action == CHEAPER
    missed = decided(result("live", NOT_MET, OLD), won, chosen=won)
    assert choose(missed, LIVE, CASE, chosen=NEW).action == BETTER  # fitted to new rows it is another candidate
