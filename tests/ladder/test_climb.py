"""The climb on simulated candidates: what it opens, where it stops, what it spends, and that it always says the same again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.simulation import Crash, Site, Truth, World, make_case, make_rows, make_site
from rungwise.core.decision import (
    CANNOT_TELL,
    FAILED,
    MEASURED,
    MET,
    NOT_INSTALLED,
    NOT_MET,
    NOT_RUN,
    OVER_LIMIT,
    Decision,
)
from rungwise.core.errors import EngineUnavailable, MissingExtra, OutOfBudget
from rungwise.core.record import canonical_json, to_plain
from rungwise.core.usecase import Limits, Target
from rungwise.data.ledger import opening_level
from rungwise.data.store import Store
from rungwise.ladder.replay import RecordedLedger

ROWS = make_rows(600, 1000)
LOW = Truth(name="low", quality=0.5)
GOOD = Truth(name="good", quality=0.94, fit_s=10.0, answer_s=1e-3)
DEAR = Truth(name="dear", quality=0.97, fit_s=100.0, answer_s=1e-2)


def site(store: Store, *rungs: Truth | Sequence[Truth], target: float = 0.9, **options: Any) -> Site:
    """A ladder of one candidate a rung, or several, each with exactly the share of right answers that its quality says."""
    ladder = [[one] if isinstance(one, Truth) else list(one) for one in rungs]
    wishes = {name: options.pop(name) for name in ("exhaustive", "order", "until") if name in options}
    world = World(rungs=ladder, rows=options.pop("rows", ROWS), exact=True, seed=options.pop("world_seed", 0))
    return make_site(world, make_case(target, **options), store, **wishes)


def states(decision: Decision) -> list[str]:
    return [one.state for one in decision.rungs]


def record(decision: Decision) -> str:
    return canonical_json(to_plain(decision))


async def test_stops_at_the_first_rung_that_is_shown_to_meet_the_target(store: Store) -> None:
    here = site(store, LOW, GOOD, DEAR)
    decision = await here.climb()
    assert (decision.verdict, decision.chosen_rung) == (MET, "rung1")
    assert states(decision) == [NOT_MET, MET, NOT_RUN]
    assert here.bench.opened == ["good"]
    assert "dear" not in here.bench.asked
    assert decision.saved.seconds == pytest.approx(100.0 + 600 * 1e-2)  # the fit and the dev answers of the dear rung


async def test_judges_by_the_lower_bound_not_by_the_score(store: Store) -> None:
    # 0.910 of 1,000 reads as enough for 0.90, but its bound at the first opening is below: 917 hits are needed.
    decision = await site(store, Truth(name="just", quality=0.91, dev_quality=0.93)).climb()
    assert decision.verdict == CANNOT_TELL
    test = decision.rungs[0].test
    assert test is not None
    assert test.low < 0.9 < test.high


async def test_a_rung_that_is_clearly_cheaper_than_the_winner_is_still_run(store: Store) -> None:
    free = Truth(name="free", quality=0.95, fit_s=1.0)
    here = site(store, DEAR, free)
    decision = await here.climb()
    assert here.bench.opened == ["dear", "free"]
    assert (decision.chosen_rung, states(decision)) == ("rung1", [MET, MET])


async def test_a_rung_that_is_only_a_little_cheaper_is_not_run(store: Store) -> None:
    nearly = Truth(name="nearly", quality=0.95, fit_s=9.0, answer_s=0.9e-3)
    decision = await site(store, GOOD, nearly).climb()
    assert states(decision) == [MET, NOT_RUN]


async def test_an_exhaustive_climb_measures_what_follows_the_winner_and_opens_nothing_more(store: Store) -> None:
    here = site(store, LOW, GOOD, DEAR, LOW, exhaustive=True)
    decision = await here.climb()
    assert states(decision) == [NOT_MET, MET, MEASURED, MEASURED]
    assert here.bench.opened == ["good"]
    assert decision.chosen_rung == "rung1"
    assert decision.rungs[2].dev is not None
    assert decision.saved.seconds == 0.0


async def test_not_met_needs_every_rung_to_run_and_to_be_shown_below(store: Store) -> None:
    decision = await site(store, LOW, Truth(name="lower", quality=0.6)).climb()
    assert (decision.verdict, states(decision)) == (NOT_MET, [NOT_MET, NOT_MET])
    assert decision.alpha_spent == 0.0
    assert decision.more_examples is None


@pytest.mark.parametrize(
    ("fault", "state", "words"),
    [
        (MissingExtra("The rung head", "local"), NOT_INSTALLED, "rungwise[local]"),
        (EngineUnavailable("the endpoint is down"), FAILED, "endpoint is down"),
        (OutOfBudget("the budget of 1 USD is spent"), NOT_RUN, "budget of 1 USD"),
    ],
)
async def test_a_rung_that_could_not_run_leaves_the_question_open_and_says_why(
    store: Store, fault: Exception, state: str, words: str
) -> None:
    here = site(store, LOW, Truth(name="other", quality=0.5))
    here.bench.faults["rung0"] = fault
    decision = await here.climb()
    assert decision.verdict == CANNOT_TELL
    assert states(decision) == [state, NOT_MET]
    assert words in decision.reason


async def test_a_rung_that_could_not_run_does_not_keep_a_later_one_from_winning(store: Store) -> None:
    here = site(store, LOW, GOOD)
    here.bench.faults["rung0"] = EngineUnavailable("down")
    assert (await here.climb()).chosen_rung == "rung1"


async def test_a_rung_over_a_limit_is_shown_and_never_opened(store: Store) -> None:
    slow = dataclasses.replace(GOOD, p95_s=2.0)
    here = site(store, slow, limits=Limits(p95_s=1.0))
    decision = await here.climb()
    assert (decision.verdict, states(decision)) == (CANNOT_TELL, [OVER_LIMIT])
    assert here.bench.opened == []
    assert here.ledger.count(ROWS.splits.sealed.input_ids) == 0
    assert "breaks a limit" in decision.reason


async def test_the_next_best_candidate_stands_for_a_rung_whose_best_breaks_a_limit(store: Store) -> None:
    slow, quick = dataclasses.replace(DEAR, p95_s=2.0), dataclasses.replace(GOOD, p95_s=0.5)
    here = site(store, [slow, quick], limits=Limits(p95_s=1.0))
    decision = await here.climb()
    assert here.bench.opened == ["good"]
    assert decision.verdict == MET


async def test_with_too_few_rows_it_says_how_many_more_would_tell(store: Store) -> None:
    few = make_rows(60, 60, family="few")
    decision = await site(store, Truth(name="likely", quality=0.95), rows=few).climb()
    assert decision.verdict == CANNOT_TELL
    assert "too few examples" in decision.reason
    # 95 % against 90 %: some two hundred rows at the level of the next opening, for 80 % power.
    assert decision.more_examples is not None
    assert 150 < decision.more_examples < 400


async def test_no_number_of_examples_is_named_when_dev_is_below_the_target(store: Store) -> None:
    few = make_rows(60, 60, family="few")
    decision = await site(store, Truth(name="under", quality=0.883), rows=few).climb()
    assert (decision.verdict, decision.more_examples) == (CANNOT_TELL, None)


async def test_examples_are_not_asked_for_a_rung_that_the_sealed_rows_showed_to_be_below(store: Store) -> None:
    flattered = Truth(name="flattered", quality=0.8, dev_quality=0.95)
    decision = await site(store, flattered).climb()
    assert states(decision) == [NOT_MET]
    assert (decision.verdict, decision.more_examples) == (NOT_MET, None)


async def test_the_same_climb_again_gives_the_same_bytes_and_opens_nothing(store: Store) -> None:
    # The first rung is passed over at the level of the first opening; a repeat must not see it at that of the second.
    near = Truth(name="near", quality=0.899)
    first = site(store, near, GOOD, DEAR)
    before = await first.climb()
    again = site(store, near, GOOD, DEAR)
    after = await again.climb()
    assert record(after) == record(before)
    assert again.bench.opened == []
    assert again.ledger.count(ROWS.splits.sealed.input_ids) == 1


async def test_the_same_climb_gives_the_same_bytes_after_other_climbs_on_its_rows(store: Store) -> None:
    near = Truth(name="near", quality=0.899)
    rungs = (near, Truth(name="maybe", quality=0.91, dev_quality=0.92), Truth(name="perhaps", quality=0.912, dev_quality=0.92))
    before = await site(store, *rungs).climb()
    await site(store, Truth(name="new", quality=0.91, dev_quality=0.95), name="another").climb()
    assert record(await site(store, *rungs).climb()) == record(before)


@pytest.mark.parametrize("moment", ["rung1!", "rung1!!"], ids=["before the rows are answered", "before the verdict is kept"])
async def test_a_nomination_keeps_its_k_and_its_candidate_through_a_crash(store: Store, moment: str) -> None:
    rungs = (LOW, [GOOD, dataclasses.replace(GOOD, name="twin", fit_s=11.0)], DEAR)
    broken = site(store, *rungs)
    broken.bench.faults[moment] = Crash()
    with pytest.raises(Crash):
        await broken.climb()
    committed = broken.ledger.nomination(broken.plan.key, "rung1")
    assert committed is not None
    assert committed.k == 1
    assert committed.result is None
    # In between another climb opens the same rows twice.
    other = site(store, Truth(name="x", quality=0.91, dev_quality=0.94), Truth(name="y", quality=0.91, dev_quality=0.94), name="b")
    await other.climb()
    assert other.bench.opened == ["x", "y"]
    resumed = site(store, *rungs)
    decision = await resumed.climb()
    test = decision.rungs[1].test
    assert test is not None
    assert (test.k, test.alpha) == (1, committed.alpha)
    assert decision.rungs[1].candidate == committed.candidate
    assert resumed.ledger.count(ROWS.splits.sealed.input_ids) == 3


async def test_an_opening_cut_short_by_the_engine_keeps_its_k_and_is_counted(store: Store) -> None:
    rungs = (Truth(name="first", quality=0.91, dev_quality=0.94), Truth(name="second", quality=0.91, dev_quality=0.94))
    broken = site(store, *rungs)
    broken.bench.faults["rung0!"] = EngineUnavailable("the endpoint is down")
    decision = await broken.climb()
    assert states(decision) == [FAILED, CANNOT_TELL]
    second = decision.rungs[1].test
    assert second is not None
    assert second.k == 2
    assert decision.alpha_spent == pytest.approx(opening_level(1, 0.05) + opening_level(2, 0.05))
    resumed = await site(store, *rungs).climb()
    assert [one.test.k for one in resumed.rungs if one.test] == [1, 2]


async def test_a_climb_that_ran_out_of_budget_goes_on_where_it_stopped(store: Store) -> None:
    short = site(store, LOW, GOOD, limits=Limits(budget_usd=1.0))
    short.bench.faults["rung1"] = OutOfBudget("the budget of 1 USD is spent")
    assert (await short.climb()).verdict == CANNOT_TELL
    richer = site(store, LOW, GOOD, limits=Limits(budget_usd=5.0))
    assert richer.plan.key == short.plan.key
    assert (await richer.climb()).verdict == MET


async def test_another_target_reuses_the_stored_bound_and_spends_nothing(store: Store) -> None:
    first = await site(store, GOOD, target=0.9).climb()
    again = site(store, GOOD, target=0.92)
    second = await again.climb()
    assert again.bench.opened == []
    assert again.ledger.count(ROWS.splits.sealed.input_ids) == 1
    assert second.rungs[0].test == first.rungs[0].test
    assert second.alpha_spent == 0.0
    assert second.alpha_spent_before == pytest.approx(opening_level(1, 0.05))


@pytest.mark.parametrize(("target", "verdict"), [(0.91, MET), (0.935, CANNOT_TELL), (0.97, NOT_MET)])
async def test_a_stored_bound_serves_every_target(store: Store, target: float, verdict: str) -> None:
    await site(store, GOOD).climb()  # 940 of 1,000 right: the truth lies in 0.925 to 0.954
    again = site(store, GOOD, target=target)
    assert (await again.climb()).verdict == verdict
    assert again.bench.opened == []


async def test_a_stored_bound_is_looked_up_even_where_an_opening_would_not_be_worth_it(store: Store) -> None:
    flattering = Truth(name="flattering", quality=0.97, dev_quality=0.925)
    await site(store, flattering, target=0.9).climb()
    again = site(store, flattering, target=0.95)  # dev alone gives it no chance of 0.95, but the sealed rows are in already
    decision = await again.climb()
    assert again.bench.opened == []
    assert decision.verdict == MET


async def test_a_test_set_that_shares_one_row_continues_the_sequence(store: Store) -> None:
    await site(store, GOOD).climb()
    sealed = ROWS.splits.sealed.open(_committed(store))
    shared, fresh = sealed[0], make_rows(600, 999, family="fresh").splits
    from rungwise.core.dataset import DEV, SEALED, Dataset
    from rungwise.data.datasets import Splits

    rows = (*fresh.dev, shared, *fresh.sealed.open(_committed(store)))
    splits = Splits.of(Dataset(rows=rows, splits=(DEV,) * 600 + (SEALED,) * 1000))
    mixed = dataclasses.replace(make_rows(600, 1000, family="mixed"), splits=splits)
    mixed = dataclasses.replace(mixed, dev_places={row.id: place for place, row in enumerate(splits.dev)})
    decision = await site(store, GOOD, rows=mixed).climb()
    test = decision.rungs[0].test
    assert test is not None
    assert test.k == 2


def _committed(store: Store) -> Any:
    """What opens the door to sealed rows: a committed nomination without a result."""
    from rungwise.data.ledger import Nomination

    return Nomination("test", "rung", "candidate", 1, 0.01, None, {})


async def test_a_coverage_target_tests_both_halves(store: Store) -> None:
    sure = Truth(name="sure", quality=0.9, sure=0.95)
    goal = Target(metric="accuracy", value=0.95, coverage=0.8)
    decision = await site(store, sure, goal=goal).climb()
    assert decision.verdict == MET
    many = Target(metric="accuracy", value=0.95, coverage=0.97)  # only some 92 % of the answers are that sure
    assert (await site(store, sure, goal=many).climb()).verdict != MET


async def test_a_coverage_target_is_not_met_where_even_all_right_answers_are_too_few(store: Store) -> None:
    poor = Truth(name="poor", quality=0.5, sure=0.9)
    goal = Target(metric="accuracy", value=0.95, coverage=0.8)  # needs at least 0.76 of all rows answered and right
    decision = await site(store, poor, goal=goal).climb()
    assert decision.verdict == NOT_MET


async def test_a_coverage_target_is_out_of_reach_for_a_candidate_that_cannot_abstain(store: Store) -> None:
    here = site(store, GOOD, goal=Target(metric="accuracy", value=0.95, coverage=0.8))
    decision = await here.climb()
    assert decision.verdict == CANNOT_TELL
    assert here.bench.opened == []


async def test_a_coverage_climb_says_the_same_again(store: Store) -> None:
    goal = Target(metric="accuracy", value=0.93, coverage=0.8)
    rungs = (
        Truth(name="a", quality=0.84, sure=0.7),
        Truth(name="b", quality=0.88, sure=0.8),
        Truth(name="c", quality=0.9, sure=0.9),
    )
    before = await site(store, *rungs, goal=goal).climb()
    assert record(await site(store, *rungs, goal=goal).climb()) == record(before)


async def test_the_missed_nominee_of_a_rung_does_not_speak_for_a_better_candidate(store: Store) -> None:
    # The cheap one has a fair chance on dev and is opened; the sealed rows show it below. The dear one was never opened.
    cheap = Truth(name="cheap", quality=0.85, dev_quality=0.94, fit_s=1.0)
    strong = Truth(name="strong", quality=0.97, fit_s=100.0, answer_s=1e-2)
    decision = await site(store, [cheap, strong]).climb()
    assert decision.rungs[0].state == CANNOT_TELL
    assert decision.verdict == CANNOT_TELL


async def test_a_replay_from_the_stored_scores_agrees_also_where_a_bound_was_reused_on_a_longer_ladder(store: Store) -> None:
    rungs = (Truth(name="near", quality=0.91, dev_quality=0.93), Truth(name="also", quality=0.7), GOOD)
    await site(store, *rungs[:1], until="rung0").climb()
    decision = await site(store, *rungs).climb()
    again = site(store, *rungs)
    again = dataclasses.replace(again, ledger=RecordedLedger(store))
    assert record(await again.climb()) == record(decision)


async def test_levels_spent_before_and_now_are_told_apart(store: Store) -> None:
    await site(store, Truth(name="x", quality=0.91, dev_quality=0.95), name="earlier").climb()
    decision = await site(store, Truth(name="y", quality=0.91, dev_quality=0.95), GOOD).climb()
    assert decision.alpha_spent_before == pytest.approx(opening_level(1, 0.05))
    assert decision.alpha_spent == pytest.approx(opening_level(2, 0.05) + opening_level(3, 0.05))


async def test_a_nominee_that_is_proposed_no_more_fails_its_rung_instead_of_the_climb(store: Store) -> None:
    broken = site(store, GOOD)
    broken.bench.faults["rung0!"] = Crash()
    with pytest.raises(Crash):
        await broken.climb()
    decision = await site(store, dataclasses.replace(GOOD, name="of the next version")).climb()
    assert states(decision) == [FAILED]
    assert "no longer proposed" in decision.rungs[0].why
