"""What is known of each language: its stop words, its stemmer, and which accented letters are letters of their own."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from rungwise.core.errors import MissingExtra, UnknownName, UsageError

LIGHT = "light"
"""The stemmer that needs no extra: English only."""

EDITION = "3.1"
"""The version of Snowball's rules that new indexes are stemmed by."""

SNOWBALL = f"snowball-{EDITION}"

ALGORITHMS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french",
    "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish",
    "yi": "yiddish",
}  # fmt: skip
"""The languages that Snowball stems (ISO 639-1), by the names of its algorithms."""


@cache
def _known() -> dict[str, Any]:
    """The data file: by language, `stop` (words in one string), their `source`, and `letters` (accented letters that stay)."""
    text = resources.files("rungwise.engines.search").joinpath("languages.json").read_text(encoding="utf-8")
    known: dict[str, Any] = json.loads(text)["languages"]
    return known


@cache
def stop_words_known() -> tuple[str, ...]:
    """The languages that have a list of stop words."""
    return tuple(code for code, own in _known().items() if own["stop"])


@cache
def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language, as `Words.split` spells them."""
    return frozenset(_known()[language]["stop"].casefold().split())


class Folding(dict[int, str]):
    """A table for `str.translate` that takes accents off letters, filled as letters are met."""

    def __init__(self, letters: str, *, active: bool) -> None:
        super().__init__()
        self._kept, self._active = frozenset(letters), active

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        plain = letter if not self._active or letter in self._kept else _plain(letter)
        self[code] = plain
        return plain


@cache
def folding_of(language: str) -> Folding:
    """The folding of a language; one that is not in the data file keeps every accent."""
    own = _known().get(language)
    return Folding(own["letters"] if own is not None else "", active=own is not None)


# Letters with strokes and ligatures have no decomposition in Unicode; these are the usual spellings without them.
_STROKES = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t"}
_ARABIC_AND_HEBREW = frozenset(map(chr, (*range(0x591, 0x5C8), 0x640, *range(0x64B, 0x660), 0x670)))


def _plain(letter: str) -> str:
    """A letter without the accents of Latin, Greek and Cyrillic and the points of Arabic and Hebrew; the signs of others stay."""
    if letter in _ARABIC_AND_HEBREW:
        return ""
    parts = unicodedata.normalize("NFD", letter)
    bare = "".join(part for part in parts if not "\u0300" <= part <= "\u036f")
    return _STROKES.get(bare, unicodedata.normalize("NFC", bare))


def check_stemmer(stemmer: str, language: str) -> None:
    """Raise UnknownName for a stemmer that does not exist, UsageError or UnknownName for one that lacks the language."""
    if stemmer == LIGHT:
        if language != "en":
            raise UsageError(
                f"the stemmer '{LIGHT}' knows English, not '{language}'. Run: pip install 'rungwise[search]', and use '{SNOWBALL}'"
            )
    elif not stemmer.startswith("snowball-"):
        raise UnknownName("stemmer", stemmer, (LIGHT, SNOWBALL))
    elif language not in ALGORITHMS:
        raise UnknownName("Snowball stemmer for the language", language, ALGORITHMS)


def stemmer_for(language: str) -> str | None:
    """The stemmer for a language with what is installed here: Snowball of this version, or the light one; None if there is none."""
    from importlib.util import find_spec

    if language in ALGORITHMS and find_spec("Stemmer") is not None:
        return SNOWBALL
    return LIGHT if language == "en" else None


def stem_words(words: Sequence[str], stemmer: str, language: str) -> list[str]:
    """The stem of each word. Raises MissingExtra without PyStemmer, UsageError where its rules are of another version."""
    if stemmer == LIGHT:
        return [light_stem(word) for word in words]
    try:
        import Stemmer
    except ImportError as error:
        raise MissingExtra(f"stemming by {stemmer}", "search") from error
    edition = stemmer.removeprefix("snowball-")
    here = Stemmer.version()
    if here.rsplit(".", 1)[0] != edition:
        raise UsageError(
            f"the index is stemmed by Snowball {edition}, and PyStemmer {here} is installed, whose rules differ. "
            f"Run: pip install 'PyStemmer=={edition}.*', or index the documents again"
        )
    # A stemmer of its own for each call: they are not made for two threads at a time. No cache: callers give distinct words.
    found: list[str] = Stemmer.Stemmer(ALGORITHMS[language], 0).stemWords(words)
    return found


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
