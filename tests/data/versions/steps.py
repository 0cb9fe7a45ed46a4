"""Curation steps that tests can tell the findings of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rungwise.curate.step import Finding, Look, Rows


@dataclass(frozen=True)
class SetAside:
    """A step that sets aside the texts that hold a word."""

    word: str
    name: str = "quality"
    edition: int = 1

    def look(self, texts: Sequence[str]) -> Look:
        return {"holds": np.array([self.word in text for text in texts])}

    def decide(self, looks: Sequence[Look], rows: Rows) -> list[Finding]:
        found = np.concatenate([look["holds"] for look in looks])
        return [Finding(int(i), "quality:word", "holds the word") for i in np.flatnonzero(found)]
