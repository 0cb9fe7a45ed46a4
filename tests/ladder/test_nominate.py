"""Who stands for a rung does not depend on time, order or luck, and price counts in steps of two."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.candidate import Candidate
from rungwise.core.evaluation import Evaluation
from rungwise.ladder.nominate import Tried, in_order_of_merit, price_step


def tried(name: str, chance: float, usd: float, *, quality: float = 0.9, complete: bool = True) -> Tried:
    candidate = Candidate(task="classify", model=name)
    evaluation = Evaluation(candidate=candidate.id, dataset="d", split="dev", rows=(), answers=(), complete=complete)
    return Tried(candidate, evaluation, chance, quality, usd)


def names(ordered: list[Tried]) -> list[str]:
    return [one.candidate.model for one in ordered]


def test_the_cheapest_with_an_even_chance_stands_before_a_better_one() -> None:
    assert names(in_order_of_merit([tried("best", 0.99, 10.0), tried("cheap", 0.5, 1.0)])) == ["cheap", "best"]


def test_without_an_even_chance_anywhere_the_best_stands() -> None:
    assert names(in_order_of_merit([tried("cheap", 0.3, 1.0), tried("best", 0.49, 10.0)])) == ["best", "cheap"]


def test_a_cheap_one_without_an_even_chance_stands_behind_all_that_have_one() -> None:
    ordered = in_order_of_merit([tried("cheap", 0.49, 1.0), tried("dear", 0.6, 40.0), tried("dearer", 0.9, 90.0)])
    assert names(ordered) == ["dear", "dearer", "cheap"]


def test_prices_within_a_factor_of_two_of_the_cheapest_count_as_equal() -> None:
    assert names(in_order_of_merit([tried("a", 0.6, 1.0), tried("b", 0.9, 1.9)])) == ["b", "a"]
    assert names(in_order_of_merit([tried("a", 0.6, 1.0), tried("b", 0.9, 2.0)])) == ["a", "b"]


@pytest.mark.parametrize(("usd", "step"), [(1.0, 0), (1.99, 0), (2.0, 1), (3.9, 1), (4.0, 2), (1024.0, 10)])
def test_a_step_of_price_is_a_doubling(usd: float, step: int) -> None:
    assert price_step(usd, 1.0) == step


def test_what_costs_nothing_is_on_the_first_step_and_does_not_divide_by_zero() -> None:
    assert price_step(0.0, 0.0) == 0
    assert names(in_order_of_merit([tried("paid", 0.9, 1.0), tried("free", 0.6, 0.0)])) == ["free", "paid"]


def test_who_left_a_race_cannot_stand() -> None:
    ordered = in_order_of_merit([tried("left", 0.99, 1.0, complete=False), tried("stayed", 0.1, 1.0)])
    assert names(ordered) == ["stayed"]


def test_who_left_a_race_still_counts_for_what_is_cheap() -> None:
    # Else dropping the cheapest would move 1.9 and 2.1 to one step, and another would be nominated.
    some = [tried("a", 0.6, 1.9), tried("b", 0.9, 2.1)]
    assert names(in_order_of_merit(some))[0] == "b"
    assert names(in_order_of_merit([*some, tried("left", 0.0, 1.0, complete=False)]))[0] == "a"


def test_equal_chances_go_to_the_better_dev_score_and_then_to_the_id() -> None:
    assert names(in_order_of_merit([tried("a", 0.7, 1.0, quality=0.91), tried("b", 0.7, 1.0, quality=0.92)])) == ["b", "a"]
    twins = [tried("a", 0.7, 1.0), tried("b", 0.7, 1.0)]
    first = min(twins, key=lambda one: one.candidate.id).candidate.model
    assert names(in_order_of_merit(twins))[0] == names(in_order_of_merit(twins[::-1]))[0] == first


FIGURES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 7.0]), st.floats(0, 1), st.booleans()),
    min_size=1,
    max_size=8,
)


@given(FIGURES, st.integers(0, 1000))
def test_the_order_never_depends_on_the_order_of_proposals(figures: list[tuple[float, float, float, bool]], seed: int) -> None:
    some = [
        tried(str(place), chance, usd, quality=quality, complete=complete)
        for place, (chance, usd, quality, complete) in enumerate(figures)
    ]
    shuffled = random.Random(seed).sample(some, len(some))
    assert names(in_order_of_merit(some)) == names(in_order_of_merit(shuffled))


@given(FIGURES)
def test_the_nominee_has_an_even_chance_whenever_anyone_who_can_stand_has(figures: list[tuple[float, float, float, bool]]) -> None:
    some = [tried(str(place), chance, usd, complete=complete) for place, (chance, usd, _, complete) in enumerate(figures)]
    standing = [one for one in some if one.evaluation.complete] or some
    nominee = in_order_of_merit(some)[0]
    best = max(one.chance for one in standing)
    assert nominee.chance >= 0.5 if best >= 0.5 else nominee.chance == best
