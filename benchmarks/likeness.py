"""How alike texts are before and after words of them are replaced: Jaccard of character 5-grams and of word 5-grams.

150 short texts (10 words) and 150 long ones (300 words) of English prose (benchmarks/prose.py); medians, and the most alike
pair of texts that only stand beside each other. Words that replace others are drawn from the same prose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from statistics import median
from typing import Any

from benchmarks.prose import pieces

TEXTS, GRAM = 150, 5
EDITS = {10: (1,), 300: (1, 3, 9, 15)}
"""How many words are replaced, by the length of the text in words."""

Shingles = Callable[[str], set[Any]]


def characters(text: str) -> set[Any]:
    """The character 5-grams of a text."""
    return {text[i : i + GRAM] for i in range(len(text) - GRAM + 1)}


def words(text: str) -> set[Any]:
    """The word 5-grams of a text."""
    found = text.split()
    return {tuple(found[i : i + GRAM]) for i in range(len(found) - GRAM + 1)}


def jaccard(pairs: Sequence[tuple[str, str]], shingles: Shingles) -> list[float]:
    """The similarity of each pair."""
    sets = [(shingles(one), shingles(other)) for one, other in pairs]
    return [len(one & other) / len(one | other) for one, other in sets]


def edited(text: str, count: int, vocabulary: Sequence[str], rng: Random) -> str:
    """The text with so many of its words replaced."""
    found = text.split()
    for place in rng.sample(range(len(found)), count):
        found[place] = rng.choice(vocabulary)
    return " ".join(found)


def main() -> None:
    """A row for each length and number of edits."""
    base, rng = [text.lower() for text in pieces(600_000)[0]], Random(0)
    vocabulary = [word for text in base for word in text.split()]
    results = []
    print("words  replaced            characters  words")
    for length, counts in EDITS.items():
        texts = [" ".join(text.split()[:length]) for text in base if len(text.split()) >= length][:TEXTS]
        for count in counts:
            pairs = [(text, edited(text, count, vocabulary, rng)) for text in texts]
            found = [median(jaccard(pairs, shingles)) for shingles in (characters, words)]
            results.append({"words": length, "replaced": count, "characters": round(found[0], 3), "word_grams": round(found[1], 3)})
            print(f"{length:>5}  {count:>8}            {found[0]:>10.3f}  {found[1]:.3f}")
        most = [max(jaccard(list(pairwise(texts)), shingles)) for shingles in (characters, words)]
        results.append({"words": length, "replaced": None, "characters": round(most[0], 3), "word_grams": round(most[1], 3)})
        print(f"{length:>5}  others, at most     {most[0]:>10.3f}  {most[1]:.3f}")
    print(json.dumps({"benchmark": "likeness", "results": results}))


if __name__ == "__main__":
    main()
