"""Which sentences of the passages a statement rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.sentences import split_sentences
from rungwise.evaluate.groundedness.tokens import STOP, Reading, read

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
# A second sentence is taken in when it holds this many words that are no names, and this share of the weight, that the first lacks.
NEW_WORDS, NEW_SHARE = 3, 0.2
# A clause of its own brings its best sentence with it when that holds this share of the clause's words that the others lack.
NEW_IN_CLAUSE = 0.3


class Evidence(NamedTuple):
    """A sentence of a passage: characters `start` to `end` of `passages[passage]`."""

    passage: int
    start: int
    end: int
    reading: Reading


class Alignment(NamedTuple):
    """The sentences that a statement rests on, best first, and the share of its content, that they hold."""

    evidence: tuple[Evidence, ...]
    covered: float
    stems: frozenset[str]


@lru_cache(maxsize=4_096)
def _cut(passage: str) -> tuple[tuple[int, int, Reading], ...]:
    return tuple((start, end, read(passage[start:end])) for start, end in split_sentences(passage))


def _clauses(statement: Reading) -> list[set[str]]:
    """The content words of each part between semicolons, and between commas before 'and', 'while' or 'but'; [] for one part."""
    parts: list[set[str]] = [set()]
    for place, token in enumerate(statement.tokens):
        following = statement.tokens[place + 1].text.lower() if place + 1 < len(statement.tokens) else ""
        if token.text == ";" or (token.text == "," and following in ("and", "while", "whereas", "but", "although")):
            parts.append(set())
        elif token.kind in ("word", "code") and token.stem not in STOP:
            parts[-1].add(token.stem)
    return [part for part in parts if part] if len(parts) > 1 else []


def align(statement: Reading, passages: Sequence[str], *, encode: Encode | None = None, most: int = 3) -> Alignment:
    """The one to `most` sentences of the passages that share the most rare words with the statement.

    A word weighs log(1 + n / sentences that have it) of the n sentences. `encode` (texts to unit vectors (n, d)) is asked
    only when the words find less than half: then the nearest sentence comes first.
    """
    cut = [(number, *one) for number, passage in enumerate(passages) for one in _cut(passage)]
    words = [word for word in statement.stems if word not in STOP]
    held = [{word for word in words if word in reading.stems} for _, _, _, reading in cut]
    every = frozenset(word for _, _, _, reading in cut for word in reading.stems)
    if not words:
        same = [one for one in cut if statement.text.strip().casefold() in one[3].text.casefold()]
        return Alignment(tuple(Evidence(*one) for one in same[:1]), float(bool(same)), every)
    if not cut:
        return Alignment((), 0.0, every)
    weight = {word: math.log(1 + len(cut) / max(1, sum(word in one for one in held))) for word in words}
    total = sum(weight.values())
    chosen: list[int] = []
    left = set(words)
    # A name alone brings no sentence with it: it may be the one thing that is wrong.
    plain = {word for word in words if statement.tokens[statement.stems[word][0]].text.islower()}
    figures = [token.text for token in statement.tokens if token.kind == "number"]
    shared = [sum(any(token.text == one for token in reading.tokens) for one in figures) for _, _, _, reading in cut]
    count = len(words) + len(figures)
    while len(chosen) < most:
        gains = [sum(weight[word] for word in one & left) for one in held]
        # Of equal ones that with the same numbers, then the shorter: it says less else.
        best = max(range(len(cut)), key=lambda place: (gains[place], shared[place], -len(cut[place][3].tokens)))
        new = held[best] & left
        if chosen and (len(new & plain) < NEW_WORDS or gains[best] < NEW_SHARE * total):
            break
        chosen.append(best)
        left -= new
    for clause in _clauses(statement):
        best = max(range(len(cut)), key=lambda place: (sum(weight[word] for word in held[place] & clause), place in chosen))
        gained = held[best] & clause - set().union(*(held[place] for place in chosen))
        if gained & plain and len(gained) >= NEW_IN_CLAUSE * len(clause):
            chosen.append(best)
            left -= gained
    said = {token.text for place in chosen for token in cut[place][3].tokens if token.kind == "number"}
    numbers = sum(one in said for one in figures)
    covered = (len(words) - len(left) + numbers) / count
    if encode is not None and covered < 0.5:
        vectors = encode([statement.text, *(reading.text for _, _, _, reading in cut)])
        nearest = int(np.argmax(vectors[1:] @ vectors[0]))
        chosen = [nearest, *(place for place in chosen if place != nearest)][:most]
    return Alignment(tuple(Evidence(*cut[place]) for place in chosen), covered, every)
