"""Can a classifier tell current texts from those of the reference, and by which words: the domain classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata, t
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from rungwise.watch.drift.columns import Floats, Ints, codes_of

FOLDS = 5
LEAST_UNITS = 10
"""Fewer units than this on a side and nothing is said: each fold then rests on one or two of them."""

MOST_TEXTS = 4_000
"""A side with more texts is sampled down to so many, by the seed. Beyond that the AUC hardly gains and the time grows."""

MOST_CHARACTERS = 1_000
"""The beginning of a text that is read."""

WORD = r"(?u)\b\w[\w'’-]*\b"

FOLDS_SHARE = math.sqrt(2.0)
"""By how much the standard error of the folds as if they were independent is widened.

Where nothing changed, the AUC of fold f is a sum over the other folds h of products of what f and h happen to show, so that each
pair of folds counts twice and the variance is twice that of independent folds. Where the change is large the factor is 1, and the
interval is wider than it must be. Checked by simulation in tests/watch/test_domain.py.
"""

WHOLE_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A word with the share of texts that have it, before and now, and in how many that was."""

    word: str
    reference_share: float
    current_share: float
    reference_count: int = 0
    current_count: int = 0


@dataclass(frozen=True, kw_only=True)
class DomainShift:
    """How well current texts are told from reference ones, by a classifier that has not seen the unit it judges.

    `auc` is 0.5 where they cannot be told apart and 1 where they always can; [`low`, `high`] holds it with 95 %, and `p` is
    one-sided, for an AUC above 0.5. `words` moved most, in either direction, the most surprising first. `examples` are
    positions in `current` of the texts that are most typical of the change, one a unit. `n` counts the texts that were used.
    With too few units `auc` and its bounds are 0.5, 0 and 1, `p` is 1 and `why` says so.
    """

    auc: float
    low: float
    high: float
    p: float
    words: tuple[Moved, ...] = ()
    examples: tuple[int, ...] = ()
    n: tuple[int, int] = (0, 0)
    why: str = ""


def domain_shift(
    reference: Sequence[str],
    current: Sequence[str],
    *,
    reference_units: Sequence[Any] | None = None,
    current_units: Sequence[Any] | None = None,
    seed: int = 0,
    words: int = 10,
    examples: int = 5,
) -> DomainShift:
    """Tell texts apart by TF-IDF of their words and of character triples, with logistic regression, folds by unit.

    `reference_units` (n,) and `current_units` (m,) name what texts belong to (users, conversations); texts of one unit lie in
    one fold, also where it has texts on both sides, and the interval and p count units. None: each text is its own unit.
    Same inputs, same result.
    """
    rng = np.random.default_rng([seed, len(reference), len(current)])
    kept = [_sample(len(side), rng) for side in (reference, current)]
    texts = [_clean(side[i]) for side, places in zip((reference, current), kept, strict=True) for i in places]
    units = _units(reference_units, current_units, len(reference), len(current))[
        np.concatenate([kept[0], kept[1] + len(reference)])
    ]
    is_current = np.repeat([False, True], [len(kept[0]), len(kept[1])])
    n = (len(kept[0]), len(kept[1]))
    if why := _too_little(texts, units, is_current):
        return DomainShift(auc=0.5, low=0.0, high=1.0, p=1.0, n=n, why=why)
    present, vocabulary = _presence(texts)
    scores, folds = out_of_fold(_features(texts, present), is_current, units, rng)
    auc, error = folded_auc(scores, is_current, folds, units)
    low, high, p = _interval(auc, error, units, is_current)
    return DomainShift(
        auc=auc,
        low=low,
        high=high,
        p=p,
        words=_moved_words(present, vocabulary, is_current, units, words),
        examples=_typical(scores, texts, units, is_current, kept[1], examples),
        n=n,
    )


def _sample(n: int, rng: np.random.Generator) -> Ints:
    if n <= MOST_TEXTS:
        return np.arange(n)
    return np.sort(rng.choice(n, MOST_TEXTS, replace=False))


def _clean(text: Any) -> str:
    if not isinstance(text, str):
        return ""
    return text[:MOST_CHARACTERS].encode("utf-8", "replace").decode().lower()  # half characters cannot be hashed


def _units(before: Sequence[Any] | None, after: Sequence[Any] | None, n: int, m: int) -> Ints:
    """(n + m,) a number for each unit, one number for a unit that is on both sides."""
    names = np.empty(n + m, dtype=object)
    names[:n] = [None] * n if before is None else list(before)
    names[n:] = [None] * m if after is None else list(after)
    return codes_of(names)


def _too_little(texts: Sequence[str], units: Ints, is_current: NDArray[np.bool_]) -> str:
    counts = [len(np.unique(units[side])) for side in (~is_current, is_current)]
    if min(counts) < LEAST_UNITS:
        return f"{counts[0]} and {counts[1]} units are too few: {LEAST_UNITS} on each side are needed"
    if len(set(texts)) == 1:
        return "all texts are the same"
    return ""


def _presence(texts: Sequence[str]) -> tuple[sparse.csr_matrix, NDArray[Any]]:
    """(texts, words) 1 where a text has the word, and the words."""
    counting = CountVectorizer(lowercase=False, token_pattern=WORD, binary=True, dtype=np.float64)
    try:
        return counting.fit_transform(texts), counting.get_feature_names_out()
    except ValueError:  # no text has a word
        return sparse.csr_matrix((len(texts), 0)), np.array([], dtype=object)


def _features(texts: Sequence[str], present: sparse.csr_matrix) -> sparse.csr_matrix:
    """(texts, features): TF-IDF of words beside that of character triples, each of length 1. The weights know no side."""
    hashing = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 3), lowercase=False, n_features=2**14, alternate_sign=False, norm=None
    )
    parts = [TfidfTransformer(sublinear_tf=True).fit_transform(hashing.transform(texts))]
    if present.shape[1]:
        parts.append(TfidfTransformer().fit_transform(present))
    return sparse.csr_matrix(sparse.hstack(parts))


def out_of_fold(rows: Any, is_current: NDArray[np.bool_], units: Ints, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """(texts,) the classifier's score for current by a model that has seen no text of the unit, and the fold of each text."""
    folds = _folds(units, is_current, rng)
    scores = np.zeros(len(folds))
    for fold in range(FOLDS):
        held = folds == fold
        # The dual form, ended early, is 30 times quicker on texts; with less regularisation the power falls.
        learner = LogisticRegression(C=0.1, solver="liblinear", dual=True, tol=0.1, max_iter=1000, random_state=0)
        scores[held] = learner.fit(rows[~held], is_current[~held]).decision_function(rows[held])
    return scores, folds


def _folds(units: Ints, is_current: NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    """The fold of each text: units are dealt out one by one, so that every fold has as many of each side as can be."""
    names, codes = np.unique(units, return_inverse=True)
    both = np.bincount(codes, weights=is_current) / np.bincount(codes)  # the share of a unit's texts that are current
    shuffled = rng.permutation(len(names))
    dealt = shuffled[np.argsort(both[shuffled], kind="stable")]
    fold = np.empty(len(names), np.int64)
    fold[dealt] = np.arange(len(names)) % FOLDS
    return fold[codes]


def folded_auc(scores: Floats, is_current: NDArray[np.bool_], folds: Ints, units: Ints) -> tuple[float, float]:
    """The AUC within folds, weighted by their pairs, and its standard error over units.

    Scores of different models are not compared. The error is DeLong's with clusters (N. A. Obuchowski, Biometrics 53, 1997) on
    each fold (E. LeDell et al., Electron. J. Stat. 9, 2015), widened by FOLDS_SHARE.
    """
    influence, weights, area = np.zeros(len(scores)), 0.0, 0.0
    for fold in range(int(folds.max()) + 1):
        after, before = np.flatnonzero((folds == fold) & is_current), np.flatnonzero((folds == fold) & ~is_current)
        pairs = float(len(after) * len(before))
        if not pairs:
            continue
        both = rankdata(np.concatenate([scores[after], scores[before]]))
        beats = (both[: len(after)] - rankdata(scores[after])) / len(before)
        beaten = 1 - (both[len(after) :] - rankdata(scores[before])) / len(after)
        one = float(beats.mean())
        area, weights = area + pairs * one, weights + pairs
        influence[after] = pairs * (beats - one) / len(after)
        influence[before] = pairs * (beaten - one) / len(before)
    sums = np.bincount(np.unique(units, return_inverse=True)[1], weights=influence / weights)
    groups = int(np.count_nonzero(np.bincount(units)))
    error = math.sqrt(float((sums**2).sum()) * groups / max(1, groups - 1))
    return area / weights, FOLDS_SHARE * error


def _interval(auc: float, error: float, units: Ints, is_current: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Bounds and the one-sided p by Student's t with the fewer units' freedom.

    The error is not taken to be below that of half a unit out of place, which matters where everything is told apart.
    """
    fewest = min(len(np.unique(units[side])) for side in (~is_current, is_current))
    wide = max(error, FOLDS_SHARE * 0.5 / fewest)
    reach = float(t.ppf((1 + WHOLE_LEVEL) / 2, fewest - 1)) * wide
    return max(0.0, auc - reach), min(1.0, auc + reach), float(t.sf((auc - 0.5) / wide, fewest - 1))


def _moved_words(
    present: sparse.csr_matrix, vocabulary: NDArray[Any], is_current: NDArray[np.bool_], units: Ints, count: int
) -> tuple[Moved, ...]:
    """The words whose share of texts moved most, by its difference over its standard error between units."""
    if not len(vocabulary) or count < 1:
        return ()
    shares: list[Floats] = []
    counts: list[Floats] = []
    errors = np.zeros(len(vocabulary))
    for side in (~is_current, is_current):
        rows = present[np.flatnonzero(side)]
        codes = np.unique(units[side], return_inverse=True)[1]
        n, groups = len(codes), int(codes.max()) + 1
        gather = sparse.csr_matrix((np.ones(n), (codes, np.arange(n))), shape=(groups, n))
        held = (gather @ rows).tocsc()
        sizes = np.bincount(codes).astype(np.float64)
        total = np.asarray(held.sum(axis=0)).ravel()
        share = (total + 0.5) / (n + 1)
        squares = np.asarray(held.multiply(held).sum(axis=0)).ravel()
        mixed = np.asarray(held.T @ sizes).ravel()
        errors += (squares - 2 * share * mixed + share**2 * (sizes**2).sum()) / n**2 + 0.25 / n**2
        shares.append(share)
        counts.append(total)
    surprise: Floats = np.abs(shares[1] - shares[0]) / np.sqrt(errors)
    order = sorted(np.argsort(-surprise, kind="stable")[: 4 * count].tolist(), key=lambda i: (-surprise[i], vocabulary[i]))
    return tuple(_moved(vocabulary[i], counts, i, is_current) for i in order[:count] if surprise[i] > 0)


def _moved(word: str, counts: Sequence[Floats], i: int, is_current: NDArray[np.bool_]) -> Moved:
    after = int(is_current.sum())
    before = len(is_current) - after
    return Moved(
        word=str(word),
        reference_share=float(counts[0][i]) / before,
        current_share=float(counts[1][i]) / after,
        reference_count=int(counts[0][i]),
        current_count=int(counts[1][i]),
    )


def _typical(
    scores: Floats, texts: Sequence[str], units: Ints, is_current: NDArray[np.bool_], places: Ints, count: int
) -> tuple[int, ...]:
    """Positions in the current texts with the highest scores, no unit and no text twice."""
    first = int(np.count_nonzero(~is_current))
    order = first + np.argsort(-scores[first:], kind="stable")
    found: list[int] = []
    units_seen: set[int] = set()
    texts_seen: set[str] = set()
    for i in order.tolist():
        if len(found) >= count:
            break
        if int(units[i]) in units_seen or texts[i] in texts_seen or not texts[i]:
            continue
        units_seen.add(int(units[i]))
        texts_seen.add(texts[i])
        found.append(int(places[i - first]))
    return tuple(found)
