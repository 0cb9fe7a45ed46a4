"""What speaks for a sentence, weighed by a few solved questions; a hundred are enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage
from rungwise.core.dataset import Example
from rungwise.core.errors import CannotFit
from rungwise.engines.answerable import QUESTION_SIGNS, question_signs
from rungwise.engines.arrays import Files
from rungwise.engines.encoders.encode import Encode
from rungwise.engines.sentence_scorer import FEATURES, SentenceScorer, evidence, features, sentences_of
from rungwise.fit.doubt import logistic

Floats = NDArray[np.float32]

PENALTY = 1.0
"""Half the sum of squared weights is worth so much log loss, in nats over all questions: scikit-learn's C = 1."""

FOLDS = 5
LEAST = 5


@dataclass(frozen=True)
class Solved:
    """A question's sentences: features (n, features), and the share of right (n,) that each is worth; all 0 where none is.

    `signs` (6,) are the question's own (`engines/answerable.py`).
    """

    own: Floats
    right: Floats
    signs: Floats


def fit_sentence_scorer(
    rows: Sequence[Example], passages: Sequence[Sequence[Passage]], encode: Encode, *, encoder: str, seed: int = 0
) -> Files:
    """Weights over the features of (question, sentence), such that the right sentences get most of a softmax.

    `passages[i]` are what row i is answered from: its own, or what a search found. A right sentence holds a reference
    verbatim, or stands in part in one; of several each is as right. Rows without one teach only when to be in doubt. The
    loss is the log loss of a conditional logit (McFadden 1974) with a quadratic penalty; the probability of the winner is
    a logistic of its `evidence`, fitted on five folds of questions that the weights had not seen. Raises CannotFit
    with fewer than 5 rows that have a right sentence.
    """
    solved = [solve(row, own, encode) for row, own in zip(rows, passages, strict=True)]
    solved = [one for one in solved if len(one.own)]
    taught = [one for one in solved if one.right.any()]
    if len(taught) < LEAST:
        raise CannotFit(
            f"a sentence scorer needs {LEAST} questions whose answer stands in their passages, and there are {len(taught)}. "
            "Add solved questions, or answers that are copied from the text"
        )
    mean, scale = _spread(taught)
    weights = _weigh(taught, mean, scale)
    fold = np.random.default_rng(seed).permutation(len(solved)) % min(FOLDS, len(solved))
    seen, was_right = [], []
    for number in range(int(fold.max()) + 1):
        kept = [one for one, own in zip(solved, fold, strict=True) if own != number and one.right.any()]
        weights_without = _weigh(kept, mean, scale)
        for one in (one for one, own in zip(solved, fold, strict=True) if own == number):
            margins = np.asarray((one.own - mean) / scale @ weights_without, dtype=np.float32)
            seen.append(evidence(margins, one.own, one.signs))
            was_right.append(float(one.right[int(np.argmax(margins))] > 0))
    by_sign, offset = logistic(np.stack(seen), np.array(was_right))
    doubt = np.array([*by_sign, offset], dtype=np.float32)
    fitted = SentenceScorer(mean=mean, scale=scale, weights=weights, doubt=doubt, encoder=encoder, encode=encode)
    return fitted.files(rows=len(rows), taught=len(taught), seed=seed)


def solve(row: Example, passages: Sequence[Passage], encode: Encode) -> Solved:
    """The sentences of a row's passages as features, and which are right."""
    sentences = sentences_of(passages)
    if not sentences:
        return Solved(*(np.zeros(shape, dtype=np.float32) for shape in ((0, len(FEATURES)), 0, len(QUESTION_SIGNS))))
    texts = [sentence.passage.text for sentence in sentences]
    right = np.array([any(holds(text, reference) for reference in row.references) for text in texts], dtype=np.float32)
    own = features(row.text, sentences, encode)
    return Solved(own, right / max(1.0, float(right.sum())), question_signs(row.text, texts, own[:, 0]))


def holds(sentence: str, reference: str) -> bool:
    """Whether the reference stands in the sentence, or the whole sentence in the reference."""
    wanted = reference.strip()
    return bool(wanted) and (wanted in sentence or sentence.rstrip(".") in wanted)


def _spread(taught: Sequence[Solved]) -> tuple[Floats, Floats]:
    """Mean and standard deviation (1 where nothing varies) of every feature over all sentences."""
    every = np.concatenate([one.own for one in taught])
    scale = every.std(axis=0)
    return every.mean(axis=0).astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32)


def _weigh(taught: Sequence[Solved], mean: Floats, scale: Floats) -> Floats:
    """(features,) weights of the least penalised log loss, by L-BFGS (Liu and Nocedal 1989). The loss is convex."""
    from scipy.optimize import minimize

    groups = [(((one.own - mean) / scale).astype(np.float64), one.right.astype(np.float64)) for one in taught]

    def objective(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, slope = PENALTY * float(weights @ weights) / 2, PENALTY * weights
        for own, right in groups:
            margins = own @ weights
            top = margins.max()
            shares = np.exp(margins - top)
            loss += float(np.log(shares.sum()) + top - right @ margins)
            slope = slope + own.T @ (shares / shares.sum() - right)
        return loss, slope

    found = minimize(objective, np.zeros(len(FEATURES)), jac=True, method="L-BFGS-B")
    return np.asarray(found.x, dtype=np.float32)
