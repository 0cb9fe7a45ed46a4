"""What completing a follow-up question by rule does to a search; prints a table and a JSON line.

The questions of a paragraph of squad2_part were written one after the other by people who saw it. Those that lean on something
(`leans`) are searched for as they are and completed from the question before them; what is to be found is their paragraph.
No conversation data: that one question of a paragraph follows another is all that makes them a dialogue here.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import Any

from benchmarks.publish import machine
from rungwise.core.content import Turn
from rungwise.engines.search.lexical import LexicalIndex
from rungwise.engines.search.postings import index_terms
from rungwise.engines.search.terms import Words
from rungwise.inference.conversation import by_rule, leans

SQUAD = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "squad2_part" / "dev.jsonl.gz"
WORDS = Words(stop=True, stem=True)
CARRIED = (1, 2, 3, 5, 8)


def reciprocal_rank(index: LexicalIndex, query: str, wanted: int) -> float:
    """1 / rank of the wanted paragraph among the first ten, or 0."""
    found = index.search(query, 10)[0].tolist()
    return 1 / (1 + found.index(wanted)) if wanted in found else 0.0


def sign_test(gains: Sequence[float]) -> float:
    """The two-sided p of the sign test: whether as many queries were helped as harmed."""
    helped, harmed = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    n = helped + harmed
    return min(1.0, 2 * sum(comb(n, k) for k in range(min(helped, harmed) + 1)) / 2**n) if n else 1.0


def main() -> None:
    """As asked, completed by the rarest words of the question before, and with the whole of that question."""
    with gzip.open(SQUAD, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    by_context: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_context[row["context"]].append(row["question"])
    contexts = list(by_context)
    index = LexicalIndex.of([index_terms(contexts, words=WORDS)])
    pairs = [
        (number, before, question)
        for number, context in enumerate(contexts)
        for before, question in zip(by_context[context], by_context[context][1:], strict=False)
    ]
    leaning = [pair for pair in pairs if leans(pair[2])]

    def rarity(word: str) -> float:
        return max((index.rarity(term) for term in WORDS.terms(word)), default=0.0)

    plain = [reciprocal_rank(index, question, number) for number, _, question in leaning]
    lines: list[dict[str, Any]] = [line_of("as asked", plain, plain)]
    for carried in CARRIED:
        rule = by_rule(rarity, carried=carried)
        told = [asyncio.run(rule(question, [Turn(before, "")])) for _, before, question in leaning]
        found = [reciprocal_rank(index, query, number) for query, (number, _, _) in zip(told, leaning, strict=True)]
        lines.append(line_of(f"{carried} rarest words", found, plain))
    whole = [reciprocal_rank(index, f"{question} {before}", number) for number, before, question in leaning]
    lines.append(line_of("the whole question before", whole, plain))
    print(f"{machine()}; {len(contexts)} paragraphs, {len(pairs)} questions after another, {len(leaning)} of them lean")
    for line in lines:
        print("  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in line.items()))
    print(json.dumps({"benchmark": "follow_ups", "questions": len(pairs), "leaning": len(leaning), "results": lines}))


def line_of(name: str, found: Sequence[float], plain: Sequence[float]) -> dict[str, Any]:
    """One line of the table."""
    gains = [one - other for one, other in zip(found, plain, strict=True)]
    return {
        "query": name,
        "mrr_at_10": sum(found) / len(found),
        "first": sum(one == 1.0 for one in found) / len(found),
        "found_in_10": sum(one > 0 for one in found) / len(found),
        "helped": sum(gain > 0 for gain in gains),
        "harmed": sum(gain < 0 for gain in gains),
        "p": sign_test(gains),
    }


if __name__ == "__main__":
    main()
