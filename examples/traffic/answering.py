"""Who answers: a simple model of confusion that is quick, or a real function from texts to labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from rungwise.watch.traffic import Bools, Floats, Names


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """n requests as columns (n,), with their right labels and what a drift did to each ('' where nothing)."""

    text: Names
    label: Names
    group: Names
    changed: Names


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """n answers as columns (n,): the label that was said, the confidence, and whether there was none."""

    label: Names
    confidence: Floats
    abstained: Bools


Answering: TypeAlias = Callable[[Asked, Generator], Answers]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Answers that are right with a given chance, by what was done to the request and by the group of whoever asks.

    What is not in `labels` it cannot say, so that new intents are always wrong. The confidence follows a beta distribution with
    a higher mean where the answer is right; below `abstains_below` it does not answer. Equal seeds, equal answers.
    """

    labels: Sequence[str]
    accuracy: float = 0.9
    changed: Mapping[str, float] = field(default_factory=lambda: {"wording": 0.6, "language": 0.3, "length": 0.85})
    gap: Mapping[str, float] = field(default_factory=dict)
    abstains_below: float = 0.0

    def __call__(self, asked: Asked, rng: Generator) -> Answers:
        n, known = len(asked.label), set(self.labels)
        chance = np.array([self.changed.get(one, self.accuracy) for one in asked.changed], np.float64)
        chance = np.minimum(chance, self.accuracy) - np.array([self.gap.get(one, 0.0) for one in asked.group], np.float64)
        right = (rng.random(n) < chance) & np.array([one in known for one in asked.label], np.bool_)
        others = rng.integers(len(self.labels), size=n)
        said = np.empty(n, dtype=object)
        for at in range(n):
            said[at] = asked.label[at] if right[at] else self._other(int(others[at]), asked.label[at])
        confidence = np.where(right, rng.beta(9, 2, n), rng.beta(5, 4, n))
        return Answers(label=said, confidence=confidence, abstained=confidence < self.abstains_below)

    def _other(self, at: int, label: str) -> str:
        found = self.labels[at]
        return found if found != label else self.labels[(at + 1) % len(self.labels)]


def answers_of(predict: Callable[[Sequence[str]], tuple[Sequence[str], Sequence[float]]]) -> Answering:
    """Answers by a real function: texts to labels and confidences. An empty label means that it does not answer."""

    def answer(asked: Asked, rng: Generator) -> Answers:
        labels, confidence = predict(list(asked.text))
        said = np.empty(len(labels), dtype=object)
        said[:] = list(labels)
        abstained = np.array([not one for one in labels], np.bool_)
        return Answers(label=said, confidence=np.asarray(confidence, np.float64), abstained=abstained)

    return answer
