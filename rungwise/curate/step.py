"""The shape of a curation step: what a batch of texts shows, and what that means for each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from numpy.typing import NDArray

Look: TypeAlias = "Mapping[str, NDArray[Any]]"
"""What one batch shows, as named arrays: kept as safetensors, so that a batch is looked at once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a row is set aside: a code of the step (`quality:too_few_words`) and the evidence in a few words for people.

    `row` counts from 0 over all rows of the version. The evidence never holds a secret or a person's data.
    """

    row: int
    reason: str
    evidence: str


class Rows(Protocol):
    """The rows that a step decides on. Texts are read from disk: ask for few."""

    @property
    def splits(self) -> Sequence[str]:
        """The split of each row; empty where the data has no splits."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """The label of each row; empty where the data has none."""
        ...

    def __len__(self) -> int: ...

    def texts(self, rows: Sequence[int]) -> list[str]:
        """The texts of these rows, in the order asked for."""
        ...

    def all_texts(self) -> Iterator[Sequence[str]]:
        """Every text, in order, in batches of bounded size; to be used by steps that cannot do without."""
        ...


class Step(Protocol):
    """A curation step. A frozen dataclass whose fields are its settings, so that it can be recorded, sent and run anywhere.

    `look` sees one batch and depends on nothing else, so that batches can be looked at in any order, in any process, and
    once for all versions that share them. `decide` sees all looks in the order of the rows. Same rows, same settings:
    same findings, however the rows were cut into batches.
    """

    @property
    def name(self) -> str:
        """One word."""
        ...

    @property
    def edition(self) -> int:
        """Raised whenever `look` would give something else for the same text and settings."""
        ...

    def look(self, texts: Sequence[str]) -> Look:
        """What these texts show, one entry (or a range of entries) per text."""
        ...

    def decide(self, looks: Sequence[Look], rows: Rows) -> list[Finding]:
        """The rows to set aside, ascending, each at most once."""
        ...


@runtime_checkable
class Rewriter(Protocol):
    """A step that may also change texts, as masking does."""

    @property
    def rewrites(self) -> bool:
        """Whether it does, with its settings."""
        ...

    def rewrite(self, texts: Sequence[str], look: Look) -> list[str]:
        """The texts of a batch as they are to be, from what `look` saw in them."""
        ...
