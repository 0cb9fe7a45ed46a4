"""What is looked at in each request: numbers by their rank, rates, shares of labels and languages, and meaning."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import MissingExtra
from rungwise.curate.shingles import normalise
from rungwise.watch.drift.tails import Floats
from rungwise.watch.scene import Encode
from rungwise.watch.traffic import Traffic

NUMBER, RATE, MIX, MEANING = "number", "rate", "mix", "meaning"
OTHER, ONCE = "(others)", "(seen once)"
HIDDEN = "#"
"""Begins the name of a column that stands for an answer by its number, so that no text that somebody wrote is kept."""
OFTEN, NEVER, OUTSIDE, TWICE = -1, -2, -3, -4
"""Of a word: seen on many days of the reference, on none, on two. OUTSIDE is a day that is no part of it."""
NO_LANGUAGE, SCRIPT = "", "script"
WAVES = 128
"""Pairs of cosine and sine for the meaning of a text."""

_WORD = re.compile(r"[^\W\d_]{2,}")
_SURE = 0.5  # below it a language is not told: short texts are often taken for a neighbouring language
_ROOT3, _ROOT5 = 3.0**0.5, 5.0**0.5


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What one monitor looks at. `kind` is number, rate, mix or meaning.

    `names` are the columns of a rate or a mix: languages, labels (those that are not of the candidate's own by their numbers),
    types of personal data. `numbers` are the sorted values that
    ranks are taken among; of a number that is nearly always the same, the usual one, and what is looked at is whether it is
    another. `only_day` gives for each word of the reference, as a number, the only day on which it was seen, else -1; and of
    labels and languages the same for those of one day or two: see `placed`.
    """

    monitor: str
    kind: str
    names: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    only_day: Mapping[str, int] | None = None
    scale: float = 1.0
    seed: int = 0
    output: bool = False

    @property
    def dims(self) -> int:
        """How many columns it has."""
        if self.kind == NUMBER:
            return 2
        return 2 * WAVES if self.kind == MEANING else len(self.names)


class Requests:
    """Some requests with what has to be worked out of their texts, each once."""

    def __init__(self, traffic: Traffic, encode: Encode, *, languages: str) -> None:
        self.traffic, self.encode, self.languages_by = traffic, encode, languages

    @cached_property
    def texts(self) -> list[str]:
        """The questions, '' where none is kept."""
        return [text if isinstance(text, str) else "" for text in self.traffic.text]

    @cached_property
    def said(self) -> NDArray[np.bool_]:
        """(n,) whether there is a question."""
        return np.array([bool(text.strip()) for text in self.texts], np.bool_)

    @cached_property
    def people(self) -> NDArray[np.int64]:
        """(n,) who asked, as numbers: the user, else the conversation, else each request by itself."""
        names = [user or unit for user, unit in zip(self.traffic.user, self.traffic.unit, strict=True)]
        return np.unique(np.array([str(one) for one in names], dtype=np.str_), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def words(self) -> list[frozenset[str]]:
        """(n,) the words of each question."""
        return [words_of(text) for text in self.texts]

    @cached_property
    def labels(self) -> list[str]:
        """(n,) the answers, as far as case, spacing and signs do not matter."""
        return [normalise(one) if isinstance(one, str) else "" for one in self.traffic.answer]

    @cached_property
    def languages(self) -> list[str] | None:
        """(n,) the language of each question, or its script; None where it cannot be told here."""
        return languages_of(self.texts, self.languages_by)

    @cached_property
    def personal(self) -> list[frozenset[str]] | None:
        """(n,) the types of personal data in each question; None where what finds them is not installed."""
        return personal_of(self.texts)

    @cached_property
    def vectors(self) -> Floats:
        """(n, d) the questions as unit vectors; 0 where there is none."""
        return self._encoded(self.texts)

    @cached_property
    def answer_vectors(self) -> Floats:
        """(n, d) the answers as unit vectors."""
        return self._encoded([one if isinstance(one, str) else "" for one in self.traffic.answer])

    def _encoded(self, texts: Sequence[str]) -> Floats:
        different = sorted(set(texts))
        places = {text: place for place, text in enumerate(different)}
        found = np.asarray(self.encode(different), dtype=np.float64)
        return found[[places[text] for text in texts]] if len(texts) else found

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """(n,) whether there is an answer: no failure, no abstention, and something was said."""
        return ~self.traffic.failed & ~self.traffic.abstained & np.array([bool(one) for one in self.labels], np.bool_)


@lru_cache(maxsize=100_000)
def hashed(word: str) -> str:
    """A word as a number, so that no word of a person stays in the reference when a trace is erased."""
    return f"{zlib.crc32(word.encode('utf-8', 'surrogatepass')):x}"


@lru_cache(maxsize=10_000)
def words_of(text: str) -> frozenset[str]:
    """The words of a text, in lower case, without numbers and single letters."""
    return frozenset(_WORD.findall(text.lower()))


def languages_of(texts: Sequence[str], by: str) -> list[str] | None:
    """The language of each text ('und' where it is not told), or its script; None where languages cannot be told here."""
    if by == SCRIPT:
        return [script_of(text) for text in texts]
    try:
        from rungwise.curate.language import UNKNOWN, identify

        return [code if sure >= _SURE else UNKNOWN for code, sure in identify(texts)]
    except MissingExtra:
        return None


def script_of(text: str) -> str:
    """The script of the first letter of a text (LATIN, CYRILLIC, CJK ...), 'und' where there is none."""
    for sign in text:
        if sign.isalpha():
            return "LATIN" if sign.isascii() else unicodedata.name(sign, "und").split(" ")[0]
    return "und"


def personal_of(texts: Sequence[str]) -> list[frozenset[str]] | None:
    """The types of personal data in each text; None where google-re2 is not installed."""
    try:
        from rungwise.curate.pii.detect import Structured

        return [frozenset(span.type for span in spans) for spans in Structured()(texts)]
    except MissingExtra:
        return None


def columns_of(feature: Feature, requests: Requests, day: int = OUTSIDE) -> tuple[Floats, NDArray[np.bool_]] | None:
    """(n, p) what is seen of each request, and (n,) for which there is anything to see; None where it cannot be told here.

    `day` is the day of the requests where they are part of the reference: what was seen on no other day of it counts as new.
    """
    traffic = requests.traffic
    if feature.kind == MEANING:
        valid = requests.answered if feature.output else requests.said
        return waves(requests.answer_vectors if feature.output else requests.vectors, feature), valid
    if feature.kind == MIX or feature.monitor == "drift.data.personal":
        return _named(feature, requests, day)
    if feature.monitor == "drift.input.vocabulary":
        assert feature.only_day is not None
        known = feature.only_day
        new = {word for word in frozenset().union(*requests.words) if known.get(hashed(word), NEVER) in (NEVER, day)}
        return np.array([not new.isdisjoint(words) for words in requests.words], np.float64)[:, None], requests.said
    if feature.monitor in FLAGS:
        return FLAGS[feature.monitor](requests).astype(np.float64)[:, None], np.ones(len(traffic), np.bool_)
    return _ranked(feature, *number_of(feature.monitor, requests))


def _named(feature: Feature, requests: Requests, day: int) -> tuple[Floats, NDArray[np.bool_]] | None:
    """One column for each name, and the last for all others."""
    held: Sequence[frozenset[str]] | None
    valid = requests.said
    if feature.monitor == "drift.output.answers":
        held, valid = [frozenset((one,)) for one in requests.labels], requests.answered
    elif feature.monitor == "drift.input.language":
        languages = requests.languages
        held = None if languages is None else [frozenset((one,)) for one in languages]
    else:
        held = requests.personal
    if held is None:
        return None
    return placed(feature, held, day), valid


def placed(feature: Feature, held: Sequence[frozenset[str]], day: int) -> Floats:
    """(n, p) which names each request holds: a column for each that was seen on two days of the reference at least, one for what
    it never has, and one for what it has on one day.

    A day of the reference is treated as if it were none: what was seen on no other day is new, what was seen on one other is
    seen once, so that its days and later ones have as many of both on average.
    """
    places = {name: place for place, name in enumerate(feature.names)}
    alone = feature.only_day or {}
    found = np.zeros((len(held), len(feature.names)))
    for row, names in enumerate(held):
        for name in names:
            hidden = f"{HIDDEN}{hashed(name)}"
            seen = alone.get(hashed(name), OFTEN if name in places or hidden in places else NEVER)
            if (place := places.get(name, places.get(hidden))) is not None:
                found[row, place] = 1.0
            if seen in (NEVER, day):
                found[row, places[OTHER]] = 1.0
            elif seen >= 0 if day == OUTSIDE else seen == TWICE:
                found[row, places[ONCE]] = 1.0
    return found


FLAGS = {
    "drift.output.abstentions": lambda requests: requests.traffic.abstained,
    "drift.output.failures": lambda requests: requests.traffic.failed,
    "drift.data.empty": lambda requests: ~requests.said,
    "drift.data.truncated": lambda requests: requests.traffic.truncated,
}


def number_of(monitor: str, requests: Requests) -> tuple[Floats, NDArray[np.bool_]]:
    """(n,) the figure that a monitor looks at and (n,) where there is one."""
    traffic = requests.traffic
    if monitor == "drift.input.length":
        return np.array([len(text) for text in requests.texts], np.float64), requests.said
    values = {
        "drift.output.confidence": traffic.confidence,
        "drift.output.tokens": traffic.output_tokens,
        "drift.output.latency": traffic.seconds,
    }[monitor]
    return values, np.isfinite(values) & ~traffic.failed


def _ranked(feature: Feature, values: Floats, valid: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """A number as its rank u in [0, 1] among the reference's, and as how far out it is: the first two Legendre polynomials of u,
    each of mean 0 and variance 1 in the reference (Neyman's smooth test, 1937). Ties have the rank of their middle."""
    if feature.kind == RATE:
        return (values != feature.numbers[0]).astype(np.float64)[:, None], valid
    u = ranks(values, feature.numbers)
    return np.stack([_ROOT3 * (2 * u - 1), _ROOT5 * (6 * u * u - 6 * u + 1)], axis=1), valid


def ranks(values: Floats, numbers: Sequence[float]) -> Floats:
    """(n,) the rank of each value in [0, 1] among these sorted numbers; NaN counts as the middle."""
    known = np.asarray(numbers)
    safe = np.nan_to_num(values, nan=float(known[len(known) // 2]))
    return np.asarray((np.searchsorted(known, safe, "left") + np.searchsorted(known, safe, "right")) / (2.0 * len(known)))


def waves(vectors: Floats, feature: Feature) -> Floats:
    """(n, 2 * WAVES) random Fourier features of a Gaussian kernel of width `scale`: the distance of two means of them is that of
    the kernel means, MMD (Rahimi and Recht 2007; Gretton et al. 2012, JMLR 13)."""
    phases = vectors @ (_directions(feature.seed, vectors.shape[1]) / feature.scale)
    return np.asarray(np.concatenate([np.cos(phases), np.sin(phases)], axis=1) / WAVES**0.5, dtype=np.float64)


@lru_cache(maxsize=4)
def _directions(seed: int, dims: int) -> Floats:
    return np.asarray(np.random.default_rng(seed).standard_normal((dims, WAVES)))
