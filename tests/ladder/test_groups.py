"""Groups: each against the floor in the same opening; what is too small to tell is named as such."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulation import Truth, World, make_case, make_rows, make_site
from rungwise.core.dataset import Example
from rungwise.core.decision import CANNOT_TELL, MET, Decision
from rungwise.core.usecase import Groups, Target, UseCase
from rungwise.data.store import Store
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.metric import target_metric
from rungwise.ladder.groups import SHOWN_BAD, SHOWN_GOOD, TOO_SMALL, UNDECIDED, groups_ruling, judge_groups

ACCURACY = target_metric("accuracy")
CHANNELS = make_rows(600, 1000, family="channels", channels=("mail", "phone", "web", "web"))


def judge(counts: dict[str, tuple[int, int]], groups: Groups, *, level: float = 0.05) -> dict[str, str]:
    """The verdict of each group, given its rows and how many of them were right."""
    case = UseCase(name="x", task="classify", target=Target(metric="accuracy", value=0.9), groups=groups)
    rows, texts = [], []
    for name, (n, right) in counts.items():
        rows += [
            Example(text=f"{name} {row}", references=("right",), fields={groups.field: name} if name else {}) for row in range(n)
        ]
        texts += ["right"] * right + ["wrong"] * (n - right)
    verdicts = judge_groups(case, ACCURACY, rows, Answers(tuple(texts)), level=level)
    return {one.group: one.verdict for one in verdicts}


FLOOR = Groups(field="channel", floor=0.8)
GOOD = Groups(field="channel", floor=0.8, require="shown_good")


def test_each_group_is_held_against_the_floor() -> None:
    found = judge({"mail": (200, 190), "phone": (200, 120), "web": (200, 164)}, FLOOR)
    assert found == {"mail": SHOWN_GOOD, "phone": SHOWN_BAD, "web": UNDECIDED}


def test_a_group_that_could_never_decide_is_too_small() -> None:
    # One of two groups: a share of 0.0125. All right: 0.0125^(1/19) = 0.794 is under the floor of 0.8, of 20 it is 0.803.
    assert judge({"small": (19, 19), "rest": (500, 490)}, GOOD)["small"] == TOO_SMALL
    assert judge({"small": (20, 20), "rest": (500, 490)}, GOOD)["small"] == SHOWN_GOOD
    # All wrong: 1 - 0.0125^(1/2) = 0.888 could be above the floor, 1 - 0.0125^(1/3) = 0.768 could not.
    assert judge({"small": (2, 0), "rest": (500, 490)}, FLOOR)["small"] == TOO_SMALL
    assert judge({"small": (3, 0), "rest": (500, 490)}, FLOOR)["small"] == SHOWN_BAD


def test_the_level_is_shared_so_that_more_groups_are_harder_to_show() -> None:
    alone = judge({"a": (30, 30)}, GOOD)
    among = judge({"a": (18, 18), **{str(other): (60, 59) for other in range(30)}}, GOOD)
    assert alone["a"] == SHOWN_GOOD
    assert among["a"] == TOO_SMALL


def test_rows_without_the_field_are_a_group_of_their_own() -> None:
    assert set(judge({"mail": (50, 50), "": (50, 50)}, FLOOR)) == {"mail", ""}


@given(st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(1, 80), st.floats(0, 1)), min_size=1))
def test_a_verdict_agrees_with_the_side_of_the_floor_that_the_share_lies_on(groups: dict[str, tuple[int, float]]) -> None:
    counts = {name: (n, round(n * share)) for name, (n, share) in groups.items()}
    for name, verdict in judge(counts, FLOOR).items():
        share = counts[name][1] / counts[name][0]
        assert verdict != SHOWN_GOOD or share >= 0.8
        assert verdict != SHOWN_BAD or share < 0.8


@pytest.mark.parametrize("require", ["not_shown_bad", "shown_good"])
def test_without_groups_nothing_stands_against_a_candidate(require: str) -> None:
    assert groups_ruling(None, ()) is None
    assert groups_ruling(Groups(field="channel", floor=0.5, require=require), ()) is None


async def climbed(store: Store, slices: dict[str, float], groups: Groups, **options: Any) -> Decision:
    world = World(rungs=[[Truth(name="uneven", quality=0.95, slices=slices)]], rows=CHANNELS, exact=True)
    return await make_site(world, make_case(0.9, groups=groups, **options), store).climb()


async def test_a_group_below_its_floor_fails_a_rung_that_meets_the_target(store: Store) -> None:
    # Overall (0.75 + 3 x 0.98) / 4 = 0.92; mail alone is shown to be below 0.85.
    decision = await climbed(store, {"mail": 0.75, "phone": 0.98, "web": 0.98}, Groups(field="channel", floor=0.85))
    assert decision.verdict == CANNOT_TELL
    assert {one.group: one.verdict for one in decision.rungs[0].groups} == {
        "mail": SHOWN_BAD,
        "phone": SHOWN_GOOD,
        "web": SHOWN_GOOD,
    }
    assert "mail" in decision.rungs[0].why


async def test_a_group_that_is_not_shown_bad_does_not_stop_a_rung_unless_all_must_be_shown_good(store: Store) -> None:
    slices = {"mail": 0.9, "phone": 0.97, "web": 0.97}
    lenient = Groups(field="channel", floor=0.88)
    assert (await climbed(store, slices, lenient)).verdict == MET
    strict = Groups(field="channel", floor=0.88, require="shown_good")
    decision = await climbed(store, slices, strict)
    assert decision.verdict == CANNOT_TELL
    assert "not shown to reach" in decision.rungs[0].why


async def test_good_groups_do_not_make_a_rung_met_that_misses_the_target(store: Store) -> None:
    slices = {"mail": 0.905, "phone": 0.905, "web": 0.905}
    world = World(rungs=[[Truth(name="even", quality=0.905, dev_quality=0.95, slices={})]], rows=CHANNELS, exact=True)
    case = make_case(0.9, groups=Groups(field="channel", floor=0.5, require="shown_good"))
    decision = await make_site(world, case, store).climb()
    assert slices
    assert {one.verdict for one in decision.rungs[0].groups} == {SHOWN_GOOD}
    assert decision.verdict == CANNOT_TELL
