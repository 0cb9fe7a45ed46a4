"""BLEU and chrF over a corpus, from counts of each row so that rows can be resampled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers, FloatArray
from rungwise.evaluate.metric import Statistic
from rungwise.evaluate.text import acceptable

CHARACTER_ORDERS = 6
RECALL_WEIGHT = 4.0  # beta squared, beta = 2


def bleu(examples: Sequence[Example], answers: Answers, ignore: str | None = None) -> Statistic:
    """Corpus BLEU in [0, 1] as sacrebleu computes it (tokens 13a, exponential smoothing). Source: Post 2018, W18-6319."""
    from sacrebleu.metrics.bleu import BLEU

    whole = BLEU(effective_order=True)  # only silences a warning; the counts of a row do not depend on it
    rows = []
    for example, text in zip(examples, answers.texts, strict=True):
        score = whole.sentence_score(text, list(acceptable(example)))
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])

    def formula(sums: FloatArray) -> float:
        given, wanted, *counts = (round(one) for one in sums.tolist())
        return float(BLEU.compute_bleu(counts[:4], counts[4:], given, wanted, smooth_method="exp").score) / 100

    return _of_counts(np.asarray(rows, dtype=np.float64), formula)


def chrf(examples: Sequence[Example], answers: Answers, ignore: str | None = None) -> Statistic:
    """Corpus chrF2 in [0, 1], equal to sacrebleu's. Source: Popovic 2015, W15-3049 (6 characters, beta 2, no blanks)."""
    rows = []
    for example, text in zip(examples, answers.texts, strict=True):
        answer = _character_ngrams(text)
        matches = [_matches(answer, _character_ngrams(reference)) for reference in acceptable(example)]
        rows.append(max(matches, key=_chrf))  # sacrebleu keeps the counts of the first best reference
    return _of_counts(np.asarray(rows, dtype=np.float64), _chrf)


def _character_ngrams(text: str) -> list[Counter[str]]:
    line = "".join(text.split())
    return [Counter(line[start : start + n] for start in range(len(line) - n + 1)) for n in range(1, CHARACTER_ORDERS + 1)]


def _matches(answer: Sequence[Counter[str]], reference: Sequence[Counter[str]]) -> FloatArray:
    """(3 * orders,): n-grams given, wanted and shared of each order; none are given where the reference has none."""
    counts = [
        (told.total() if asked else 0, asked.total(), (told & asked).total()) for told, asked in zip(answer, reference, strict=True)
    ]
    return np.asarray(counts, dtype=np.float64).ravel()


def _chrf(sums: FloatArray) -> float:
    """Precision and recall are averaged over the orders that both sides have, then combined."""
    told, asked, shared = sums.reshape(-1, 3).T
    both = (told > 0) & (asked > 0)
    if not both.any():
        return 0.0
    precision, recall = float((shared[both] / told[both]).mean()), float((shared[both] / asked[both]).mean())
    if precision + recall == 0:
        return 0.0
    return (1 + RECALL_WEIGHT) * precision * recall / (RECALL_WEIGHT * precision + recall)


def _of_counts(rows: FloatArray, formula: Callable[[FloatArray], float]) -> Statistic:
    """A statistic of the summed counts (rows, counts) -> (counts,) -> value."""
    if not len(rows):
        return Statistic(float("nan"), np.zeros(0, dtype=np.int64), 0.0)

    def at(weights: FloatArray) -> FloatArray:
        return np.asarray([formula(sums) for sums in weights @ rows], dtype=np.float64)

    return Statistic(formula(rows.sum(axis=0)), np.zeros(len(rows), dtype=np.int64), float(len(rows)), at, graded=True)
