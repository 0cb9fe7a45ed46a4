"""The ledger counts openings per family of rows, for ever, and never its own climb twice."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.data.ledger import Ledger, Nomination, opening_level
from rungwise.data.store import Store


def nominate(ledger: Ledger, climb: str, rows: list[str], *, rung: str = "head") -> Nomination:
    return ledger.nominate(climb, rung, candidate="c" + climb, test="t" + climb, input_ids=rows, alpha=0.05, note={})


@given(st.floats(0.001, 0.5))
def test_levels_of_all_openings_add_up_to_alpha(alpha: float) -> None:
    total = sum(opening_level(k, alpha) for k in range(1, 5000))
    assert total < alpha
    assert total == pytest.approx(alpha, rel=1e-3)  # the tail beyond K is about 6 / (pi^2 K)


def test_the_first_opening_has_most_of_the_level(store: Store) -> None:
    first = nominate(Ledger(store), "a", ["r1", "r2"])
    assert first.k == 1
    assert first.alpha == pytest.approx(0.05 * 6 / math.pi**2)


def test_an_opening_that_shares_one_row_continues_the_sequence(store: Store) -> None:
    ledger = Ledger(store)
    nominate(ledger, "a", ["r1", "r2"])
    assert nominate(ledger, "b", ["r2", "r3"]).k == 2
    assert nominate(ledger, "c", ["r9"]).k == 1


def test_families_that_a_new_test_set_joins_are_counted_together(store: Store) -> None:
    ledger = Ledger(store)
    nominate(ledger, "a", ["r1"])
    nominate(ledger, "b", ["r5"])
    joined = nominate(ledger, "c", ["r1", "r5"])
    assert joined.k == 3  # one opening on each side before it
    assert ledger.count(["r5"]) == 3
    assert nominate(ledger, "d", ["r5", "r7"]).k == 4


def test_a_resumed_climb_reads_its_nomination_and_keeps_k(store: Store) -> None:
    ledger = Ledger(store)
    first = nominate(ledger, "a", ["r1"])
    nominate(ledger, "b", ["r1"])
    assert ledger.nomination("a", "head") == first
    assert ledger.nomination("a", "floor") is None


def test_a_known_bound_is_found_only_after_its_verdict(store: Store) -> None:
    ledger = Ledger(store)
    nomination = nominate(ledger, "a", ["r1"])
    assert ledger.known("ca", "ta") is None
    ledger.conclude(nomination, {"low": 0.9, "high": 0.95, "n": 1})
    known = ledger.known("ca", "ta")
    assert known is not None
    assert known.result == {"low": 0.9, "high": 0.95, "n": 1}


def test_passing_over_a_rung_spends_nothing(store: Store) -> None:
    ledger = Ledger(store)
    passed = ledger.pass_over("a", "floor", test="t", note={"chance": 0.01})
    assert (passed.candidate, passed.k, passed.alpha) == (None, 0, 0.0)
    assert nominate(ledger, "a", ["r1"]).k == 1
