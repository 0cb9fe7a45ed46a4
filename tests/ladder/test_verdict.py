"""The verdict of a climb follows from the states of its rungs alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.decision import (
    CANNOT_TELL,
    FAILED,
    MEASURED,
    MET,
    NOT_INSTALLED,
    NOT_MET,
    NOT_RUN,
    OVER_LIMIT,
    STATES,
    RungResult,
)
from rungwise.core.usecase import Target, UseCase
from rungwise.ladder.verdict import decide

CASE = UseCase(name="x", task="classify", target=Target(metric="accuracy", value=0.9))


def rungs(*states: str) -> list[RungResult]:
    return [RungResult(rung=f"rung{place}", state=state, why=f"because of {state}") for place, state in enumerate(states)]


def test_a_winner_is_met_and_the_reason_names_it_and_the_target() -> None:
    results = rungs(NOT_MET, MET, NOT_RUN)
    assert decide(results, results[1], CASE, sealed=100) == (MET, "rung1 is the cheapest rung that is shown to meet accuracy=0.9")


def test_not_met_when_every_rung_is_shown_to_be_below() -> None:
    assert decide(rungs(NOT_MET, NOT_MET), None, CASE, sealed=100)[0] == NOT_MET


@pytest.mark.parametrize("state", [CANNOT_TELL, NOT_RUN, NOT_INSTALLED, OVER_LIMIT, FAILED, MEASURED])
def test_one_rung_in_any_other_state_leaves_the_question_open(state: str) -> None:
    assert decide(rungs(NOT_MET, state, NOT_MET), None, CASE, sealed=100)[0] == CANNOT_TELL


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (NOT_INSTALLED, "is not installed"),
        (FAILED, "failed"),
        (NOT_RUN, "did not run"),
        (OVER_LIMIT, "breaks a limit"),
        (CANNOT_TELL, "too few examples"),
    ],
)
def test_the_reason_names_the_rung_and_what_is_wrong_with_it(state: str, words: str) -> None:
    reason = decide(rungs(NOT_MET, state), None, CASE, sealed=100)[1]
    assert words in reason
    assert "rung1" in reason


def test_what_could_not_run_comes_before_too_few_examples() -> None:
    assert "is not installed" in decide(rungs(CANNOT_TELL, NOT_INSTALLED), None, CASE, sealed=100)[1]


def test_a_ladder_without_rungs_cannot_tell() -> None:
    assert decide([], None, CASE, sealed=100) == (CANNOT_TELL, "the ladder has no rung that can run")


@given(st.lists(st.sampled_from(STATES), max_size=8))
def test_met_needs_a_winner_and_not_met_needs_all_rungs(states: list[str]) -> None:
    verdict, reason = decide(rungs(*states), None, CASE, sealed=100)
    assert verdict == (NOT_MET if states and set(states) == {NOT_MET} else CANNOT_TELL)
    assert reason


def test_rows_that_were_all_made_up_prove_nothing() -> None:
    for states in ((NOT_MET,), (CANNOT_TELL,)):
        verdict, reason = decide(rungs(*states), None, CASE, sealed=0)
        assert verdict == CANNOT_TELL
        assert "add questions of people" in reason
