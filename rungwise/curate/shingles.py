"""Texts as sets of short pieces, and which of them are nearly the same."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHINGLE = 5
"""How many characters a shingle has."""

_PUNCTUATION = re.compile(r"[\W_]+")
_LONG = 512  # characters; longer texts may be compared by a sample of their shingles
_LONG_SHINGLES = 4_000_000  # how many shingles of long texts are held at most, all texts together
_LEAST_SAMPLE = 8  # at most one shingle in 8 is kept, so that a long text keeps about 64 at least
_ROLLED_AT_ONCE = 4_000_000
_PARTNERS = 500  # how many texts one shingle may lead to; keeps thousands of copies of one template from taking quadratic time
_PAIRS_AT_ONCE = 200_000
_SKETCH_WORDS = 16


def normalise(text: str) -> str:
    """A text without what does not make it another: case, punctuation, spacing, Unicode variants.

    A text of nothing but signs (such as an emoji) is kept as it is, so that two of them are not taken for the same.
    """
    plain = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return _PUNCTUATION.sub(" ", plain).strip() or " ".join(plain.split())


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """The sets of shingles of n texts as compressed rows: set i is `ids[starts[i]:starts[i + 1]]`, ascending.

    `ids` number the shingles by rarity, 0 stands in the fewest texts; there are `width` of them.
    """

    starts: NDArray[np.int64]
    ids: NDArray[np.int64]
    width: int

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,): how many distinct shingles each text has."""
        import numpy as np

        return np.diff(self.starts)


def near_pairs(
    texts: Sequence[str],
    left: Sequence[int],
    right: Sequence[int],
    *,
    threshold: float,
    kinds: Sequence[int] | None = None,
    once: bool = False,
) -> list[tuple[int, int, float]]:
    """Pairs (i in `left`, j in `right`) of texts whose Jaccard similarity of character 5-grams reaches `threshold`, ascending.

    Every pair is found by the prefix filter: two sets with Jaccard >= t share one of the |s| - ceil(t |s|) + 1
    rarest shingles of each (Bayardo, Ma and Srikant, WWW 2007, section 3). Two limits bound the time. A shingle leads to
    at most 500 texts of `right`, so of a bigger family some pairs go unnamed. Where texts of more than
    512 characters add up to more than 4 million, they are compared by one shingle in up to 8, chosen by hash (Broder 1997).
    With `kinds` (n,), only texts of one kind are compared. With `once`, a text of `left` is done when it has a pair: whether it has
    one stays exact, which ones are given does not.
    """
    import numpy as np

    kind = np.zeros(len(texts), np.int64) if kinds is None else np.asarray(kinds, np.int64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    long = lengths > threshold * _LONG  # the classes overlap, so that no pair at the threshold falls between them
    sample = min(_LEAST_SAMPLE, math.ceil(lengths[long].sum() / _LONG_SHINGLES))
    classes = [(np.ones(len(texts), np.bool_), 1)] if sample <= 1 else [(lengths <= _LONG, 1), (long, sample)]
    found: dict[tuple[int, int], float] = {}
    for members, share in classes:
        ones = np.asarray([i for i in left if members[i]], np.int64)
        others = np.asarray([j for j in right if members[j]], np.int64)
        if len(ones) and len(others):
            sets = shingle([text if own else "" for text, own in zip(texts, members.tolist(), strict=True)], sample=share)
            found.update(_similar(sets, ones, others, kind, threshold=threshold, once=once))
    return sorted((i, j, value) for (i, j), value in found.items())


def shingle(texts: Sequence[str], *, sample: int = 1) -> ShingleSets:
    """The character 5-grams of each text, padded with one space at either end; of them, one in `sample` by hash. '' has none."""
    import numpy as np

    hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    begin = size = 0
    for end, text in enumerate(texts, start=1):
        size += len(text)
        if size > _ROLLED_AT_ONCE or end == len(texts):
            rolled, own = _rolled(texts[begin:end])
            kept = rolled % np.uint64(sample) == 0
            hashes.append(rolled[kept])
            owners.append(own[kept] + begin)
            begin, size = end, 0
    distinct, numbers = np.unique(np.concatenate(hashes), return_inverse=True)
    width = np.int64(max(1, len(distinct)))
    entries = np.unique(np.concatenate(owners) * width + numbers.astype(np.int64))
    order = np.argsort(np.bincount(entries % width, minlength=len(distinct)), kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    keys = np.sort(entries // width * width + rank[entries % width]) if len(distinct) else entries
    return ShingleSets(np.searchsorted(keys, np.arange(len(texts) + 1) * width), keys % width, int(width))


def _rolled(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hash of every 5 neighbouring characters inside a text, and the text's number."""
    import numpy as np

    padded = [f" {text} ".ljust(SHINGLE) if text else "" for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    count = max(0, len(points) - SHINGLE + 1)
    rolled = np.zeros(count, np.uint64)
    for offset in range(SHINGLE):
        rolled = rolled * np.uint64(0x100000001B3) + points[offset : offset + count]
    owners = np.repeat(np.arange(len(texts)), lengths)[:count]
    inside = np.arange(count) + SHINGLE <= np.cumsum(lengths)[owners]  # not over the edge to the next text
    return _mix(rolled[inside]), owners[inside]


def _similar(
    sets: ShingleSets, left: NDArray[np.int64], right: NDArray[np.int64], kinds: NDArray[np.int64], *, threshold: float, once: bool
) -> dict[tuple[int, int], float]:
    """The pairs at the threshold; with `once`, the heads of a text are tried from the rarest on until one leads to a pair."""
    import numpy as np

    sizes, sketches = sets.sizes, _parities(sets)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    places = np.arange(len(sets.ids)) - sets.starts[rows]
    heads = places < (sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1)[rows]
    ours, theirs = _of(left, rows) & heads, _of(right, rows) & heads
    keys = sets.ids * (kinds.max(initial=0) + 1) + kinds[rows]
    known = _Postings(keys[theirs], rows[theirs])
    done = np.zeros(len(sizes), np.bool_)
    found: dict[tuple[int, int], float] = {}
    last = int(places[ours].max(initial=0)) + 1
    for low, high in _rounds(last) if once else [(0, last)]:
        tried = ours & (places >= low) & (places < high) & ~done[rows]
        for i, j in known.pairs(rows[tried], keys[tried]):
            total = sizes[i] + sizes[j]
            # |A xor B| <= (1 - t) / (1 + t) * (|A| + |B|) at Jaccard t, and the parities differ in at most as many bits.
            differing = np.bitwise_count(sketches[i] ^ sketches[j]).sum(axis=1, dtype=np.int64)
            close = differing <= (1 - threshold) / (1 + threshold) * total + 1e-9
            close &= np.minimum(sizes[i], sizes[j]) >= threshold * np.maximum(sizes[i], sizes[j]) - 1e-9
            i, j, total = i[close], j[close], total[close]
            shared = _shared(sets, i, j)
            values = shared / (total - shared)
            kept = values >= threshold - 1e-12
            done[i[kept]] = True
            found.update(zip(zip(i[kept].tolist(), j[kept].tolist(), strict=True), values[kept].tolist(), strict=True))
    return found


def _rounds(last: int) -> Iterator[tuple[int, int]]:
    """[0, 1), [1, 2), [2, 4), [4, 8) ... up to `last`."""
    low, high = 0, 1
    while low < last:
        yield low, high
        low, high = high, 2 * high


def _of(members: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which entries belong to one of the texts."""
    import numpy as np

    wanted = np.zeros(int(rows.max(initial=0)) + 1, np.bool_)
    wanted[members[members < len(wanted)]] = True
    return wanted[rows]


def _parities(sets: ShingleSets) -> NDArray[np.uint64]:
    """(n, 16): 1,024 bits for each text; a bit tells whether an odd number of its shingles falls on it.

    Source of the filter: Sandes, Teodoro and Melo, "Bitmap filter", Information Systems 88 (2020).
    """
    import numpy as np

    bits = _mix(sets.ids.astype(np.uint64) + np.uint64(1)) % np.uint64(64 * _SKETCH_WORDS)
    marks = np.append(np.uint64(1) << (bits % np.uint64(64)), np.uint64(0))
    words = np.append(bits // np.uint64(64), np.uint64(0))
    empty = sets.sizes == 0
    sketches = np.empty((len(empty), _SKETCH_WORDS), np.uint64)
    for word in range(_SKETCH_WORDS):
        folded = np.bitwise_xor.reduceat(np.where(words == word, marks, np.uint64(0)), sets.starts[:-1])
        sketches[:, word] = np.where(empty, np.uint64(0), folded)
    return sketches


class _Postings:
    """Which texts of a kind hold a shingle among their rarest; the key is both."""

    def __init__(self, keys: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        import numpy as np

        order = np.argsort(keys, kind="stable")
        self.keys, self.rows = keys[order], rows[order]

    def pairs(self, rows: NDArray[np.int64], keys: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The distinct pairs of one of `rows` with a text under the same key, in batches of bounded size."""
        import numpy as np

        first = np.searchsorted(self.keys, keys, "left")
        many = np.minimum(np.searchsorted(self.keys, keys, "right") - first, _PARTNERS)
        batches = np.cumsum(many) // _PAIRS_AT_ONCE
        width = np.int64(self.rows.max(initial=0) + 1)
        for batch in np.unique(batches[many > 0]):
            chosen = (batches == batch) & (many > 0)
            counts = many[chosen]
            i = np.repeat(rows[chosen], counts)
            j = self.rows[np.repeat(first[chosen], counts) + _counted(counts)]
            found = np.unique(i * width + j)
            yield found // width, found % width


def _counted(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 to counts[0] - 1, then 0 to counts[1] - 1, and so on."""
    import numpy as np

    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of MurmurHash3, which spreads neighbouring hashes over the whole range."""
    import numpy as np

    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values = (values ^ (values >> np.uint64(33))) * np.uint64(factor)
    return values ^ (values >> np.uint64(33))


def _shared(sets: ShingleSets, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
    """(pairs,): how many shingles two texts have in common."""
    import numpy as np

    shared = np.zeros(len(i), np.int64)
    sizes, width = sets.sizes, np.int64(sets.width)
    keys = np.repeat(np.arange(len(sizes)), sizes) * width + sets.ids  # ascending, since texts and their ids are
    counts = sizes[i]
    batches = np.cumsum(counts) // 4_000_000
    for batch in np.unique(batches):
        chosen = np.flatnonzero(batches == batch)
        lengths = counts[chosen]
        pair = np.repeat(chosen, lengths)
        sought = j[pair] * width + sets.ids[sets.starts[i[pair]] + _counted(lengths)]
        at = np.searchsorted(keys, sought)
        hit = keys[np.minimum(at, len(keys) - 1)] == sought
        shared += np.bincount(pair[hit], minlength=len(i))
    return shared
