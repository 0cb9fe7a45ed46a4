"""What a candidate answered on many rows, in the arrays that every metric is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Citation, Passage, Response, Scores
from rungwise.core.dataset import Example

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answers:
    """Everything that a metric may look at, as it is stored: no metric ever needs to run anything.

    `texts[i]` is the answer to row i; for several labels, one label a line.
    `confidences` is empty or as long as `texts`; None is a row without one.
    `probabilities` is (rows, labels) float32, its columns named by `labels`.
    `passages` and `citations` are empty or as long as `texts`: what each answer was given to rest on, and what it cites.
    """

    texts: tuple[str, ...]
    confidences: tuple[float | None, ...] = ()
    labels: tuple[str, ...] = ()
    probabilities: NDArray[np.float32] | None = None
    passages: tuple[tuple[Passage, ...], ...] = ()
    citations: tuple[tuple[Citation, ...], ...] = ()

    def __post_init__(self) -> None:
        for name, rows in (("lists of passages", self.passages), ("lists of citations", self.citations)):
            if rows and len(rows) != len(self.texts):
                raise ValueError(f"{len(self.texts)} answers but {len(rows)} {name}")
        if self.confidences and len(self.confidences) != len(self.texts):
            raise ValueError(f"{len(self.texts)} answers but {len(self.confidences)} confidences")
        if self.probabilities is not None and self.probabilities.shape != (len(self.texts), len(self.labels)):
            wanted = (len(self.texts), len(self.labels))
            raise ValueError(f"probabilities have the shape {self.probabilities.shape}, not (rows, labels) = {wanted}")

    @classmethod
    def of(cls, responses: Sequence[Response]) -> Answers:
        """Gather whole answers. Probabilities are kept when every answer has them for the same labels."""
        confidences = tuple(response.confidence for response in responses)
        scores = [response.scores for response in responses]
        labels = scores[0].labels if scores and scores[0] is not None else ()
        rested = any(response.passages or response.citations for response in responses)
        complete = bool(labels) and all(one is not None and one.labels == labels for one in scores)
        return cls(
            texts=tuple(response.text for response in responses),
            confidences=confidences if any(one is not None for one in confidences) else (),
            labels=labels if complete else (),
            probabilities=np.asarray([one.values for one in scores if one is not None], dtype=np.float32) if complete else None,
            passages=tuple(response.passages for response in responses) if rested else (),
            citations=tuple(response.citations for response in responses) if rested else (),
        )

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | IntArray) -> Answers:
        """The same for some of the rows, in the order given."""
        picked = [int(row) for row in rows]
        return Answers(
            texts=tuple(self.texts[row] for row in picked),
            confidences=tuple(self.confidences[row] for row in picked) if self.confidences else (),
            labels=self.labels,
            probabilities=self.probabilities[picked] if self.probabilities is not None else None,
            passages=tuple(self.passages[row] for row in picked) if self.passages else (),
            citations=tuple(self.citations[row] for row in picked) if self.citations else (),
        )

    def response(self, row: int) -> Response:
        """Row `row` as a whole answer again."""
        scores = Scores(self.labels, self.probabilities[row].tolist()) if self.probabilities is not None else None
        return Response(
            self.texts[row],
            scores=scores,
            confidence=self.confidences[row] if self.confidences else None,
            passages=self.passages[row] if self.passages else (),
            citations=self.citations[row] if self.citations else (),
        )


def unit_codes(examples: Sequence[Example]) -> tuple[IntArray, bool]:
    """Which independent unit each row belongs to, as (rows,) codes from 0, and whether any unit has several rows.

    Rows that share `Example.group` are one unit; a row without a group is its own.
    """
    seen: dict[str, int] = {}
    codes = np.empty(len(examples), dtype=np.int64)
    count = 0
    for row, example in enumerate(examples):
        if example.group is not None and example.group in seen:
            codes[row] = seen[example.group]
            continue
        if example.group is not None:
            seen[example.group] = count
        codes[row] = count
        count += 1
    return codes, count < len(examples)


def unit_means(values: FloatArray, codes: IntArray) -> FloatArray:
    """The mean of `values` (rows,) in each unit of `codes` (rows,), in the order of the codes that occur."""
    _, compact = np.unique(codes, return_inverse=True)
    sums = np.bincount(compact, weights=values)
    return np.asarray(sums / np.bincount(compact), dtype=np.float64)
