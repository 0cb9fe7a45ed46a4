"""Choices, ratings and corrections become pairs, and what says nothing is counted."""

from __future__ import annotations

import pytest

from rungwise.core.content import Turn
from rungwise.core.errors import CannotFit
from rungwise.fit.preferences import Correction, Preference, Rating, from_corrections, from_pairs, from_ratings, together


def test_pairs_that_say_nothing_are_counted_and_left_out() -> None:
    good = Preference("q", "a", "b", sources=("r1",))
    found = from_pairs(
        [good, Preference("q", "a", " a "), Preference("q", "", "b"), Preference("q", "a", " "), Preference(" ", "a", "b")]
    )
    assert found.pairs == (good,)
    assert (found.equal, found.empty, found.ties, found.left_out) == (1, 3, 0, 4)
    assert found.sources == ("r1",)


def test_a_pair_after_earlier_turns_may_have_an_empty_prompt() -> None:
    assert from_pairs([Preference("", "a", "b", turns=(Turn("hello", "hi"),))]).empty == 0


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_not_above_zero_is_refused_with_its_row(weight: float) -> None:
    with pytest.raises(CannotFit, match=r"weight.*See r7"):
        from_pairs([Preference("q", "a", "b", weight, ("r7",))])


def test_pairs_that_say_the_opposite_are_kept_and_reported() -> None:
    found = from_pairs(
        [Preference("q", "a", "b"), Preference("other", "b", "a"), Preference("q", "b", "a"), Preference("q", "a", "b")]
    )
    assert len(found.pairs) == 4
    assert found.contradictions == ((0, 2), (2, 3))


def test_equal_prompts_after_other_turns_do_not_contradict() -> None:
    turns = (Turn("hello", "hi"),)
    assert from_pairs([Preference("q", "a", "b"), Preference("q", "b", "a", turns=turns)]).contradictions == ()


def test_ratings_give_all_pairs_of_a_prompt_that_differ() -> None:
    rows = [("q", "a", 5), ("q", "b", 3), ("q", "c", 3), ("q", "d", 1), ("other", "a", 9)]
    found = from_ratings(Rating(prompt, answer, score, f"r{place}") for place, (prompt, answer, score) in enumerate(rows))
    assert {(pair.chosen, pair.rejected) for pair in found.pairs} == {("a", "b"), ("a", "c"), ("a", "d"), ("b", "d"), ("c", "d")}
    assert found.ties == 1
    assert {pair.sources for pair in found.pairs if pair.chosen == "a" and pair.rejected == "d"} == {("r0", "r3")}
    assert {pair.weight for pair in found.pairs} == {1.0}


def test_weighted_ratings_weigh_by_their_share_of_the_largest_difference() -> None:
    rows = [Rating("q", "a", 5), Rating("q", "b", 4), Rating("q", "c", 1)]
    weights = {(pair.chosen, pair.rejected): pair.weight for pair in from_ratings(rows, weighted=True).pairs}
    assert weights == {("a", "b"): 0.25, ("a", "c"): 1.0, ("b", "c"): 0.75}


def test_an_answer_that_several_rated_has_their_mean_and_all_their_ids() -> None:
    rows = [Rating("q", "a", 5, "r1"), Rating("q", "a", 1, "r2"), Rating("q", "b", 4, "r3"), Rating("q", "b", 2, "r4")]
    assert from_ratings(rows).ties == 1
    (pair,) = from_ratings([*rows, Rating("q", "a", 5, "r5")]).pairs
    assert (pair.chosen, pair.sources) == ("a", ("r1", "r2", "r5", "r3", "r4"))


def test_ratings_without_an_answer_or_a_number_are_counted() -> None:
    found = from_ratings([Rating("q", " ", 5), Rating("q", "a", float("nan")), Rating("q", "b", 1)])
    assert found.pairs == ()
    assert found.empty == 2


def test_a_correction_is_preferred_to_what_it_corrects() -> None:
    found = from_corrections(
        [Correction("q", "wrong", "right", "t1"), Correction("q", "fine", "fine", "t2"), Correction("q", "x", "")]
    )
    assert found.pairs == (Preference("q", "right", "wrong", 1.0, ("t1",)),)
    assert (found.equal, found.empty) == (1, 1)


def test_parts_are_put_together_and_contradict_one_another() -> None:
    found = together(
        [from_pairs([Preference("q", "a", "b")]), from_corrections([Correction("q", "a", "b"), Correction("q", "a", "a")])]
    )
    assert found.contradictions == ((0, 1),)
    assert found.equal == 1


def test_the_id_is_of_the_content_and_not_of_its_sources() -> None:
    assert Preference("q", "a", "b", 1.0, ("r1",)).id == Preference("q", "a", "b").id != Preference("q", "b", "a").id
