"""The labels that a reviewer can choose from: the likeliest for a question, and those that what is typed can mean."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rungwise.curate.shingles import normalise

_WORD = re.compile(r"\w+")
_SMOOTHED = 0.5
_LEARNED_FROM = 20_000


class Choices:
    """The labels of a project, learned from questions that have one: pairs (text, label), of which the first 20,000 are read."""

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        self._words: dict[str, Counter[str]] = defaultdict(Counter)
        self._rows: Counter[str] = Counter()
        for n, (text, label) in enumerate(rows):
            if label.strip():
                self._rows[label] += 1
                self._words[label].update(_words(text) if n < _LEARNED_FROM else ())
        self._vocabulary = len({word for words in self._words.values() for word in words}) or 1

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label, by its name."""
        return tuple(sorted(self._rows))

    def nearest(self, text: str, n: int, *, besides: str = "") -> Sequence[str]:
        """The `n` labels that the words of a text speak for most, best first; `besides` is left out.

        By a multinomial naive Bayes model with equal priors (McCallum and Nigam, 1998), which needs no library and no time.
        """
        words, other = _words(text), normalise(besides)
        found = [one for one in self.labels if normalise(one) != other]
        return sorted(found, key=lambda one: (-self._told(one, words), one))[:n]

    def matching(self, typed: str) -> Sequence[str]:
        """The labels that what is typed can mean, best first: it is the label, begins it, begins a word of it, or is within it."""
        key = normalise(typed)
        if not key:
            return self.labels

        def rank(label: str) -> int:
            own = normalise(label)
            begins = any(part.startswith(key) for part in re.split(r"[\W_]+", own))
            return [own == key, own.startswith(key), begins, key in own, True].index(True)

        ranked = sorted((rank(one), len(one), one) for one in self.labels)
        return [label for place, _, label in ranked if place <= 3]

    def _told(self, label: str, words: Sequence[str]) -> float:
        counts = self._words[label]
        total = counts.total() + _SMOOTHED * self._vocabulary
        return sum(math.log((counts[word] + _SMOOTHED) / total) for word in words)


def _words(text: str) -> list[str]:
    return _WORD.findall(normalise(text))
