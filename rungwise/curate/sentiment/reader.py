"""The model of how comments sound, at work: its weights, read once and checked, and what it makes of a comment."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.errors import Corrupt
from rungwise.curate.names.lexicon import groups as name_lists
from rungwise.curate.sentiment.lexicon import groups

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = Path(__file__).with_name("weights.safetensors")
VOCABULARY = WEIGHTS.with_name("vocabulary.json")
DIGEST = WEIGHTS.with_suffix(".sha256")
LIKED, DISLIKED = 0.6, 0.4
"""A comment sounds good above the first and bad below the second; between them it says neither."""
LONGEST = 4_000
"""Characters of a comment that are read: whoever writes more has said by then what they think."""
REACH = 3
"""Words after a negation that it turns, until a clause ends; as in Das and Chen 2001 (who go on to the end of the clause)."""
_TAG = re.compile(r"<[^<>]{0,300}>")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+/\d+|[.,;:!?()]|[^\s\w]+")
_LETTERS = re.compile(r"[^\W\d_]")
_NEGATIONS = frozenset(
    (
        "not",
        "no",
        "never",
        "nothing",
        "neither",
        "nor",
        "hardly",
        "barely",
        "without",
        "cannot",
        "unable",
        "failed",
        "fails",
        "nobody",
        "none",
    )
)
_ENDS = frozenset((".", ",", ";", ":", "!", "?", "(", ")", "but", "however", "although", "though", "yet"))
_WEAK = frozenset(
    (
        "a",
        "an",
        "the",
        "to",
        "it",
        "is",
        "was",
        "be",
        "been",
        "my",
        "me",
        "i",
        "you",
        "your",
        "of",
        "and",
        "or",
        "in",
        "on",
        "for",
        "with",
        "at",
        "this",
        "that",
        "so",
        "as",
    )
)
_SHORT = {"cant": "can not", "wont": "will not", "dont": "do not", "doesnt": "does not", "didnt": "did not", "isnt": "is not"} | {
    "wasnt": "was not", "couldnt": "could not", "wouldnt": "would not", "can't": "can not", "won't": "will not", "cannot": "can not"
}  # fmt: skip


@dataclass(frozen=True)
class Sentiment:
    """A linear model: the log odds that a comment sounds good are `bias` plus the sum of the weights of its
    features over the root of how many these are."""

    places: Mapping[str, int]
    weights: NDArray[np.float32]
    """(features,)"""
    bias: float

    def odds(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(n,) the log odds that each text sounds good; 0 where it has no word that the model knows."""
        import numpy as np

        found = np.zeros(len(texts))
        for i, text in enumerate(texts):
            places = [place for name in features(text) if (place := self.places.get(name)) is not None]
            if places:
                found[i] = self.bias + float(self.weights[places].sum()) / len(places) ** 0.5
        return found

    def chances(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(n,) the chance that each text sounds good."""
        import numpy as np

        return 1 / (1 + np.exp(-np.clip(self.odds(texts), -30, 30)))


def cleaned(text: str) -> str:
    """A comment without the marks of HTML, its spaces made one, cut at `LONGEST` characters."""
    begin = text[: 4 * LONGEST]
    if "<" in begin or "&" in begin:
        begin = html.unescape(_TAG.sub(" ", begin))
    return " ".join(begin.replace("\u2019", "'").split())[:LONGEST]


def words(text: str) -> list[str]:
    """The words, marks and faces of a text in lower case, "n't" written as "not"."""
    found: list[str] = []
    for token in _WORD.findall(_faces(cleaned(text).lower())):
        if token in _SHORT:
            found += _SHORT[token].split()
        elif token.endswith("n't"):
            found += [token[:-3], "not"]
        else:
            found.append(token.removesuffix("'s"))
    return found


@cache
def _marks() -> tuple[tuple[str, str], ...]:
    own = [(mark, f" {kind} ") for kind in ("smile", "frown") for mark in groups()[kind]]
    return tuple(sorted(own, key=lambda one: -len(one[0])))  # ":-)" before ")"


def _faces(text: str) -> str:
    if text.isascii() and ":" not in text and "=" not in text and "<3" not in text:
        return text
    for mark, name in _marks():
        if mark in text:
            text = text.replace(mark, name)
    return text


def stem(word: str) -> str:
    """A word without its usual English endings, so that 'confusing' and 'confused' are one."""
    if len(word) > 4 and word.isalpha():
        for ending in ("ingly", "edly", "fully", "ful", "ing", "ily", "ely", "ly", "ies", "ed", "es", "s", "y", "e"):
            if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
                return word[: -len(ending)]
    return word


def features(text: str) -> list[str]:
    """What the model sees of a text, each once: words and their kind by the lists, marked where a negation reaches, and pairs."""
    found, reach, before = dict[str, None](), 0, ""
    for word in words(text):
        if word in _ENDS:
            reach, before = 0, ""
            if word not in ("!", "?") and not word.isalpha():
                continue
        own = stem(word)
        turned = "not_" if reach and word not in _NEGATIONS else ""
        found[turned + own] = None
        if kind := _kinds().get(own):
            found[turned + kind] = None
        if before:
            found[f"{before} {own}"] = None
        if word in _NEGATIONS:
            reach = REACH
        elif reach and word not in _WEAK:
            reach -= 1
        before = own
    return list(found)


@cache
def _kinds() -> dict[str, str]:
    """The stems of single words of the lists, '*good' or '*bad', so that a negated word that was never met is still turned."""
    found: dict[str, set[str]] = {}
    for kind, lists in (
        ("*good", ("good", "works", "worked", "gain", "love")),
        ("*bad", ("bad", "failed", "loss", "problem", "hate")),
    ):
        for item in (item for name in lists for item in groups()[name] if " " not in item):
            found.setdefault(stem(item), set()).add(kind)
    return {word: min(kinds) for word, kinds in found.items() if len(kinds) == 1}


@cache
def _small_words() -> tuple[frozenset[str], frozenset[str]]:
    """Small words of English, and those of other languages that English does not have."""
    english = frozenset(name_lists("words")["function"])
    return english, frozenset(name_lists("words")["foreign"]) - english


def readable(text: str, model: Sentiment | None = None) -> bool:
    """Whether a comment can be read: it has letters or a face that is known, and its words are not clearly of another language."""
    own = words(text)
    if "smile" in own or "frown" in own:
        return True
    named = [word for word in own if _LETTERS.search(word)]
    if not named:
        return any("/" in word and len(word) > 2 for word in own)
    english, foreign = _small_words()
    strange = sum(word in foreign or not word.isascii() for word in named)
    places = (model or shipped()).places
    return sum(word in english or stem(word) in places for word in named) > strange


def pack(model: Sentiment) -> tuple[bytes, bytes, str]:
    """A model as the bytes of a safetensors file, its vocabulary as JSON, and the SHA-256 of both."""
    import numpy as np
    from safetensors.numpy import save

    scale = max(float(np.abs(model.weights).max(initial=0.0)) / 127, 1e-9)
    steps = np.rint(model.weights / scale).astype(np.int8)
    weights = bytes(save({"weights": steps, "scale": np.array([scale]), "bias": np.array([model.bias])}))
    names = sorted(model.places, key=model.places.__getitem__)
    vocabulary = (json.dumps(names, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    return weights, vocabulary, hashlib.sha256(weights + vocabulary).hexdigest()


def unpack(weights: bytes, vocabulary: bytes, expected: str, *, where: str) -> Sentiment:
    """The model in these bytes. Raises Corrupt when their SHA-256 is not `expected`."""
    if (found := hashlib.sha256(weights + vocabulary).hexdigest()) != expected:
        raise Corrupt(
            f"{where} is damaged: its SHA-256 is {found[:12]}, not {expected[:12]}. "
            "Install the package again, or fit it with: python -m rungwise.fit.sentiment"
        )
    import numpy as np
    from safetensors.numpy import load

    tensors = load(weights)
    names = json.loads(vocabulary)
    return Sentiment(
        places={name: place for place, name in enumerate(names)},
        weights=tensors["weights"].astype(np.float32) * np.float32(tensors["scale"][0]),
        bias=float(tensors["bias"][0]),
    )


@cache
def shipped() -> Sentiment:
    """The model that comes with the package."""
    digest = DIGEST.read_text(encoding="ascii").strip()
    return unpack(WEIGHTS.read_bytes(), VOCABULARY.read_bytes(), digest, where=str(WEIGHTS))
