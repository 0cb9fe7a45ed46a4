"""A forecast grows with the work, and a training that cannot fit is refused with the batch that would."""

from __future__ import annotations

import dataclasses

import pytest

from rungwise.fit.forecast import REFERENCE_PACE, TooLarge, Work, check_memory, cost

MINILM = Work(tokens=1e6, batch_tokens=4_096, weights=22_713_216, body=10_629_120, trained=22_713_216, width=384, layers=6)


def test_twice_the_tokens_take_twice_the_time_beyond_the_start() -> None:
    nothing, once, twice = (cost(dataclasses.replace(MINILM, tokens=n * 1e6), pace=1e11).seconds for n in (0, 1, 2))
    assert twice - nothing == pytest.approx(2 * (once - nothing))


def test_a_token_costs_six_operations_a_weight_that_is_trained_and_four_where_none_is() -> None:
    whole = cost(MINILM, pace=1.0).seconds - cost(dataclasses.replace(MINILM, tokens=0), pace=1.0).seconds
    frozen = dataclasses.replace(MINILM, trained=0)
    part = cost(frozen, pace=1.0).seconds - cost(dataclasses.replace(frozen, tokens=0), pace=1.0).seconds
    assert whole == pytest.approx(6 * MINILM.body * 1e6)
    assert part == pytest.approx(4 * MINILM.body * 1e6)


def test_an_adapter_needs_less_memory_than_all_weights() -> None:
    assert cost(dataclasses.replace(MINILM, trained=500_000), pace=1e11).bytes < cost(MINILM, pace=1e11).bytes


def test_what_does_not_fit_names_a_batch_that_does() -> None:
    needed = cost(MINILM, pace=REFERENCE_PACE).bytes
    check_memory(MINILM, available=needed)
    check_memory(MINILM, available=None)
    with pytest.raises(TooLarge, match="--set batch_tokens=2048"):
        check_memory(MINILM, available=needed - 10**8)
    with pytest.raises(TooLarge, match="with any batch"):
        check_memory(MINILM, available=10**8)
