"""Datasets at rest, and the one door to their sealed rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rungwise.core.dataset import DEV, SEALED, SPLITS, TRAIN, Dataset, Example
from rungwise.core.errors import StoreError
from rungwise.core.record import canonical_json, digest, from_plain, to_plain
from rungwise.data.ledger import Nomination
from rungwise.data.store import Store


class Sealed:
    """The sealed rows behind a door: counts, labels and group ids are open, the rows only to a committed nomination."""

    def __init__(self, rows: Sequence[Example]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def id(self) -> str:
        """SHA-256 of the row ids, in order."""
        return digest([row.id for row in self._rows])

    @property
    def input_ids(self) -> tuple[str, ...]:
        """What the ledger keeps."""
        return tuple(row.input_id for row in self._rows)

    @property
    def units(self) -> int:
        """How many independent units there are: groups where rows share one, else rows."""
        named = [row.group for row in self._rows if row.group is not None]
        return len(set(named)) + len(self._rows) - len(named)

    def open(self, nomination: Nomination) -> tuple[Example, ...]:
        """The rows, for a nomination that was committed and has no result yet. Raises StoreError for any other."""
        if nomination.candidate is None or nomination.k < 1 or nomination.result is not None:
            raise StoreError("sealed rows open only to a committed nomination without a result")
        return self._rows


@dataclass(frozen=True)
class Splits:
    """A dataset as the climb sees it: two open parts and a sealed one."""

    dataset: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    sealed: Sealed
    labels: tuple[str, ...]
    version: str | None = None

    @classmethod
    def of(cls, dataset: Dataset, *, version: str | None = None) -> Splits:
        """The three parts, and the version of the data that they were read from.

        `labels` are those of train and dev: a label that only sealed rows carry is not given away.
        """
        train, dev = dataset.part(TRAIN), dataset.part(DEV)
        labels = tuple(sorted({label for row in (*train, *dev) for label in row.references}))
        return cls(dataset.id, train, dev, Sealed(dataset.part(SEALED)), labels, version)

    @cached_property
    def train_id(self) -> str:
        """SHA-256 of the training row ids, in order: the input of everything fitted."""
        return digest([row.id for row in self.train])


def keep_dataset(store: Store, dataset: Dataset, *, version: str | None = None, records: Sequence[str] = ()) -> str:
    """Keep the rows (each once) and their place in the dataset, in one transaction; give its id.

    `version` is the version of the data that it was read from, and `records[i]` the record behind row i.
    """
    from sqlalchemy import select

    from rungwise.data.dialect import insert
    from rungwise.data.schema import edges, members, nouns, rows

    made_from = [{"child": dataset.id, "parent": version, "role": "version"}] if version else []
    with store.read() as connection:
        known = connection.execute(select(nouns.c.id).where(nouns.c.id == dataset.id)).first()
    if known:
        if made_from:  # the same rows may come from several versions
            with store.write() as connection:
                connection.execute(insert(connection, edges).on_conflict_do_nothing(), made_from)
        return dataset.id
    head = {"salt": dataset.salt, "source": dataset.source, "rows": len(dataset.rows), "splits": dict(Counter(dataset.splits))}
    bodies = [{"id": row.id, "input_id": row.input_id, "body": canonical_json(to_plain(row))} for row in dataset.rows]
    places = [
        {"dataset": dataset.id, "position": i, "row": row.id, "split": split, "record": records[i] if records else None}
        for i, (row, split) in enumerate(zip(dataset.rows, dataset.splits, strict=True))
    ]
    with store.write() as connection:
        connection.execute(insert(connection, rows).on_conflict_do_nothing(), bodies)
        connection.execute(insert(connection, members).on_conflict_do_nothing(), places)  # another command may have kept it by now
        values = {"id": dataset.id, "kind": "Dataset", "body": canonical_json(head), "at": store.clock.now()}
        connection.execute(insert(connection, nouns).values(**values).on_conflict_do_nothing())
        if made_from:
            connection.execute(insert(connection, edges).on_conflict_do_nothing(), made_from)
    return dataset.id


def load_dataset(store: Store, id: str) -> Dataset:
    """A kept dataset. Raises StoreError when it is not there."""
    from sqlalchemy import select

    from rungwise.data.schema import members, nouns, rows

    with store.read() as connection:
        head = connection.execute(select(nouns.c.body).where(nouns.c.id == id)).scalar()
        if head is None:
            raise StoreError(f"there is no dataset {id[:12]} in {store.directory}. Run the climb again")
        query = (
            select(rows.c.body, members.c.split)
            .select_from(members.join(rows, members.c.row == rows.c.id))
            .where(members.c.dataset == id)
            .order_by(members.c.position)
        )
        found = connection.execute(query).all()
    about = json.loads(head)
    examples = tuple(from_plain(Example, json.loads(row.body)) for row in found)
    return Dataset(rows=examples, splits=tuple(row.split for row in found), salt=about["salt"], source=about["source"])


__all__ = ["SPLITS", "Sealed", "Splits", "keep_dataset", "load_dataset"]
