"""Search by words: BM25 over passages, kept as plain files."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt

ARRAYS, WORDS = "lexical.safetensors", "lexical.json"
"""The files that an index is kept in."""

_LUCENE = (
    "a an and are as at be but by for if in into is it no not of on or such that "
    "the their then there these they this to was will with"
)

STOP_WORDS = frozenset(_LUCENE.split())
"""The English stop words of Lucene's EnglishAnalyzer."""

_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Words:
    """How text becomes terms: lower-case words; on request without English stop words (`stop`) and with a light `stem`."""

    stop: bool = False
    stem: bool = False

    def terms(self, text: str) -> list[str]:
        """The terms of a text, in order."""
        found = _TOKEN.findall(text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold())
        if self.stop:
            found = [word for word in found if word not in STOP_WORDS]
        return [light_stem(word) for word in found] if self.stem else found


def light_stem(word: str) -> str:
    """An English word without its plural, -ed or -ing ending, where at least three letters stay.

    The plural rules are those of the S-stemmer (Harman, JASIS 42, 1991, table 1); -ed and -ing go when a vowel stays,
    and a final e or double letter that they leave bare goes too, so that 'stopped', 'stopping' and 'stop' meet.
    """
    if len(word) > 4 and word.endswith("ies") and word[-4] not in "ae":
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and word[-2] not in "us" and word[-3:] not in ("aes", "ees", "oes"):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= 3 and any(letter in "aeiouy" for letter in rest):
            word = rest
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeioulsz":
        return word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


@dataclass(frozen=True, slots=True)
class LexicalIndex:
    """The postings of n texts: term t stands in `documents[starts[t]:starts[t + 1]]` (ascending) with those `weights`.

    `lengths` (n,) counts the distinct terms of each text; `idf` (terms,) is the rarity of each term, `unseen` that of any other.
    """

    words: Words
    vocabulary: Mapping[str, int]
    starts: NDArray[np.int64]
    documents: NDArray[np.int32]
    weights: NDArray[np.float32]
    idf: NDArray[np.float32]
    lengths: NDArray[np.int32]

    @property
    def size(self) -> int:
        """How many texts are indexed."""
        return len(self.lengths)

    @property
    def unseen(self) -> float:
        """The rarity of a term that no text holds: ln(1 + (n + 0.5) / 0.5)."""
        return float(np.log1p((self.size + 0.5) / 0.5))

    def rarity(self, term: str) -> float:
        """The inverse document frequency of a term, above 0."""
        number = self.vocabulary.get(term)
        return self.unseen if number is None else float(self.idf[number])

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
        """The `k` best texts as (number, BM25 score), best first, equal ones by number; texts that share no term are left out."""
        scores = np.zeros(self.size, np.float32)
        for term, count in Counter(self.words.terms(query)).items():
            if (number := self.vocabulary.get(term)) is not None:
                own = slice(self.starts[number], self.starts[number + 1])
                scores[self.documents[own]] += count * self.weights[own]
        return _best(scores, k)

    def overlap(self, query: str, k: int) -> list[tuple[int, float]]:
        """The `k` texts whose sets of terms are most like the query's, as (number, Jaccard similarity in (0, 1])."""
        terms = set(self.words.terms(query))
        shared = np.zeros(self.size, np.float32)
        for term in terms:
            if (number := self.vocabulary.get(term)) is not None:
                shared[self.documents[self.starts[number] : self.starts[number + 1]]] += 1
        return _best(shared / np.maximum(1, self.lengths + len(terms) - shared), k)

    def files(self) -> dict[str, bytes]:
        """The index as files: arrays in safetensors, words in JSON."""
        from safetensors.numpy import save

        arrays = {name: getattr(self, name) for name in ("starts", "documents", "weights", "idf", "lengths")}
        words = {"words": asdict(self.words), "vocabulary": list(self.vocabulary)}
        return {ARRAYS: save(arrays), WORDS: json.dumps(words, ensure_ascii=False).encode()}


def build_index(texts: Iterable[str], *, words: Words | None = None, k1: float = 1.5, b: float = 0.75) -> LexicalIndex:
    """Index texts by BM25 as Lucene computes it; scores of terms are laid down here, so that a search only adds them up.

    idf = ln(1 + (n - df + 0.5) / (df + 0.5)) and weight = idf * tf / (tf + k1 * (1 - b + b * length / mean length)):
    Robertson and Zaragoza 2009, section 3, with Lucene's idf, which is never negative, and without the constant factor k1 + 1
    (Kamphuis et al., ECIR 2020, "Lucene (accurate)").
    """
    words = words or Words()
    vocabulary: dict[str, int] = {}
    terms: list[int] = []
    counts: list[int] = []
    lengths, distinct = [], []
    for text in texts:
        own = Counter(words.terms(text))
        terms.extend(vocabulary.setdefault(term, len(vocabulary)) for term in own)
        counts.extend(own.values())
        lengths.append(sum(own.values()))
        distinct.append(len(own))
    number, tf = np.asarray(terms, np.int64), np.asarray(counts, np.float64)
    owner = np.repeat(np.arange(len(distinct)), distinct)
    frequency = np.bincount(number, minlength=len(vocabulary))
    idf = np.log1p((len(lengths) - frequency + 0.5) / (frequency + 0.5))
    length = np.asarray(lengths, np.float64)
    norm = k1 * (1 - b + b * length / max(1.0, length.mean() if len(length) else 1.0))
    weights = idf[number] * tf / (tf + norm[owner])
    order = np.argsort(number, kind="stable")
    return LexicalIndex(
        words=words,
        vocabulary=vocabulary,
        starts=np.concatenate([[0], np.cumsum(frequency)]).astype(np.int64),
        documents=owner[order].astype(np.int32),
        weights=weights[order].astype(np.float32),
        idf=idf.astype(np.float32),
        lengths=np.asarray(distinct, np.int32),
    )


def load_index(files: Mapping[str, bytes]) -> LexicalIndex:
    """An index from its files. Raises Corrupt when one is missing or they do not belong together."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays, kept = load(files[ARRAYS]), json.loads(files[WORDS])
        vocabulary = {term: number for number, term in enumerate(kept["vocabulary"])}
        index = LexicalIndex(words=Words(**kept["words"]), vocabulary=vocabulary, **arrays)
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise Corrupt(f"the files of a search index cannot be read ({error}). Run the climb again to make it") from error
    if not len(index.starts) - 1 == len(index.idf) == len(vocabulary) or len(index.documents) != len(index.weights):
        raise Corrupt("the files of a search index do not belong together. Run the climb again to make it")
    return index


def _best(scores: NDArray[np.float32], k: int) -> list[tuple[int, float]]:
    """The `k` highest scores above 0 as (number, score), best first, equal ones by number."""
    if k < 1 or not len(scores):
        return []
    if k < len(scores):
        # All that tie with the k-th are sorted too, so that the choice among equals is by number on every machine.
        kth = np.partition(scores, len(scores) - k)[len(scores) - k]
        chosen = np.flatnonzero((scores >= kth) & (scores > 0))
    else:
        chosen = np.flatnonzero(scores > 0)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")][:k]
    return [(int(number), float(scores[number])) for number in chosen]
