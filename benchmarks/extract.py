"""How good the extractive answers are, how their confidence ranks, and what they take; prints a table and a JSON line."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Response
from rungwise.core.dataset import Example
from rungwise.core.types import collect
from rungwise.data.documents import read_documents
from rungwise.engines.search.building import build_segment
from rungwise.engines.search.index import SearchIndex
from rungwise.engines.search.recipe import Recipe
from rungwise.evaluate.text import contains, token_f1
from rungwise.inference.extract import answer_responder

ROOT = Path(__file__).resolve().parents[1]
SQUAD = ROOT.parent / "shared" / "data" / "squad2_part" / "dev.jsonl.gz"
SUPPORT = ROOT / "examples" / "support"
INDEX = Fitted(technique="index", recipe=Recipe().plain(), inputs=("articles",))


def squad() -> list[Example]:
    """The answerable questions with their passages."""
    with gzip.open(SQUAD, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["answers"]]
    return [Example(text=row["question"], passage=row["context"], references=tuple(row["answers"])) for row in rows]


def support(*, passage: bool) -> list[Example]:
    """The questions of the shipped example, with or without the passage that answers them."""
    rows = [json.loads(line) for line in (SUPPORT / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    given = "passage" if passage else "no passage"
    return [Example(text=row["question"], passage=row.get(given), references=(row["answer"],)) for row in rows]


async def answers(candidate: Candidate, index: SearchIndex | None, rows: Sequence[Example]) -> list[Response]:
    """All answers, one after the other."""
    answer = answer_responder(candidate, dict, index=index)
    return [await collect(answer(row.request)) for row in rows]


def auc(right: Sequence[bool], confidence: Sequence[float]) -> float:
    """The chance that a right answer is surer than a wrong one; ties count half."""
    own, other = np.asarray(confidence)[np.asarray(right)], np.asarray(confidence)[~np.asarray(right)]
    if not len(own) or not len(other):
        return float("nan")
    return float((own[:, None] > other).mean() + (own[:, None] == other).mean() / 2)


def measure(name: str, candidate: Candidate, index: SearchIndex | None, rows: Sequence[Example]) -> dict[str, Any]:
    """One line of the table."""
    begin = time.perf_counter()
    found = asyncio.run(answers(candidate, index, rows))
    seconds = time.perf_counter() - begin
    holds = [contains(row, one) == 1.0 for row, one in zip(rows, found, strict=True)]
    sure = [one.confidence or 0.0 for one in found]
    line = {
        "set": name,
        "model": candidate.model,
        "passages": candidate.options.get("passages"),
        "n": len(rows),
        "token_f1": float(np.mean([token_f1(row, one) for row, one in zip(rows, found, strict=True)])),
        "contains": float(np.mean(holds)),
        "confidence": float(np.mean(sure)),
        "auc": auc(holds, sure),
        "ms": 1000 * seconds / len(rows),
    }
    print("  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in line.items()))
    return line


def main() -> None:
    """Lead against the best sentence with the passage given, and the best sentence over the folder of articles."""
    sets = [("support, passage given", support(passage=True))]
    if SQUAD.exists():
        sets.insert(0, ("squad2_part, answerable", squad()))
    lines = [
        measure(name, Candidate(task="answer", model=model), None, rows)
        for name, rows in sets
        for model in ("lead", "best-sentence")
    ]
    index = SearchIndex(Recipe(), [build_segment(read_documents(SUPPORT / "articles").documents, Recipe(), None)])
    for count in (1, 3, 5):
        candidate = Candidate(task="answer", model="best-sentence", index=INDEX, options={"passages": count})
        lines.append(measure("support, over the folder", candidate, index, support(passage=False)))
    print(json.dumps({"benchmark": "extract", "results": lines}))


if __name__ == "__main__":
    main()
