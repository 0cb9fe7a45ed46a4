"""Which terms stand in which texts and how often: the raw counts of one segment, which never change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt, UsageError
from rungwise.core.record import canonical_json
from rungwise.engines.search.terms import Words
from rungwise.engines.search.vocabulary import Spelled, compiled, spell

ARRAYS, SETTINGS = "postings.safetensors", "postings.json"
"""The files that postings are kept in."""

FORMAT = 1

Counts = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]
"""Where the postings of each term start, and one more; the texts; how often."""

_AGAIN = "Run: rungwise index, to make it again"


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """The counts of n texts with m terms: nothing here depends on other segments or on what was deleted.

    Term t is `letters[ends[t]:ends[t + 1]]` in UTF-8, terms in order of their bytes. It stands in the texts
    `documents[starts[t]:starts[t + 1]]` (int32, ascending), `counts` times in each. `lengths` (n,) int32 counts the terms of
    each text, repetitions too.
    """

    words: Words
    letters: bytes
    ends: NDArray[np.int64]
    starts: NDArray[np.int64]
    documents: NDArray[np.int32]
    counts: NDArray[Any]
    lengths: NDArray[np.int32]

    @property
    def size(self) -> int:
        """How many texts there are."""
        return len(self.lengths)

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take in memory."""
        return len(self.letters) + sum(int(getattr(self, name).nbytes) for name in _NAMES)

    def find(self, term: str) -> int:
        """The number of a term, or -1."""
        wanted, letters = term.encode("utf-8", "surrogatepass"), self.letters
        ends: memoryview[int] = self.ends.data  # its items are plain numbers, which slice bytes faster than those of numpy
        low: int = 0
        high = len(self.ends) - 1
        while low < high:
            middle = (low + high) // 2
            if letters[ends[middle] : ends[middle + 1]] < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self.ends) - 1 and letters[ends[low] : ends[low + 1]] == wanted else -1

    def term(self, number: int) -> str:
        """The term with a number."""
        return self.letters[self.ends[number] : self.ends[number + 1]].decode()

    def terms(self) -> list[str]:
        """All terms, in order."""
        whole, ends = self.letters, self.ends.tolist()
        return [whole[first:last].decode() for first, last in pairwise(ends)]

    def files(self) -> dict[str, bytes]:
        """The postings as files: arrays in safetensors, the setting in JSON. Equal postings give equal bytes."""
        from safetensors.numpy import save

        settings = {"format": FORMAT, "words": asdict(self.words)}
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _NAMES}
        arrays["letters"] = np.frombuffer(self.letters, np.uint8)
        return {ARRAYS: save(arrays), SETTINGS: canonical_json(settings).encode()}


_NAMES = ("counts", "documents", "ends", "lengths", "starts")


def index_terms(texts: Sequence[str], *, words: Words) -> Postings:
    """Count the terms of each text. A million words take about a third of a second, with numba half of that."""
    spelled = spell(texts, words)
    vocabulary, terms, lengths = _numbered(spelled, words.mapped(spelled.distinct))
    owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    counted = _added_up(owners, terms, np.ones(len(terms), np.int32), (len(lengths), len(vocabulary)))
    return _assembled(words, vocabulary, lengths, counted)


def merge_postings(segments: Sequence[Postings], alive: Sequence[NDArray[np.bool_] | None] = ()) -> Postings:
    """Segments as one, without the texts that are not `alive`, numbered in order: what indexing the living texts would give."""
    words = _one_setting(segments)
    vocabulary = sorted({term for segment in segments for term in segment.terms()})
    numbers = {term: number for number, term in enumerate(vocabulary)}
    owners, terms, counts, lengths = [], [], [], []
    size = 0
    for place, segment in enumerate(segments):
        living = alive[place] if place < len(alive) else None
        kept = np.ones(segment.size, bool) if living is None else np.asarray(living, bool)
        renumbered = (np.cumsum(kept) - 1 + size).astype(np.int32)
        own = np.asarray([numbers[term] for term in segment.terms()], np.int32)
        stays = kept[segment.documents]
        owners.append(renumbered[segment.documents[stays]])
        terms.append(np.repeat(own, np.diff(segment.starts))[stays])
        counts.append(segment.counts[stays].astype(np.int32))
        lengths.append(segment.lengths[kept])
        size += int(kept.sum())
    counted = _added_up(_joined(owners), _joined(terms), _joined(counts), (size, len(vocabulary)))
    return _assembled(words, vocabulary, _joined(lengths), counted)


def load_postings(files: Mapping[str, bytes]) -> Postings:
    """Postings from their files. Raises Corrupt when one is missing, damaged, or they do not belong together."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays, settings = load(files[ARRAYS]), json.loads(files[SETTINGS])
        if settings["format"] != FORMAT:
            raise Corrupt(f"the postings are of format {settings['format']}, not {FORMAT}. {_AGAIN}")
        letters = arrays.pop("letters").tobytes()
        found = Postings(words=Words(**settings["words"]), letters=letters, **arrays)
        _check(found)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, UsageError, SafetensorError) as error:
        raise Corrupt(f"the postings of a search index cannot be read ({error!r}). {_AGAIN}") from error
    return found


def _numbered(spelled: Spelled, mapped: Sequence[tuple[str, ...]]) -> tuple[list[str], NDArray[np.int32], NDArray[np.int32]]:
    """The sorted vocabulary, the number of each term of the texts, one text after the other, and how many each text has."""
    vocabulary = sorted({term for own in mapped for term in own})
    numbers = {term: number for number, term in enumerate(vocabulary)}
    many = np.fromiter((len(own) for own in mapped), np.int32, len(mapped))
    flat = np.fromiter((numbers[term] for own in mapped for term in own), np.int32, int(many.sum()))
    first = (np.cumsum(many) - many).astype(np.int32)
    if compiled(0):
        from rungwise.engines.search.kernels import write_terms

        terms = np.empty(int(many[spelled.found].sum(dtype=np.int64)), np.int32)
        lengths = np.empty(len(spelled.sizes), np.int32)
        write_terms(spelled.found, spelled.sizes, first, many, flat, terms, lengths)
        return vocabulary, terms, lengths
    times = many[spelled.found]
    bounds = np.concatenate([[0], np.cumsum(times, dtype=np.int64)])
    lengths = np.diff(bounds[np.concatenate([[0], np.cumsum(spelled.sizes)])]).astype(np.int32)
    within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], times)
    return vocabulary, flat[np.repeat(first[spelled.found], times) + within], lengths


def _added_up(owners: NDArray[np.int32], terms: NDArray[np.int32], counts: NDArray[np.int32], shape: tuple[int, int]) -> Counts:
    """The postings of (text, term, count) entries; those of the same text and term are added up."""
    from scipy.sparse import coo_array

    table = coo_array((counts, (owners, terms)), shape=shape).tocsc()
    return table.indptr.astype(np.int64), table.indices.astype(np.int32, copy=False), table.data


def _assembled(words: Words, vocabulary: Sequence[str], lengths: NDArray[np.int32], counted: Counts) -> Postings:
    """Postings without the terms that no text holds."""
    starts, documents, counts = counted
    held = np.diff(starts)
    pieces = [vocabulary[number].encode() for number in np.flatnonzero(held).tolist()]
    return Postings(
        words=words,
        letters=b"".join(pieces),
        ends=_ends([len(piece) for piece in pieces]),
        starts=_ends(held[held > 0]),
        documents=documents,
        counts=_smallest(counts),
        lengths=lengths,
    )


def _ends(sizes: Iterable[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    own = np.asarray(sizes, np.int64)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(own, dtype=np.int64)])


def _smallest(counts: NDArray[Any]) -> NDArray[Any]:
    """Counts in the smallest kind of number that holds the greatest of them."""
    most = int(counts.max()) if len(counts) else 0
    return counts.astype(np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.uint32)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int32)


def _one_setting(segments: Sequence[Postings]) -> Words:
    if not segments:
        return Words()
    first = segments[0].words
    for segment in segments:
        if segment.words != first:
            raise UsageError(f"the segments were indexed with different words ({first} and {segment.words}). Index them again")
    return first


def _check(found: Postings) -> None:
    """Raise ValueError for arrays that a search would stumble over. What else bytes can lose, their digests tell."""
    kinds = {"ends": "i8", "starts": "i8", "documents": "i4", "lengths": "i4"}
    for name, kind in kinds.items():
        array = getattr(found, name)
        if array.dtype != np.dtype(kind) or array.ndim != 1:
            raise ValueError(f"{name} is {array.dtype} of {array.ndim} dimensions")
    if found.counts.dtype.kind != "u" or found.counts.shape != found.documents.shape:
        raise ValueError("counts do not belong to documents")
    for name, places, last in (("ends", found.ends, len(found.letters)), ("starts", found.starts, len(found.documents))):
        if not len(places) or places[0] != 0 or places[-1] != last or (np.diff(places) < 1).any():
            raise ValueError(f"{name} does not fit")
    if len(found.ends) != len(found.starts):
        raise ValueError("terms and postings do not belong together")
    if len(found.lengths) and found.lengths.min() < 0:
        raise ValueError("a length is below 0")
    if found.lengths.sum(dtype=np.int64) != found.counts.sum(dtype=np.int64):
        raise ValueError("counts and lengths do not add up to the same")
    if not len(found.documents):
        return
    if not 0 <= found.documents.min() <= found.documents.max() < found.size or not found.counts.min():
        raise ValueError("documents or counts are out of range")
    ascending = found.documents[1:] > found.documents[:-1]
    ascending[found.starts[1:-1] - 1] = True
    if not ascending.all():
        raise ValueError("the documents of a term are not in order")
    letters = np.frombuffer(found.letters, np.uint8)
    if (letters[found.ends[:-1]] & 0xC0 == 0x80).any() or not found.letters.decode():
        raise ValueError("terms are not UTF-8")
