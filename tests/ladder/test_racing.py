"""Racing on dev saves calls, loses no nominee worth mentioning, and never touches what decides."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulation import SimulatedBench, Site, Truth, World, make_case, make_rows, make_site
from rungwise.core.decision import MET, NOT_MET
from rungwise.core.usecase import Target
from rungwise.data.store import Store
from rungwise.ladder.racing import FIRST_BATCH, batch_ends, chance_of_overtaking

ROWS = make_rows(600, 1000, family="race")


def prompt(name: str, quality: float, *, usd: float = 1e-4) -> Truth:
    return Truth(name=name, quality=quality, paid=True, answer_usd=usd, fit_s=0.0)


def race(store: Store, *truths: Truth, target: float = 0.9, races: bool = True, **options: Any) -> Site:
    world = World(rungs=[truths], rows=ROWS, exact=True, races=races, correlation=0.7)
    return make_site(world, make_case(target, **options), store)


def asked(bench: SimulatedBench) -> list[int]:
    return [count for _, count in sorted(bench.asked.items())]


async def test_who_is_far_behind_is_asked_no_further_and_the_leader_is_asked_everything(store: Store) -> None:
    here = race(store, prompt("a", 0.95), prompt("b", 0.75), prompt("c", 0.6))
    decision = await here.climb()
    leader, *others = asked(here.bench)
    assert leader == 600
    assert max(others) < 300
    assert (decision.verdict, here.bench.opened) == (MET, ["a"])


async def test_those_who_are_alike_are_all_measured_in_full(store: Store) -> None:
    here = race(store, prompt("a", 0.93), prompt("b", 0.932), prompt("c", 0.928))
    await here.climb()
    assert asked(here.bench) == [600, 600, 600]


async def test_a_cheaper_one_that_may_be_met_stays_though_it_is_worse(store: Store) -> None:
    here = race(store, prompt("cheap", 0.94, usd=1e-5), prompt("dear", 0.99, usd=1e-3))
    await here.climb()
    assert here.bench.asked == {"cheap": 600, "dear": 600}
    assert here.bench.opened == ["cheap"]  # the cheapest with an even chance, as without a race


async def test_a_cheaper_one_that_can_not_be_met_leaves(store: Store) -> None:
    here = race(store, prompt("cheap", 0.7, usd=1e-5), prompt("dear", 0.97, usd=1e-3))
    await here.climb()
    assert here.bench.asked["cheap"] < 300
    assert here.bench.opened == ["dear"]


async def test_a_rung_whose_candidates_left_early_can_still_be_shown_to_be_below(store: Store) -> None:
    here = race(store, prompt("a", 0.62), prompt("b", 0.55), prompt("c", 0.5))
    decision = await here.climb()
    assert sum(asked(here.bench)) < 0.6 * 3 * 600
    assert decision.verdict == NOT_MET


async def test_with_a_coverage_target_nobody_is_dropped_for_its_plain_score(store: Store) -> None:
    knows = Truth(name="knows", quality=0.8, sure=1.0, paid=True, answer_usd=1e-4)
    guesses = Truth(name="guesses", quality=0.9, sure=0.0, paid=True, answer_usd=1e-4)
    here = race(store, knows, guesses, goal=Target(metric="accuracy", value=0.95, coverage=0.6))
    decision = await here.climb()
    assert asked(here.bench) == [600, 600]
    assert (decision.verdict, here.bench.opened) == (MET, ["knows"])


async def test_a_dev_set_of_one_batch_is_not_raced(store: Store) -> None:
    few = make_rows(FIRST_BATCH, 100, family="few")
    world = World(rungs=[[prompt("a", 0.95), prompt("b", 0.2)]], rows=few, exact=True, races=True)
    here = make_site(world, make_case(0.5), store)
    await here.climb()
    assert asked(here.bench) == [FIRST_BATCH, FIRST_BATCH]


async def test_a_race_decides_as_the_full_measurement_and_pays_less(store: Store) -> None:
    truths = [prompt(str(place), quality) for place, quality in enumerate((0.94, 0.9, 0.86, 0.85, 0.8, 0.78, 0.74, 0.7))]
    raced, full = race(store, *truths), race(store, *truths, races=False, name="full")
    decision, whole = await raced.climb(), await full.climb()
    assert decision.rungs[0].candidate == whole.rungs[0].candidate
    assert sum(asked(raced.bench)) < 0.7 * sum(asked(full.bench))
    assert decision.rungs[0].usd < 0.7 * whole.rungs[0].usd


@given(st.integers(1, 30_000))
def test_batches_grow_until_all_rows_are_seen(n: int) -> None:
    ends = batch_ends(n)
    assert ends[-1] == n
    assert all(earlier < later for earlier, later in itertools.pairwise(ends))
    assert len(ends) <= 16  # the looks over which a dropped candidate's bound shares its level


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=60), st.integers(0, 600))
def test_the_chance_of_overtaking_is_a_chance_and_falls_with_the_lead(differences: list[float], left: int) -> None:
    values = np.asarray(differences)
    found = chance_of_overtaking(values, left)
    assert 0.0 <= found <= 1.0
    if len(values) and left:
        assert chance_of_overtaking(np.minimum(values + 0.2, 1.0), left) <= found + 1e-9 or values.max() > 0.8


@pytest.mark.parametrize(("lead", "seen", "left"), [(0.05, 190, 410), (0.08, 100, 500), (0.03, 325, 275)])
def test_the_chance_of_overtaking_is_what_a_simulation_sees(lead: float, seen: int, left: int) -> None:
    # Pairs that differ in one row of five; after `seen` rows the lead is `lead`, and the true lead is drawn around it.
    random, draws = np.random.default_rng(3), 20_000
    wins, losses = 0.1 + lead / 2, 0.1 - lead / 2
    differences = _column(wins, losses, seen)
    true = random.dirichlet([wins * seen, losses * seen, (1 - wins - losses) * seen], size=draws)
    later = np.asarray([random.multinomial(left, one) for one in true])
    total = differences.sum() + later[:, 0] - later[:, 1]
    assert chance_of_overtaking(differences, left) == pytest.approx(float((total <= 0).mean()), abs=0.02)


def _column(wins: float, losses: float, n: int) -> np.ndarray:
    won, lost = round(wins * n), round(losses * n)
    return np.asarray([1.0] * won + [-1.0] * lost + [0.0] * (n - won - lost))


def test_rows_that_do_not_count_are_left_out_of_the_pairs() -> None:
    assert chance_of_overtaking(np.zeros(0), 100) == 1.0
    assert chance_of_overtaking(np.asarray([1.0, 1.0]), 0) == 0.0
