"""Texts as the compiled loops read them: UTF-8 bytes, offsets, and a table that folds every character as `normalise` does."""

from __future__ import annotations

import importlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import MissingExtra
from rungwise.curate.shingles import normalise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDED = 0x20000
"""Code points below this are folded by the table; texts with others (rare Han characters, tags) are normalised in Python."""

_SEPARATOR = " qzq "  # a word that no single character folds to
_SLICE = 500_000  # characters that are encoded at once: they fit the cache, and a pack of long texts stays small


@dataclass(frozen=True, slots=True)
class Folds:
    """What `normalise` makes of a character inside a text, as UTF-8: `runs[starts[code]:starts[code + 1]]`, a space for a sign.

    `ascii` is the same for the first 128, which fold to one byte each. A character is `unstable` when its neighbours may change it.
    """

    ascii: NDArray[np.uint8]
    runs: NDArray[np.uint8]
    starts: NDArray[np.int64]
    unstable: NDArray[np.bool_]

    @property
    def kernel(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
        """What `kernels.words.read` takes."""
        return self.ascii, self.runs, self.starts


@dataclass(frozen=True, slots=True)
class Packed:
    """Texts one after another: text i is `data[offsets[i]:offsets[i + 1]]`; `folded[i]` where it is already normalised."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    folded: NDArray[np.bool_]


@cache
def folds() -> Folds:
    """The table, made from `normalise` itself; about 0.2 s, once in a process."""
    import numpy as np

    framed = _SEPARATOR.join(f"x{chr(code)}x" for code in range(FOLDED))
    parts = [part[1:-1].encode() for part in normalise(framed).split(_SEPARATOR)]
    runs, starts = _joined(parts)
    unstable = np.zeros(FOLDED, np.bool_)
    unstable[_unstable()] = True
    return Folds(np.frombuffer(b"".join(parts[:128]), np.uint8), runs, starts, unstable)


def _unstable() -> list[int]:
    """Characters that NFKC may reorder or compose with the one before: Unicode Standard Annex 15, sections 1.3 and 9.

    These are the characters whose compatibility decomposition begins with a mark, or with the second part of a composition.
    """
    pairs = [found.split() for code in range(FOLDED) if (found := unicodedata.decomposition(chr(code)))]
    seconds = {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<")}
    seconds.update(map(chr, range(0x1160, 0x1200)))  # the vowels and last consonants of Hangul compose by rule
    decomposed = unicodedata.normalize("NFKD", _SEPARATOR.join(map(chr, range(FOLDED)))).split(_SEPARATOR)
    return [code for code, part in enumerate(decomposed) if part[0] in seconds or unicodedata.combining(part[0])]


def packed(texts: Sequence[str]) -> Packed:
    """Encode texts; those that the table cannot fold are normalised here. Lone surrogates are kept as three bytes each.

    Raises MissingExtra without numba.
    """
    import numpy as np

    words = compiled("words")
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    data, offsets = _joined(parts)
    ascii = np.fromiter(map(len, texts), np.int64, len(texts)) == np.diff(offsets)
    own = folds()
    hard = words.unfoldable(data, offsets, ascii, own.runs, own.starts, own.unstable)
    if hard.any():
        for i in np.flatnonzero(hard).tolist():
            parts[i] = normalise(texts[i]).encode("utf-8", "surrogatepass")
        data, offsets = _joined(parts)
    return Packed(data, offsets, hard)


def _joined(parts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    import numpy as np

    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)), out=offsets[1:])
    return np.frombuffer(b"".join(parts), np.uint8), offsets


def compiled(name: str) -> Any:
    """A file of curate/kernels. Raises MissingExtra without numba."""
    try:
        return importlib.import_module(f"rungwise.curate.kernels.{name}")
    except ImportError as error:
        raise MissingExtra("finding duplicates and leaks", "curation") from error


def packs(texts: Sequence[str]) -> Iterator[Packed]:
    """Texts encoded in slices of about 500,000 characters, at least one text at a time; one empty slice of no texts."""
    begin = size = 0
    for end, text in enumerate(texts, start=1):
        size += len(text)
        if size >= _SLICE or end == len(texts):
            yield packed(texts[begin:end])
            begin, size = end, 0
    if not texts:
        yield packed(texts)
