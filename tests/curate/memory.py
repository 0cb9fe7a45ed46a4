"""Rows in memory, as a step is given them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rungwise.curate.step import Finding, Step


@dataclass
class Memory:
    """Texts with splits; remembers which rows were read."""

    held: Sequence[str]
    splits: Sequence[str] = ()
    labels: Sequence[str] = ()
    read: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.held)

    def texts(self, rows: Sequence[int]) -> list[str]:
        self.read.extend(rows)
        return [self.held[row] for row in rows]

    def all_texts(self) -> Iterator[Sequence[str]]:
        yield self.held


def findings(step: Step, texts: Sequence[str], splits: Sequence[str] = (), *, parts: int = 1) -> list[Finding]:
    """What a step finds when the rows are looked at in so many parts."""
    cuts = [len(texts) * part // parts for part in range(parts + 1)]
    looks = [step.look(texts[begin:end]) for begin, end in pairwise(cuts)]
    return step.decide(looks, Memory(texts, splits))
