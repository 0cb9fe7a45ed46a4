"""Pairs of answers that an alignment may learn from: none whose question is to prove something."""

from __future__ import annotations

from dataclasses import replace

from rungwise.core.dataset import DEV, SEALED, Dataset
from rungwise.curate.shingles import normalise
from rungwise.data.datasets import Splits
from rungwise.fit.preference_rows import PreferenceFile
from rungwise.fit.preferences import Preferences


def unproving(pairs: Preferences, splits: Splits, dataset: Dataset) -> Preferences:
    """The pairs whose prompt is no question of the dev or the sealed rows, as they are normalised for finding copies."""
    proving = {normalise(row.text) for row, split in zip(dataset.rows, dataset.splits, strict=True) if split in (DEV, SEALED)}
    return replace(pairs, pairs=tuple(one for one in pairs.pairs if normalise(one.prompt) not in proving), contradictions=())


def told_of_pairs(found: PreferenceFile, kept: Preferences) -> tuple[str, ...]:
    """What was left out of a file of preferences, in sentences."""
    away = len(found.preferences.pairs) - len(kept.pairs)
    told = []
    if found.quarantine:
        first = found.quarantine[0]
        told.append(f"{len(found.quarantine):,} rows of preferences were set aside. The first: {first.place}: {first.reason}")
    if found.preferences.left_out:
        told.append(f"{found.preferences.left_out:,} pairs of answers say nothing: ties, equal or empty answers")
    if away:
        told.append(f"{away:,} pairs of answers are to questions of the dev or sealed rows: they are not learned from")
    return tuple(told)
