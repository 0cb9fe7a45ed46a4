"""From a budget of seconds to a plan: how wide, how deep, how many steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rungwise.core.errors import CannotFit
from rungwise.fit.scaling import MOST_PASSES, TOKENS_PER_WEIGHT, Plan, measure_pace, plan_decoder, seconds_of

PACE = 1e11


def plan(seconds: float, *, tokens: int = 10**9, vocabulary: int = 8_192) -> Plan:
    return plan_decoder(seconds, pace=PACE, tokens=tokens, vocabulary=vocabulary)


@pytest.mark.parametrize("seconds", [60, 180, 900, 3600, 36_000])
def test_a_plan_takes_the_seconds_that_it_was_given(seconds: float) -> None:
    assert seconds_of(plan(seconds), pace=PACE, vocabulary=8_192) == pytest.approx(seconds, rel=0.05)


def test_more_seconds_give_a_wider_model_and_more_tokens() -> None:
    short, long = plan(600), plan(36_000)
    assert long.width > short.width
    assert long.tokens > short.tokens


def test_a_large_text_gets_the_tokens_a_weight_of_its_rule() -> None:
    found = plan(36_000)
    share = found.tokens / found.weights(8_192)
    assert TOKENS_PER_WEIGHT <= share < 2.5 * TOKENS_PER_WEIGHT  # widths go in steps


def test_a_small_text_is_not_repeated_without_end() -> None:
    found = plan(36_000, tokens=100_000, vocabulary=100)
    assert found.tokens <= MOST_PASSES * 100_000
    assert found.dropout > 0


def test_half_the_pace_is_half_the_tokens_of_one_shape() -> None:
    one = replace(plan(600), compiled=False)
    assert seconds_of(one, pace=PACE / 2, vocabulary=8_192) == pytest.approx(2 * seconds_of(one, pace=PACE, vocabulary=8_192))


def test_the_weights_are_those_of_the_model() -> None:
    pytest.importorskip("torch")
    from rungwise.fit.scratch import fit_scratch

    small = Plan(width=32, layers=2, heads=1, inner=96, context=16, batch=2, steps=2, rounds=1, vocabulary=300)
    told = fit_scratch(["some words to read " * 40], small).told
    norms = 32 * (2 * 2 + 1)  # in no product
    assert small.weights(300) == pytest.approx(told["parameters"] - norms, rel=0.1)  # fewer merges than asked for


def test_a_plan_is_plain_data() -> None:
    assert Plan(**plan(600).recipe()) == plan(600)


def test_too_short_a_budget_is_told() -> None:
    with pytest.raises(CannotFit, match="too few for a model"):
        plan(0.001)


def test_too_little_text_for_a_block_is_told() -> None:
    with pytest.raises(CannotFit, match="3 tokens are too few"):
        plan(60, tokens=3)


def test_the_pace_is_measured_on_real_steps_in_a_second_or_so() -> None:
    pytest.importorskip("torch")
    import torch

    before = torch.get_num_threads()
    ticks = iter(range(10_000))
    assert 1e8 < measure_pace(threads=1, seconds=0.2) < 1e14
    assert torch.get_num_threads() == before
    assert measure_pace(threads=1, seconds=2, clock=lambda: float(next(ticks))) == measure_pace(
        threads=1, seconds=2, clock=lambda: float(next(ticks))
    )
