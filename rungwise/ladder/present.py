"""A re-climb is judged on what users ask now: where enough of it was reviewed, older rows are for training and memory only."""

from __future__ import annotations

import dataclasses

from rungwise.core.dataset import DEV, SEALED, TRAIN, Dataset
from rungwise.core.reading import DAY_S
from rungwise.core.trace import began_at
from rungwise.data.importing import Imported
from rungwise.data.splits import FROM_TRACE, is_fresh

FEWEST_SEALED, FEWEST_DEV = 100, 40
"""From so many fresh rows on they judge alone. 100 sealed rows show a lead of ten points over a target of 0.8 in most climbs."""
PRESENT_DAYS = 14.0
"""What was asked in these last days is the present; it reaches further back where that is needed for the fewest rows. Over whole
months what users asked before a change would outweigh what they ask since."""


def of_present(imported: Imported) -> Imported:
    """The rows with only the latest of those from a random draw of traffic for dev and sealed; as they are where those are too few.

    On older rows a candidate may keep a target that it misses on the questions of today, and the other way round. They
    are left out and not learned from: a later climb may want to hold them against what was learned.
    """
    dataset = imported.dataset
    since = _since(dataset)
    if since is None:
        return imported
    kept = [
        place
        for place, (row, own) in enumerate(zip(dataset.rows, dataset.splits, strict=True))
        if own == TRAIN or (is_fresh(row.fields) and began_at(str(row.fields[FROM_TRACE])) >= since)
    ]
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


def _since(dataset: Dataset) -> float | None:
    """From when on what was asked is the present, in seconds since 1970; None where too few fresh rows are there."""
    asked: dict[str, list[float]] = {SEALED: [], DEV: []}
    for row, own in zip(dataset.rows, dataset.splits, strict=True):
        if own in asked and is_fresh(row.fields):
            asked[own].append(began_at(str(row.fields[FROM_TRACE])))
    sealed, dev = sorted(asked[SEALED], reverse=True), sorted(asked[DEV], reverse=True)
    if len(sealed) < FEWEST_SEALED or len(dev) < FEWEST_DEV:
        return None
    return min(max(sealed[0], dev[0]) - PRESENT_DAYS * DAY_S, sealed[FEWEST_SEALED - 1], dev[FEWEST_DEV - 1])
