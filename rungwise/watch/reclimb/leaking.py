"""Rows that came from production and give a sealed row away."""

from __future__ import annotations

from rungwise.core.dataset import SEALED, Dataset
from rungwise.core.usecase import UseCase
from rungwise.curate.leaks import NEAR
from rungwise.curate.shingles import near_pairs, normalise
from rungwise.data.splits import FROM_TRACE
from rungwise.data.store import Store
from rungwise.data.versions.dataset import read_version


def leaking_traces(store: Store, case: UseCase) -> frozenset[str]:
    """The traces of the rows of a project's data that must go for its sealed rows to stay unseen."""
    return leaking(read_version(store, case).dataset)


def leaking(dataset: Dataset) -> frozenset[str]:
    """The traces of rows that are the same or nearly the same as a row on the other side of the seal.

    Of an open and a sealed row that are alike the one that came from production goes; of two that did, the open one.
    Alike is what a climb calls so (`curate/leaks.py`).
    """
    rows = dataset.rows
    sealed = [i for i, split in enumerate(dataset.splits) if split == SEALED]
    open_ = [i for i, split in enumerate(dataset.splits) if split != SEALED]
    gone: set[str] = set()
    for i, j in _alike(dataset, sealed, open_):
        own = rows[j].fields.get(FROM_TRACE) or rows[i].fields.get(FROM_TRACE)
        if own:
            gone.add(str(own))
    return frozenset(gone)


def _alike(dataset: Dataset, sealed: list[int], open_: list[int]) -> list[tuple[int, int]]:
    """(sealed row, open row) of each pair that is alike."""
    texts = [normalise(row.text) for row in dataset.rows]
    passages: dict[str, int] = {}
    kinds = [passages.setdefault(normalise(row.passage or ""), len(passages)) for row in dataset.rows]
    return [(i, j) for i, j, _ in near_pairs(texts, sealed, open_, threshold=NEAR, kinds=kinds, once=False)]
