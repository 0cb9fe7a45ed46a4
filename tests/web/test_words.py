"""Figures carry units and never more digits than they have; bounds are never rounded in our favour."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.decision import STATES, Decision, Opening, RungResult, Spend
from rungwise.core.evaluation import Estimate
from rungwise.core.usecase import Target
from rungwise.web import words


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "–"),
        (0.0, "$0"),
        (0.00002, "<$0.0001"),
        (0.00314, "$0.0031"),
        (0.04, "$0.04"),
        (0.419, "$0.42"),
        (12.4, "$12.40"),
        (99.999, "$100"),
        (1240.4, "$1,240"),
        (-0.5, "-$0.50"),
    ],
)
def test_money_has_two_or_three_digits(amount: float | None, shown: str) -> None:
    assert words.usd(amount) == shown


@pytest.mark.parametrize(
    ("duration_s", "shown"),
    [
        (None, "–"),
        (0.0, "0 s"),
        (0.0002, "<1 ms"),
        (0.0012, "1.2 ms"),
        (0.42, "420 ms"),
        (0.9999, "1.0 s"),
        (4.24, "4.2 s"),
        (42.4, "42 s"),
        (59.7, "1 min"),
        (200.0, "3 min 20 s"),
        (3900.0, "1 h 5 min"),
        (90000.0, "1 d 1 h"),
    ],
)
def test_durations_take_the_unit_that_people_use(duration_s: float | None, shown: str) -> None:
    assert words.seconds(duration_s) == shown


def test_few_rows_get_no_decimals() -> None:
    assert words.quality(0.875, "accuracy", n=8) == "88 %"
    assert words.quality(0.8754, "accuracy", n=600) == "87.5 %"
    assert words.quality(0.8754, "macro_f1", n=600) == "0.875"  # not a share of rows, so not in percent


@given(st.floats(0, 1), st.floats(0.001, 0.999))
def test_a_bound_below_the_target_never_reads_as_reaching_it(low: float, value: float) -> None:
    target = Target(metric="accuracy", value=round(value, 4))
    shown = float(words.at_least(low, target).removeprefix("≥ ").removesuffix(" %"))
    assert shown <= low * 100 + 1e-6
    if low < target.value - 1e-9:
        assert shown < target.value * 100


@given(st.floats(0, 1), st.floats(0, 1))
def test_intervals_are_rounded_outwards(one: float, other: float) -> None:
    low, high = sorted((one, other))
    shown = words.interval(Estimate(mean=low, low=low, high=high, n=500), "accuracy").strip("[]").split(", ")
    assert float(shown[0]) <= low * 100 + 1e-6
    assert float(shown[1]) >= high * 100 - 1e-6


def test_targets_keep_the_digits_they_were_given_with() -> None:
    assert words.target_words(Target(metric="accuracy", value=0.999)) == "accuracy of at least 99.9 %"
    assert words.target_short(Target(metric="macro_f1", value=0.85)) == "macro F1 ≥ 0.85"
    with_coverage = Target(metric="accuracy", value=0.95, coverage=0.8)
    assert words.target_words(with_coverage) == "accuracy of at least 95 % while answering at least 80 % of the rows"


def test_every_state_has_a_word_and_a_sign() -> None:
    assert set(words.STATE_WORDS) == set(STATES) == set(words.STATE_SIGNS)


def test_cannot_tell_names_the_rows_that_would_tell(met: Decision) -> None:
    open_question = dataclasses.replace(met, verdict="cannot_tell", chosen=None, chosen_rung=None, more_examples=2140)
    assert "about 2,140 new sealed rows would tell" in words.meaning(open_question)
    assert words.next_command(open_question, "tickets")[0] == "rungwise forecast tickets"


def test_cannot_tell_does_not_ask_for_rows_when_dev_is_below_the_target(met: Decision) -> None:
    low = dataclasses.replace(met.rungs[0], state="cannot_tell")
    open_question = dataclasses.replace(met, verdict="cannot_tell", chosen=None, chosen_rung=None, rungs=(low,))
    assert "more test rows alone would not help" in words.meaning(open_question)


def test_a_rung_shown_to_miss_is_told_by_its_upper_bound() -> None:
    opening = Opening(k=1, alpha=0.0304, low=0.5, high=0.8301, n=400)
    missed = RungResult(rung="head", state="not_met", why="", test=opening)
    assert words.sealed_bound(missed, Target(metric="accuracy", value=0.9)) == "≤ 83.1 %"


def test_a_stored_bound_is_not_called_an_opening(met: Decision) -> None:
    stored = dataclasses.replace(met, alpha_spent=0.0, alpha_spent_before=0.0304)
    assert words.openings_sentence(stored).startswith("No new opening was needed")


def test_commands_quote_names_that_a_shell_would_break(met: Decision) -> None:
    assert words.next_command(met, "my tickets; ls")[0] == "rungwise ask 'my tickets; ls' \"your text\""


def test_a_chance_is_never_certain() -> None:
    assert [words.chance(p) for p in (0.0, 0.004, 0.61, 0.9999)] == ["<1 %", "<1 %", "61 %", ">99 %"]


def test_spend_leaves_out_what_is_zero() -> None:
    assert words.spend(Spend(seconds=42.0, usd=0.12, calls=1200)) == "42 s, $0.12 and 1,200 calls"
    assert words.spend(Spend(seconds=42.0)) == "42 s"
    assert words.spend(Spend()) == "nothing"


def test_one_line_takes_away_whatever_moves_the_cursor_or_turns_the_line() -> None:
    assert words.one_line("a\x1b[31mb\nc\u202ed\te") == "a\ufffd[31mb cd e"


@given(st.floats(1e-9, 1e6))
def test_axis_figures_are_never_vague(amount: float) -> None:
    assert "<" not in words.usd_tick(amount)
    assert "<" not in words.seconds_tick(amount)


def test_axis_figures_are_short() -> None:
    assert [words.usd_tick(value) for value in (0.0, 1e-5, 2e-4, 0.001, 0.5, 20.0)] == [
        "$0",
        "$10⁻⁵",
        "$2·10⁻⁴",
        "$0.001",
        "$0.5",
        "$20",
    ]
    assert [words.seconds_tick(value) for value in (0.0, 1e-5, 1e-3, 0.2, 20.0)] == ["0 s", "10 µs", "1 ms", "200 ms", "20 s"]
