"""The search asks for sensible settings, ends in time, and goes on after a crash as it would have."""

from __future__ import annotations

import math

import pytest

from rungwise.core.errors import UsageError
from rungwise.fit.search import Search, Span, next_trial

pytest.importorskip("optuna")

SPACE = {"lr": Span(low=1e-5, high=1e-2, log=True), "rank": [4, 8, 16]}


def peak(settings: dict[str, float]) -> float:
    """Highest at a learning rate of 3e-4, whatever the rank."""
    return -abs(math.log10(settings["lr"]) - math.log10(3e-4))


def searched(search: Search) -> list[dict[str, float]]:
    tried: list[dict[str, float]] = []
    while (found := next_trial(SPACE, search, [peak(one) for one in tried])) is not None:
        tried.append(found)
    return tried


def test_the_same_history_asks_for_the_same_trial() -> None:
    scores = [0.1, 0.4, 0.2, 0.3]
    search = Search(trials=10, seed=7)
    assert next_trial(SPACE, search, scores) == next_trial(SPACE, search, scores)


def test_begins_with_the_usual_settings() -> None:
    assert next_trial(SPACE, Search(first={"lr": 2e-3, "rank": 8}), []) == {"lr": 2e-3, "rank": 8}


def test_a_grid_holds_every_combination_once() -> None:
    tried = searched(Search(how="grid", trials=100, patience=100, cuts=4))
    assert len({(one["lr"], one["rank"]) for one in tried}) == len(tried) == 12
    assert min(one["lr"] for one in tried) == pytest.approx(1e-5)
    assert max(one["lr"] for one in tried) == pytest.approx(1e-2)


def test_bayesian_search_comes_nearer_than_chance_does() -> None:
    def last(how: str) -> float:
        return sum(peak(one) for seed in range(8) for one in searched(Search(how=how, trials=30, patience=99, seed=seed))[20:])  # type: ignore[arg-type]

    assert last("bayesian") > last("random")


def test_ends_when_nothing_better_comes() -> None:
    assert next_trial(SPACE, Search(patience=3), [0.1, 0.9, 0.2, 0.3]) is not None
    assert next_trial(SPACE, Search(patience=3), [0.1, 0.9, 0.2, 0.3, 0.4]) is None


def test_ends_after_so_many_trials() -> None:
    assert len(searched(Search(how="random", trials=6, patience=99))) == 6


def test_an_empty_space_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to search"):
        next_trial({}, Search(), [])
