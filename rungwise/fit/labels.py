"""The step `labels`: training rows whose label is likely wrong, that lie far from all others, or that contradict a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rungwise.core.dataset import SEALED, Example
from rungwise.curate.step import Finding, Look, Rows
from rungwise.engines.encoders.load import load_encoder
from rungwise.fit.crossfit import review_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Sets aside training rows with a label problem, found with out-of-fold probabilities (rungwise/fit/crossfit.py).

    Dev and sealed rows are left as they are: a test without the rows that a model disagrees with would flatter every
    candidate. `encoder` names the sentence encoder that stands beside the linear model; none leaves it out.
    """

    encoder: str | None = None
    seed: int = 0

    name: ClassVar[str] = "labels"
    edition: ClassVar[int] = 2

    def look(self, texts: Sequence[str]) -> Look:
        """Only how many texts there are. An encoder's vectors depend in their last digits on what else is in the batch, so they
        are computed over all rows at once: else other partitions would find other problems."""
        import numpy as np

        return {"texts": np.array([len(texts)])}

    def decide(self, looks: Sequence[Look], rows: Rows) -> list[Finding]:
        """The training rows to set aside. Rows without a label say nothing and are left alone."""
        texts = [text for batch in rows.all_texts() for text in batch]
        chosen = [row for row, label in enumerate(rows.labels) if label or rows.splits[row] == SEALED]
        examples = [Example(text=texts[row], references=(rows.labels[row],)) for row in chosen]
        vectors = load_encoder(self.encoder)([example.text for example in examples]) if self.encoder is not None else None
        problems = review_labels(examples, [rows.splits[row] for row in chosen], vectors=vectors, seed=self.seed)
        return [Finding(chosen[one.row], one.reason, one.evidence) for one in problems.quarantined]
