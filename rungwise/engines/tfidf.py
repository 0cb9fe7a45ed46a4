"""Texts to sparse vectors: how often each word and character n-gram occurs, weighted by how rare it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.arrays import require_shape
from rungwise.engines.grams import U64, Grams, Scan

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_BITS = 22
"""N-grams are told apart by this many bits of their hash: about 1 in 40 of 100,000 n-grams shares its number with another one."""
_PIECE_CHARACTERS = 4_000_000
"""Texts are scanned in pieces of about this size, so that memory does not grow with the data."""
BLOCKS = ("words", "characters")


@dataclass(frozen=True, kw_only=True)
class TfidfSettings:
    """Which n-grams count. `max_features` caps each block (words, characters) at its most frequent n-grams.

    Only the first `max_characters` of a text are read, so that one huge cell cannot stop the rest.
    """

    words: int = 2
    characters: tuple[int, int] = (2, 5)
    min_df: int = 2
    max_features: int = 100_000
    max_characters: int = 100_000


def _blocks(texts: Sequence[str], settings: TfidfSettings) -> tuple[Grams, Grams]:
    """The n-grams of a batch: words, then characters."""
    scan = Scan(texts, max_characters=settings.max_characters)
    return scan.words(settings.words), scan.characters(*settings.characters)


def _pieces(texts: Sequence[str], max_characters: int) -> Iterator[Sequence[str]]:
    start, size = 0, 0
    for index, text in enumerate(texts):
        size += min(len(text), max_characters)
        if size >= _PIECE_CHARACTERS:
            yield texts[start : index + 1]
            start, size = index + 1, 0
    if start < len(texts) or not texts:
        yield texts[start:]


def _buckets(grams: Grams) -> NDArray[np.int64]:
    return (grams[0] >> U64(64 - _BITS)).astype(np.int64)


def _counts(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct keys, sorted, and how often each occurs. Sorts `keys` in place."""
    keys.sort()
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, dtype=np.int64)
    return keys[first], np.diff(np.append(first, len(keys)))


@dataclass(frozen=True)
class Block:
    """One family of n-grams: `buckets` (sorted) are those that count, `idf[i]` is the weight of the i-th."""

    buckets: NDArray[np.int32]
    idf: NDArray[np.float32]
    columns: NDArray[np.int32]

    @classmethod
    def of(cls, buckets: NDArray[np.int32], idf: NDArray[np.float32]) -> Block:
        """With the table that leads from a bucket to its column, -1 for n-grams that do not count."""
        columns = np.full(1 << _BITS, -1, dtype=np.int32)
        columns[buckets] = np.arange(len(buckets), dtype=np.int32)
        return cls(buckets, idf, columns)

    def vectors(self, grams: Grams, n: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Values, columns and row pointers of `n` rows: (1 + ln tf) x idf, each row scaled to length 1.

        Source: Manning, Raghavan and Schuetze 2008, section 6.4 (ltc weighting).
        """
        width = max(1, len(self.buckets))
        columns = self.columns[_buckets(grams)]
        known = columns >= 0
        keys, counts = _counts(grams[1][known].astype(np.int64) * width + columns[known])
        rows, columns64 = np.divmod(keys, width)
        values = (1 + np.log(counts.astype(np.float32))) * self.idf[columns64]
        pointers = np.searchsorted(rows, np.arange(n + 1))
        squares = np.concatenate((np.zeros(1), np.cumsum(values.astype(np.float64) ** 2)))
        lengths = np.sqrt(squares[pointers[1:]] - squares[pointers[:-1]])
        return (values / np.repeat(lengths, np.diff(pointers))).astype(np.float32), columns64, pointers


@dataclass(frozen=True)
class Tfidf:
    """A fitted vectoriser. Vectors are (n, features) float32: the word block, then the character block, each of length 1."""

    settings: TfidfSettings
    blocks: tuple[Block, ...]

    @property
    def features(self) -> int:
        """The width of the vectors. Where no n-gram counts there is one column of zeros, since solvers refuse to have none."""
        return max(1, sum(len(block.buckets) for block in self.blocks))

    def transform(self, texts: Sequence[str]) -> csr_matrix:
        """The vectors of `texts`, (n, features) float32 with int32 indices. A text without known n-grams is all zeros."""
        from scipy.sparse import vstack

        parts = [self._transform(piece) for piece in _pieces(texts, self.settings.max_characters)]
        return parts[0] if len(parts) == 1 else vstack(parts, format="csr")

    def _transform(self, texts: Sequence[str]) -> csr_matrix:
        from scipy.sparse import csr_matrix

        n = len(texts)
        made = [block.vectors(grams, n) for block, grams in zip(self.blocks, _blocks(texts, self.settings), strict=True)]
        pointers = np.sum([pointer for _, _, pointer in made], axis=0)
        values = np.empty(pointers[-1], dtype=np.float32)
        columns = np.empty(pointers[-1], dtype=np.int32)
        start, filled = 0, np.zeros(n, dtype=np.int64)
        for block, (own, own_columns, own_pointers) in zip(self.blocks, made, strict=True):
            sizes = np.diff(own_pointers)
            # where each value of this block lands: behind what earlier blocks put into the same row
            target = np.repeat(pointers[:-1] + filled - own_pointers[:-1], sizes) + np.arange(len(own))
            values[target], columns[target] = own, own_columns + start
            filled += sizes
            start += len(block.buckets)
        return csr_matrix((values, columns, pointers.astype(np.int32)), shape=(n, self.features))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `read` needs."""
        named: dict[str, NDArray[Any]] = {}
        for name, block in zip(BLOCKS, self.blocks, strict=True):
            named |= {f"{name}.buckets": block.buckets, f"{name}.idf": block.idf}
        return named

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]], settings: TfidfSettings) -> Tfidf:
        """The vectoriser whose `arrays()` these are. Raises KeyError or ValueError when they are not."""
        for name in BLOCKS:
            buckets = arrays[f"{name}.buckets"]
            require_shape(f"{name}.idf", arrays[f"{name}.idf"], (len(buckets),))
            if len(buckets) and not 0 <= buckets.min() <= buckets.max() < 1 << _BITS:
                raise ValueError(f"{name}.buckets go beyond {_BITS} bits")
        return cls(settings, tuple(Block.of(arrays[f"{name}.buckets"], arrays[f"{name}.idf"]) for name in BLOCKS))


def fit_tfidf(texts: Sequence[str], settings: TfidfSettings | None = None) -> Tfidf:
    """Learn from `texts` which n-grams occur in at least `min_df` of them, and how rare each is.

    idf = ln((1 + n) / (1 + df)) + 1, as in scikit-learn's `smooth_idf`.
    """
    settings = settings or TfidfSettings()
    seen = [np.zeros(1 << _BITS, dtype=np.int32) for _ in BLOCKS]
    for piece in _pieces(texts, settings.max_characters):
        for df, grams in zip(seen, _blocks(piece, settings), strict=True):
            keys, _ = _counts((grams[1].astype(np.int64) << _BITS) | _buckets(grams))
            df += np.bincount(keys & ((1 << _BITS) - 1), minlength=len(df)).astype(np.int32)
    return Tfidf(settings, tuple(_block(df, len(texts), settings) for df in seen))


def _block(df: NDArray[np.int32], n: int, settings: TfidfSettings) -> Block:
    kept = np.flatnonzero(df >= settings.min_df)
    if not len(kept):
        kept = np.flatnonzero(df)  # too few texts for anything to repeat: then everything counts
    if len(kept) > settings.max_features:
        kept = np.sort(kept[np.argsort(-df[kept], kind="stable")[: settings.max_features]])
    idf = np.log((1 + n) / (1 + df[kept])) + 1
    return Block.of(kept.astype(np.int32), idf.astype(np.float32))
