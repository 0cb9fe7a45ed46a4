"""Labelled texts as a classifier learns them: checked, tokenised, the truth as a matrix, some held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit, UnknownName
from rungwise.engines.fitted.token_ids import TokenIds
from rungwise.fit.linear import label_names
from rungwise.fit.svm import by_label

Row = tuple[str, tuple[str, ...]]
"""A text and its labels; of several, a single-label classifier learns the first."""

Rows = NDArray[np.int64]

LEAST_LABELS = 2
FEWEST_HELD = 100
"""Rows that calibrate, where there are five times as many: the standard error of an error of 5 % is then 2 points."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows ready to be learned: token ids, the truth (n, labels) as 0 and 1, and which rows teach and which are held out.

    `cut` counts the rows that had more tokens than there was room for.
    """

    labels: tuple[str, ...]
    ids: list[list[int]]
    truth: NDArray[np.float32]
    kept: Rows
    held: Rows
    cut: int

    @property
    def lengths(self) -> Rows:
        """Tokens of every row."""
        return np.array([len(one) for one in self.ids], dtype=np.int64)


def labels_of(rows: Sequence[Row], labels: Sequence[str] | None, *, multi_label: bool) -> tuple[str, ...]:
    """The labels to learn: those that are given, which must be all that occur, else those that occur, sorted.

    Raises CannotFit without rows, for a row without text or label, and for fewer than two labels (one, where a row may have
    none); UnknownName for a label that is not among the given ones.
    """
    if not rows:
        raise CannotFit("a classifier learns from rows, and there are none. Add labelled rows")
    for place, (text, names) in enumerate(rows):
        if not text.strip():
            raise CannotFit(f"row {place + 1} has no text. Take it out of the training rows")
        if not names and not multi_label:
            raise CannotFit(f"row {place + 1} ({text[:40]!r}) has no label. Label it, or take it out of the training rows")
    found = label_names(_names(rows, multi_label=multi_label))
    if labels is not None:
        if unknown := sorted(set(found) - set(labels)):
            raise UnknownName("label", unknown[0], labels, where="the label set of this use case, which has changed")
        found = tuple(labels)
    occurring = {name for names in _names(rows, multi_label=multi_label) for name in names}
    if len(occurring) < (1 if multi_label else LEAST_LABELS):
        raise CannotFit(f"all rows have the same label ({', '.join(sorted(occurring)) or 'none'}). Add rows of another label")
    return found


def labelled(
    rows: Sequence[Row], labels: tuple[str, ...], tokens: TokenIds, *, multi_label: bool, held_out: float, seed: int
) -> Labelled:
    """Tokenise rows and set about the share `held_out` aside.

    At least 100 are held out where that is no more than a fifth of them. The first row of each label (in a seeded order) is
    never held out, so that none is unknown to the training, nor is a text that teaches too.
    """
    encoded = tokens([text for text, _ in rows])
    names = _names(rows, multi_label=multi_label)
    truth = np.zeros((len(rows), len(labels)), dtype=np.float32)
    for column, own in enumerate(by_label(names, labels)):
        truth[own, column] = 1.0
    held = _held([text for text, _ in rows], names, share=held_out, seed=seed)
    kept = np.setdiff1d(np.arange(len(rows)), held)
    return Labelled(labels, encoded.ids, truth, kept, held, encoded.cut)


def _held(texts: Sequence[str], names: Sequence[Sequence[str]], *, share: float, seed: int) -> Rows:
    """The rows that are held out, in order."""
    count = min(len(texts) // 5, max(FEWEST_HELD, round(share * len(texts)))) if share > 0 else 0
    met: set[str] = set()
    free = []
    order = np.random.default_rng(seed).permutation(len(texts))
    for row in order:
        if set(names[row]) - met:
            met |= set(names[row])
        else:
            free.append(int(row))
    chosen = set(free[:count])
    taught = {texts[row] for row in order if int(row) not in chosen}
    return np.array(sorted(row for row in chosen if texts[row] not in taught), dtype=np.int64)


def _names(rows: Sequence[Row], *, multi_label: bool) -> list[tuple[str, ...]]:
    return [tuple(names) if multi_label else tuple(names[:1]) for _, names in rows]
