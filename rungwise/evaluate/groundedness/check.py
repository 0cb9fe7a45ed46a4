"""Whether passages say what a statement says: numbers, units, dates, names and negations against the best-aligned sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rungwise.core.content import Passage
from rungwise.engines.sentences import split_sentences
from rungwise.evaluate.groundedness import dates, entities, negation, numbers
from rungwise.evaluate.groundedness.align import Encode, Evidence, align
from rungwise.evaluate.groundedness.finding import Finding
from rungwise.evaluate.groundedness.tokens import read

_LEAD = re.compile(
    r"(?:According to (?:the|this|your) [^,]{1,40}|(?:As|It is) (?:stated|noted|described|mentioned|written)(?: \w+){0,3}"
    r"|The (?:text|document|passage|article|source) (?:says|states|notes)(?: that)?|Yes)\b[,:]?\s+",
    re.IGNORECASE,
)
# Below this share of its content words and numbers, a statement is taken to be about something else: 99 % of the sentences of
# another document lie below it. Measured: benchmarks/groundedness.py.
LEAST_COVERED = 0.4


@dataclass(frozen=True)
class Grounding:
    """What was found about a statement; without findings it is grounded in `evidence`, places (passage, start, end), best first.

    `covered` is the share of its content words and numbers that the evidence holds, 0 to 1.
    """

    findings: tuple[Finding, ...]
    evidence: tuple[tuple[int, int, int], ...]
    covered: float

    @property
    def grounded(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.findings


def is_grounded(
    statement: str, passages: Sequence[str | Passage], *, encode: Encode | None = None, least_covered: float = LEAST_COVERED
) -> Grounding:
    """Check a statement, sentence by sentence, against passages.

    It finds what was changed, not whether something follows: a statement that shares its words, numbers, names and
    negations with a source sentence passes. English; in other languages numbers, dates in digits and names still hold.
    `encode` (texts to unit vectors) finds the source sentence when too few words are shared; without it a statement with
    less than `least_covered` of its words there is not grounded.
    """
    texts = [one if isinstance(one, str) else one.text for one in passages]
    findings: list[Finding] = []
    evidence: dict[tuple[int, int, int], None] = {}
    covered = 1.0
    for start, end in split_sentences(statement):
        found, where, share = _check(statement[start:end], texts, encode, least_covered)
        findings += [Finding(one.kind, one.start + start, one.end + start, one.text, one.evidence) for one in found]
        evidence.update(dict.fromkeys(where))
        covered = min(covered, share)
    return Grounding(tuple(findings), tuple(evidence), covered)


def supported(sentence: str, passage: str) -> bool:
    """Whether one passage says what a sentence says; quick enough for every sentence of an answer while it is served."""
    return is_grounded(sentence, (passage,)).grounded


def _check(
    sentence: str, passages: Sequence[str], encode: Encode | None, least_covered: float
) -> tuple[list[Finding], list[tuple[int, int, int]], float]:
    statement = read(_without_lead(sentence))
    if not any(token.kind != "mark" for token in statement.tokens):
        return [], [], 1.0
    aligned = align(statement, passages, encode=encode)
    sources = [one.reading for one in aligned.evidence]
    places = [_place(one) for one in aligned.evidence]
    about = any(token.kind in ("word", "code") for token in statement.tokens)
    if not sources or (about and aligned.covered < least_covered and encode is None):
        return [Finding("source", 0, len(sentence), sentence)], places, aligned.covered
    found = [
        *numbers.check(statement, sources),
        *dates.check(statement, sources),
        *entities.check(statement, sources, aligned.stems),
        *negation.check(statement, sources),
    ]
    return sorted(found, key=lambda one: (one.start, one.end)), places, aligned.covered


def _without_lead(sentence: str) -> str:
    """The sentence with blanks for the words that only say that something follows, so that places stay true."""
    found = _LEAD.match(sentence)
    return " " * found.end() + sentence[found.end() :] if found else sentence


def _place(evidence: Evidence) -> tuple[int, int, int]:
    return evidence.passage, evidence.start, evidence.end
