"""The promise of the climb under attack: the ways in which one could hope to be called met without being good enough."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.simulation import (
    Crash,
    ReadOnceLedger,
    Truth,
    World,
    dev_size,
    exact_interval,
    forget,
    make_case,
    make_rows,
    make_site,
    memory_store,
)
from benchmarks.wrong_accepts import Setting, simulate_cell, summed_up
from rungwise.core.decision import CANNOT_TELL, MET, GroupVerdict
from rungwise.core.record import to_plain
from rungwise.core.usecase import Groups, Target, UseCase
from rungwise.data import ledger as ledger_module
from rungwise.data.ledger import Ledger, opening_level
from rungwise.data.store import Store
from rungwise.ladder.judge import Judge, Ruling

ROWS = make_rows(600, 1000)
SEALED = ROWS.splits.sealed


def doubtful(name: str) -> Truth:
    """Good on dev, a little too poor on the sealed rows to be shown: it is opened and leaves the question open."""
    return Truth(name=name, quality=0.91, dev_quality=0.95)


def site(place: Store | Ledger, *truths: Truth, target: float = 0.9, **options: Any) -> Any:
    world = World(rungs=[[one] for one in truths], rows=options.pop("rows", ROWS), exact=True)
    return make_site(world, make_case(target, **options), place)


def test_few_of_many_sequences_of_climbs_ever_accept_a_rung_that_is_below_the_target() -> None:
    cell = Setting(rungs=6, sealed=200, correlation=0.5, overfit=False)
    found = summed_up(cell, simulate_cell(cell, 300))
    assert not found.failed  # the exact 99 % interval does not lie above 5 %
    assert found.rate < 0.06  # 18 of 300; at a true rate of 2.5 % that many come up once in 2,000 runs
    assert found.point_ever > 0.9  # in the same worlds a point score accepts nearly always
    assert found.resumed > 100  # and many of the climbs really were cut short


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("overfit", [False, True], ids=["honest dev", "overfit dev"])
@pytest.mark.parametrize(("rungs", "sealed", "correlation"), [(12, 200, 0.0), (6, 1000, 0.5), (12, 200, 0.9)])
def test_wrong_accepts_stay_below_alpha(rungs: int, sealed: int, correlation: float, overfit: bool) -> None:
    cell = Setting(rungs=rungs, sealed=sealed, correlation=correlation, overfit=overfit)
    found = summed_up(cell, simulate_cell(cell, 400 if not overfit else 150))
    assert not found.failed
    assert found.rate < 0.08


def test_asking_for_ever_lower_targets_does_not_help() -> None:
    # Truly 0.839; targets from 0.88 down to 0.84 on the same candidates and rows, then fresh candidates for 0.84.
    base, wrong, sequences = make_rows(dev_size(300), 300), 0, 80
    with memory_store() as store, asyncio.Runner() as runner:
        for seed in range(sequences):
            forget(store)
            ledger, rows = ReadOnceLedger(store), base.redrawn(seed)
            met = False
            for climb, target in enumerate((0.88, 0.86, 0.85, 0.84, 0.84)):
                truths = [[Truth(name=f"{climb // 4}/{rung}", quality=0.839, dev_quality=0.9)] for rung in range(3)]
                world = World(rungs=truths, rows=rows, seed=seed)
                decision = runner.run(make_site(world, make_case(target, name=str(climb)), ledger).climb())
                met = met or decision.verdict == MET
            assert ledger.count(rows.splits.sealed.input_ids) <= 6  # six candidates: each is opened once, whatever the target
            wrong += met
    low, _ = exact_interval(wrong, sequences)
    assert low <= 0.05
    assert wrong / sequences < 0.10


@pytest.mark.slow
def test_a_threshold_that_was_lucky_on_dev_does_not_help() -> None:
    # Confidences that know nothing: whatever the threshold, 0.839 of the answers are right, and 0.84 is wanted.
    base, wrong, sequences = make_rows(180, 300), 0, 100
    goal = Target(metric="accuracy", value=0.84, coverage=0.5)
    with memory_store() as store, asyncio.Runner() as runner:
        for seed in range(sequences):
            forget(store)
            truths = [[Truth(name=str(rung), quality=0.839, dev_quality=0.9, sure=0.0)] for rung in range(2)]
            world = World(rungs=truths, rows=base.redrawn(seed), seed=seed)
            decision = runner.run(make_site(world, make_case(0.84, goal=goal), ReadOnceLedger(store)).climb())
            wrong += decision.verdict == MET
    assert wrong / sequences < 0.12
    assert exact_interval(wrong, sequences)[0] <= 0.05


async def test_all_levels_ever_spent_on_rows_add_up_to_less_than_alpha(store: Store) -> None:
    ledger, levels = Ledger(store), []
    for climb in range(4):
        decision = await site(ledger, *(doubtful(f"{climb}/{rung}") for rung in range(5)), name=str(climb)).climb()
        levels += [(one.test.k, one.test.alpha) for one in decision.rungs if one.test]
    assert [k for k, _ in levels] == list(range(1, 21))
    assert sum(alpha for _, alpha in levels) < 0.05
    assert ledger.count(SEALED.input_ids) == 20


async def test_every_look_at_the_sealed_rows_is_in_the_ledger(store: Store) -> None:
    looks = 0
    for climb in range(3):
        here = site(store, Truth(name="poor", quality=0.5), doubtful(f"a{climb}"), doubtful(f"b{climb}"), name=str(climb))
        await here.climb()
        looks += len(here.bench.opened)
    assert Ledger(store).count(SEALED.input_ids) == looks == 6


async def test_crashing_again_and_again_gives_no_second_look_at_a_better_level(store: Store) -> None:
    ks = []
    for _ in range(4):
        here = site(store, doubtful("a"), doubtful("b"))
        here.bench.faults["*!!"] = Crash()
        with pytest.raises(Crash):
            await here.climb()
        nomination = here.ledger.nomination(here.plan.key, "rung0")
        assert nomination is not None
        ks.append(nomination.k)
    assert ks == [1, 1, 1, 1]
    assert Ledger(store).count(SEALED.input_ids) == 1


async def test_the_same_candidate_under_another_wish_is_not_opened_again(store: Store) -> None:
    await site(store, doubtful("a")).climb()
    for change in ({"name": "renamed"}, {"forecast_volume": 5}, {"value_per_success_usd": 1.0}, {"seed": 7}):
        again = site(store, doubtful("a"), **change)
        decision = await again.climb()
        assert again.bench.opened == []
        assert decision.rungs[0].state == CANNOT_TELL
        assert decision.alpha_spent == 0.0
    assert Ledger(store).count(SEALED.input_ids) == 1


async def test_asking_for_other_groups_is_a_new_opening_at_its_own_level(store: Store) -> None:
    rows = make_rows(600, 1000, channels=("web", "mail"))
    await site(store, doubtful("a"), rows=rows).climb()
    decision = await site(store, doubtful("a"), rows=rows, groups=Groups(field="channel", floor=0.5)).climb()
    test = decision.rungs[0].test
    assert test is not None
    assert (test.k, test.alpha) == (2, opening_level(2, 0.05))


async def test_another_threshold_is_another_test_and_the_same_one_is_not(store: Store) -> None:
    sure = Truth(name="sure", quality=0.9, sure=0.95)
    first = site(store, sure, goal=Target(metric="accuracy", value=0.95, coverage=0.8))
    await first.climb()
    assert first.bench.opened == ["sure"]
    count = first.ledger.count(SEALED.input_ids)
    other = site(store, sure, goal=Target(metric="accuracy", value=0.97, coverage=0.6))
    decision = await other.climb()
    nominated = [site.ledger.nomination(site.plan.key, "rung0") for site in (first, other)]
    assert nominated[0] is not None
    assert nominated[1] is not None
    same_candidate = nominated[0].candidate == nominated[1].candidate
    assert other.ledger.count(SEALED.input_ids) == count + (0 if same_candidate else 1)
    assert decision.rungs[0].test is None or same_candidate or decision.rungs[0].test.k == 2


async def test_fresh_rows_begin_a_sequence_of_their_own(store: Store) -> None:
    await site(store, doubtful("a")).climb()
    decision = await site(store, doubtful("a"), rows=make_rows(600, 1000, family="fresh")).climb()
    test = decision.rungs[0].test
    assert test is not None
    assert test.k == 1


async def test_corrected_labels_and_another_order_do_not_make_rows_fresh(store: Store) -> None:
    first = await site(store, doubtful("a")).climb()
    ids = SEALED.input_ids
    assert first.rungs[0].test is not None
    nomination = Ledger(store).nominate(
        "later", "rung", candidate="c", test="t", input_ids=tuple(reversed(ids[:10])), alpha=0.05, note={}
    )
    assert nomination.k == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sets(st.integers(0, 7), min_size=1, max_size=4), min_size=1, max_size=12))
def test_no_row_ever_sees_more_than_alpha_however_test_sets_overlap(store: Store, sets: list[set[int]]) -> None:
    forget(store)
    ledger, spent = Ledger(store), dict.fromkeys(range(8), 0.0)
    for climb, rows in enumerate(sets):
        ids = [str(row) for row in sorted(rows)]
        nomination = ledger.nominate(str(climb), "r", candidate="c", test=str(climb), input_ids=ids, alpha=0.05, note={})
        for row in rows:
            spent[row] += nomination.alpha
    assert max(spent.values()) < 0.05


@given(
    low=st.floats(0, 1),
    width=st.floats(0, 1),
    coverage_low=st.none() | st.floats(0, 1),
    verdicts=st.lists(st.sampled_from(["shown_good", "shown_bad", "cannot_tell", "too_small"]), max_size=4),
    require=st.sampled_from(["not_shown_bad", "shown_good"]),
    covered=st.booleans(),
)
def test_groups_and_coverage_can_only_take_a_met_away(
    low: float, width: float, coverage_low: float | None, verdicts: list[str], require: str, covered: bool
) -> None:
    target = Target(metric="accuracy", value=0.9, coverage=0.8 if covered else None)
    case = UseCase(name="x", task="classify", target=target, groups=Groups(field="channel", floor=0.8, require=require))
    judge = Judge(case=case, target=target, dev=(), sealed_id="s", n_sealed=10, rungs=1, answers=lambda _: None)  # type: ignore[arg-type,return-value]
    groups = tuple(GroupVerdict(group=str(place), verdict=verdict, n=9) for place, verdict in enumerate(verdicts))
    ruling = Ruling(low=low, high=min(1.0, low + width), n=10, coverage_low=coverage_low, coverage_high=1.0, groups=groups)
    settled = judge.settle(ruling)
    if settled.met:
        assert low >= 0.9
        assert not covered or (coverage_low or 0.0) >= 0.8
        assert "shown_bad" not in verdicts
        assert require == "not_shown_bad" or all(one == "shown_good" for one in verdicts)
    assert not (settled.met and settled.missed)


async def test_a_ledger_that_reads_once_decides_as_the_plain_one(store: Store) -> None:
    # The simulations use it for speed; it must not change what they simulate.
    rows, decisions = make_rows(120, 200).redrawn(5), []
    for ledger in (Ledger(store), ReadOnceLedger(store)):
        forget(store)
        found = []
        for climb in range(3):
            truths = [[Truth(name=f"{climb}/{rung}", quality=0.899, dev_quality=0.93)] for rung in range(4)]
            world = World(rungs=truths, rows=rows, seed=5)
            found.append(to_plain(await make_site(world, make_case(0.9, name=str(climb)), ledger).climb()))
        decisions.append(found)
    assert decisions[0] == decisions[1]


async def test_what_the_simulation_remembers_of_the_judge_is_what_the_judge_says(store: Store) -> None:
    here = site(store, doubtful("a"), Truth(name="b", quality=0.7), target=0.91)
    real = Judge(**{field.name: getattr(here.bench.judge, field.name) for field in dataclasses.fields(Judge) if field.init})
    for stair in here.ladder:
        proposed = await stair.propose(stair.ground.start, (), [])
        evaluation = (await here.bench.measure(stair, proposed))[0]
        for _ in range(2):
            for judge in (real, here.bench.judge):
                assert judge.dev_high(evaluation) == real.dev_high(evaluation)
                chance = judge.chance(proposed[0], evaluation, level=0.01, looked_at=2)
                assert chance == real.chance(proposed[0], evaluation, level=0.01, looked_at=2)
                assert judge.more_examples([evaluation], 2) == real.more_examples([evaluation], 2)


async def test_raising_alpha_later_does_not_break_what_was_promised_before(store: Store) -> None:
    first = await site(store, doubtful("a")).climb()
    second = await site(store, doubtful("b"), alpha=0.5).climb()
    spent = [one.test.alpha for decision in (first, second) for one in decision.rungs if one.test]
    assert sum(spent) < 0.05


async def test_a_smaller_alpha_is_not_promised_on_rows_that_were_opened_at_a_larger_one(store: Store) -> None:
    await site(store, doubtful("a")).climb()
    second = await site(store, doubtful("b"), alpha=0.01).climb()
    assert second.alpha_spent_before + second.alpha_spent <= second.alpha_total or "0.05" in second.promise
    assert second.alpha_spent_before == pytest.approx(opening_level(1, 0.05))


async def test_an_unfinished_opening_of_another_climb_does_not_hide_the_stored_bound(store: Store) -> None:
    broken = site(store, doubtful("a"))
    broken.bench.faults["*!"] = Crash()
    with pytest.raises(Crash):
        await broken.climb()
    await site(store, doubtful("a"), name="second").climb()  # may not read a result that is not there: k = 2
    third = site(store, doubtful("a"), name="third")
    await third.climb()
    assert third.bench.opened == []


def test_two_nominations_at_the_same_moment_do_not_both_come_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, rows, other = Ledger(store), ["r1", "r2"], []
    real = ledger_module._families

    def second() -> None:
        other.append(Ledger(store).nominate("b", "r", candidate="c", test="t", input_ids=rows, alpha=0.05, note={}))

    thread = threading.Thread(target=second)

    def meanwhile(connection: Any, ids: Any) -> list[str]:
        found: list[str] = real(connection, ids)
        monkeypatch.setattr(ledger_module, "_families", real)
        thread.start()
        thread.join(0.5)  # time enough for the other one, unless it has to wait for this one
        return found

    monkeypatch.setattr(ledger_module, "_families", meanwhile)
    first = ledger.nominate("a", "r", candidate="d", test="t", input_ids=rows, alpha=0.05, note={})
    thread.join()
    assert {first.k, other[0].k} == {1, 2}
