"""Which language a text is in, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from rungwise.core.errors import MissingExtra, UnknownName, UsageError
from rungwise.curate.step import Finding, Look, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNKNOWN = "und"
"""The code (ISO 639-2) for a text that tells no language: empty, numbers, emoji, an unknown script."""

_CODES = """
am ar az be bg bn ca cs da de el en es et eu fa fi fr gu he hi hr hu hy is it ja ka kn ko ku lo lt lv ml mr ms nl no or pa pl pt
ro ru sk sl sq sr sv ta te th tl tr uk ur vi yo zh
"""
LANGUAGES = tuple(_CODES.split())
"""The 60 languages that are told apart (ISO 639-1). The published test of the tables is the "Big test" of the README of
Nito-ELD: 10 MB of sentences in all 60, accuracy 0.994; benchmarks/language_id.py measures seven of them."""

_WHOLE = 360  # characters; of a longer text three pieces are looked at
_PIECE = 120
_DOT = 0x307  # what lower() puts after the i of a Turkish capital İ: a sign to Unicode, part of the word to us


class Tables(NamedTuple):
    """The n-gram tables of all languages as arrays; see kernels.language.rank."""

    codes: tuple[str, ...]
    letters: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    places: NDArray[np.int32]
    languages: NDArray[np.uint8]
    frequencies: NDArray[np.float64]


def identify(texts: Sequence[str]) -> list[tuple[str, float]]:
    """The language of each text (ISO 639-1, or "und") and the confidence in it, from 0 to 1.

    Of a text longer than 360 characters only its beginning, middle and end are looked at, 120 characters each.
    Raises MissingExtra where the extra `curation` is not installed.
    """
    numbers, confidence = _identify(texts)
    codes = _tables().codes
    return [(codes[number] if number >= 0 else UNKNOWN, float(sure)) for number, sure in zip(numbers, confidence, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """Set aside texts that are surely in a language that is not `allowed` (ISO 639-1): `language:not_allowed`.

    Without `allowed`, languages are only counted. A text whose language is less sure than `least_confidence` is never set
    aside. Raises UnknownName for a language that cannot be told, UsageError for a confidence outside [0, 1].
    """

    allowed: tuple[str, ...] = ()
    least_confidence: float = 0.9

    name = "language"
    edition = 1

    def __post_init__(self) -> None:
        if not 0 <= self.least_confidence <= 1:
            raise UsageError(f"least_confidence is between 0 and 1, not {self.least_confidence}")
        for code in self.allowed:
            if code not in LANGUAGES:
                raise UnknownName("language", code, LANGUAGES)

    def look(self, texts: Sequence[str]) -> Look:
        """`language` (n,), int16: the place of each text's language among the codes, -1 for none; `confidence` (n,), float32."""
        numbers, confidence = _identify(texts)
        return {"language": numbers, "confidence": confidence}

    def decide(self, looks: Sequence[Look], rows: Rows) -> list[Finding]:
        """The rows that are surely in a language that is not allowed."""
        if not self.allowed:
            return []
        return [
            Finding(row, "language:not_allowed", f"{code} with confidence {sure:.2f}; allowed: {', '.join(self.allowed)}")
            for row, (code, sure) in enumerate(self._languages(looks))
            if code != UNKNOWN and code not in self.allowed
        ]

    def counts(self, looks: Sequence[Look]) -> dict[str, int]:
        """For the data card: rows by language, the most common first; those less sure than `least_confidence` are "und"."""
        counted = Counter(code for code, _ in self._languages(looks))
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def _languages(self, looks: Sequence[Look]) -> list[tuple[str, float]]:
        """The language of each row and the confidence in it."""
        codes = _tables().codes
        return [
            (codes[number] if number >= 0 and sure >= self.least_confidence else UNKNOWN, sure)
            for look in looks
            for number, sure in zip(look["language"].tolist(), look["confidence"].tolist(), strict=True)
        ]


def sample(text: str) -> str:
    """The part of a text that is looked at: all of a short one, the beginning, middle and end of a long one."""
    if len(text) <= _WHOLE:
        return text
    middle = (len(text) - _PIECE) // 2
    return " ".join((text[:_PIECE], text[middle : middle + _PIECE], text[-_PIECE:]))


def _identify(texts: Sequence[str]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    import numpy as np

    tables = _tables()
    from rungwise.curate.kernels.language import rank

    encoded = [sample(text).lower().encode("utf-8", "surrogatepass") for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    best, scores = np.empty(len(encoded), np.int16), np.zeros((len(encoded), 3), np.float64)
    rank(np.frombuffer(b"".join(encoded), np.uint8), offsets, *tables[1:], best, scores)
    return best, _confidence(scores).astype(np.float32)


def _confidence(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """How sure the best of several languages is: logistic in its lead over the second, times the root of the count of n-grams.

    `scores` is (n, 3) as from kernels.language.rank. The two constants were fitted on half of the sentences of
    benchmarks/language_id.py and pieces of 1, 2, 3, 5 and 8 words of them; the benchmark prints how well they hold.
    """
    import numpy as np

    lead = (scores[:, 0] - scores[:, 1]) * np.sqrt(scores[:, 2])
    return np.where(scores[:, 0] > 0, 1 / (1 + np.exp(-0.3 - 7 * lead)), 0.0)


@cache
def _tables() -> Tables:
    """The n-grams of Nito-ELD, the only thing that is taken from the package `eld`."""
    import numpy as np

    try:
        from eld.resources.ngrams.ngramsM60 import ngrams_data

        from rungwise.curate.kernels.language import table
    except ImportError as error:
        raise MissingExtra("language identification", "curation") from error
    names: dict[int, str] = ngrams_data["languages"]
    ngrams: dict[bytes, dict[int, int]] = ngrams_data["ngrams"]
    packed = np.array([int.from_bytes(ngram) for ngram in ngrams], np.uint64)
    starts = np.zeros(len(ngrams) + 1, np.int32)
    np.cumsum([len(own) for own in ngrams.values()], out=starts[1:])
    keys = np.zeros(1 << (2 * len(ngrams)).bit_length(), np.uint64)
    places = np.zeros((len(keys), 2), np.int32)
    table(packed, starts, keys, places)
    return Tables(
        codes=tuple(names.get(number, "") for number in range(max(names) + 1)),
        letters=_letters(),
        keys=keys,
        places=places,
        languages=np.array([language for own in ngrams.values() for language in own], np.uint8),
        frequencies=np.array([count for own in ngrams.values() for count in own.values()], np.float64),
    )


def _letters() -> NDArray[np.bool_]:
    """Which code points are letters; no letter is assigned beyond 0x34000."""
    import numpy as np

    letters: NDArray[np.bool_] = np.array([chr(code).isalpha() for code in range(0x34000)], np.bool_)
    letters[_DOT] = True
    return letters
