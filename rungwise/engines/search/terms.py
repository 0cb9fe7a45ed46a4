"""How text becomes the terms that a search by words matches: words, their stems, pieces of unspaced scripts, emoji."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rungwise.core.errors import UnknownName, UsageError
from rungwise.engines.search.languages import (
    LIGHT,
    check_stemmer,
    folding_of,
    stem_words,
    stemmer_for,
    stop_words,
    stop_words_known,
)

LONGEST = 255
"""Characters of a term that are looked at, as in Lucene's StandardTokenizer; a longer word is known by its beginning."""

# Scripts that are written without spaces, and Hangul, whose words carry their particles: these become pieces of one and two
# characters, since a word list for each would be needed to do better. Thai, Lao, Myanmar, Khmer, Hangul, kana, Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
    "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)

# Signs, pictographs and the letters of flags; skin tones, joiners and variation selectors say nothing by themselves.
_EMOJI = "[\u2600-\u27bf\u2b50\u2b55\U0001f300-\U0001f3fa\U0001f400-\U0001faff]|[\U0001f1e6-\U0001f1ff]{2}"

_PLAIN = re.compile(r"\w+")


def _marks() -> str:
    """The signs that belong to the letter before them (Unicode categories Mn and Mc) as the inside of a character class.

    Python's word pattern lacks them, so that it would cut the words of most scripts of India at every vowel.
    """
    spans: list[list[int]] = []
    for code in (*range(0x300, 0xFE00), *range(0xFE20, 0xFE30), *range(0x10000, 0x1F000)):
        if unicodedata.category(chr(code)) in ("Mn", "Mc"):
            if spans and spans[-1][1] == code - 1:
                spans[-1][1] = code
            else:
                spans.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in spans)


_MARKS = _marks()
_IN_WORD = re.compile(rf"[\w{_MARKS}]")
_ANY = re.compile(rf"[\w{_MARKS}]+|{_EMOJI}")
_PIECES = re.compile(rf"[{_UNSPACED}][{_UNSPACED}{_MARKS}]*|[^{_UNSPACED}]+")
_CLUSTER = re.compile(rf".[{_MARKS}]*", re.DOTALL)
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Words:
    """How text becomes terms: the same setting gives the same terms on every machine.

    Words are runs of letters, digits and `_` in lower case, with the accents that the `language` (ISO 639-1) does not count
    as letters of their own taken off; `snake_case` is itself and its parts; scripts without spaces become pieces of one and
    of two characters; an emoji is a term. `stop` leaves out the most common words of the language, `stem` brings the forms
    of a word together, by `stemmer`: "light" (English, no extra), or "snowball-3.1" (the extra `search`; the number is the
    version of Snowball's rules, which differ). Raises UnknownName or UsageError for what the language does not have.
    """

    language: str = "en"
    stop: bool = False
    stem: bool = False
    stemmer: str = LIGHT

    def __post_init__(self) -> None:
        if self.stop and self.language not in stop_words_known():
            raise UnknownName("list of stop words for the language", self.language, stop_words_known())
        if self.stem:
            check_stemmer(self.stemmer, self.language)
        elif self.stemmer != LIGHT:
            raise UsageError(f"the stemmer '{self.stemmer}' is named but not used. Say stem=True, or leave it out")

    def terms(self, text: str) -> list[str]:
        """The terms of a text, in order."""
        return [term for own in self.mapped(self.split(text)) for term in own]

    def split(self, text: str) -> list[str]:
        """The words of a text in lower case, in order, before anything is left out, stemmed or cut into pieces."""
        text = self.prepared(text)
        return (_PLAIN if text.isascii() else _ANY).findall(text)

    def prepared(self, text: str) -> str:
        """A text with the letters that its words are spelled in: lower case, one way to write each."""
        if self.language in ("tr", "az"):
            text = text.replace("İ", "i").replace("I", "ı")
        return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()

    def mapped(self, words: Sequence[str]) -> list[tuple[str, ...]]:
        """The terms that each word of `split` becomes: mostly one; none for a stop word; several for pieces."""
        stopped = stop_words(self.language) if self.stop else _NONE
        cut = {word: _parts(word) for word in words if "_" in word or (not word.isascii() and _HAS_UNSPACED.search(word))}
        plain = [word for word in words if word not in cut and word not in stopped]
        plain += [part for parts in cut.values() for part in parts if part not in stopped]
        known = dict(zip(plain, self._matched(plain), strict=True))
        return [self._pieces(word, known) if word in cut else ((known[word],) if word in known else ()) for word in words]

    def _matched(self, words: Sequence[str]) -> list[str]:
        """Words as they are matched: stemmed, then without accents (the stemmers know those of their language), not too long."""
        if self.stem:
            words = stem_words(words, self.stemmer, self.language)
        folding = folding_of(self.language)
        return [(word if word.isascii() else word.translate(folding) or word)[:LONGEST] for word in words]

    def _pieces(self, word: str, known: Mapping[str, str]) -> tuple[str, ...]:
        """The terms of a word that is more than one: a run without spaces, or snake_case."""
        found: list[str] = []
        for piece in _PIECES.findall(word):
            if _HAS_UNSPACED.match(piece):
                clusters = _CLUSTER.findall(piece)
                found += (*clusters, *(first + second for first, second in pairwise(clusters)))
                continue
            parts = _parts(piece)
            if len(parts) > 1:
                found.append(piece.strip("_").translate(folding_of(self.language))[:LONGEST])
            found += (known[part] for part in parts if part in known)
        return tuple(found)


def word_kinds() -> bytes:
    """By code point, what `split` takes it for: 0 stands between words, 1 in a word, 2 is a word alone, 3 two of them are one."""
    kinds = bytearray(sys.maxunicode + 1)
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    for found in _ANY.finditer(every):
        first, last = found.span()
        kinds[first:last] = bytes([1 if _IN_WORD.match(every, first) else 3 if last - first == 2 else 2]) * (last - first)
    return bytes(kinds)


def words_for(language: str, *, stop: bool = True, stem: bool = True) -> Words:
    """The setting that finds most in a language with what is installed here: its stop words and stemmer, where there are any."""
    stop = stop and language in stop_words_known()
    stemmer = stemmer_for(language) if stem else None
    return Words(language=language, stop=stop, stem=stemmer is not None, stemmer=stemmer or LIGHT)


def _parts(word: str) -> tuple[str, ...]:
    """What of a word may be stemmed: the parts of snake_case, and what stands between characters of unspaced scripts."""
    pieces = _PIECES.findall(word) if not word.isascii() else (word,)
    return tuple(part for piece in pieces if not _HAS_UNSPACED.match(piece) for part in piece.split("_") if part)
