"""What is learned from and measured on: immutable rows, and which split each belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from rungwise.core.content import Request
from rungwise.core.record import digest

TRAIN, DEV, SEALED = "train", "dev", "sealed"
SPLITS = (TRAIN, DEV, SEALED)


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row: what is asked and what the answer should be.

    `references` holds the label (classify), all labels (multi-label) or every
    acceptable answer (answer). `group` is the unit that must not be split (a
    customer, a conversation, a document); `fields` are further columns, for
    fairness groups and slices. `key` is the user's own id, kept but not part of
    the content.
    """

    text: str
    references: tuple[str, ...] = ()
    passage: str | None = None
    group: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None

    @cached_property
    def id(self) -> str:
        """SHA-256 of the content: input, references, group and fields, without the user's key."""
        return digest([self.text, self.references, self.passage, self.group, dict(self.fields)])

    @cached_property
    def input_id(self) -> str:
        """SHA-256 of the input alone. The sealed ledger is kept by it, so that a corrected label is still the same row."""
        return digest([self.text, self.passage])

    @property
    def label(self) -> str:
        """The single reference; the first where there are several, '' where there is none."""
        return self.references[0] if self.references else ""

    @property
    def request(self) -> Request:
        """The row as a question, without its answer."""
        return Request.of(self.text, passage=self.passage)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Immutable rows with their splits. `splits[i]` is the split of `rows[i]`; `salt` is what the splits were drawn with."""

    rows: tuple[Example, ...]
    splits: tuple[str, ...]
    salt: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.splits):
            raise ValueError(f"{len(self.rows)} rows but {len(self.splits)} splits")

    @cached_property
    def id(self) -> str:
        """SHA-256 of the row ids and their splits, in order."""
        return digest([[row.id for row in self.rows], self.splits])

    def part(self, split: str) -> tuple[Example, ...]:
        """The rows of one split, in order."""
        return tuple(row for row, own in zip(self.rows, self.splits, strict=True) if own == split)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All reference values, sorted."""
        return tuple(sorted({label for row in self.rows for label in row.references}))
