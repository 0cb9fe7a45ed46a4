"""A new candidate beside the live one: what its answers as a shadow say, and its share of the traffic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.release import Release, Variant
from rungwise.core.serving import Contest
from rungwise.data.store import Store
from rungwise.evaluate.contests import LOSER, WINNER
from rungwise.watch.reclimb.trial import (
    CANNOT_TELL,
    ENOUGH,
    FAILS,
    FAILS_EARLY,
    ShadowReport,
    hold_trial,
    pair_of,
    shadow_report,
)
from tests.data.judged import answered, judge, write

RULES = Contest(metric="correct")


def released(share: float = 0.5) -> Release:
    variants = (Variant(name="old", candidate="o", weight=1 - share), Variant(name="new", candidate="n", weight=share))
    return Release(use_case="u", variants=variants, evidence=("d",), salt="s")


def pairs(old: float, new: float, n: int, seed: int = 0) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    return [(float(a), float(b)) for a, b in zip(rng.random(n) < old, rng.random(n) < new, strict=True)]


def judged(store: Store, old: float, new: float, n: int) -> Release:
    """A contest in which so many units were judged."""
    rng, live = np.random.default_rng(1), released()
    for number in range(n):
        name = "new" if rng.random() < 0.5 else "old"
        right = rng.random() < (new if name == "new" else old)
        trace = answered(number, f"q{number}", "a" if right else "b", release=live.id, variant=name)
        write_one(store, trace)
    return live


def write_one(store: Store, trace: object) -> None:
    judge(store, trace, label="a")  # type: ignore[arg-type]


def test_a_better_candidate_wins_by_what_was_judged_of_both(store: Store) -> None:
    live = judged(store, 0.3, 0.95, 150)
    found = hold_trial(store, [live], RULES, metric="correct", pairs=None, margin=None)
    assert found.verdict == WINNER
    assert found.arms is not None
    assert found.arms.difference > 0.4


def test_a_worse_candidate_loses(store: Store) -> None:
    live = judged(store, 0.95, 0.3, 150)
    assert hold_trial(store, [live], RULES, metric="correct", pairs=None, margin=0.02).verdict == LOSER


def test_before_anybody_judged_an_answer_nothing_can_be_told(store: Store) -> None:
    found = hold_trial(store, [released()], RULES, metric=None, pairs=[], margin=0.02)
    assert (found.verdict, found.why) == (CANNOT_TELL, "nobody has judged an answer yet")


def test_a_cheaper_candidate_has_only_to_be_no_worse_than_the_margin(store: Store) -> None:
    same = [(1.0, 1.0)] * 400
    asked = {"metric": None, "pairs": same}
    assert hold_trial(store, [released()], RULES, margin=0.05, **asked).verdict == ENOUGH  # type: ignore[arg-type]
    assert hold_trial(store, [released()], RULES, margin=None, **asked).verdict == CANNOT_TELL  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_candidate_that_is_worse_by_the_margin_is_called_enough_in_no_more_than_its_level(store: Store) -> None:
    wrong = 0
    for seed in range(200):
        told = pairs(0.9, 0.8, 400, seed)
        found = [hold_trial(store, [released()], RULES, metric=None, pairs=told[:n], margin=0.1) for n in (50, 100, 200, 400)]
        wrong += any(one.verdict in (ENOUGH, WINNER) for one in found)
    assert wrong <= 12  # level 0.05 / 2, one-sided: 2.5 of 200 at most on average; 12 has a chance below 1e-4


def test_a_shadow_is_counted_and_held_against_the_answers_beside_it(store: Store) -> None:
    live = [answered(n, f"q{n}", "a", release="r", candidate="o") for n in range(4)]
    beside = [
        answered(
            10 + n, f"q{n}", "a" if n < 3 else "b", release="r", candidate="n", shadow_of=live[n].id, response_id=None, seconds=0.2
        )
        for n in range(4)
    ]
    other = answered(20, "q0", "a", release="r", candidate="x", shadow_of=live[0].id)
    failed = answered(21, "q1", "", release="r", candidate="n", shadow_of=live[1].id, status=500, error="TimeoutError")
    write(store, [*live, *beside, other, failed])
    found = shadow_report(store, ["r"], "n")
    assert (found.answers, found.errors, found.live_errors, found.worse, found.better) == (5, 1, 0, 1, 0)
    assert found.agreement == pytest.approx(0.75)
    assert found.seconds == pytest.approx(0.2)
    assert found.live_seconds == pytest.approx(0.1)


def test_a_shadow_fails_where_it_is_shown_to_fail_more_often() -> None:
    assert not ShadowReport(answers=50, worse=4, better=0).fails(FAILS)  # 2^-4 = 0.0625
    assert ShadowReport(answers=50, worse=5, better=0).fails(FAILS)  # 2^-5 = 0.03125
    assert not ShadowReport(answers=50, worse=5, better=0).fails(FAILS_EARLY)
    assert ShadowReport(answers=50, worse=10, better=0).fails(FAILS_EARLY)  # 2^-10 = 0.00098
    assert not ShadowReport(answers=50, worse=5, better=5).fails(FAILS)


def test_what_was_right_is_told_by_the_label_or_by_the_answer_that_was_right() -> None:
    assert pair_of("a", 1.0, None, "a", by_new=False) == (1.0, 1.0)
    assert pair_of("a", 1.0, None, "b", by_new=False) == (1.0, 0.0)
    assert pair_of("a", 0.0, "b", "b", by_new=False) == (0.0, 1.0)
    assert pair_of("a", 0.0, "b", "b", by_new=True) == (1.0, 0.0)


@given(st.booleans(), st.booleans(), st.booleans())
def test_what_nobody_said_counts_against_the_new_candidate(by_new: bool, right: bool, same: bool) -> None:
    live, new = pair_of("a", float(right), None, "a" if same else "b", by_new=by_new)
    if not right:
        assert new == 0.0
        assert live == (1.0 if by_new and not same else 0.0)
