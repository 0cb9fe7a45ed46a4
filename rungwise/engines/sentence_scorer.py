"""Which sentence answers a question: a few things that speak for a sentence, weighed as solved questions say."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage
from rungwise.engines.answerable import QUESTION_SIGNS, question_signs
from rungwise.engines.arrays import Files, pack, rebuilding, require_shape, unpack
from rungwise.engines.encoders.encode import Encode
from rungwise.engines.search.terms import Words
from rungwise.engines.sentences import split_sentences

Floats = NDArray[np.float32]

SENTENCE_SCORER = "sentence-scorer"

FEATURES = (
    "covered",  # share of the question's rarity that the sentence holds
    "covered_near",  # the same of the sentence before it and the heading over it
    "best_covered",  # 1 for the sentence that covers most
    "cosine",  # of question and sentence
    "cosine_ahead",  # the cosine less the mean cosine of all sentences
    "cosine_heading",  # of question and sentence with its heading
    "first",  # 1 for the first sentence of its passage
    "place",  # how far down its passage, in [0, 1]
    "rank",  # 1 / rank of its passage among those found
    "words",  # log of the number of its words
    "kind_held",  # the question asks for a name, a number, a time, a place or a reason, and the sentence has one
    "kind_missing",  # it asks for one, and the sentence has none
)

_WORDS = Words(stem=True)
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+([^\n]*)\Z")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|half|twice|once|hundred|thousand|million|billion|no|all)\b",
    re.IGNORECASE,
)
# (what the question says, what its answer holds). Question words of Li and Roth 2002 (COLING, coarse classes), in English.
_KINDS = (
    (re.compile(r"\bwho(?:se|m)?\b", re.IGNORECASE), re.compile(r"(?<=\w )[A-Z]\w+|\b(?:we|you|they|team|person|people)\b")),
    (re.compile(r"\bhow (?:many|much|heavy|big|large|old|far|high|tall)\b|\bwhat (?:percent|number)", re.IGNORECASE), _NUMBER),
    (
        re.compile(
            r"\bwhen\b|\bhow (?:long|soon|often|fast|quickly)\b|\b(?:what|which) (?:year|day|date|time|century)", re.IGNORECASE
        ),
        re.compile(
            rf"\d|\b(?:{_MONTHS}|{_DAYS}|(?i:hours?|days?|weeks?|months?|years?|minutes?|century|immediately|once|after|before))\b"
        ),
    ),
    (re.compile(r"\bwhere\b", re.IGNORECASE), re.compile(r"\b(?:in|at|on|to|from|near|under|into)\b")),
    (re.compile(r"\bwhy\b", re.IGNORECASE), re.compile(r"\b(?:because|since|due|so|to|for|as)\b", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as a passage with its own offsets, where it stands, and the heading over it ('' without one).

    `source` is the place of its passage among those given, `start` its first character there, `place` which sentence of it.
    """

    passage: Passage
    source: int
    start: int
    place: int
    heading: str = ""


def sentences_of(passages: Sequence[Passage]) -> list[Sentence]:
    """All sentences of all passages in order, without the headings, which their sentences remember."""
    found = []
    for source, passage in enumerate(passages):
        heading, place = "", 0
        for start, end in split_sentences(passage.text):
            text = passage.text[start:end]
            if (own := _HEADING.match(text)) is not None:
                heading = own[1].strip()
                continue
            begin = passage.start + start
            exact = replace(passage, text=text, start=begin, end=begin + len(text))
            found.append(Sentence(exact, source, start, place, heading))
            place += 1
    return found


def coverage(question: str, texts: Sequence[str]) -> Floats:
    """(n,) the share of the question's rarity that stands in each text, in [0, 1]; rarity is BM25's among these texts.

    Source of the rarity: Robertson and Zaragoza 2009, eq. 3.2, with 1 added inside the logarithm so that it stays positive.
    """
    held = [set(_WORDS.terms(text)) for text in texts]
    counts = Counter(term for own in held for term in own)
    rarity = {term: math.log(1 + (len(texts) - counts[term] + 0.5) / (counts[term] + 0.5)) for term in set(_WORDS.terms(question))}
    total = sum(rarity.values()) or 1.0
    # sorted, so that sums do not depend on the order of a set
    return np.array([sum(rarity[term] for term in sorted(own & rarity.keys())) / total for own in held], dtype=np.float32)


def kind_asked(question: str) -> re.Pattern[str] | None:
    """What an answer of the kind asked for looks like; None where the question does not say."""
    return next((answer for asked, answer in _KINDS if asked.search(question)), None)


def features(question: str, sentences: Sequence[Sentence], encode: Encode) -> Floats:
    """(n, features) float32 of what speaks for each sentence, in the order of `FEATURES`."""
    texts = [sentence.passage.text for sentence in sentences]
    under = [f"{sentence.heading}. {text}" if sentence.heading else text for sentence, text in zip(sentences, texts, strict=True)]
    before = [
        f"{own.heading} {texts[place - 1] if place and sentences[place - 1].source == own.source else ''}"
        for place, own in enumerate(sentences)
    ]
    unique = list(dict.fromkeys((question, *texts, *under)))
    vectors = dict(zip(unique, encode(unique), strict=True))
    cosines, under_cosines = ([float(vectors[text] @ vectors[question]) for text in own] for own in (texts, under))
    covered = coverage(question, texts)
    counts = Counter(sentence.source for sentence in sentences)
    kind = kind_asked(question)
    held = [kind is not None and kind.search(text) is not None for text in texts]
    columns = (
        covered,
        coverage(question, before),
        covered >= covered.max(initial=1e-6),
        cosines,
        np.asarray(cosines) - np.mean(cosines),
        under_cosines,
        [sentence.place == 0 for sentence in sentences],
        [sentence.place / counts[sentence.source] for sentence in sentences],
        [1 / (1 + sentence.source) for sentence in sentences],
        [math.log(1 + len(text.split())) for text in texts],
        held,
        [kind is not None and not one for one in held],
    )
    return np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)


@dataclass(frozen=True, slots=True)
class Scored:
    """A sentence and the probability, in [0, 1], that it holds the answer."""

    sentence: Sentence
    probability: float


@dataclass(frozen=True, kw_only=True)
class SentenceScorer:
    """Linear weights over `FEATURES`; `doubt` (9,) turns the `evidence` of the winner into the probability that it is right.

    The features are centred by `mean` and divided by `scale`, all (features,) float32. `encoder` names what made the cosines.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    doubt: Floats
    encoder: str
    encode: Encode

    @classmethod
    def load(cls, files: Mapping[str, bytes], encode: Callable[[str], Encode]) -> SentenceScorer:
        """Read what `files()` wrote; `encode` gives the encoder of a name. Raises Corrupt when that is not what they are."""
        arrays, settings = unpack(files, technique=SENTENCE_SCORER)
        with rebuilding(SENTENCE_SCORER):
            if tuple(settings["features"]) != FEATURES:
                raise ValueError(f"it weighs {settings['features']}, which this version does not compute")
            name = str(settings["encoder"])
            for part in ("mean", "scale", "weights"):
                require_shape(part, arrays[part], (len(FEATURES),))
            require_shape("doubt", arrays["doubt"], (2 + len(QUESTION_SIGNS) + 1,))
            parts = {part: arrays[part] for part in ("mean", "scale", "weights", "doubt")}
            return cls(**parts, encoder=name, encode=encode(name))

    def files(self, **recorded: Any) -> Files:
        """Its safetensors and JSON, with whatever else is worth recording among the settings."""
        arrays = {"mean": self.mean, "scale": self.scale, "weights": self.weights, "doubt": self.doubt}
        return pack(arrays, {"technique": SENTENCE_SCORER, "features": list(FEATURES), "encoder": self.encoder, **recorded})

    def rank(self, question: str, passages: Sequence[Passage]) -> list[Scored]:
        """All sentences, likeliest first, equal ones in order; empty without a sentence."""
        sentences = sentences_of(passages)
        if not sentences:
            return []
        own = features(question, sentences, self.encode)
        margins = self.margins(own)
        order = np.argsort(-margins, kind="stable")
        share = softmax_of(margins)
        signs = question_signs(question, [sentence.passage.text for sentence in sentences], own[:, 0])
        right = sure(self.doubt, evidence(margins, own, signs))
        return [Scored(sentences[place], float(right * share[place] / share[order[0]])) for place in order]

    def margins(self, own: Floats) -> Floats:
        """(n,) of features (n, features): higher is likelier."""
        return np.asarray((own - self.mean) / self.scale @ self.weights, dtype=np.float32)


def softmax_of(margins: Floats) -> Floats:
    """(n,) shares that add up to 1."""
    shares = np.exp(margins - margins.max())
    return np.asarray(shares / shares.sum(), dtype=np.float32)


def evidence(margins: Floats, own: Floats, signs: Floats) -> Floats:
    """(8,) what speaks for the winner: the log odds of its share, its cosine with the question, and `question_signs`."""
    best = int(np.argmax(margins))
    share = float(np.clip(softmax_of(margins)[best], 1e-4, 1 - 1e-4))
    return np.array([math.log(share / (1 - share)), own[best, FEATURES.index("cosine")], *signs], dtype=np.float32)


def sure(doubt: Floats, seen: Floats) -> float:
    """The probability that the winner is right: a logistic of its `evidence` (8,), weighed by `doubt` (8 weights and an offset)."""
    z = float(seen @ doubt[:-1] + doubt[-1])
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, z))))
