"""A shown winner takes all traffic by itself, a shown loser leaves it, and a person has the last word."""

from __future__ import annotations

import pytest

from rungwise.core.errors import UsageError
from rungwise.core.release import Release, Variant
from rungwise.core.serving import Contest
from rungwise.data.feedback import Judgements
from rungwise.data.store import Store
from rungwise.release.assign import variant_of
from rungwise.release.registry import Releases
from rungwise.release.verdict import AUTOMATIC, follow, standing
from tests.data.judged import judgement, unrelated

RULES = Contest(metric="thumb", automatic=True)


def weights(release: Release | None) -> dict[str, float]:
    assert release is not None
    return {one.name: one.weight for one in release.variants}


def released(store: Store, first: float = 0.5) -> Release:
    variants = (Variant(name="a", candidate="1" * 64, weight=first), Variant(name="b", candidate="2" * 64, weight=1 - first))
    live = Release(use_case="u", variants=variants, evidence=(), salt="s")
    return Releases(store).put(live, by="ann").live


def judge_all(store: Store, live: Release, *, liked: str, n: int = 200) -> None:
    """Users whom the release assigns like one variant's answers, and not the other's."""
    assigned = {f"user{n}": variant_of(live, f"user{n}").name for n in range(n)}
    Judgements(store).add(
        (judgement(f"of {unit}", thumb=variant == liked), unrelated(release=live.id, variant=variant, unit=unit))
        for unit, variant in assigned.items()
    )


def test_nothing_moves_while_nothing_is_shown(store: Store) -> None:
    assert standing(store, RULES) is None
    assert follow(store, RULES) is None
    live = released(store)
    assert follow(store, RULES) is None
    assert Releases(store).live_id() == live.id


def test_a_winner_takes_all_traffic_once_and_the_history_says_why(store: Store) -> None:
    judge_all(store, released(store), liked="b")
    moved = follow(store, RULES)
    assert moved is not None
    assert weights(Releases(store).live()) == {"a": 0.0, "b": 1.0}
    last = Releases(store).history()[0]
    assert last.by == AUTOMATIC
    assert "b is better than a" in (last.why or "")
    assert follow(store, RULES) is None


def test_a_regression_is_rolled_back_to_the_champion(store: Store) -> None:
    judge_all(store, released(store, first=0.2), liked="a")
    assert follow(store, RULES) is not None
    assert weights(Releases(store).live()) == {"a": 1.0, "b": 0.0}


def test_a_person_who_moves_the_traffic_back_has_the_last_word(store: Store) -> None:
    judge_all(store, released(store), liked="b")
    follow(store, RULES)
    Releases(store).rollback(by="ann")
    assert weights(Releases(store).live()) == {"a": 0.5, "b": 0.5}
    assert follow(store, RULES) is None
    verdict = standing(store, RULES)
    assert verdict is not None
    assert verdict.ruling.action == "promote"  # told to whoever asks, and not done


def test_a_release_that_went_live_meanwhile_is_not_moved(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_all(store, released(store), liked="b")
    verdict = standing(store, RULES)
    other = Release(use_case="u", variants=(Variant(name="c", candidate="3" * 64, weight=1.0),), evidence=())
    Releases(store).put(other)
    monkeypatch.setattr("rungwise.release.verdict.standing", lambda *_args, **_how: verdict)
    with pytest.raises(UsageError):
        follow(store, RULES)
    assert Releases(store).live_id() == other.id
