"""Where personal data stands in a text, and how the findings of several detectors become one list."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from typing import TypeAlias


class Proof(IntEnum):
    """How sure the kind of detector is that found a span; the higher one stays where spans overlap."""

    TAGGER = 0
    """A model or a dictionary said so from words and context."""
    PATTERN = 1
    """Its form, or its form and a word beside it, said so."""
    CHECKSUM = 2
    """Its form and its check digits, or a parser, said so."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (half open, as Python slices a string) are personal data of one type.

    Types are named as Amazon Bedrock's sensitive-information filters name them (EMAIL, PHONE, NAME, ADDRESS ...), with more
    in the same form where it has none (ORGANIZATION, DATE_TIME, BR_CPF ...). The text itself is not kept here.
    """

    start: int
    end: int
    type: str
    proof: Proof = Proof.TAGGER


Detector: TypeAlias = "Callable[[Sequence[str]], list[list[Span]]]"
"""Gives the spans of each text, in the order of the texts. What it gives for a text depends on that text alone.

Detectors that are kept as settings of a step are frozen dataclasses with `__call__`, so that they can be recorded and sent.
"""


_LEAST_REST = 3  # characters; what is shorter between two spans is punctuation


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans without overlap, in the order of the text.

    Where two overlap the one with the stronger proof stays; of equal ones the longer; then the earlier; then the first type
    in the alphabet, so that the result does not depend on the order of the detectors. Of a tagger's span what the stronger
    ones leave stays too: a postal code inside an address does not uncover the street.
    """
    ordered = sorted((span for span in spans if span.start < span.end), key=lambda span: span.start)
    if all(one.end <= other.start for one, other in pairwise(ordered)):
        return ordered
    kept: list[Span] = []  # in order, so that what a span overlaps stands together
    for span in sorted(ordered, key=lambda span: (-span.proof, span.start - span.end, span.start, span.type)):
        left = bisect_right(kept, span.start, key=lambda other: other.end)
        right = bisect_left(kept, span.end, key=lambda other: other.start)
        if left >= right:
            kept.insert(left, span)
        elif span.proof is Proof.TAGGER and all(other.proof > Proof.TAGGER for other in kept[left:right]):
            kept[left:right] = sorted([*kept[left:right], *_rests(span, kept[left:right])], key=lambda other: other.start)
    return kept


def _rests(span: Span, over: Iterable[Span]) -> list[Span]:
    """The parts of a span that others, in order, leave free."""
    edges = [span.start, *(edge for other in over for edge in (other.start, other.end)), span.end]
    parts = zip(edges[::2], edges[1::2], strict=True)
    return [replace(span, start=left, end=right) for left, right in parts if right - left >= _LEAST_REST]
