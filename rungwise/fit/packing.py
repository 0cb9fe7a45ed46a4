"""Documents of unequal length in rows of one length, so that next to nothing that is computed is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import MissingExtra, UsageError
from rungwise.fit.finetune import batches_by_length

if TYPE_CHECKING:
    from torch import Tensor

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

IGNORED = -100
"""The target of a place that has no loss (`ignore_index` of torch's cross-entropy)."""

PADDING = -1
"""The document number of a place that holds no token."""


@dataclass(frozen=True)
class Document:
    """The tokens of one text (T,) and which of them (T,) are to be learned from those before them."""

    ids: Numbers
    learned: Flags

    @classmethod
    def of(cls, ids: Sequence[int] | Numbers, learned: Sequence[bool] | Flags | None = None) -> Document:
        """A document whose tokens are all learned unless told otherwise."""
        own = np.asarray(ids, dtype=np.int64)
        return cls(own, np.ones(len(own), bool) if learned is None else np.asarray(learned, dtype=bool))

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Packed:
    """Rows of tokens, all (R, T).

    `targets` holds the next token where it is to be learned, else IGNORED; `documents` the number of the document that a
    token is of, else PADDING; `positions` count from 0 in every document. `alone` says that no row holds two documents.
    """

    ids: Numbers
    targets: Numbers
    documents: Numbers
    positions: Numbers
    alone: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        """Tokens that are not padding."""
        return int((self.documents != PADDING).sum())

    @property
    def learned(self) -> int:
        """Tokens that have a loss."""
        return int((self.targets != IGNORED).sum())

    @property
    def fill(self) -> float:
        """The share of places that hold a token."""
        return self.tokens / max(1, self.ids.size)

    def rows(self, chosen: Sequence[int] | Numbers) -> Packed:
        """Some of the rows, without the columns at their end that are padding in all of them."""
        own = np.asarray(chosen, dtype=np.int64)
        used = (self.documents[own] != PADDING).any(axis=0)
        width = int(np.flatnonzero(used)[-1]) + 1 if used.any() else 1
        parts = (self.ids, self.targets, self.documents, self.positions)
        ids, targets, documents, positions = (part[own, :width] for part in parts)
        return Packed(ids, targets, documents, positions, self.alone)


@dataclass(frozen=True)
class Fitting:
    """Documents that fit into rows, the numbers of the documents that they were, and what became of the longer ones."""

    documents: list[Document]
    sources: list[int]
    left_out: int = 0
    split: int = 0


def fitted_to(
    documents: Sequence[Document], row_tokens: int, *, longer: Literal["leave_out", "split"] = "leave_out", overlap: int = 0
) -> Fitting:
    """The documents with none longer than `row_tokens`: longer ones are left out, or split into consecutive pieces.

    Each piece after the first begins with the last `overlap` tokens of the one before, which it sees and does not learn
    again; without an overlap the first token of a piece is seen and not learned. Both kinds are counted, for the caller to tell.
    Raises UsageError when the overlap leaves no room for more.
    """
    if not 0 <= overlap < row_tokens:
        raise UsageError(f"an overlap of {overlap} tokens does not fit rows of {row_tokens}. Give one from 0 to {row_tokens - 1}")
    kept: list[Document] = []
    sources: list[int] = []
    left_out = split = 0
    for number, one in enumerate(documents):
        if len(one) <= row_tokens:
            kept.append(one)
            sources.append(number)
        elif longer == "leave_out":
            left_out += 1
        else:
            pieces = _pieces(one, row_tokens, overlap)
            kept += pieces
            sources += [number] * len(pieces)
            split += 1
    return Fitting(kept, sources, left_out, split)


def pack(documents: Sequence[Document], row_tokens: int) -> Packed:
    """The documents in as few rows of `row_tokens` as best-fit decreasing finds; every token is in exactly one row.

    Longest first, each goes into the fullest row that still has room (Johnson 1974; for texts: Ding et al. 2024, arXiv
    2404.10830), equal lengths in the order given. The numbers of `documents` are the places in the argument.
    Raises UsageError when one is longer than a row: see `fitted_to`.
    """
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(row_tokens + 1)]
    rooms = 0  # bit n is set when some row has room for exactly n tokens more
    for number in sorted(range(len(documents)), key=lambda one: -len(documents[one])):
        size = len(documents[number])
        if size > row_tokens:
            raise UsageError(f"a text of {size} tokens does not fit a row of {row_tokens}. Use longer rows, or leave it out")
        if size == 0:
            continue
        if fits := rooms >> size:
            room = size + (fits & -fits).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                rooms &= ~(1 << room)
        else:
            room, row = row_tokens, len(rows)
            rows.append([])
        rows[row].append(number)
        if left := room - size:
            by_room[left].append(row)
            rooms |= 1 << left
    return _laid_out(documents, rows, row_tokens, alone=False)


def one_to_a_row(documents: Sequence[Document], numbers: Sequence[int] | Numbers | None = None) -> Packed:
    """Each document in a row of its own, padded to the longest: what a bucket of like lengths is."""
    chosen = list(range(len(documents))) if numbers is None else [int(one) for one in numbers]
    width = max((len(documents[one]) for one in chosen), default=1)
    return _laid_out(documents, [[one] for one in chosen], max(1, width), alone=True)


def packed_batches(packed: Packed, rng: np.random.Generator, *, batch_tokens: int) -> list[Packed]:
    """The rows in random order, as many to a batch as hold `batch_tokens` places, one at least."""
    size = max(1, batch_tokens // packed.ids.shape[1])
    order = rng.permutation(len(packed))
    return [packed.rows(order[start : start + size]) for start in range(0, len(order), size)]


def bucketed_batches(documents: Sequence[Document], rng: np.random.Generator, *, batch_tokens: int) -> list[Packed]:
    """The documents one to a row in batches of like length, at most `batch_tokens` padded tokens each."""
    lengths = [len(one) for one in documents]
    return [one_to_a_row(documents, rows) for rows in batches_by_length(lengths, rng, tokens=batch_tokens)]


def document_mask(documents: Tensor) -> Tensor:
    """Who sees whom, (B, 1, T, T) bool, from document numbers (B, T): a token sees itself and those before it of its own document.

    Padding sees padding, so that no row of the attention is empty, whose softmax would not be a number.
    """
    torch = _torch()
    same = documents[:, None, :, None] == documents[:, None, None, :]
    size = documents.shape[1]
    seen: Tensor = same & torch.ones(size, size, dtype=torch.bool, device=documents.device).tril()
    return seen


def _pieces(document: Document, size: int, overlap: int) -> list[Document]:
    pieces = [Document(document.ids[:size], document.learned[:size])]
    end = size
    while end < len(document):
        begin = end - overlap
        learned = document.learned[begin : begin + size].copy()
        learned[:overlap] = False
        pieces.append(Document(document.ids[begin : begin + size], learned))
        end = begin + size
    return pieces


def _laid_out(documents: Sequence[Document], rows: Sequence[Sequence[int]], width: int, *, alone: bool) -> Packed:
    shape = (len(rows), width)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    targets, numbers = np.full(shape, IGNORED, np.int64), np.full(shape, PADDING, np.int64)
    for row, own in enumerate(rows):
        begin = 0
        for number in own:
            one = documents[number]
            end = begin + len(one)
            ids[row, begin:end] = one.ids
            targets[row, begin : end - 1] = np.where(one.learned[1:], one.ids[1:], IGNORED)
            numbers[row, begin:end] = number
            positions[row, begin:end] = np.arange(len(one))
            begin = end
    return Packed(ids, targets, numbers, positions, alone)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("training a language model", "local") from error
    return torch
