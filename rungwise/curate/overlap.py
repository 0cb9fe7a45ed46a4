"""The step `leaks`: open rows that give a sealed row away, by its text or by thirteen of its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rungwise.core.dataset import SEALED
from rungwise.curate.folding import compiled, folds, packed, packs
from rungwise.curate.near import LONG, SHORT, SKETCH, joined, matched, originals, preference, sketch
from rungwise.curate.step import Finding, Look, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAR_SEALED, SHARED_RUN = "leaks:near_sealed", "leaks:13_gram"

GENERIC = 10
"""A run of 13 words that stands in more different open texts than this is common property: boilerplate, a signature, a proverb.

Source: Brown et al. 2020, appendix C, which ignored 13-grams that more than 10 training documents held.
"""

_RUNS_AT_ONCE = 1_500_000  # of sealed texts in one hash table: about 80 MB
_GRAMS_AT_ONCE = 140_000  # remembered by texts that are read at once: about 3 MB of text, 500,000 runs
_TEXTS_AT_ONCE = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """Sets aside open rows (train, dev) that are the same or nearly the same as a sealed row, or share 13 words in a row with one.

    Sealed rows are never touched, and are named by their number only. Near copies are judged as in `Duplicates`. Words are
    compared without case and punctuation (Brown et al. 2020, appendix C); of scripts without spaces a character is a word.
    The search for shared runs misses none; a run that stands in more than `generic` different open texts does not count.
    """

    short: float = SHORT
    long: float = LONG
    generic: int = GENERIC

    name: ClassVar[str] = "leaks"
    edition: ClassVar[int] = 1

    def look(self, texts: Sequence[str]) -> Look:
        """What `Duplicates` looks at, and the remembered 8-grams: 120 bytes a text and 0.25 a byte of it.

        Raises MissingExtra without numba.
        """
        import numpy as np

        ngrams, sketched, remembered = compiled("ngrams"), [], []
        for part in packs(texts):
            sketched.append(sketch(part))
            grams, counts = ngrams.look(part.data, part.offsets, part.folded, folds().kernel)
            remembered.append((grams.astype(np.uint32), (grams >> np.uint64(32)).astype(np.uint8), counts))
        return joined(sketched, *SKETCH) | joined(remembered, "grams", "tops", "counts")

    def decide(self, looks: Sequence[Look], rows: Rows) -> list[Finding]:
        """The open rows to set aside; only texts that may leak or be leaked are read."""
        import numpy as np

        sealed = np.fromiter((split == SEALED for split in rows.splits), np.bool_, len(rows.splits))
        if not sealed.any() or sealed.all():
            return []
        order = preference(rows.splits, len(rows))
        first = originals(looks, order)
        distinct = order[first[order] == order]
        number = int(sealed[distinct].sum())
        near = matched(looks, rows, distinct, leading=number, short=self.short, long=self.long)
        others, similarities = np.full(len(rows), -1), np.ones(len(rows))
        others[distinct[:number]] = distinct[:number]  # a copy of a sealed row is like it
        others[distinct[number:]], similarities[distinct[number:]] = near.rows[number:], near.similarities[number:]
        left = np.sort(distinct[number:][near.rows[number:] < 0])
        shared = np.full(len(rows), -1)
        for row, owner in _Search(looks, rows).owners(np.sort(distinct[:number]), left, self.generic).items():
            shared[row] = owner
        findings = []
        for row in np.flatnonzero(~sealed & ((others[first] >= 0) | (shared[first] >= 0))).tolist():
            original = first[row]
            if others[original] >= 0:
                evidence = f"nearly the same as sealed row {others[original]} (similarity {similarities[original]:.2f})"
                findings.append(Finding(row, NEAR_SEALED, evidence))
            else:
                findings.append(Finding(row, SHARED_RUN, f"13 words in a row from sealed row {shared[original]}"))
        return findings


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for runs of 13 words that sealed and open texts share."""

    looks: Sequence[Look]
    rows: Rows

    def owners(self, sealed: NDArray[np.int64], open: NDArray[np.int64], generic: int) -> dict[int, int]:
        """For each open row with a run from a sealed row, the sealed row. Both are given ascending."""
        suspects, hits = self._touched(open, self._remembered(sealed))
        if not len(suspects):
            return {}
        sources, _ = self._touched(sealed, hits)
        found: dict[int, int] = {}
        for part in self._parts(sources):
            found = self._owners_in(part, suspects, generic) | found
        return found

    def _remembered(self, chosen: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The distinct remembered 8-grams of some rows."""
        import numpy as np

        parts = [np.zeros(0, np.uint64)]
        for own, look in self._by_look(chosen):
            parts.append(_grams(look, own))
        return np.unique(np.concatenate(parts))

    def _touched(self, chosen: NDArray[np.int64], grams: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Which of these rows remember one of these 8-grams, and the distinct ones that are."""
        import numpy as np

        minhash, ngrams = compiled("minhash"), compiled("ngrams")
        table = minhash.table_of(grams)
        found, hits, begin = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], 0
        for own, look in self._by_look(chosen):
            counts = look["counts"]
            marks, own_hits = ngrams.touched(_grams(look, own), counts[own], table)
            found.append(np.flatnonzero(own)[marks] + begin)
            hits.append(np.unique(own_hits))
            begin += len(counts)
        return np.concatenate(found), np.unique(np.concatenate(hits))

    def _by_look(self, chosen: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.bool_], Look]]:
        """Each look and which of its rows are meant."""
        import numpy as np

        begin = 0
        for look in self.looks:
            end = begin + len(look["counts"])
            own = np.zeros(end - begin, np.bool_)
            own[chosen[np.searchsorted(chosen, begin) : np.searchsorted(chosen, end)] - begin] = True
            yield own, look
            begin = end

    def _parts(self, chosen: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]]:
        """The runs of sealed rows, as many rows at once as fit one table."""
        import numpy as np

        values: list[NDArray[np.uint64]] = []
        sizes: list[NDArray[np.int64]] = []
        begin = total = 0
        read = 0
        for batch, runs, bounds in self._runs(chosen):
            values.append(runs)
            sizes.append(np.diff(bounds))
            total, read = total + len(runs), read + len(batch)
            if total >= _RUNS_AT_ONCE or read == len(chosen):
                yield np.concatenate(values), np.append(0, np.cumsum(np.concatenate(sizes))), chosen[begin:read]
                values, sizes, begin, total = [], [], read, 0

    def _runs(self, chosen: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]]:
        """All runs of 13 words of rows, in batches of texts."""
        import numpy as np

        ngrams = compiled("ngrams")
        counts = np.concatenate([look["counts"] for look in self.looks])[chosen].astype(np.int64)
        batches = np.maximum(np.cumsum(counts) // _GRAMS_AT_ONCE, np.arange(len(chosen)) // _TEXTS_AT_ONCE)
        for batch in np.split(chosen, np.flatnonzero(np.diff(batches)) + 1) if len(chosen) else []:
            part = packed(self.rows.texts(batch.tolist()))
            runs, bounds = ngrams.runs_of(part.data, part.offsets, part.folded, folds().kernel)
            yield batch, runs, bounds

    def _owners_in(self, part: tuple[Any, Any, Any], suspects: NDArray[np.int64], generic: int) -> dict[int, int]:
        """The same for the sealed rows of one table: count in how many texts each run stands, then name owners."""
        import numpy as np

        minhash, ngrams = compiled("minhash"), compiled("ngrams")
        values, bounds, sealed = part
        table = np.zeros(minhash.width(len(values)), np.uint64)
        owners = np.full(len(table), np.iinfo(np.int32).max, np.int32)
        ngrams.own(values, bounds, sealed, table, owners)
        counts, last = np.zeros(len(table), np.int32), np.full(len(table), -1, np.int32)
        sharing = [np.zeros(0, np.int64)]
        for batch, runs, places in self._runs(suspects):
            sharing.append(batch[ngrams.count(runs, places, batch, table, counts, last)])
        found: dict[int, int] = {}
        for batch, runs, places in self._runs(np.concatenate(sharing)):
            named = ngrams.first_owner(runs, places, table, counts, owners, generic)
            found |= {row: owner for row, owner in zip(batch.tolist(), named.tolist(), strict=True) if owner >= 0}
        return found


def _grams(look: Look, own: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """The remembered 8-grams of some texts of a batch: 32 bits in `grams`, 8 in `tops`."""
    import numpy as np

    kept = np.repeat(own, look["counts"])
    return look["tops"][kept].astype(np.uint64) << np.uint64(32) | look["grams"][kept]
