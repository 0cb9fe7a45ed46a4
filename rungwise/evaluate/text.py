"""Scores of one text against its references: exact match, token F1, containment and ROUGE."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from rungwise.core.content import Response
from rungwise.core.dataset import Example

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and extra blanks, as the official SQuAD script does it."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def acceptable(example: Example) -> tuple[str, ...]:
    """The answers that count as right; '' alone when the row has none (a question that cannot be answered)."""
    return example.references or ("",)


def exact_match(example: Example, response: Response) -> float:
    """1 when the normalised answer equals a normalised reference. Source: Rajpurkar et al. 2016, arXiv 1606.05250."""
    answer = normalise(response.text)
    return float(any(answer == normalise(reference) for reference in acceptable(example)))


def token_f1(example: Example, response: Response) -> float:
    """The best F1 of the normalised words over the references, in [0, 1].

    An answer or reference without words scores 1 only against another without
    words. Source: the SQuAD 2.0 evaluation script (Rajpurkar et al. 2018, arXiv 1806.03822).
    """
    answer = normalise(response.text).split()
    return max(_bag_f1(normalise(reference).split(), answer) for reference in acceptable(example))


def _bag_f1(reference: Sequence[str], answer: Sequence[str]) -> float:
    if not reference or not answer:
        return float(list(reference) == list(answer))
    shared = (Counter(reference) & Counter(answer)).total()
    return 2 * shared / (len(reference) + len(answer))


def contains(example: Example, response: Response) -> float:
    """1 when a normalised reference stands, word for word, in the normalised answer."""
    answer = normalise(response.text)
    return float(any(_stands_in(normalise(reference), answer) for reference in acceptable(example)))


def _stands_in(reference: str, answer: str) -> bool:
    return f" {reference} " in f" {answer} " if reference else not answer


def rouge_tokens(text: str) -> list[str]:
    """Lower-case runs of a-z and 0-9, as the package rouge-score cuts text without stemming; other scripts vanish."""
    return _NOT_ALPHANUMERIC.sub(" ", text.lower()).split()


def rouge_n(n: int) -> Callable[[Example, Response], float]:
    """The best ROUGE-n F measure over the references. Source: Lin 2004, ACL W04-1013; equal to rouge-score 0.1.2."""

    def score(example: Example, response: Response) -> float:
        answer = _ngrams(rouge_tokens(response.text), n)
        return max(_overlap_f(_ngrams(rouge_tokens(reference), n), answer) for reference in acceptable(example))

    return score


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


def _overlap_f(reference: Counter[tuple[str, ...]], answer: Counter[tuple[str, ...]]) -> float:
    shared = (reference & answer).total()
    return _f_measure(shared, reference.total(), answer.total())


def _f_measure(shared: int, reference: int, answer: int) -> float:
    return 2 * shared / (reference + answer) if shared else 0.0


def rouge_l(example: Example, response: Response) -> float:
    """The best ROUGE-L F measure (longest common subsequence of words) over the references. Source: Lin 2004."""
    from rapidfuzz.distance import LCSseq

    answer = rouge_tokens(response.text)
    best = 0.0
    for reference in acceptable(example):
        words = rouge_tokens(reference)
        best = max(best, _f_measure(LCSseq.similarity(words, answer), len(words), len(answer)))
    return best
