"""The distinct words of many texts and where each stands, by a compiled loop where numba is installed and it pays."""

from __future__ import annotations

import sys
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.search.terms import Words, word_kinds

_KERNELS = "rungwise.engines.search.kernels"

Number = TypeVar("Number", np.int64, np.uint32, np.uint64)

_PAYS = 4_000_000  # characters: below, loading numba takes longer than Python takes to count
_BATCH = 1 << 16  # characters at a time: the table of words then mostly stays in the processor's cache


class Spelled(NamedTuple):
    """The words of texts: `distinct` ones, the number of each word in `found`, text after text, of which there are `sizes`."""

    distinct: list[str]
    found: NDArray[np.int32]
    sizes: NDArray[np.int64]


def spell(texts: Sequence[str], words: Words) -> Spelled:
    """The words of texts as `Words.split` finds them, numbered in the order in which they are met."""
    if compiled(sum(map(len, texts))):
        return _spell_compiled(texts, words)
    return _spell_plain(texts, words)


def compiled(characters: int) -> bool:
    """Whether the compiled loops are to be used: numba is installed, and there is much to do or it is loaded already."""
    return _KERNELS in sys.modules or (characters >= _PAYS and find_spec("numba") is not None)


def _spell_plain(texts: Sequence[str], words: Words) -> Spelled:
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    found, sizes = array("i"), []
    for text in texts:
        own = words.split(text)
        found.extend(map(ids.__getitem__, own))
        sizes.append(len(own))
    return Spelled(list(ids), np.frombuffer(found, np.int32) if found else np.zeros(0, np.int32), np.array(sizes, np.int64))


def _spell_compiled(texts: Sequence[str], words: Words) -> Spelled:
    """As above; what the compiled loop needs grows before each batch by all that the batch could add."""
    from rungwise.engines.search.kernels import enter, number_words

    kinds = _kinds()
    slots, heads = np.zeros(0, np.uint64), np.zeros(1, np.int64)
    hashes, pool = np.zeros(0, np.uint64), np.zeros(0, np.uint32)
    known, found, sizes = 0, [], []
    for codes, ends in _batches(texts, words):
        if 2 * (known + len(codes)) > len(slots):
            slots = np.zeros(1 << (3 * (known + len(codes))).bit_length(), np.uint64)
            enter(slots, hashes, known)
        heads, hashes = _grown(heads, known + len(codes) + 1), _grown(hashes, known + len(codes))
        pool = _grown(pool, int(heads[known]) + len(codes))
        own, many = np.empty(len(codes), np.int32), np.empty(len(ends), np.int64)
        known, total = number_words(codes, ends, kinds, slots, heads, hashes, pool, known, own, many)
        found.append(own[:total].copy())
        sizes.append(many)
    letters = pool[: heads[known]].tobytes().decode("utf-32-le")
    places = heads[: known + 1].tolist()
    distinct = [letters[first:last] for first, last in pairwise(places)]
    return Spelled(distinct, np.concatenate([np.zeros(0, np.int32), *found]), np.concatenate([np.zeros(0, np.int64), *sizes]))


def _batches(texts: Sequence[str], words: Words) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.int64]]]:
    """Some texts at a time, prepared, as code points, and where each ends."""
    begin = 0
    while begin < len(texts):
        own: list[str] = []
        size = 0
        while begin < len(texts) and (size < _BATCH or not own):
            own.append(words.prepared(texts[begin]))
            size += len(own[-1])
            begin += 1
        codes = np.frombuffer("".join(own).encode("utf-32-le", "surrogatepass"), np.uint32)
        yield codes, np.cumsum([len(text) for text in own], dtype=np.int64)


def _grown(numbers: NDArray[Number], size: int) -> NDArray[Number]:
    """The same numbers with room for `size` of them at least."""
    if len(numbers) >= size:
        return numbers
    wider = np.zeros(2 * size, numbers.dtype)
    wider[: len(numbers)] = numbers
    return wider


@cache
def _kinds() -> NDArray[np.uint8]:
    return np.frombuffer(word_kinds(), np.uint8)
