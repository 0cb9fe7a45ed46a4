"""Word and character n-grams of a batch of texts as 64-bit hashes, in a few passes over one array."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

U64 = np.uint64
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int32]
Grams = tuple[Hashes, Rows]
"""`hashes[i]` is one n-gram of text `rows[i]`, as often as it occurs there."""

_MASK = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_WORD_SALT = 0xD1B54A32D192ED03
_PLANE = 0x10000


def splitmix(values: Hashes) -> Hashes:
    """Scramble 64-bit values so that every bit of the input moves every bit of the output.

    Source: the SplitMix64 finaliser of Steele, Lea and Flood, OOPSLA 2014.
    """
    values = values + U64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> U64(27))) * U64(0x94D049BB133111EB)
    return values ^ (values >> U64(31))


@cache
def _characters() -> tuple[NDArray[np.bool_], NDArray[np.bool_], Hashes]:
    """For each character of the basic plane: is it part of a word, is it white space, and its hash."""
    words = np.array([chr(code).isalnum() or code == 0x5F or unicodedata.combining(chr(code)) > 0 for code in range(_PLANE)])
    spaces = np.array([chr(code).isspace() or code == 0 for code in range(_PLANE)])
    return words, spaces, splitmix(np.arange(_PLANE, dtype=U64))


@cache
def _powers(base: int, bits: int) -> Hashes:
    """`base ** i` modulo 2^64 for i below 2^bits."""
    powers = np.ones(1, dtype=U64)
    for _ in range(bits):
        powers = np.concatenate((powers, powers * U64(pow(base, len(powers), 1 << 64))))
    return powers


def _folded(text: str, max_characters: int) -> str:
    """Lower case, and compatibility forms made equal; the tail beyond `max_characters` is not read."""
    text = text[:max_characters]
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


class Scan:
    """One batch of texts, laid end to end as an array of characters with a space before and after each text.

    The hash of any stretch [a, b) is (S[b] - S[a]) / base^a with S the running sum
    of hash(character) x base^position, so every n-gram costs one subtraction and
    one product (Karp and Rabin 1987, with an invertible base modulo 2^64).
    """

    def __init__(self, texts: Sequence[str], *, max_characters: int) -> None:
        folded = [_folded(text, max_characters) for text in texts]
        joined = (" " + "  ".join(folded) + " ") if folded else ""
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        words, spaces, hashes = _characters()
        lengths = np.fromiter(map(len, folded), np.int64, len(folded)) + 2
        self.rows: Rows = np.repeat(np.arange(len(folded), dtype=np.int32), lengths)
        beyond = codes >= _PLANE  # emoji and rare scripts: each counts as a letter
        low = np.where(beyond, 0, codes) if beyond.any() else codes
        self.space = spaces[low] & ~beyond
        self.word = words[low] | beyond
        mixed = np.where(beyond, splitmix(codes.astype(U64)), hashes[low]) if low is not codes else hashes[codes]
        bits = max(10, len(codes).bit_length())
        self._inverse = _powers(_INVERSE, bits)
        self._sums = np.zeros(len(codes) + 1, dtype=U64)
        np.cumsum(mixed * _powers(_BASE, bits)[: len(codes)], out=self._sums[1:])

    def hashed(self, start: NDArray[np.int64], end: NDArray[np.int64], salt: int) -> Hashes:
        """The hashes of the stretches [start, end)."""
        return splitmix((self._sums[end] - self._sums[start]) * self._inverse[start] + U64(salt))

    def characters(self, low: int, high: int) -> Grams:
        """Character n-grams of `low` to `high` characters inside words, where a word has one space on each side.

        The same stretches as scikit-learn's `char_wb`, save that a word shorter than
        n is not given once more for that n.
        """
        reach = self._reach()
        at = np.flatnonzero(reach >= low)
        hashes, rows = [np.zeros(0, dtype=U64)], [np.zeros(0, dtype=np.int32)]
        for size in range(low, high + 1):
            at = at[reach[at] >= size]
            hashes.append(self.hashed(at, at + size, size))
            rows.append(self.rows[at])
        return np.concatenate(hashes), np.concatenate(rows)

    def _reach(self) -> NDArray[np.int64]:
        """From each position, how many characters there are up to and with the next space."""
        n = len(self.space)
        positions = np.arange(n)
        spaces = np.append(np.flatnonzero(self.space), n - 1)
        following = spaces[np.searchsorted(spaces[:-1], positions, side="right")]
        reach = following - positions + 1
        reach[self.space & (reach <= 2)] = 0  # nothing but spaces
        return reach

    def words(self, high: int) -> Grams:
        """Word n-grams of 1 to `high` words; a word is a run of letters, digits and underscores."""
        edges = np.flatnonzero(np.diff(self.word.view(np.int8), prepend=0, append=0))
        start, end = edges[::2], edges[1::2]
        single = self.hashed(start, end, _WORD_SALT)
        own = self.rows[start]
        hashes, rows, chain = [single], [own], single
        for size in range(2, high + 1):
            chain = splitmix(chain[: len(own) - size + 1] * U64(3) + single[size - 1 :])
            together = own[: len(own) - size + 1] == own[size - 1 :]
            hashes.append(chain[together])
            rows.append(own[: len(own) - size + 1][together])
        return np.concatenate(hashes), np.concatenate(rows)
