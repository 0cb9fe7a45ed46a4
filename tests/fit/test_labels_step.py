"""The step `labels`: only training rows are set aside, and rows without a label say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from terminal import ticket_rows

from rungwise.core.dataset import DEV, SEALED, TRAIN
from rungwise.fit.labels import Labels


@dataclass
class Held:
    """Rows in memory."""

    held: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]

    def __len__(self) -> int:
        return len(self.held)

    def texts(self, rows: Sequence[int]) -> list[str]:
        return [self.held[row] for row in rows]

    def all_texts(self) -> Iterator[Sequence[str]]:
        yield self.held[:100]
        yield self.held[100:]


def tickets() -> tuple[list[str], list[str], list[str]]:
    rows = ticket_rows(80)
    splits = [(TRAIN, TRAIN, TRAIN, DEV, SEALED)[i % 5] for i in range(len(rows))]
    return [row["message"] for row in rows], [row["intent"] for row in rows], splits


def test_flipped_labels_of_training_rows_are_set_aside_and_no_others() -> None:
    texts, labels, splits = tickets()
    flipped = set(range(0, len(texts), 12))
    names = sorted(set(labels))
    given = [names[(names.index(label) + 2) % len(names)] if row in flipped else label for row, label in enumerate(labels)]
    step = Labels()
    found = step.decide([step.look(texts)], Held(texts, given, splits))
    rows = {finding.row for finding in found if finding.reason == "labels:likely_wrong"}
    assert {splits[finding.row] for finding in found} == {TRAIN}
    wanted = {row for row in flipped if splits[row] == TRAIN}
    assert len(rows & wanted) >= 0.5 * len(wanted)
    assert len(rows & wanted) >= 0.8 * len(rows)
    assert [finding.row for finding in found] == sorted({finding.row for finding in found})


def test_rows_without_a_label_are_left_alone() -> None:
    texts, labels, splits = tickets()
    missing = set(range(0, len(texts), 3))
    given = ["" if row in missing else label for row, label in enumerate(labels)]
    step = Labels()
    found = step.decide([step.look(texts)], Held(texts, given, splits))
    assert not {finding.row for finding in found} & missing
