"""Questions that the text asks about itself: a sentence with a name or a number left out, which is the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from rungwise.core.dataset import Example
from rungwise.engines.sentences import split_sentences

DROPPED = 0.2
"""Share of a sentence's words left out, so that a question is more than the sentence copied ("noisy cloze": word drop of
Lewis et al. 2019, section 2.4.2, with Lample et al. 2018, section 2.3)."""

UNANSWERED = 0.25
"""Share of questions asked of the passage without the sentence that answers them."""

SHORTEST = 6  # words of a sentence that is asked about

# What is left out, and what asks for it: numbers with their unit, dates, quoted words, runs of capitalised words.
_SPANS = (
    (re.compile(r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\b[ \d,]*\b"), "when"),
    (re.compile(r"\b(?:1\d{3}|20\d{2})s?\b"), "what year"),
    (re.compile(r"[$€£]?\b\d[\d,.]*\b(?: ?%| (?:percent|hours?|days?|weeks?|months?|years?|working days?))?"), "how much"),
    (re.compile(r"[\"“]([^\"“”\n]{3,60})[\"”]"), "what"),
    (re.compile(r"(?<=\w )[A-Z]\w+(?:(?: (?:of|the|and|de))* [A-Z]\w+)*"), "who or what"),
)


def clozes(texts: Sequence[str], *, limit: int, seed: int = 0) -> list[Example]:
    """At most `limit` rows made of the texts, in random order: question, passage, answer (none for a quarter of them).

    Source: Lewis, Denoyer and Riedel 2019 (ACL, arXiv 1906.04980), with a rule in place of the translation: the question
    word for the kind of span, then what follows the span, then what stands before it, with words left out.
    """
    rng = np.random.default_rng(seed)
    rows = [row for text in dict.fromkeys(texts) for row in _of(text, rng)]
    return [rows[number] for number in rng.permutation(len(rows))[:limit]]


def _of(text: str, rng: np.random.Generator) -> Iterator[Example]:
    for start, end in split_sentences(text):
        sentence = text[start:end]
        if len(sentence.split()) < SHORTEST:
            continue
        taken: list[tuple[int, int]] = []
        for pattern, word in _SPANS:
            for match in pattern.finditer(sentence):
                at, up_to = match.span(match.lastindex or 0)
                answer = sentence[at:up_to].strip(" ,.")
                if not answer or any(at < other_end and other < up_to for other, other_end in taken):
                    continue
                taken.append((at, up_to))
                question = _question(word, sentence[up_to:], sentence[:at], rng)
                if rng.random() < UNANSWERED and answer not in (without := text[:start] + text[end:]):
                    yield Example(text=question, passage=without)
                else:
                    yield Example(text=question, passage=text, references=(answer,))


def _question(word: str, after: str, before: str, rng: np.random.Generator) -> str:
    words = [*after.strip(" .!?").split(), *before.split()]
    kept = [own for own, share in zip(words, rng.random(len(words)), strict=True) if share >= DROPPED]
    return " ".join((word, *kept)) + "?"
