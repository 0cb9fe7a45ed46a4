"""The same unit always meets the same variant, in the shares that were asked for, and changes sides only when it must."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.release import Release, Variant
from rungwise.release.assign import variant_of

UNITS = [f"user-{number}" for number in range(20_000)]


def release_of(*weights: float, salt: str = "salt") -> Release:
    variants = tuple(Variant(name=f"v{place}", candidate=f"c{place}", weight=weight) for place, weight in enumerate(weights))
    return Release(use_case="u", variants=variants, evidence=(), salt=salt)


def met(release: Release) -> list[str]:
    return [variant_of(release, unit).name for unit in UNITS]


@pytest.mark.parametrize("weights", [(0.9, 0.1), (0.5, 0.3, 0.2), (0.0, 0.7, 0.3), tuple([0.1] * 10)])
def test_units_are_met_in_the_shares_that_were_asked_for(weights: tuple[float, ...]) -> None:
    counts = Counter(met(release_of(*weights)))
    for place, weight in enumerate(weights):
        # four standard errors of a share of 20,000 units: at most 0.0142
        assert counts[f"v{place}"] / len(UNITS) == pytest.approx(weight, abs=4 * (weight * (1 - weight) / len(UNITS)) ** 0.5)


def test_a_known_unit_meets_the_same_variant_on_every_machine() -> None:
    # Written down once: a change of the hash would move the users of every running comparison.
    assert [variant_of(release_of(0.5, 0.5), f"user-{number}").name for number in range(12)] == [
        f"v{digit}" for digit in "010101011011"
    ]


def test_a_change_of_weights_moves_only_units_that_must_and_only_towards_growing_shares() -> None:
    before, after = met(release_of(0.5, 0.25, 0.25)), met(release_of(0.4, 0.3, 0.3))
    moved = Counter((old, new) for old, new in zip(before, after, strict=True) if old != new)
    assert {old for old, _ in moved} == {"v0"}
    assert sum(moved.values()) / len(UNITS) == pytest.approx(0.10, abs=0.01)  # the least that can be: 0.5 -> 0.4


def test_another_salt_splits_the_units_anew() -> None:
    one, other = met(release_of(0.5, 0.5, salt="a")), met(release_of(0.5, 0.5, salt="b"))
    same = sum(a == b for a, b in zip(one, other, strict=True)) / len(UNITS)
    assert same == pytest.approx(0.5, abs=0.02)


@given(st.text(), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=20), st.integers(0, 19))
def test_a_variant_without_a_share_is_never_met(unit: str, raw: list[float], place: int) -> None:
    raw[place % len(raw)] = 0.0
    total = sum(raw)
    if total:
        release = release_of(*(weight / total for weight in raw))
        assert variant_of(release, unit).weight > 0
        assert variant_of(release, unit) == variant_of(release, unit)


def test_half_a_character_in_a_user_id_is_no_error() -> None:
    assert variant_of(release_of(0.5, 0.5), "\ud800").name in ("v0", "v1")
