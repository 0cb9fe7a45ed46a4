"""A re-climb is judged on what users ask now: where enough of it was reviewed, older rows are for training and memory only."""

from __future__ import annotations

import dataclasses

from rungwise.core.dataset import DEV, SEALED, TRAIN, Dataset
from rungwise.data.importing import Imported
from rungwise.data.splits import is_fresh

FEWEST_SEALED, FEWEST_DEV = 100, 40
"""From so many fresh rows on they judge alone. 100 sealed rows show a lead of ten points over a target of 0.8 in most climbs."""


def of_present(imported: Imported) -> Imported:
    """The rows with only those from a random draw of traffic for dev and sealed; as they are while there are too few of them.

    On older rows a candidate may keep a target that it misses on the questions of today, and the other way round. They
    are left out and not learned from: a later climb may want to hold them against what was learned.
    """
    dataset = imported.dataset
    fresh = [is_fresh(row.fields) for row in dataset.rows]
    sizes = {part: sum(new and own == part for new, own in zip(fresh, dataset.splits, strict=True)) for part in (SEALED, DEV)}
    if sizes[SEALED] < FEWEST_SEALED or sizes[DEV] < FEWEST_DEV:
        return imported
    kept = [place for place, own in enumerate(dataset.splits) if own == TRAIN or fresh[place]]
    present = Dataset(
        rows=tuple(dataset.rows[place] for place in kept),
        splits=tuple(dataset.splits[place] for place in kept),
        salt=dataset.salt,
        source=dataset.source,
    )
    return dataclasses.replace(
        imported,
        dataset=present,
        places=tuple(imported.places[place] for place in kept),
        records=tuple(imported.records[place] for place in kept) if imported.records else (),
    )
