"""Variants of a release compared by what was judged, and what follows from it for the traffic."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from rungwise.core.release import Release, Variant
from rungwise.core.serving import Contest
from rungwise.data.feedback import Judgements, Outcome
from rungwise.data.store import Store
from rungwise.evaluate.contests import Standing
from rungwise.release.assign import variant_of
from rungwise.release.contest import DROP, KEEP, PROMOTE, Duel, alike, decide, duels, hold_contest, told
from rungwise.release.shadows import shadow_duels
from tests.data.judged import answered, judge, judgement, unrelated, write

THUMBS = Contest(metric="thumb")


def release(weights: Mapping[str, float], *, salt: str = "s", at: float = 0.0, shadow: tuple[str, ...] = ()) -> Release:
    variants = tuple(Variant(name=name, candidate=f"of-{name}", weight=weight) for name, weight in weights.items())
    return Release(use_case="u", variants=variants, evidence=(), salt=salt, at=at, shadow=shadow)


def outcomes(live: Release, rates: Mapping[str, float], n: int, *, seed: int = 0, first: int = 0) -> list[Outcome]:
    """Thumbs of `n` users whom the release assigns as it does in production."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(first, first + n):
        variant = variant_of(live, f"user{number}").name
        found.append(Outcome(number, live.id, variant, f"user{number}", float(rng.random() < rates[variant])))
    return found


def standing(verdict: str, low: float = -0.1, *, skewed: bool = False) -> Standing:
    return Standing(
        verdict=verdict,
        difference=low + 0.1,
        low=low,
        high=low + 0.2,
        p_value=0.01,
        level=0.05,
        first=0.5,
        second=0.6,
        n_first=10,
        n_second=10,
        fixed_n=100,
        skewed=skewed,
    )


def duel(challenger: str, verdict: str, low: float = -0.1, *, skewed: bool = False) -> Duel:
    return Duel(champion="a", challenger=challenger, standing=standing(verdict, low, skewed=skewed))


def test_a_challenger_that_users_like_better_wins() -> None:
    live = release({"a": 0.7, "b": 0.3})
    (found,) = duels(outcomes(live, {"a": 0.5, "b": 0.7}, 3000), [live], THUMBS)
    assert (found.champion, found.challenger, found.standing.verdict) == ("a", "b", "winner")
    assert found.standing.n_first + found.standing.n_second == 3000
    assert 0.25 < found.standing.n_second / 3000 < 0.35
    assert not found.standing.skewed


def test_a_user_counts_once_however_often_they_judge() -> None:
    live = release({"a": 0.5, "b": 0.5})
    some = outcomes(live, {"a": 0.5, "b": 0.5}, 40)
    loud = [dataclasses.replace(one, n=1000 + place) for place in range(2000) for one in some[:1]]
    (found,) = duels([*some, *loud], [live], THUMBS)
    assert found.standing.n_first + found.standing.n_second == 40


def test_what_was_judged_under_other_weights_counts_with_the_share_of_then() -> None:
    early, late = release({"a": 0.9, "b": 0.1}), release({"a": 0.5, "b": 0.5}, at=9.0)
    seen = [
        *outcomes(early, {"a": 0.5, "b": 0.7}, 1500),
        *outcomes(late, {"a": 0.5, "b": 0.7}, 1500, seed=1, first=1500),
    ]
    (found,) = duels(seen, [late, early], THUMBS)
    assert found.standing.verdict == "winner"
    assert found.standing.difference == pytest.approx(0.2, abs=0.06)
    assert not found.standing.skewed  # the share of b is 0.3 over all, and neither 0.1 nor 0.5


def test_releases_are_alike_that_differ_in_weights_only() -> None:
    live = release({"a": 0.5, "b": 0.5}, at=5.0)
    weights, salt = release({"a": 0.9, "b": 0.1}), release({"a": 0.5, "b": 0.5}, salt="t")
    other, turned = release({"a": 0.5, "c": 0.5}), release({"b": 0.5, "a": 0.5})
    assert alike(live, [weights, salt, other, turned, live, weights]) == (live, weights)


def test_three_variants_share_the_level_and_are_each_held_against_the_first() -> None:
    live = release({"a": 0.4, "b": 0.3, "c": 0.3})
    found = duels(outcomes(live, {"a": 0.6, "b": 0.6, "c": 0.4}, 4000), [live], THUMBS)
    assert [(one.challenger, one.standing.verdict) for one in found] == [("b", "cannot_tell"), ("c", "loser")]
    assert found[0].standing.level == 0.025
    assert not any(one.standing.skewed for one in found)


def test_one_variant_has_nobody_to_be_compared_with() -> None:
    live = release({"a": 1.0})
    assert duels(outcomes(live, {"a": 0.5}, 50), [live], THUMBS) == ()
    assert decide((), live).action == KEEP


def test_while_all_traffic_goes_to_one_nothing_is_compared() -> None:
    live = release({"a": 1.0, "b": 0.0})
    (found,) = duels(outcomes(live, {"a": 0.5, "b": 0.5}, 200), [live], THUMBS)
    assert (found.standing.n_first, found.standing.verdict) == (0, "cannot_tell")


def test_money_is_cut_at_the_cap_and_told_in_dollars() -> None:
    live = release({"a": 0.5, "b": 0.5})
    rng = np.random.default_rng(0)
    seen = []
    for one in outcomes(live, {"a": 0.5, "b": 0.5}, 2000):
        worth = 0.0 if rng.random() < 0.5 else 8.0 if one.variant == "a" else 14.0
        seen.append(dataclasses.replace(one, value=worth))
    seen[0] = dataclasses.replace(seen[0], value=1e9)
    rules = Contest(metric="value_usd", value_cap_usd=20.0)
    (found,) = duels(seen, [live], rules)
    assert found.standing.verdict == "winner"
    assert found.standing.difference == pytest.approx(3.0, abs=0.8)
    assert found.standing.low > 0
    assert found.standing.first == pytest.approx(4.0, abs=0.5)
    refunds = [dataclasses.replace(one, value=-one.value) for one in seen]
    assert duels(refunds, [live], rules)[0].standing.verdict == "loser"


def test_a_contest_reads_the_judgements_of_a_store(store: Store) -> None:
    live = release({"a": 0.5, "b": 0.5})
    seen = outcomes(live, {"a": 0.2, "b": 0.9}, 300)
    Judgements(store).add(
        (judgement(f"t{one.n}", thumb=one.value > 0), unrelated(release=live.id, variant=one.variant, unit=one.unit))
        for one in seen
    )
    (found,) = hold_contest(Judgements(store), [live], THUMBS)
    assert found.standing == duels(seen, [live], THUMBS)[0].standing
    assert found.standing.verdict == "winner"
    (nothing,) = hold_contest(Judgements(store), [live], Contest(metric="score"))
    assert nothing.standing.n_first == 0


def test_a_shown_winner_takes_all_traffic_once() -> None:
    live = release({"a": 0.6, "b": 0.2, "c": 0.2})
    ruling = decide([duel("b", "winner", 0.01), duel("c", "winner", 0.05)], live)
    assert (ruling.action, ruling.weights) == (PROMOTE, {"a": 0.0, "b": 0.0, "c": 1.0})
    assert "c is better than a" in ruling.why
    after = release({"a": 0.0, "b": 0.0, "c": 1.0})
    assert decide([duel("b", "winner", 0.01), duel("c", "winner", 0.05)], after).action == KEEP


def test_a_shown_loser_leaves_and_the_others_share_its_traffic() -> None:
    live = release({"a": 0.6, "b": 0.2, "c": 0.2})
    ruling = decide([duel("b", "loser", -0.3), duel("c", "cannot_tell")], live)
    assert ruling.action == DROP
    assert ruling.weights == pytest.approx({"a": 0.75, "b": 0.0, "c": 0.25})
    after = release(ruling.weights)
    assert decide([duel("b", "loser", -0.3), duel("c", "cannot_tell")], after).action == KEEP
    last = decide([duel("b", "loser", -0.3)], release({"a": 0.0, "b": 1.0}))
    assert last.weights == {"a": 1.0, "b": 0.0}  # back to the champion


def test_nobody_is_promoted_whose_users_are_judged_more_often_but_a_loser_leaves_all_the_same() -> None:
    live = release({"a": 0.5, "b": 0.5})
    held = decide([duel("b", "winner", 0.05, skewed=True)], live)
    assert (held.action, held.weights) == (KEEP, {"a": 0.5, "b": 0.5})
    assert "judged more often" in held.why
    assert decide([duel("b", "loser", -0.3, skewed=True)], live).action == DROP


def test_a_duel_is_told_in_one_sentence() -> None:
    assert told(duel("b", "cannot_tell")) == "b cannot be told from a: +0 [-0.1, +0.1] after 10 and 10 judged units"


def shadowed(store: Store, live: Release, pairs: Sequence[tuple[str, str, str]]) -> None:
    """Traces of (live answer, shadow's answer, right answer), each of a user, each judged."""
    traces, shadows = [], []
    for number, (answer, other, _) in enumerate(pairs):
        traces.append(answered(number, f"q{number}", answer, release=live.id, variant="a"))
        body = json.dumps({"choices": [{"message": {"content": other}}]})
        own = {"release": live.id, "variant": "shadow", "candidate": live.shadow[0], "shadow_of": traces[-1].id}
        shadows.append(dataclasses.replace(answered(10_000 + number, f"q{number}", ""), response=body, **own))
    write(store, [*traces, *shadows])
    for trace, (_, _, right) in zip(traces, pairs, strict=True):
        judge(store, trace, label=right)


def test_a_shadow_is_held_against_what_was_answered_live(store: Store) -> None:
    live = release({"a": 1.0}, shadow=("c" * 64,))
    shadowed(store, live, [("yes", "no", "no")] * 25 + [("yes", "yes", "yes")] * 30 + [("yes", "", "yes")] * 5)
    (found,) = shadow_duels(store, [live])
    assert (found.champion, found.challenger, found.standing.verdict) == ("live", "c" * 12, "winner")
    assert (found.standing.n_first, found.standing.n_second) == (60, 60)
    assert found.standing.first == pytest.approx(35 / 60)
    assert found.standing.second == pytest.approx(55 / 60)  # an answer that failed is wrong


def test_without_a_shadow_there_is_nothing_to_tell(store: Store) -> None:
    assert shadow_duels(store, [release({"a": 1.0})]) == ()
    (found,) = shadow_duels(store, [release({"a": 1.0}, shadow=("c" * 64,))])
    assert (found.standing.verdict, found.standing.n_first) == ("cannot_tell", 0)
