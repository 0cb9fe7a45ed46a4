"""Which rows are for training, which for development and which stay sealed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from rungwise.core.dataset import DEV, SEALED, SPLITS, TRAIN, Example
from rungwise.core.errors import BadData
from rungwise.curate.shingles import normalise

SHARES = {TRAIN: 0.60, DEV: 0.15, SEALED: 0.25}
"""The default proportions."""

SALT_SETTING = "salt"
"""The project's setting that holds the salt of its first import, so that rows which come later never move earlier ones."""

SYNTHETIC = "synthetic"
"""The field that says how a row was made up ("cloze", "model"). Such a row teaches, and may be measured on, but proves nothing."""

FROM_TRACE = "from_trace"
"""The field that names the trace that a row was made of: feedback on answers. People judge what they notice, mistakes above all,
so such rows are no fair sample, and are treated as made up ones are."""

DRAWN = "drawn"
"""The field that says how the trace of a row was chosen. Those that were drawn by chance (RANDOM) and then judged are a fair sample
of the traffic: they may be sealed, which is how a ledger that is spent is renewed."""

RANDOM = "random"

FRESH_SHARES = (0.2, 0.3, 0.5)
"""Shares of train, dev and sealed among rows that were drawn by chance: what proves is scarcer than what teaches."""

UNPROVING = (SYNTHETIC, FROM_TRACE)
"""The fields of rows that are never sealed, but for those that `is_fresh` names."""

NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("dev", "valid", "validation", "val", "development"), DEV),
    **dict.fromkeys(("test", "testing", "sealed", "holdout", "hold-out", "held-out", "heldout"), SEALED),
}
"""What people call the splits, in lower case."""


def is_split(name: str) -> bool:
    """Whether it is a name that people give to a split."""
    return _plain(name) in NAMES


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def split_named(name: str | None, *, place: str = "") -> str:
    """The split that a cell names. Raises BadData naming the place when it names none."""
    found = NAMES.get(_plain(name or ""))
    if found is None:
        what = f"'{name}' is not the name of a split" if name else "the split is not given"
        raise BadData(f"{what}.", where=place, hint="Use train, dev or test in every row, or leave the column out")
    return found


def unit_of(row: Example) -> str:
    """What must not be split: the row's group, else its content (text and passage, without case, signs and spacing).

    So neither a group nor two copies of a row can ever stand on both sides.
    """
    if row.group is not None:
        return f"group\0{row.group}"
    return f"content\0{normalise(row.text)}\0{normalise(row.passage or '')}"


def draw_split(unit: str, salt: str, shares: tuple[float, float, float] | None = None) -> str:
    """The split of a unit: its SHA-256 with the salt, as a number in [0, 1), falls into one of the `shares` (train, dev, sealed).

    It depends on nothing else, so that rows that come later never move earlier ones.
    """
    train, dev, sealed = shares or tuple(SHARES.values())
    digest = hashlib.sha256(f"{salt}\0{unit}".encode("utf-8", "surrogatepass")).digest()
    number = int.from_bytes(digest[:8], "big") / 2**64 * (train + dev + sealed)
    if number < train:
        return TRAIN
    return DEV if number < train + dev else SEALED


def draw_splits(rows: Sequence[Example], salt: str) -> tuple[str, ...]:
    """A split for every row, drawn."""
    return tuple(_open_if_made_up(row, draw_split(unit_of(row), salt)) for row in rows)


def _open_if_made_up(row: Example, split: str) -> str:
    """The split; a row that was made up, or comes from feedback, is for dev where it would be sealed: it proves nothing."""
    return DEV if split == SEALED and proves_nothing(row.fields) else split


def proves_nothing(fields: Mapping[str, object]) -> bool:
    """Whether a row with these fields, or cells, was made up, or comes from feedback on answers that chance did not choose."""
    if is_fresh(fields):
        return fields.get(SYNTHETIC) not in (None, "")
    return any(fields.get(name) not in (None, "") for name in UNPROVING)


def is_fresh(fields: Mapping[str, object]) -> bool:
    """Whether a row with these fields, or cells, comes from traffic by a random draw."""
    return fields.get(FROM_TRACE) not in (None, "") and fields.get(DRAWN) == RANDOM


def fill_splits(rows: Iterable[Example], given: Sequence[str], salt: str, *, later: Collection[int] = ()) -> tuple[str, ...]:
    """The given splits; a row without one ('') is drawn one. `rows` are read once.

    Where every row has one but none is for dev, or none sealed, that part is drawn from the training rows, in the default
    proportions. `later` are the places of rows that came from traffic, with splits of their own: they change nothing about
    the others, or a row that was sealed before they came would teach after. Raises BadData when no row is for training.
    """
    first = given if not later else [own for place, own in enumerate(given) if place not in later]
    missing = [split for split in SPLITS if split not in first] if any(first) and "" not in first else []
    if TRAIN in missing:
        raise BadData("the split column leaves no row for training.", hint="Name some rows train")
    shares = tuple(share if split == TRAIN or split in missing else 0.0 for split, share in SHARES.items())
    assert len(shares) == 3

    def split(place: int, row: Example, own: str) -> str:
        if not own:
            return draw_split(unit_of(row), salt)
        return draw_split(unit_of(row), salt, shares) if own == TRAIN and missing and place not in later else own

    both = enumerate(zip(rows, given, strict=True))
    return tuple(_open_if_made_up(row, split(place, row, own)) for place, (row, own) in both)
