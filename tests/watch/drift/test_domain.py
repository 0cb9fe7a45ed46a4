"""The domain classifier: false alarms and power by simulation, folds by unit, words that moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from rungwise.watch.drift.domain import FOLDS_SHARE, domain_shift, folded_auc, out_of_fold

WORDS = np.array(
    [first + second + third for first in "bdfgklmnprst" for second in "aeiou" for third in ("ta", "po", "ri", "su", "ne")]
)
CHANCES = 1 / np.arange(1, len(WORDS) + 1)
CHANCES /= CHANCES.sum()


def texts(rng: np.random.Generator, n: int) -> list[str]:
    return [" ".join(WORDS[rng.choice(len(WORDS), 8, p=CHANCES)]) for _ in range(n)]


def habitual(rng: np.random.Generator, users: int, each: int, favourites: list[Any]) -> list[str]:
    return [
        " ".join([*WORDS[rng.choice(len(WORDS), 5, p=CHANCES)], *rng.choice(favourites[user], 3)])
        for user in range(users)
        for _ in range(each)
    ]


def many(rate: float, runs: int) -> float:
    """More than this happens once in a thousand."""
    return float(stats.binom.ppf(0.999, runs, rate))


def test_texts_of_one_kind_are_not_told_apart_more_often_than_is_said() -> None:
    rng, p_values = np.random.default_rng(0), []
    for seed in range(40):
        p_values.append(domain_shift(texts(rng, 100), texts(rng, 100), seed=seed).p)
    assert sum(p <= 0.05 for p in p_values) <= many(0.05, 40)
    assert 0.2 < np.median(p_values) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("same", [False, True])
def test_users_with_habits_are_not_told_apart_either(same: bool) -> None:
    rng, shown = np.random.default_rng(1), 0
    for seed in range(400):
        favourites = [[rng.choice(WORDS, 5) for _ in range(40)] for _ in range(2)]
        before = habitual(rng, 40, 6, favourites[0])
        after = habitual(rng, 40, 6, favourites[0 if same else 1])
        units = np.repeat(np.arange(40), 6)
        found = domain_shift(
            before, after, reference_units=units.tolist(), current_units=(units if same else units + 40).tolist(), seed=seed
        )
        shown += found.p <= 0.05
    assert shown <= many(0.06, 400)  # the normal form is good to a hundredth at 40 users a side


def test_a_new_topic_is_found_and_its_words_and_examples_are_named() -> None:
    rng = np.random.default_rng(2)
    before, after = texts(rng, 400), texts(rng, 400)
    with_topic = [f"{text} refund voucher" if i % 10 == 0 else text for i, text in enumerate(after)]
    found = domain_shift(before, with_topic)
    assert found.p < 0.05
    assert {word.word for word in found.words[:2]} == {"refund", "voucher"}
    top = found.words[0]
    assert (top.reference_count, top.current_count, top.reference_share, top.current_share) == (0, 40, 0.0, 0.1)
    assert all(place % 10 == 0 for place in found.examples)
    assert len(found.examples) == 5
    assert found == domain_shift(before, with_topic)
    gone = domain_shift(with_topic, before)
    assert gone.words[0].current_share == 0


def test_a_word_of_one_loud_user_is_not_what_moved() -> None:
    rng = np.random.default_rng(3)
    before, after = texts(rng, 200), texts(rng, 200)
    loud = [f"{text} shout" if i < 40 else f"{text} refund" if i % 5 == 0 else text for i, text in enumerate(after)]
    units = ["loud"] * 40 + [f"u{i}" for i in range(160)]
    found = domain_shift(before, loud, current_units=units)
    assert found.words[0].word == "refund"
    assert len({units[place] for place in found.examples}) == len(found.examples)


def test_no_unit_is_learned_from_and_judged() -> None:
    rng = np.random.default_rng(4)
    units = rng.integers(0, 30, 200)
    _, folds = out_of_fold(rng.standard_normal((200, 3)), rng.random(200) < 0.5, units, rng)
    assert all(len(set(folds[units == unit].tolist())) == 1 for unit in set(units.tolist()))
    assert len(set(folds.tolist())) == 5


def test_the_auc_is_that_of_each_fold_by_its_pairs_and_its_error_delongs() -> None:
    rng = np.random.default_rng(5)
    current = rng.random(500) < 0.4
    scores, folds = rng.standard_normal(500).round(1) + current, rng.integers(0, 5, 500)
    auc, error = folded_auc(scores, current, folds, np.arange(500))
    pairs = [np.sum(current[folds == f]) * np.sum(~current[folds == f]) for f in range(5)]
    areas = [roc_auc_score(current[folds == f], scores[folds == f]) for f in range(5)]
    assert auc == pytest.approx(np.average(areas, weights=pairs))
    whole, whole_error = folded_auc(scores, current, np.zeros(500, np.int64), np.arange(500))
    above = (scores[current][:, None] > scores[~current]) + 0.5 * (scores[current][:, None] == scores[~current])
    delong = above.mean(axis=1).var(ddof=1) / current.sum() + above.mean(axis=0).var(ddof=1) / (~current).sum()
    assert whole == pytest.approx(above.mean())
    assert whole_error == pytest.approx(FOLDS_SHARE * delong**0.5, rel=0.01)
    assert error > 0


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ([], [], "too few"),
        (["a"], ["b"] * 50, "too few"),
        (["a"] * 20, ["a"] * 20, "the same"),
        ([""] * 20, [None] * 20, "the same"),
    ],
)
def test_too_little_is_said(before: list[Any], after: list[Any], says: str) -> None:
    found = domain_shift(before, after)
    assert (found.p, found.auc) == (1, 0.5)
    assert says in found.why


def test_texts_that_share_nothing_are_told_apart_with_a_p_that_their_number_allows() -> None:
    found = domain_shift(["alpha"] * 12, ["beta!"] * 12)
    assert found.auc == 1
    assert 1e-9 < found.p < 1e-3
