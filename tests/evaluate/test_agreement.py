"""Agreement between people: equal to scikit-learn's and to the formulas written out, with intervals that keep their promise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from rungwise.data.reviews import Given, Verdict
from rungwise.evaluate.agreement import chance_of_sameness, cohen_kappa, krippendorff_alpha, raw_agreement
from rungwise.evaluate.reviewers import agreed, usual_seconds

labels = st.sampled_from("abc")
items = st.lists(st.dictionaries(st.sampled_from(["ann", "bob", "cid", "dee"]), labels, max_size=4), max_size=25)


def alpha_written_out(units: Sequence[Mapping[str, str]]) -> float | None:
    """Krippendorff's alpha by counting coincidences one by one."""
    coincidences: dict[tuple[str, str], float] = defaultdict(float)
    for unit in units:
        values = list(unit.values())
        for i, j in permutations(range(len(values)), 2):
            coincidences[values[i], values[j]] += 1 / (len(values) - 1)
    n = sum(coincidences.values())
    if n < 2:
        return None
    totals: dict[str, float] = defaultdict(float)
    for (one, _), count in coincidences.items():
        totals[one] += count
    observed = sum(count for (one, other), count in coincidences.items() if one != other) / n
    expected = sum(totals[a] * totals[b] for a, b in permutations(totals, 2)) / (n * (n - 1))
    return None if expected == 0 else 1 - observed / expected


@given(items)
def test_alpha_is_that_of_the_coincidences(units: Sequence[Mapping[str, str]]) -> None:
    found, wanted = krippendorff_alpha(units), alpha_written_out(units)
    assert (found.value is None) == (wanted is None)
    if wanted is None or found.value is None:
        assert found.why
    else:
        assert found.value == pytest.approx(wanted, abs=1e-12)


def test_alpha_of_krippendorff_s_own_example() -> None:
    """Four observers, twelve units, values missing: 0.743 (Computing Krippendorff's Alpha-Reliability, 2011, section C)."""
    table = {
        "a": "1 2 3 3 2 1 4 1 2 . . .",
        "b": "1 2 3 3 2 2 4 1 2 5 . 3",
        "c": ". 3 3 3 2 3 4 2 2 5 1 .",
        "d": "1 2 3 3 2 4 4 1 2 5 1 .",
    }
    rows = {who: said.split() for who, said in table.items()}
    units = [{who: said[n] for who, said in rows.items() if said[n] != "."} for n in range(12)]
    assert krippendorff_alpha(units).value == pytest.approx(0.743, abs=5e-4)


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=40))
def test_kappa_is_scikit_learn_s(pairs: Sequence[tuple[str, str]]) -> None:
    units = [{"ann": one, "bob": other} for one, other in pairs]
    found = cohen_kappa([*units, {"ann": "a"}, {"bob": "b", "cid": "a"}], "ann", "bob")
    first, second = zip(*pairs, strict=True)
    if len({*first, *second}) == 1:
        assert found.value is None
        assert "chance explains all" in found.why
    else:
        assert found.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
    assert found.n == len(pairs)


@settings(max_examples=50)
@given(items)
def test_raw_agreement_is_the_share_of_equal_pairs(units: Sequence[Mapping[str, str]]) -> None:
    pairs = [a == b for unit in units for a, b in permutations(unit.values(), 2)]
    found = raw_agreement(units)
    assert found.value == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


@settings(max_examples=30)
@given(items, st.integers(0, 3))
def test_bounds_hold_the_value_between_them_and_the_same_again_gives_the_same(
    units: Sequence[Mapping[str, str]], seed: int
) -> None:
    for found, again in (
        (krippendorff_alpha(units, seed=seed), krippendorff_alpha(units, seed=seed)),
        (cohen_kappa(units, "ann", "bob", seed=seed), cohen_kappa(units, "ann", "bob", seed=seed)),
    ):
        assert found == again
        if found.low is not None and found.high is not None and found.value is not None:
            assert found.low <= found.value <= found.high <= 1.0 + 1e-12


def test_too_little_and_one_label_say_so_instead_of_nan() -> None:
    assert krippendorff_alpha([]).why == "no item was judged by two people"
    assert cohen_kappa([{"ann": "a"}], "ann", "bob").value is None
    same = [{"ann": "a", "bob": "a"}] * 5
    assert krippendorff_alpha(same).value is None
    assert raw_agreement(same).value == 1.0
    one = krippendorff_alpha([{"ann": "a", "bob": "b"}])
    assert (one.value, one.low) == (0.0, None)


def test_the_interval_of_alpha_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(7), 0
    truth = 1 - 0.2 * 0.8 * 2 / 0.5  # two people who each misread a fair coin with chance 0.2
    for seed in range(120):
        real = rng.random((150, 1)) < 0.5
        said = real ^ (rng.random((150, 2)) < 0.2)
        found = krippendorff_alpha([{"ann": bool(a), "bob": bool(b)} for a, b in said], seed=seed)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert held / 120 >= 0.90  # 95 % asked; two and a half standard errors of 120 seeded trials are 5 points


def said(reviewer: str, right: Sequence[bool], *, start: int = 0, seconds: float = 0.0) -> list[Given]:
    kinds = ["right" if one else "wrong" for one in right]
    return [
        Given(n=n, review=f"r{start + n}", reviewer=reviewer, verdict=Verdict(kind=kind), seconds=seconds, at=float(n))
        for n, kind in enumerate(kinds)
    ]


def test_a_reviewer_who_says_yes_to_everything_is_shown_and_one_among_rightly_happy_ones_is_not() -> None:
    careful = [n % 4 != 0 for n in range(40)]
    people = {one.reviewer: one for one in agreed([*said("ann", careful), *said("yes", [True] * 40)]).people}
    assert people["yes"].says_the_same
    assert not people["ann"].says_the_same
    assert people["yes"].agrees == pytest.approx(0.75)
    happy = agreed([*said("ann", [True] * 39 + [False]), *said("yes", [True] * 40)])
    assert not any(one.says_the_same for one in happy.people)
    apart = agreed([*said("ann", careful), *said("yes", [True] * 40, start=100)])  # no item in common
    assert [one.says_the_same for one in apart.people] == [False, True]
    assert apart.alpha.value is None
    assert [one.agrees for one in apart.people] == [None, None]


def test_who_settles_a_difference_does_not_count_as_agreeing() -> None:
    settled = Given(n=9, review="r0", reviewer="cid", verdict=Verdict(kind="right"), seconds=0.0, at=9.0, decides=True)
    found = agreed([*said("ann", [True]), *said("bob", [False]), settled])
    assert [one.reviewer for one in found.people] == ["ann", "bob"]
    assert found.raw.value == 0.0


def test_the_chance_of_sameness_is_the_product_of_the_rule_of_succession() -> None:
    assert chance_of_sameness(0, same=3, others=5) == 1.0
    assert chance_of_sameness(1, same=3, others=5) == pytest.approx(4 / 7)
    assert chance_of_sameness(3, same=3, others=5) == pytest.approx(4 / 7 * 5 / 8 * 6 / 9)


def test_the_usual_time_leaves_pauses_out() -> None:
    assert usual_seconds(said("ann", [True] * 4, seconds=3.0), otherwise=20.0) == 20.0
    assert usual_seconds([*said("ann", [True] * 9, seconds=3.0), *said("ann", [True] * 3, seconds=5_000.0)], otherwise=20.0) == 3.0
