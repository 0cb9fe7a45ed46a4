"""The step `dedup`: of rows with the same or nearly the same text, one is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rungwise.curate.folding import packs
from rungwise.curate.near import LONG, SHORT, SKETCH, joined, matched, originals, preference, sketch
from rungwise.curate.step import Finding, Look, Rows

EXACT, NEAR_COPY = "dedup:exact", "dedup:near"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Sets aside every row that says the same, or nearly the same, as a row that is kept.

    The same: equal but for case, punctuation, spacing and Unicode variants. Nearly the same: a Jaccard similarity of at
    least `short` of character 5-grams (texts of up to 64 words) or `long` of word 5-grams (56 words or more); their
    sources are with the defaults in curate/near.py. Candidate pairs come from MinHash-LSH (20 bands of 6); the similarity
    that decides is exact. A sealed row is kept before a dev row before a train row, then the first. Every row set aside
    names a *kept* row that it is nearly the same as: from A ~ B ~ C with A unlike C, B goes and A and C stay.
    """

    short: float = SHORT
    long: float = LONG

    name: ClassVar[str] = "dedup"
    edition: ClassVar[int] = 1

    def look(self, texts: Sequence[str]) -> Look:
        """About 120 bytes a text: its content as 128 bits and its MinHash bands. Raises MissingExtra without numba."""
        return joined([sketch(part) for part in packs(texts)], *SKETCH)

    def decide(self, looks: Sequence[Look], rows: Rows) -> list[Finding]:
        """The copies; only texts that may have one are read."""
        import numpy as np

        if len(rows) == 0:
            return []
        order = preference(rows.splits, len(rows))
        first = originals(looks, order)
        distinct = order[first[order] == order]
        near = matched(looks, rows, distinct, short=self.short, long=self.long)
        others, similarities = np.full(len(rows), -1), np.zeros(len(rows))
        others[distinct], similarities[distinct] = near.rows, near.similarities
        findings = []
        for row in np.flatnonzero((others[first] >= 0) | (first != np.arange(len(rows)))).tolist():
            original = int(first[row])
            if (other := int(others[original])) >= 0:
                evidence = f"nearly the same as row {other} (similarity {similarities[original]:.2f})"
                findings.append(Finding(row, NEAR_COPY, evidence))
            else:
                findings.append(Finding(row, EXACT, f"the same as row {original}"))
        return findings
