"""Nearly equal texts among many: sketches of each text, and which texts the exact comparison then confirms.

How alike two texts are is the Jaccard similarity of their sets of shingles: of characters for short texts, where one
word makes another question, of words for long ones. Shared by the steps `dedup` and `leaks`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.core.dataset import DEV, SEALED
from rungwise.curate.folding import Packed, compiled, folds, packed
from rungwise.curate.leaks import NEAR
from rungwise.curate.step import Look, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHORT = NEAR
"""Similarity of character 5-grams from which two texts of up to 64 words are nearly the same: rungwise/curate/leaks.py."""

LONG = 0.65
"""Similarity of word 5-grams from which two texts of 56 words or more are nearly the same.

A share p of words changed leaves q = (1 - p)^5 of the 5-grams and a similarity of q / (2 - q): 0.91 at 1 % of words,
0.75 at 3 %, 0.63 at 5 %.
"""

SKETCH = ("content", "kinds", "bands", "marks", "sizes")
"""The names of what `sketch` gives."""

_LEADERS = 256  # kept rows that a bucket lists at most; bounds the time on families of texts that are alike but not alike enough
_SHINGLES = 1_000_000  # of the texts that are compared at once: about 6 MB of text
_DEVIATIONS = 4  # how far below its expectation the agreement of two sketches may lie: 3 true pairs in 100,000 are lost


def sketch(part: Packed) -> tuple[NDArray[Any], ...]:
    """What each text shows, about 120 bytes: content, kinds, bands, marks and sizes, as kernels/minhash.py has them."""
    found: tuple[NDArray[Any], ...] = compiled("minhash").look(part.data, part.offsets, part.folded, folds().kernel)
    return found


def joined(parts: Sequence[tuple[NDArray[Any], ...]], *names: str) -> dict[str, NDArray[Any]]:
    """The columns of several slices as one."""
    import numpy as np

    return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts, strict=True), strict=True)}


def preference(splits: Sequence[str], rows: int) -> NDArray[np.int64]:
    """(n,): the rows in the order in which they are kept: sealed before dev before all others, then by position."""
    import numpy as np

    ranks = {SEALED: 0, DEV: 1}
    given = np.fromiter((ranks.get(split, 2) for split in splits), np.int8, len(splits))
    return np.argsort(given, kind="stable") if len(given) else np.arange(rows)


def originals(looks: Sequence[Look], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,): for each row the first row, in this order, with the same content: itself where it is the first."""
    import numpy as np

    low, high = (np.concatenate([look["content"][:, side] for look in looks])[order] for side in (0, 1))
    by_content = np.lexsort((high, low))  # stable, so that equal contents stand in the given order
    low, high = low[by_content], high[by_content]
    new = np.ones(len(order), np.bool_)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    heads = by_content[np.flatnonzero(new)]
    found = np.empty(len(order), np.int64)
    found[order[by_content]] = order[heads[np.cumsum(new) - 1]]
    return found


@dataclass(frozen=True, slots=True)
class Matches:
    """For each member its nearly equal kept row, -1 without one, and their Jaccard similarity."""

    rows: NDArray[np.int64]
    similarities: NDArray[np.float64]


def matched(
    looks: Sequence[Look], rows: Rows, members: NDArray[np.int64], *, leading: int | None = None, short: float, long: float
) -> Matches:
    """Compare rows with those that come before them in `members` and are kept.

    A row is kept when no kept row before it is nearly the same; so every row with a match is nearly the same as a kept one, and
    similarity is not passed on. With `leading`, the first so many members are kept as they are and only the others are compared,
    only with them. A row is compared exactly with at most 16 others, and a bucket knows at most 256, so time grows with the rows.
    """
    import numpy as np

    result = Matches(np.full(len(members), -1, np.int64), np.zeros(len(members)))
    entries = _Entries.of(looks, members, {1: short, 2: long})
    index = _Index.of(looks, entries)
    if len(index.rows):
        _settle_all(index, rows, members, leading, result)
    return result


@dataclass(frozen=True, slots=True)
class _Entries:
    """Members as they are compared, in order: which member, by characters (1) or words (2), place in the looks, threshold."""

    owners: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    places: NDArray[np.int64]
    marks: NDArray[np.uint64]
    sizes: NDArray[np.uint32]
    thresholds: NDArray[np.float64]
    floors: NDArray[np.int64]

    @classmethod
    def of(cls, looks: Sequence[Look], members: NDArray[np.int64], thresholds: Mapping[int, float]) -> _Entries:
        import numpy as np

        bins = compiled("minhash").BINS
        all_kinds = np.concatenate([look["kinds"] for look in looks])
        all_counts = np.array([0, 1, 1, 2])[all_kinds]
        counts = all_counts[members]
        owners = np.repeat(np.arange(len(members)), counts)
        nth = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = (np.cumsum(all_counts) - all_counts)[members][owners] + nth
        own = all_kinds[members][owners]
        kinds = np.where(own == 3, nth + 1, own).astype(np.uint8)
        floors = {kind: _floor(threshold, bins) for kind, threshold in thresholds.items()}
        return cls(
            owners,
            kinds,
            places,
            np.concatenate([look["marks"] for look in looks])[places],
            np.concatenate([look["sizes"] for look in looks])[places],
            np.where(kinds == 1, thresholds[1], thresholds[2]),
            np.where(kinds == 1, floors[1], floors[2]),
        )

    def only(self, chosen: NDArray[np.int64]) -> _Entries:
        """Some of them."""
        return _Entries(
            self.owners[chosen],
            self.kinds[chosen],
            self.places[chosen],
            self.marks[chosen],
            self.sizes[chosen],
            self.thresholds[chosen],
            self.floors[chosen],
        )


def _floor(threshold: float, bins: int) -> int:
    """In how many bins the one-bit sketches of two texts at the threshold agree at least: each with a chance of (1 + J) / 2."""
    chance = (1 + threshold) / 2
    return math.floor(bins * chance - _DEVIATIONS * math.sqrt(bins * chance * (1 - chance)))


@dataclass(frozen=True, slots=True)
class _Index:
    """The entries that share a bucket with another, and the buckets.

    `rows` are their members, `firsts` their first entries, `follows` whether any of them may be like an earlier one.
    """

    entries: _Entries
    rows: NDArray[np.int64]
    firsts: NDArray[np.int64]
    follows: NDArray[np.bool_]
    buckets: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]

    @classmethod
    def of(cls, looks: Sequence[Look], entries: _Entries) -> _Index:
        import numpy as np

        leaders, bands = compiled("leaders"), compiled("minhash").BANDS
        found: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
        active, later = np.zeros(len(entries.owners), np.bool_), np.zeros(len(entries.owners), np.bool_)
        for band in range(bands):
            hashes = np.concatenate([look["bands"][:, band] for look in looks])[entries.places].astype(np.uint64)
            keys = np.sort(hashes << np.uint64(32) | np.arange(len(hashes), dtype=np.uint64))
            members, numbers, follows = leaders.buckets(keys, entries.marks, entries.floors)
            active[members] = True
            later[members[follows]] = True
            found.append((members, numbers))
        chosen = np.flatnonzero(active)
        renumbered = np.cumsum(active) - 1
        slots, sizes = np.full((len(chosen), bands), -1, np.int32), []
        number = 0
        for band, (members, numbers) in enumerate(found):
            slots[renumbered[members], band] = numbers + number
            sizes.append(np.bincount(numbers))
            number += len(sizes[-1])
        heads = np.concatenate([[0], np.cumsum(np.minimum(np.concatenate(sizes), _LEADERS))]).astype(np.int64)
        kept = entries.only(chosen)
        rows, firsts = np.unique(kept.owners, return_index=True)
        buckets = (slots, heads, np.zeros(number, np.int64), np.empty(heads[-1], np.int32))
        may_follow = np.bincount(np.searchsorted(rows, kept.owners), later[chosen], len(rows)) > 0
        return cls(kept, rows, np.append(firsts, len(chosen)), may_follow, buckets)


def _settle_all(index: _Index, rows: Rows, members: NDArray[np.int64], leading: int | None, result: Matches) -> None:
    """Settle the rows of the index in order, as many at once as their shingles fit.

    A row that is like none before it is kept for sure, and read only for others that may be like it.
    """
    import numpy as np

    leaders, entries = compiled("leaders"), index.entries
    all_lead = leading is None
    seen = np.zeros(len(entries.owners) + 1, np.int64)
    matches, similarities = np.full(len(index.rows), -1, np.int64), np.zeros(len(index.rows))
    compared = index.follows if leading is None else index.rows >= leading
    leaders.enlist(np.flatnonzero(~np.repeat(compared, np.diff(index.firsts))), index.buckets)
    open, begin = np.flatnonzero(compared), 0
    known = (index.buckets, entries.marks, entries.floors)
    while begin < len(open):
        end, needed = leaders.plan(begin, open, index.firsts, *known, entries.sizes, all_lead, seen, _SHINGLES)
        values, bounds = _shingles(entries.only(needed), rows, members)
        places = np.zeros(len(entries.owners), np.int64)
        places[needed] = np.arange(len(needed))
        shingles = (places, values, bounds)
        leaders.settle(open[begin:end], index.firsts, *known, entries.thresholds, all_lead, seen, *shingles, matches, similarities)
        begin = end
    near = matches >= 0
    result.rows[index.rows[near]] = members[entries.owners[matches[near]]]
    result.similarities[index.rows[near]] = similarities[near]


def _shingles(entries: _Entries, rows: Rows, members: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct shingles of entries, from their texts."""
    import numpy as np

    wanted, of = np.unique(members[entries.owners], return_inverse=True)
    texts = rows.texts(wanted.tolist())
    part = packed([texts[i] for i in of.tolist()])
    values, bounds = compiled("minhash").sets(part.data, part.offsets, part.folded, folds().kernel, entries.kinds)
    return values, bounds
